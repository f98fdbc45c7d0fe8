"""The reference: a BERT-shaped sentence model in float32 with numpy, as its paper and its authors' code have it, straight from the
safetensors file. Slow and plain on purpose; the C of embedder/minilm/ is compared with it."""
import json
import math
import struct

import numpy as np

TYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32}

def tensors(path):
    """name → array of a safetensors file: a length, a JSON head, raw bytes."""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        raw = f.read()
    head.pop("__metadata__", None)
    return {name: np.frombuffer(raw[t["data_offsets"][0]:t["data_offsets"][1]], TYPES[t["dtype"]]).reshape(t["shape"])
            for name, t in head.items() if t["dtype"] in TYPES}

_erf = np.frompyfunc(math.erf, 1, 1)

def erf(x):
    """Abramowitz and Stegun 7.1.26 in double: 1.5e-7 off at most, and quick over arrays."""
    x = x.astype(np.float64)
    t = 1 / (1 + 0.3275911 * np.abs(x))
    y = 1 - (((((1.061405429 * t - 1.453152027) * t) + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * np.exp(-x * x)
    return (np.sign(x) * y).astype(np.float32)

class Bert:
    def __init__(self, folder):
        with open(f"{folder}/config.json", encoding="utf-8") as f:
            c = json.load(f)
        self.layers, self.heads, self.eps = c["num_hidden_layers"], c["num_attention_heads"], c["layer_norm_eps"]
        w = {k: v.astype(np.float32) for k, v in tensors(f"{folder}/model.safetensors").items() if v.dtype.kind == "f"}
        self.w = {k.removeprefix("bert."): v for k, v in w.items()}

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.w[name + ".weight"] + self.w[name + ".bias"]

    def layer(self, x, p):
        n, d = x.shape
        q, k, v = (self.linear(x, f"{p}.attention.self.{s}").reshape(n, self.heads, -1).transpose(1, 0, 2) for s in ("query", "key", "value"))
        a = q @ k.transpose(0, 2, 1) / np.sqrt(d / self.heads)
        a = np.exp(a - a.max(-1, keepdims=True))
        a = (a / a.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(n, d)
        x = self.norm(x + self.linear(a, p + ".attention.output.dense"), p + ".attention.output.LayerNorm")
        h = self.linear(x, p + ".intermediate.dense")
        h = 0.5 * h * (1 + erf(h / np.float32(math.sqrt(2))))
        return self.norm(x + self.linear(h, p + ".output.dense"), p + ".output.LayerNorm")

    def states(self, ids):
        e = "embeddings."
        x = (self.w[e + "word_embeddings.weight"][ids] + self.w[e + "position_embeddings.weight"][:len(ids)]
             + self.w[e + "token_type_embeddings.weight"][0])
        x = self.norm(x, e + "LayerNorm")
        for i in range(self.layers):
            x = self.layer(x, f"encoder.layer.{i}")
        return x

    def embed(self, ids, pooling="mean"):
        """Token ids, [CLS] and [SEP] included → a vector of length 1."""
        x = self.states(np.asarray(ids))
        v = x.mean(0) if pooling == "mean" else x[0]
        return v / np.linalg.norm(v)
