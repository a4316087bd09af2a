"""Writes the models of the peers, all from the weights of one safetensors file.

    export.py MODEL_FOLDER SENTENCES.tsv OUT

OUT/f32.onnx is the encoder as PyTorch exports it: three inputs, LayerNormalization as one operator (opset
17), attention and GELU spelled out, the last hidden state as output. OUT/int8.onnx
is the same after quantize_dynamic: ONNX Runtime fuses what it can when it loads either, and its own optimiser
for transformers before quantize_dynamic made a slower model. OUT/int8.xml is the first after NNCF, calibrated
with 300 sentences and 12 long texts of SENTENCES.tsv.
"""

import json
import math
import pathlib
import sys

import nncf
import numpy as np
import onnx
import openvino as ov
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.numpy import load_file
from tokenizers import Tokenizer


class Graph:
    """An ONNX graph that is written node by node."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def constant(self, value, name=""):
        name = name or f"constant{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op, *inputs, **attributes):
        out = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attributes))
        return out


def encoder(folder):
    """The float32 graph of the BERT in a folder."""
    config = json.loads((folder / "config.json").read_text())
    assert config["hidden_act"] == "gelu" and config["model_type"] == "bert", config
    weights = load_file(folder / "model.safetensors")
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    size = hidden // heads
    g = Graph()
    ints = lambda *v: g.constant(np.array(v, np.int64))
    real = lambda v: g.constant(np.array(v, np.float32))

    def linear(x, name):
        w = g.constant(weights[name + ".weight"].T, name + ".weight")
        return g.node("Add", g.constant(weights[name + ".bias"], name + ".bias"), g.node("MatMul", x, w))

    def norm(x, name):
        scale, bias = (g.constant(weights[f"{name}.{s}"], f"{name}.{s}") for s in ("weight", "bias"))
        return g.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=config["layer_norm_eps"])

    def split(x, order):
        return g.node("Transpose", g.node("Reshape", x, ints(0, 0, heads, size)), perm=order)

    tokens = g.node("Gather", g.node("Shape", "input_ids"), ints(1), axis=0)
    positions = g.node("Slice", g.constant(np.arange(512, dtype=np.int64)[None]), ints(0), tokens, ints(1))
    words, places, types = (
        g.node("Gather", g.constant(weights[f"embeddings.{n}.weight"], f"embeddings.{n}.weight"), ids, axis=0)
        for n, ids in (("word_embeddings", "input_ids"), ("position_embeddings", positions), ("token_type_embeddings", "token_type_ids"))
    )
    x = norm(g.node("Add", g.node("Add", words, types), places), "embeddings.LayerNorm")
    seen = g.node("Cast", g.node("Unsqueeze", g.node("Unsqueeze", "attention_mask", ints(1)), ints(2)), to=TensorProto.FLOAT)
    mask = g.node("Mul", g.node("Sub", real(1), seen), real(np.finfo(np.float32).min))
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        q, k, v = (linear(x, layer + "attention.self." + n) for n in ("query", "key", "value"))
        q, k, v = split(q, (0, 2, 1, 3)), split(k, (0, 2, 3, 1)), split(v, (0, 2, 1, 3))
        scores = g.node("Add", g.node("Div", g.node("MatMul", q, k), real(math.sqrt(size))), mask)
        context = g.node("Transpose", g.node("MatMul", g.node("Softmax", scores, axis=-1), v), perm=(0, 2, 1, 3))
        context = g.node("Reshape", context, ints(0, 0, hidden))
        x = norm(g.node("Add", linear(context, layer + "attention.output.dense"), x), layer + "attention.output.LayerNorm")
        h = linear(x, layer + "intermediate.dense")
        h = g.node("Mul", g.node("Mul", h, g.node("Add", g.node("Erf", g.node("Div", h, real(math.sqrt(2)))), real(1))), real(0.5))
        x = norm(g.node("Add", linear(h, layer + "output.dense"), x), layer + "output.LayerNorm")
    g.nodes[-1].output[0] = "last_hidden_state"

    value = lambda name, kind, *shape: helper.make_tensor_value_info(name, kind, ["batch", "tokens", *shape])
    inputs = [value(n, TensorProto.INT64) for n in ("input_ids", "attention_mask", "token_type_ids")]
    graph = helper.make_graph(g.nodes, "bert", inputs, [value("last_hidden_state", TensorProto.FLOAT, hidden)], g.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def calibration(folder, sentences):
    """Token ids of 300 sentences, 8 texts of some 100 tokens and 4 of some 500."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    rows = [line.split("\t") for line in sentences.read_text().splitlines()]
    first, second = [r[1] for r in rows], [r[2] for r in rows]
    texts = first[:300]
    texts += [" ".join(second[300 + 9 * i : 309 + 9 * i]) for i in range(8)]
    texts += [" ".join(second[400 + 60 * i : 460 + 60 * i]) for i in range(4)]
    for t in texts:
        ids = np.array([tokenizer.encode(t).ids], np.int64)
        yield {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def main(folder, sentences, out):
    model = encoder(folder)
    out.mkdir(exist_ok=True)
    onnx.save(model, out / "f32.onnx")
    # Signed weights, as recommended for CPUs with VNNI. One scale for a whole matrix would be no faster and much
    # worse than one for each column.
    quant_pre_process(out / "f32.onnx", out / "inferred.onnx", skip_symbolic_shape=True)
    quantize_dynamic(out / "inferred.onnx", out / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True)
    data = list(calibration(folder, sentences))
    quantized = nncf.quantize(
        ov.Core().read_model(out / "f32.onnx"), nncf.Dataset(data), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(data)
    )
    ov.save_model(quantized, out / "int8.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
