"""Writes small seeded random encoders as the usual exporters, optimisers and quantisers leave them, and
expected.safetensors: what ONNX Runtime computes with each, or, of those with int8 weights, with a float
graph of the same weights, made floats again.

    pip install onnx onnxruntime onnxscript torch transformers safetensors
"""

import logging
import pathlib
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from safetensors.numpy import save_file
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
here = pathlib.Path(__file__).parent
temp = pathlib.Path(tempfile.mkdtemp())
torch.set_num_threads(1)
VOCAB, HIDDEN, HEADS, FFN, POSITIONS = 50, 16, 4, 32, 24
LENGTHS = (2, 9, 24)
expected = {}


def randomise(model):
    torch.manual_seed(5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * (0.1 if "bias" in name else 0.35) + (1 if "ayer" in name and name.endswith("orm.weight") else 0))
    return model.eval()


def bert(act="gelu", attention="eager"):
    c = BertConfig(vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=FFN, max_position_embeddings=POSITIONS, hidden_act=act)
    m = randomise(BertModel(c))
    m.set_attn_implementation(attention)
    return m


class Wrapped(torch.nn.Module):
    """A BERT with a pooling behind it, or with its own tanh pooler."""

    def __init__(self, bert, pool):
        super().__init__()
        self.bert, self.pool = bert, pool

    def forward(self, ids, mask, kinds):
        out = self.bert(input_ids=ids, attention_mask=mask, token_type_ids=kinds)
        h = out.last_hidden_state
        if self.pool == "":
            return h
        if self.pool == "tanh":
            return h, out.pooler_output
        m = mask.unsqueeze(-1).float()
        if self.pool == "mean":
            v = (h * m.expand(h.size())).sum(1) / m.expand(h.size()).sum(1).clamp(min=1e-9)
        elif self.pool == "max":
            return h, torch.where(m == 0, torch.full_like(h, -1e9), h).max(1)[0]
        else:
            v = h[:, 0]
        return h, torch.nn.functional.normalize(v, p=2, dim=1)


class Plain(torch.nn.Module):
    """A relative of BERT that makes its token types itself."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
OUTPUTS = {"": ["last_hidden_state"], "tanh": ["last_hidden_state", "pooler_output"]}


def export(model, pool, dynamo, opset):
    path = str(temp / "export.onnx")
    args = (torch.randint(0, VOCAB, (2, 7)), torch.tensor([[1] * 7, [1] * 5 + [0] * 2]), torch.zeros(2, 7, dtype=torch.long))
    outputs = OUTPUTS.get(pool, ["token_embeddings", "sentence_embedding"])
    if dynamo:
        b, s = torch.export.Dim("b", min=1, max=64), torch.export.Dim("s", min=2, max=POSITIONS)
        torch.onnx.export(Wrapped(model, pool), args, path, input_names=INPUTS, output_names=outputs, dynamo=True, dynamic_shapes=({0: b, 1: s},) * 3, external_data=False, verbose=False)
    else:
        torch.onnx.export(Wrapped(model, pool), args, path, input_names=INPUTS, output_names=outputs, dynamo=False, dynamic_axes={n: {0: "b", 1: "s"} for n in INPUTS}, opset_version=opset)
    return slim(onnx.load(path))


def export_plain(model):
    path = str(temp / "export.onnx")
    args = (torch.randint(5, VOCAB, (2, 7)), torch.tensor([[1] * 7, [1] * 5 + [0] * 2]))
    torch.onnx.export(Plain(randomise(model)), args, path, input_names=INPUTS[:2], output_names=["last_hidden_state"], dynamo=False, dynamic_axes={n: {0: "b", 1: "s"} for n in INPUTS[:2]}, opset_version=17)
    return slim(onnx.load(path))


def slim(model):
    """Leaves out what says where a node came from: most of the bytes of a small model."""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for n in model.graph.node:
        n.ClearField("doc_string")
        del n.metadata_props[:]
    for t in list(model.graph.initializer) + list(model.graph.input) + list(model.graph.output):
        t.ClearField("doc_string")
        del t.metadata_props[:]
    return model


def small(model):
    """A copy with short names for what is between the weights and the outputs, and none for nodes."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    keep = {t.name for t in list(out.graph.initializer) + list(out.graph.input) + list(out.graph.output)} | {""}
    short = {}
    for n in out.graph.node:
        n.ClearField("name")
        for names in (n.input, n.output):
            for i, name in enumerate(names):
                if name not in keep:
                    names[i] = short.setdefault(name, f"v{len(short)}")
    return out


def write(name, model, oracle=None, output=None, location=None):
    """Saves a model and what it computes, or what the model called oracle does."""
    path = here / (name + ".onnx")
    source = oracle or model
    model = small(model)
    if location:
        (here / location).unlink(missing_ok=True)
        onnx.save(model, str(path), save_as_external_data=True, location=location, size_threshold=64)
    else:
        onnx.save(model, str(path))
    reference = str(temp / "oracle.onnx")
    onnx.save(source, reference)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(reference, options)
    wanted = output or source.graph.output[-1].name
    rng = np.random.default_rng(3)
    for n in LENGTHS:
        ids = rng.integers(2, VOCAB, (1, n))  # without the padding of RoBERTa, whose position is its own
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        feed = {i.name: feed[i.name] for i in session.get_inputs()}
        expected[f"{name}.{n}.ids"] = ids[0].astype(np.int32)
        expected[f"{name}.{n}.out"] = session.run([wanted], feed)[0][0].astype(np.float32)
    print(f"{path.stat().st_size:7}  {name}")


def array(model, name):
    return next((numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name), None)


def floats_again(model, quantised):
    """model with its weights replaced by those of the quantised one, made floats."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    count = 0
    for t in out.graph.initializer:
        q, s, z = (array(quantised, t.name + end) for end in ("_quantized", "_scale", "_zero_point"))
        if q is None:
            continue
        f = ((q.astype(np.float32) - (0 if z is None else z.astype(np.float32))) * s).astype(np.float32)
        t.CopyFrom(numpy_helper.from_array(f.reshape(q.shape), t.name))
        count += 1
    assert count >= 10, count
    return out


def quantise(model, **kw):
    onnx.save(model, str(temp / "float.onnx"))
    quantize_dynamic(str(temp / "float.onnx"), str(temp / "int8.onnx"), **kw)
    return slim(onnx.load(str(temp / "int8.onnx")))


def optimise(model, fp16=False):
    onnx.save(model, str(temp / "float.onnx"))
    m = optimizer.optimize_model(str(temp / "float.onnx"), model_type="bert", num_heads=HEADS, hidden_size=HIDDEN, opt_level=0)
    if fp16:
        m.convert_float_to_float16(keep_io_types=True)
    m.save_model_to_file(str(temp / "fused.onnx"))
    return slim(onnx.load(str(temp / "fused.onnx")))


def weight_only(model, dequantize):
    """int8 weights and a Cast and a Mul, or a DequantizeLinear, that make floats of them."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    kept, nodes = [], []
    for t in out.graph.initializer:
        w = numpy_helper.to_array(t)
        if w.dtype != np.float32 or w.ndim != 2 or w.shape[0] < 10:
            kept.append(t)
            continue
        rows = w.shape[0] > POSITIONS + FFN or "embeddings" in t.name  # a scale for each row of a table
        s = (np.abs(w).max(1 if rows else 0, keepdims=True) / 127).astype(np.float32)
        q = np.clip(np.rint(w / s), -127, 127).astype(np.int8)
        q_name, s_name = t.name + "_quantized", t.name + "_scale"
        if dequantize:
            z = np.zeros(s.size, np.int8)
            kept += [numpy_helper.from_array(q, q_name), numpy_helper.from_array(s.reshape(-1), s_name), numpy_helper.from_array(z, t.name + "_zero")]
            nodes.append(helper.make_node("DequantizeLinear", [q_name, s_name, t.name + "_zero"], [t.name], axis=0 if rows else 1))
        else:
            kept += [numpy_helper.from_array(q, q_name), numpy_helper.from_array(s, s_name)]
            nodes.append(helper.make_node("Cast", [q_name], [t.name + "_f"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [t.name + "_f", s_name], [t.name]))
    rest = list(out.graph.node)
    del out.graph.initializer[:], out.graph.node[:]
    out.graph.initializer.extend(kept)
    out.graph.node.extend(nodes + rest)
    return out


def as_gemm(model):
    """Every MatMul with a weight and its Add as a Gemm on flat tokens, the weight (out, in), or, every other
    time, as a MatMul with a Transpose of that; weights as lists of numbers instead of bytes."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    weights = {t.name: t for t in out.graph.initializer}
    nodes, flips = [], 0
    by_input = {i: n for n in out.graph.node for i in n.input}
    done = set()
    for n in list(out.graph.node):
        if n.name in done:
            continue
        if n.op_type != "MatMul" or n.input[1] not in weights:
            nodes.append(n)
            continue
        w = numpy_helper.to_array(weights[n.input[1]])
        weights[n.input[1]].CopyFrom(helper.make_tensor(n.input[1], TensorProto.FLOAT, w.T.shape, w.T.flatten().tolist()))
        flips += 1
        if flips % 2:
            nodes.append(helper.make_node("Transpose", [n.input[1]], [n.input[1] + "_t"], perm=[1, 0]))
            n.input[1] += "_t"
            nodes.append(n)
            continue
        add = by_input[n.output[0]]
        bias = [i for i in add.input if i != n.output[0]][0]
        done.add(add.name)
        flat, shape, y = n.output[0] + "_flat", n.output[0] + "_shape", n.output[0] + "_gemm"
        nodes += [
            helper.make_node("Constant", [], [flat + "_to"], value_ints=[-1, w.shape[0]]),
            helper.make_node("Reshape", [n.input[0], flat + "_to"], [flat]),
            helper.make_node("Gemm", [flat, n.input[1], bias], [y], transB=1),
            helper.make_node("Constant", [], [shape + "_start"], value_ints=[0]),
            helper.make_node("Constant", [], [shape + "_end"], value_ints=[2]),
            helper.make_node("Constant", [], [shape + "_last"], value_ints=[w.shape[1]]),
            helper.make_node("Shape", [n.input[0]], [shape + "_all"]),
            helper.make_node("Slice", [shape + "_all", shape + "_start", shape + "_end"], [shape + "_some"]),
            helper.make_node("Concat", [shape + "_some", shape + "_last"], [shape], axis=0),
            helper.make_node("Reshape", [y, shape], [add.output[0]]),
        ]
    assert flips == 12, flips
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    return out


tanh = export(bert(), "tanh", False, 14)
write("torchscript", tanh, output="last_hidden_state")
write("torchscript-external", tanh, output="last_hidden_state", location="torchscript-external.bin")
write("torchscript-mean", export(bert(attention="sdpa"), "mean", False, 17))
write("torchscript-max", export(bert("gelu_new"), "max", False, 14))
relu = export(bert("relu"), "", False, 17)
write("gemm", as_gemm(relu))
dynamo = export(bert(attention="sdpa"), "mean", True, 18)
write("dynamo-mean", dynamo)
write("dynamo-cls", export(bert(), "cls", True, 18))
write("cast-mul", weight_only(dynamo, False))
write("dequantize", weight_only(relu, True))
q = quantise(tanh, weight_type=QuantType.QUInt8)
write("int8-tensor", q, floats_again(tanh, q), output="last_hidden_state")
q = quantise(dynamo, weight_type=QuantType.QInt8, per_channel=True)
write("int8-channel", q, floats_again(dynamo, q))
fused = optimise(tanh)
write("fused", fused, output="last_hidden_state")
write("fused-float16", optimise(export(bert("gelu_new"), "", False, 14), fp16=True))
q = quantise(fused, weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": TensorProto.FLOAT})
write("fused-int8", q, floats_again(fused, q), output="last_hidden_state")
write("distilbert", export_plain(DistilBertModel(DistilBertConfig(vocab_size=VOCAB, dim=HIDDEN, n_layers=2, n_heads=HEADS, hidden_dim=FFN, max_position_embeddings=POSITIONS))))
write("roberta", export_plain(RobertaModel(RobertaConfig(vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=FFN, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, layer_norm_eps=1e-12, pad_token_id=1), add_pooling_layer=False)))
save_file(expected, str(here / "expected.safetensors"))
for p in here.iterdir():
    p.chmod(0o644)
