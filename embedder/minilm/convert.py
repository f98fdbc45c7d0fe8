#!/usr/bin/env python3
"""A BERT-shaped sentence model as the embedder maps it: convert.py FOLDER OUT --name NAME --licence LICENCE

FOLDER: model.safetensors, config.json, vocab.txt, as sentence-transformers has them; 1_Pooling/config.json,
sentence_bert_config.json and tokenizer_config.json are looked at when they are there. OUT: one file, described at the top of file.c.
Needs Python 3.9 and nothing else, so that the image's build runs it; ten seconds for 23 MB.
"""
import argparse
import array
import hashlib
import json
import math
import os
import struct
import sys

MAGIC = b"FNMODEL\n"
VERSION = 1
HEAD = 512
PANEL = 16          # rows of a matrix that stand together
MOST = 63           # of a matrix's int8: seven bits, so that two products with 0..255 fit 16 bits
ROW_MOST = 127      # of the word rows, which nothing is multiplied with
SIGN = bytes((i + 128) & 255 for i in range(256))   # value + 128 → two's complement
MASK64 = (1 << 64) - 1


def die(text):
    sys.exit(f"convert.py: {text}")


class Tensors:
    """A safetensors file: length of the head, head in JSON, raw bytes."""

    def __init__(self, path):
        self.f = open(path, "rb")
        size = struct.unpack("<Q", self.f.read(8))[0]
        if size > os.path.getsize(path):
            die(f"{path} is no safetensors file")
        self.head = json.loads(self.f.read(size))
        self.base = 8 + size

    def floats(self, name, *shape):
        t = self.head.get(name) or self.head.get("bert." + name) or die(f"no tensor {name}")
        if t["shape"] != list(shape):
            die(f"{name}: shape {t['shape']}, expected {list(shape)}")
        at, end = t["data_offsets"]
        self.f.seek(self.base + at)
        raw = self.f.read(end - at)
        if t["dtype"] == "F32":
            out = array.array("f", raw)
            if sys.byteorder == "big":
                out.byteswap()
            return out
        if t["dtype"] == "F16":
            return array.array("f", struct.unpack(f"<{len(raw) // 2}e", raw))
        if t["dtype"] == "BF16":
            return array.array("f", b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2)))
        return die(f"{name}: {t['dtype']} is not known; known: F32, F16, BF16")


def f32(values):
    return struct.pack(f"<{len(values)}f", *values)


def quantise(row, most):
    """One row → its int8 as bytes of value + 128, and the scale."""
    top = max(max(row), -min(row))
    if not math.isfinite(top):
        die("a weight is no number")
    by = most / top if top > 0 else 0
    return bytes([int(x * by + 128.5) for x in row]), top / most


class Matrix:
    """out = in × W' + b, of several that have the same input: scales, biases, sums of the rows, and the rows by panels."""

    def __init__(self, cols):
        self.cols, self.scale, self.bias, self.sum, self.rows = cols, [], [], [], []

    def add(self, weights, bias, by=1.0):
        for i, b in enumerate(bias):
            q, scale = quantise(weights[i * self.cols:(i + 1) * self.cols], MOST)
            self.rows.append(q)
            self.sum.append(sum(q) - 128 * self.cols)
            self.scale.append(scale * by)
            self.bias.append(b * by)
        return self

    def parts(self):
        packed = bytearray()
        for p in range(0, len(self.rows), PANEL):
            panel = bytearray(PANEL * self.cols)
            for r in range(PANEL):
                row = self.rows[p + r].translate(SIGN)
                for k in range(4):
                    panel[4 * r + k::4 * PANEL] = row[k::4]
            packed += panel
        return [f32(self.scale), f32(self.bias), struct.pack(f"<{len(self.sum)}i", *self.sum), bytes(packed)]


def fnv(data):
    h = 0xcbf29ce484222325
    for b in data:
        h = ((h ^ b) * 0x100000001b3) & MASK64
    return h


def vocabulary(path, size):
    """The pieces, where each begins, and the table by which they are found: id + 1, or 0."""
    with open(path, "rb") as f:
        pieces = f.read().split(b"\n")
    while pieces and not pieces[-1]:
        pieces.pop()
    pieces = [p.rstrip(b"\r") for p in pieces]
    if len(pieces) > size:
        die(f"{path}: {len(pieces)} pieces, the model has {size}")
    pieces += [b""] * (size - len(pieces))
    n = 1
    while n < 2 * size:
        n *= 2
    slots = [0] * n
    for i, p in enumerate(pieces):
        h = fnv(p)
        at = (h ^ (h >> 32)) & (n - 1)
        while slots[at]:
            at = (at + 1) & (n - 1)
        slots[at] = i + 1 if p else 0
    at = [0]
    for p in pieces:
        at.append(at[-1] + len(p))
    return pieces, [struct.pack(f"<{size + 1}I", *at), b"".join(pieces), struct.pack(f"<{n}I", *slots)], n


def optional(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def text(s, n):
    b = s.encode()
    if len(b) >= n:
        die(f"{s!r} is longer than {n - 1} bytes")
    return b.ljust(n, b"\0")


def layer(t, p, hidden, inner, head):
    a, q = f"encoder.layer.{p}.attention", 1 / math.sqrt(head)
    qkv = Matrix(hidden)
    for name, by in (("query", q), ("key", 1.0), ("value", 1.0)):   # a score's division stands in the query's scale
        qkv.add(t.floats(f"{a}.self.{name}.weight", hidden, hidden), t.floats(f"{a}.self.{name}.bias", hidden), by)
    p = f"encoder.layer.{p}"

    def dense(name, rows, cols):
        return Matrix(cols).add(t.floats(name + ".weight", rows, cols), t.floats(name + ".bias", rows)).parts()

    def norm(name):
        return [f32(t.floats(f"{name}.{s}", hidden)) for s in ("weight", "bias")]
    return (qkv.parts() + dense(f"{a}.output.dense", hidden, hidden) + norm(f"{a}.output.LayerNorm")
            + dense(f"{p}.intermediate.dense", inner, hidden) + dense(f"{p}.output.dense", hidden, inner) + norm(f"{p}.output.LayerNorm"))


def embeddings(t, vocab, positions, types, hidden):
    e = "embeddings."
    words = t.floats(e + "word_embeddings.weight", vocab, hidden)
    place = t.floats(e + "position_embeddings.weight", positions, hidden)
    kind = t.floats(e + "token_type_embeddings.weight", types, hidden)[:hidden]
    rows = [quantise(words[i * hidden:(i + 1) * hidden], ROW_MOST) for i in range(vocab)]
    return [f32([s for _, s in rows]), b"".join(q for q, _ in rows).translate(SIGN),
            f32([x + kind[i % hidden] for i, x in enumerate(place)]),
            f32(t.floats(e + "LayerNorm.weight", hidden)), f32(t.floats(e + "LayerNorm.bias", hidden))]


def check(c):
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    if c.get("hidden_act") != "gelu":
        die(f"hidden_act {c.get('hidden_act')!r} is not known; known: gelu")
    if c.get("position_embedding_type", "absolute") != "absolute":
        die("only absolute positions are known")
    if hidden % heads or hidden // heads % 16 or hidden % 16 or c["intermediate_size"] % 16:
        die("hidden, inner and a head's size must be multiples of 16")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    ap.add_argument("folder")
    ap.add_argument("out")
    ap.add_argument("--name", required=True, help="what the model is called; vectors are stored under it")
    ap.add_argument("--licence", required=True, help="of the weights, as SPDX has it")
    o = ap.parse_args()
    c = optional(o.folder, "config.json") or die(f"{o.folder} has no config.json")
    check(c)
    t = Tensors(os.path.join(o.folder, "model.safetensors"))
    vocab, hidden, inner, positions = (c[k] for k in ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings"))
    window = min(optional(o.folder, "sentence_bert_config.json").get("max_seq_length") or positions, positions)
    cls = optional(o.folder, "1_Pooling/config.json").get("pooling_mode_cls_token", False)
    lower = optional(o.folder, "tokenizer_config.json").get("do_lower_case", True)
    pieces, parts, slots = vocabulary(os.path.join(o.folder, "vocab.txt"), vocab)
    special = []
    for name in (b"[UNK]", b"[CLS]", b"[SEP]"):
        if name not in pieces:
            die(f"vocab.txt has no {name.decode()}")
        special.append(pieces.index(name))
    parts += embeddings(t, vocab, positions, c.get("type_vocab_size", 2), hidden)
    for i in range(c["num_hidden_layers"]):
        parts += layer(t, i, hidden, inner, hidden // c["num_attention_heads"])
    body = b"".join(p + b"\0" * (-len(p) % 64) for p in parts)
    sizes = struct.pack("<15If", vocab, positions, hidden, c["num_hidden_layers"], c["num_attention_heads"], inner, window, int(cls), int(lower),
                        *special, slots, sum(map(len, pieces)), max(map(len, pieces)), c.get("layer_norm_eps", 1e-12))
    rest = sizes + text(o.name, 64) + text(o.licence, 64)
    rest += b"\0" * (HEAD - 64 - len(rest)) + body
    head = MAGIC + struct.pack("<IIQ", VERSION, HEAD, 64 + len(rest)) + hashlib.sha256(rest).digest() + b"\0" * 8
    with open(o.out + ".new", "wb") as f:
        f.write(head + rest)
    os.replace(o.out + ".new", o.out)
    print(f"{o.out}: {o.name}, {hidden} dimensions, {(64 + len(rest)) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
