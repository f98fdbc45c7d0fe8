"""The measures of house.sh: nm -A of all objects on standard input. usage: house.py OBJECT-FOLDER FOLDERS"""
import os
import re
import sys

SOURCES, LINES = 20, 600
OBJ, TOP_FOLDERS = sys.argv[1].rstrip("/") + "/", sys.argv[2].split()
NOISE = re.compile(r"/\*.*?\*/|^#(?:[^\n]*\\\n)*[^\n]*", re.S | re.M)
BODY = re.compile(r"\)\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
PROTOTYPE = re.compile(r"\b([a-z]\w*)\([^;{}]*\)[^;{}()]*(?:__attribute__\(\(.*?\)\))?;")
INCLUDE = re.compile(r'^#include "([^"]+\.h)"', re.M)


def sources():
    return sorted(os.path.join(d, f) for top in TOP_FOLDERS for d, _, files in os.walk(top) for f in files if f.endswith((".c", ".h")))


def strays(header, text, defined):
    """{file of another folder: how many of its functions the header declares}"""
    found = {}
    for name in set(PROTOTYPE.findall(BODY.sub(")", NOISE.sub("", text)))):
        for f in defined.get(name, ()):
            if os.path.dirname(f) != os.path.dirname(header):
                found[f] = found.get(f, 0) + 1
    return found


def links(text):
    """{file: files whose symbols it takes}, {name: files that define it}, from nm -A: "object: [address] letter name"."""
    defined, taken = {}, {}
    for line in text.splitlines():
        path, _, rest = line.partition(":")
        words = rest.split()
        name, letter, path = words[-1], words[-2], path.removeprefix(OBJ).removesuffix(".o") + ".c"
        if letter == "U":
            taken.setdefault(path, set()).add(name)
        elif letter.isupper():
            defined.setdefault(name, set()).add(path)
    # a name of two files (main) links nobody; lint.sh lets no other name have two bodies
    return {f: {d for n in names if len(defined.get(n, ())) == 1 for d in defined[n] if d != f} for f, names in taken.items()}, defined


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
    graph, defined = links(sys.stdin.read())
    found = circles(graph)
    folder = os.path.dirname
    table, upward, long, stray = {}, [], [], []
    for f in files:
        with open(f, encoding="utf-8") as s:
            text = s.read()
        row = table.setdefault(folder(f), {"c": 0, "h": 0, "lines": 0, "long": 0, "circles": 0, "up": 0})
        n = text.count("\n")
        row[f[-1]] += 1
        row["lines"] += n
        if f.endswith(".h"):
            stray += [f"{f} declares {n} functions of {of}" for of, n in sorted(strays(f, text, defined).items())]
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
    for line in upward + long + stray:
        print(line)
    crowded = [d for d, r in table.items() if r["c"] > SOURCES]
    short = False
    for name, got, bar in (("house_circles_across_modules", len(across), 0), ("house_folders_over_20_sources", len(crowded), 0),
                           ("house_files_over_600_lines", len(long), 0), ("house_upward_includes", len(upward), 0),
                           ("house_files_declared_in_another_folder", len(stray), 0)):
        short = short or got > bar
        print(f"{name} {got} bar {bar} {'ok' if got <= bar else 'SHORT'}" + (f": {' '.join(crowded)}" if crowded and "folders" in name else ""))
    return 1 if short else 0


sys.exit(main())
