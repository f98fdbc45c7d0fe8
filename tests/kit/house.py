"""The measures of house.sh: nm -A of all objects on standard input. usage: house.py OBJECT-FOLDER FOLDERS"""
import os
import re
import sys

SOURCES, LINES = 20, 600
OBJ, TOP_FOLDERS = sys.argv[1].rstrip("/") + "/", sys.argv[2].split()
INCLUDE = re.compile(r'^#include "([^"]+\.h)"', re.M)


def sources():
    return sorted(os.path.join(d, f) for top in TOP_FOLDERS for d, _, files in os.walk(top) for f in files if f.endswith((".c", ".h")))


def links(text):
    """{file: files whose symbols it takes}, {name with two bodies: files}, from nm -A: "object: [address] letter name"."""
    defined, taken = {}, {}
    for line in text.splitlines():
        path, _, rest = line.partition(":")
        words = rest.split()
        name, letter, path = words[-1], words[-2], path.removeprefix(OBJ).removesuffix(".o") + ".c"
        if letter == "U":
            taken.setdefault(path, set()).add(name)
        elif letter.isupper():
            defined.setdefault(name, set()).add(path)
    twice = {n: d for n, d in defined.items() if len(d) > 1 and n != "main"}
    return {f: {d for n in names for d in defined.get(n, ()) if d != f and n not in twice} for f, names in taken.items()}, twice


def circles(graph):
    """Strongly connected sets of two or more (Tarjan, without recursion)."""
    index, low, on, stack, found = {}, {}, set(), [], []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(sorted(graph[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            node, rest = work[-1]
            for to in rest:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on.add(to)
                    work.append((to, iter(sorted(graph.get(to, ())))))
                    break
                if to in on:
                    low[node] = min(low[node], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = []
                    while not part or part[-1] != node:
                        part.append(stack.pop())
                        on.discard(part[-1])
                    if len(part) > 1:
                        found.append(sorted(part))
    return found


def rank_of():
    """path → how high it stands: libraries in the order of `make source-folders`, then services; in the gateway lint.sh's rooms."""
    with open("tests/kit/lint.sh", encoding="utf-8") as f:
        rooms = re.search(r"^rooms=\((.*)\)", f.read(), re.M)
    rooms = rooms.group(1).split() if rooms else []
    libraries = [t for t in TOP_FOLDERS if not os.path.exists(os.path.join(t, "main.c"))]

    def rank(path):
        parts = path.split("/")
        if parts[0] in libraries:
            return libraries.index(parts[0])
        if parts[0] == "gateway" and len(parts) > 2 and parts[1] in rooms:
            return 100 + len(rooms) - rooms.index(parts[1])
        if path in ("gateway/serve.h", "gateway/router.h") or path.endswith("/main.c"):
            return 1000
        return 500 if parts[0] != "gateway" else None  # gateway.h: whoever may know it is lint's matter
    return rank


def main():
    rank, files = rank_of(), sources()
    graph, twice = links(sys.stdin.read())
    found = circles(graph)
    folder = os.path.dirname
    table, upward, long = {}, [], []
    for f in files:
        with open(f, encoding="utf-8") as s:
            text = s.read()
        row = table.setdefault(folder(f), {"c": 0, "h": 0, "lines": 0, "long": 0, "circles": 0, "up": 0})
        n = text.count("\n")
        row[f[-1]] += 1
        row["lines"] += n
        if f.endswith(".c"):
            row["long"] = max(row["long"], n)
            if n > LINES:
                long.append(f"{f}: {n} lines")
        for to in INCLUDE.findall(text):
            mine, its = rank(f), rank(to)
            alien = to.split("/")[0] in TOP_FOLDERS and to.split("/")[0] != f.split("/")[0] and its == 500
            if os.path.exists(to) and (alien or (mine is not None and its is not None and its > mine and folder(to) != folder(f))):
                row["up"] += 1
                upward.append(f"{f} includes {to}")
    for part in found:
        for d in {folder(f) for f in part}:
            table[d]["circles"] += 1
    print(f"{'folder':<24}{'.c':>5}{'.h':>5}{'lines':>8}{'longest':>9}{'circles':>9}{'up':>5}")
    for d, r in sorted(table.items()):
        print(f"{d:<24}{r['c']:>5}{r['h']:>5}{r['lines']:>8}{r['long']:>9}{r['circles'] or '':>9}{r['up'] or '':>5}")
    across = [p for p in found if len({folder(f) for f in p}) > 1]
    for p in sorted(found, key=lambda p: (p not in across, p)):
        print(("circle across folders: " if p in across else "circle in one folder: ") + " ".join(p))
    for line in upward + long:
        print(line)
    for name, where in sorted(twice.items()):
        print(f"two bodies: {name} in {' '.join(sorted(where))}")
    crowded = [d for d, r in table.items() if r["c"] > SOURCES]
    short = False
    for name, got, bar in (("house_circles_across_modules", len(across), 0), ("house_folders_over_20_sources", len(crowded), 0),
                           ("house_files_over_600_lines", len(long), 0), ("house_upward_includes", len(upward), 0),
                           ("house_names_with_two_bodies", len(twice), 0)):
        short = short or got > bar
        print(f"{name} {got} bar {bar} {'ok' if got <= bar else 'SHORT'}" + (f": {' '.join(crowded)}" if crowded and "folders" in name else ""))
    return 1 if short else 0


sys.exit(main())
