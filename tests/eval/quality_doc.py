"""Writes docs/quality.md; the figures of the run before are read from the page itself."""
import math
import os
import platform
import re
import subprocess
import time

from answers import TOP

COLUMNS = (("ndcg", "nDCG@10"), ("recall", "recall@10"), ("hit1", "hit@1"), ("hit3", "hit@3"), ("answered", "answered"), ("says", "says it"), ("f1", "F1"),
           ("precision", "citation precision"), ("recall_cited", "citation recall"), ("refused", "unanswerable refused"), ("auc", "AUC"),
           ("kb_s", "ingested, kB/s"))
INTRO = """# Quality

Written by `make eval` (tests/eval/quality.py): do not edit. {date}, {commit}, {machine}.

Each set is a collection of a running suite, with the built-in answers and one of the two built-in embedding models. In brackets: the run before, where it differs.
Questions of a set have their answer in it; *unanswerable* are those that have none: made to look answerable (squad, mtragun), or off the topic (others).

- **nDCG@10, recall@10, hit@1, hit@3**: of documents in `POST /api/v1/search`; BM25 is SQLite's FTS5 with the Porter stemmer over title and text.
- **answered**: share that is not refused. **says it**: the answer has a reference answer word for word. **F1**: words in common with it; quoted sentences are longer.
- **citation precision, recall**: of the documents that an answer cites, and of those that it should, among answered questions.
- **AUC**: chance that an answerable question has the higher `confidence`.
"""


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    return f"{os.cpu_count()} processors of {model.group(1).strip() if model else platform.machine()}"


def number(text):
    found = re.match(r"\s*(-?\d*\.?\d+)", text)
    return float(found.group(1)) if found else None


def before(page):
    """{(table, row, column): figure} of a page that was written before."""
    out, table, head = {}, "", []
    if not os.path.exists(page):
        return out
    with open(page, encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip("|").split("|")] if line.startswith("|") else []
            if line.startswith("## "):
                table, head = line[3:].strip(), []
            elif cells and not head:
                head = cells
            elif cells and not set(cells[0]) <= {"-"}:
                out.update({(table, cells[0], h): number(c) for h, c in zip(head[1:], cells[1:])})
    return out


def shown(value):
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.0f}" if value >= 10 or isinstance(value, int) else f"{value:.3f}"


class Page:
    def __init__(self, old):
        self.old, self.lines = old, []

    def table(self, title, head, rows):
        """rows: (name, [figures]); a figure that was another one before has that in brackets."""
        self.lines += ["", f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for name, figures in rows:
            cells = [self.cell(title, name, h, v) for h, v in zip(head[1:], figures)]
            self.lines.append("| " + " | ".join([name, *cells]) + " |")

    def cell(self, title, name, column, value):
        text, was = shown(value), self.old.get((title, name, column))
        return text if not text or was is None or f"{was:g}" == f"{float(text):g}" else f"{text} ({was:g})"


def write(path, measured, base, bars):
    page = Page(before(path))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=TOP).stdout.strip()
    intro = INTRO.format(date=time.strftime("%Y-%m-%d"), commit=commit or "?", machine=machine())
    for provider, sets in measured.items():
        page.table(f"With {provider}", ["set", "questions", "unanswerable", *(label for _, label in COLUMNS)],
                   [(n, [m["own"], m["other"], *(m[key] for key, _ in COLUMNS)]) for n, m in sets.items() if n != "spans"])
    page.table("BM25", ["set", "nDCG@10", "recall@10", "hit@1", "hit@3"],
               [(n, [m[k] for k in ("ndcg", "recall", "hit1", "hit3")]) for n, m in base.items()])
    spans = [(p, [sets["spans"][k] for k in ("recall", "precision", "iou", "hit")]) for p, sets in measured.items() if "spans" in sets]
    if spans:
        page.table("Span overlap: chunkeval's documents whole, bytes of the first five passages", ["model", "recall", "precision", "IoU", "hit"], spans)
    page.lines += ["", "## Bars", "", "| bar | measured | wanted | |", "|---|---|---|---|", *("| " + " | ".join(line) + " |" for line in bars)]
    with open(path, "w", encoding="utf-8") as f:
        f.write(intro + "\n".join(page.lines) + "\n")
