"""`make bench-minilm`: the sentence model's C against others' code, a line per bar; exit code 1 when one is SHORT.

    bench.py PACKAGE_MODEL_FOLDER MODEL_FILE MINILM_RUN [short]

Vectors: ONNX Runtime in float32, whose graph is made of the same weights (as_onnx.py) and which bert.py, the definition in numpy, confirms.
Tokens: Hugging Face's tokenizers. Time: ONNX Runtime's own int8 form, one thread, both by turns in this run, the least of each.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

import as_onnx
import scripts
from bert import Bert

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORDS = "how do I change the number of database connections that the store keeps open while many readers ask questions today".split()
short = 0


def bar(name, measured, limit, least=True, form="%.4f"):
    global short
    ok = measured >= limit if least else measured <= limit
    short += not ok
    print(f"{name:<44} {form % measured:>12}   {'≥' if least else '≤'} {form % limit:>8}   {'ok' if ok else 'SHORT'}", flush=True)


class Ours:
    def __init__(self, program, model):
        self.program, self.model = program, model

    def run(self, what, texts):
        data = "".join(t.replace("\n", " ") + "\n" for t in texts).encode()
        return subprocess.run([self.program, self.model, what], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout

    def tokens(self, texts):
        return [[int(i) for i in line.split()] for line in self.run("tokens", texts).decode().split("\n")[:-1]]

    def vectors(self, texts):
        return np.frombuffer(self.run("embed", texts), np.float32).reshape(len(texts), -1)

    def seconds(self, text, times):
        return float(self.run("time", [f"{times} {text}"]))


class Onnx:
    def __init__(self, path):
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = o.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])

    def vector(self, ids):
        x = np.array([ids], np.int64)
        v = self.session.run(None, {"input_ids": x, "attention_mask": np.ones_like(x)})[0][0].mean(0)
        return v / np.linalg.norm(v)

    def seconds(self, ids, times):
        x = np.array([ids], np.int64)
        feed, best = {"input_ids": x, "attention_mask": np.ones_like(x)}, 1e9
        for _ in range(times):
            begun = time.thread_time()
            self.session.run(None, feed)
            best = min(best, time.thread_time() - begun)
        return best


def paragraphs(n):
    """Texts of these documents, of 20 to some 1,500 bytes, questions (headings) among them; no rules of tables ("|---|---|", .989), and none that
    names a special token, which is text here and is none in the reference."""
    out = []
    for path in sorted(glob.glob(os.path.join(TOP, "docs", "*.md")) + glob.glob(os.path.join(TOP, "docs/decisions", "*.md")) + glob.glob(os.path.join(TOP, "*.md"))):
        with open(path, encoding="utf-8") as f:
            for part in f.read().split("\n"):
                words = part.split()
                out += [" ".join(words[i:i + 120]) for i in range(0, len(words), 120) if len(part) > 20 and re.search("[a-z]{3}", part) and "[CLS]" not in part and "[SEP]" not in part]
    return [t for i, t in enumerate(out) if i % max(1, len(out) // n) == 0][:n]


def main():
    folder, model, program = sys.argv[1:4]
    quick = sys.argv[4:] == ["short"]
    ours, tok = Ours(program, model), Tokenizer.from_file(folder + "/tokenizer.json")
    tok.no_padding()
    tok.no_truncation()
    with tempfile.TemporaryDirectory() as tmp:
        as_onnx.write(folder, tmp + "/fp32.onnx", tmp + "/int8.onnx")
        exact, int8 = Onnx(tmp + "/fp32.onnx"), Onnx(tmp + "/int8.onnx")

    many = list(scripts.texts(1000 if quick else 10000))
    same = sum(a == b.ids for a, b in zip(ours.tokens(many), tok.encode_batch(many, add_special_tokens=False)))
    bar(f"same tokens, of {len(many)} texts in {len(scripts.SCRIPTS)} scripts", same / len(many), 1)

    # a longer text is several windows here, and cut there
    read = [(t, tok.encode(t).ids) for t in paragraphs(80 if quick else 1300)]
    read = [(t, i) for t, i in read if len(i) <= 256][:60 if quick else 1000]
    texts, ids = [t for t, _ in read], [i for _, i in read]
    reference = np.array([exact.vector(i) for i in ids])
    numpy = Bert(folder)
    bar("the reference is the definition's (numpy)", min(float(reference[i] @ numpy.embed(ids[i])) for i in range(0, len(ids), max(1, len(ids) // 5))), 0.99999, form="%.5f")
    cosines = (ours.vectors(texts) * reference).sum(1)
    others = np.array([float(int8.vector(i) @ reference[k]) for k, i in enumerate(ids[:200])])
    bar(f"cosine to float32, least of {len(texts)} texts", float(cosines.min()), 0.99)
    bar("cosine to float32, mean", float(cosines.mean()), 0.995)
    print(f"    (ONNX Runtime int8 to float32: least {others.min():.4f}, mean {others.mean():.4f})")

    question, passage = " ".join(WORDS), " ".join((WORDS * 10)[:200])
    rounds, ratio, seconds = (3 if quick else 10), {}, {}
    for name, text, times in (("20 words", question, 30), ("200 words", passage, 5)):
        tokens = tok.encode(text).ids
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(ours.seconds(text, times))
            theirs.append(int8.seconds(tokens, times))
        seconds[name], ratio[name] = (min(mine), min(theirs)), min(mine) / min(theirs)
        print(f"    ({name}, {len(tokens)} tokens: ours {min(mine) * 1000:.2f} ms, ONNX Runtime int8 {min(theirs) * 1000:.2f} ms)")
    bar("a question's time over ONNX Runtime int8's", ratio["20 words"], 1.3, least=False, form="%.2f")
    bar("ONNX Runtime int8's passages/s over ours", ratio["200 words"], 1.3, least=False, form="%.2f")
    sys.exit(short > 0)


if __name__ == "__main__":
    main()
