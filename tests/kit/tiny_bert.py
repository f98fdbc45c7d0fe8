"""A BERT by chance, some kilobytes large, in sentence-transformers' files, and its vectors in plain Python: convert.py and the embedder are
tried with it where nothing can be downloaded."""
import json
import math
import os
import random
import struct
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORDS = "the a pool keeps ten database connections open more rain is expected in north how many , . ? hello world of cats and dogs".split()
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "##s", "##ing"]


class TinyBert:
    def __init__(self, hidden=48, layers=3, heads=3, inner=96, window=16, cls=False, seed=5):
        self.hidden, self.layers, self.heads, self.inner, self.window, self.cls = hidden, layers, heads, inner, window, cls
        chance, self.w = random.Random(seed), {}

        def tensor(name, *shape, base=0.0, by=1.0):
            n = math.prod(shape)
            values = struct.unpack(f"<{n}f", struct.pack(f"<{n}f", *(base + chance.gauss(0, by) for _ in range(n))))
            self.w[name] = (shape, values)
        tensor("embeddings.word_embeddings.weight", len(VOCAB), hidden)
        tensor("embeddings.position_embeddings.weight", 32, hidden, by=0.3)
        tensor("embeddings.token_type_embeddings.weight", 2, hidden, by=0.3)

        def norm(name):
            tensor(name + ".weight", hidden, base=1.0, by=0.1)
            tensor(name + ".bias", hidden, by=0.1)

        def dense(name, rows, cols):
            tensor(name + ".weight", rows, cols, by=1 / math.sqrt(cols))
            tensor(name + ".bias", rows, by=0.1)
        norm("embeddings.LayerNorm")
        for i in range(layers):
            p = f"encoder.layer.{i}."
            for s in ("query", "key", "value"):
                dense(p + "attention.self." + s, hidden, hidden)
            dense(p + "attention.output.dense", hidden, hidden)
            norm(p + "attention.output.LayerNorm")
            dense(p + "intermediate.dense", inner, hidden)
            dense(p + "output.dense", hidden, inner)
            norm(p + "output.LayerNorm")

    def save(self, folder, prefix="", half=False):
        head, body = {}, b""
        for name, (shape, values) in self.w.items():
            raw = struct.pack(f"<{len(values)}{'e' if half else 'f'}", *values)
            head[prefix + name] = {"dtype": "F16" if half else "F32", "shape": list(shape), "data_offsets": [len(body), len(body) + len(raw)]}
            body += raw
        text = json.dumps(head).encode()
        files = {"config.json": {"hidden_act": "gelu", "hidden_size": self.hidden, "intermediate_size": self.inner, "num_attention_heads": self.heads,
                                 "num_hidden_layers": self.layers, "max_position_embeddings": 32, "type_vocab_size": 2, "vocab_size": len(VOCAB),
                                 "layer_norm_eps": 1e-12},
                 "sentence_bert_config.json": {"max_seq_length": self.window}, "1_Pooling/config.json": {"pooling_mode_cls_token": self.cls}}
        os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
        for name, value in files.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                json.dump(value, f)
        with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(VOCAB) + "\n")
        with open(os.path.join(folder, "model.safetensors"), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + body)

    def convert(self, folder, out, name="tiny-bert", **how):
        self.save(folder, **how)
        return subprocess.run([sys.executable, os.path.join(TOP, "embedder/minilm/convert.py"), folder, out, "--name", name, "--licence", "CC0-1.0"],
                              capture_output=True, text=True)

    # ---- the same model as its definition has it
    def linear(self, x, name):
        (rows, cols), w = self.w[name + ".weight"]
        bias = self.w[name + ".bias"][1]
        return [[bias[r] + sum(w[r * cols + c] * v[c] for c in range(cols)) for r in range(rows)] for v in x]

    def norm(self, x, name):
        w, b = self.w[name + ".weight"][1], self.w[name + ".bias"][1]
        out = []
        for v in x:
            mean = sum(v) / len(v)
            by = math.sqrt(sum((c - mean) ** 2 for c in v) / len(v) + 1e-12)
            out.append([(c - mean) / by * w[i] + b[i] for i, c in enumerate(v)])
        return out

    def layer(self, x, p):
        q, k, v = (self.linear(x, f"{p}attention.self.{s}") for s in ("query", "key", "value"))
        d = self.hidden // self.heads
        mixed = [[0.0] * self.hidden for _ in x]
        for h in range(0, self.hidden, d):
            for i, row in enumerate(q):
                s = [math.exp(sum(row[h + c] * other[h + c] for c in range(d)) / math.sqrt(d)) for other in k]
                for c in range(d):
                    mixed[i][h + c] = sum(a * other[h + c] for a, other in zip(s, v)) / sum(s)

        def add(a, b):
            return [[m + n for m, n in zip(u, w)] for u, w in zip(a, b)]
        x = self.norm(add(x, self.linear(mixed, p + "attention.output.dense")), p + "attention.output.LayerNorm")
        up = [[0.5 * c * (1 + math.erf(c / math.sqrt(2))) for c in v] for v in self.linear(x, p + "intermediate.dense")]
        return self.norm(add(x, self.linear(up, p + "output.dense")), p + "output.LayerNorm")

    def embed(self, ids):
        """Ids without [CLS] and [SEP], at most a window of them."""
        e, d = "embeddings.", self.hidden
        words, places, kinds = (self.w[e + s + "_embeddings.weight"][1] for s in ("word", "position", "token_type"))
        x = [[words[t * d + c] + places[i * d + c] + kinds[c] for c in range(d)] for i, t in enumerate([2, *ids, 3])]
        x = self.norm(x, e + "LayerNorm")
        for i in range(self.layers):
            x = self.layer(x, f"encoder.layer.{i}.")
        v = x[0] if self.cls else [sum(column) / len(x) for column in zip(*x)]
        length = math.sqrt(sum(c * c for c in v))
        return [c / length for c in v]


def ids_of(text):
    """Of a text of WORDS between spaces."""
    return [VOCAB.index(w) for w in text.lower().split()]
