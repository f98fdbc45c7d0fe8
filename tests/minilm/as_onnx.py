"""The same model as an ONNX graph, straight from the safetensors file, and its int8 form by ONNX Runtime's own quantizer: what the C is
measured against."""
import json
import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from bert import Bert


class Graph:
    def __init__(self):
        self.nodes, self.weights, self.n = [], [], 0

    def const(self, array, name=None):
        self.n += 1
        name = name or f"c{self.n}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def op(self, kind, *inputs, **attributes):
        self.n += 1
        self.nodes.append(helper.make_node(kind, list(inputs), [f"t{self.n}"], name=f"{kind}_{self.n}", **attributes))
        return f"t{self.n}"


def build(folder):
    b, g = Bert(folder), Graph()
    w, heads = b.w, b.heads
    with open(f"{folder}/config.json", encoding="utf-8") as f:
        hidden = json.load(f)["hidden_size"]
    head = hidden // heads

    def linear(x, name):
        return g.op("Add", g.op("MatMul", x, g.const(w[name + ".weight"].T)), g.const(w[name + ".bias"]))

    def norm(x, name):
        return g.op("LayerNormalization", x, g.const(w[name + ".weight"]), g.const(w[name + ".bias"]), axis=-1, epsilon=b.eps)
    split = g.const(np.array([0, 0, heads, head], np.int64))
    join = g.const(np.array([0, 0, hidden], np.int64))
    e = "embeddings."
    shape = g.op("Shape", "input_ids")
    length = g.op("Gather", shape, g.const(np.array([1], np.int64)), axis=0)
    order = g.const(np.arange(len(w[e + "position_embeddings.weight"]), dtype=np.int64))
    places = g.op("Slice", order, g.const(np.array([0], np.int64)), length)
    place = g.op("Add", g.const(w[e + "position_embeddings.weight"]), g.const(w[e + "token_type_embeddings.weight"][0]))
    x = g.op("Add", g.op("Gather", g.const(w[e + "word_embeddings.weight"], "words"), "input_ids", axis=0), g.op("Gather", place, places, axis=0))
    x = norm(x, e + "LayerNorm")
    mask = g.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    wide = g.op("Unsqueeze", mask, g.const(np.array([1, 2], np.int64)))
    mask_add = g.op("Mul", g.op("Sub", g.const(np.array(1, np.float32)), wide), g.const(np.array(-1e9, np.float32)))
    for i in range(b.layers):
        p = f"encoder.layer.{i}"
        q, k, v = (g.op("Reshape", linear(x, f"{p}.attention.self.{s}"), split) for s in ("query", "key", "value"))
        q, v = (g.op("Transpose", t, perm=[0, 2, 1, 3]) for t in (q, v))
        k = g.op("Transpose", k, perm=[0, 2, 3, 1])
        a = g.op("Div", g.op("MatMul", q, k), g.const(np.array(math.sqrt(head), np.float32)))
        a = g.op("Softmax", g.op("Add", a, mask_add), axis=-1)
        a = g.op("Reshape", g.op("Transpose", g.op("MatMul", a, v), perm=[0, 2, 1, 3]), join)
        x = norm(g.op("Add", linear(a, f"{p}.attention.output.dense"), x), f"{p}.attention.output.LayerNorm")
        h = linear(x, f"{p}.intermediate.dense")
        h = g.op("Mul", g.op("Mul", h, g.op("Add", g.op("Erf", g.op("Div", h, g.const(np.array(math.sqrt(2), np.float32)))),
                                            g.const(np.array(1, np.float32)))), g.const(np.array(0.5, np.float32)))
        x = norm(g.op("Add", linear(h, f"{p}.output.dense"), x), f"{p}.output.LayerNorm")
    g.nodes[-1].output[0] = "states"
    ins = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in ("input_ids", "attention_mask")]
    out = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "length", hidden])
    model = helper.make_model(helper.make_graph(g.nodes, "bert", ins, [out], g.weights), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model


def write(folder, fp32, int8):
    model = build(folder)
    onnx.checker.check_model(model)
    onnx.save(model, fp32)
    # seven bits, as ours: with eight, sums of 16 bits overflow on processors without VNNI
    quantize_dynamic(fp32, int8, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
