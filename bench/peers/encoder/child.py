"""The peers: measures them on request, so that a program in Go can take turns with them. Requests are lines
on stdin, answers lines on stdout:

    open MODEL each|batch TEXTS TOKENS   and int32: (TEXTS,) lengths, (TOKENS,) ids    ->  ok CODE
    open encode|encode-batch BYTES       and a JSON list of texts                      ->  ok CODE
    time CASE CALLS                      CASE counts opened ones from 0                ->  ok NANOSECONDS of a call
    result CASE                                                                        ->  ok NUMBERS...

Whatever fails is answered with "error TEXT". A call runs the model on every text by itself or on all as one
batch, until the last hidden states are there; the time of pooling them is not counted, but the result is the
pooled vectors. A call of a tokenizer splits all texts; the result is their ids.

    child.py MODEL_FOLDER MODELS
"""

import functools
import json
import pathlib
import sys
import time

import numpy as np
import onnxruntime as ort
import openvino as ov
import tokenizers

vocabulary, folder = pathlib.Path(sys.argv[1], "tokenizer.json"), pathlib.Path(sys.argv[2])


def onnx(name):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
    wanted = [i.name for i in session.get_inputs()]
    return f"ONNX Runtime {ort.__version__}", lambda feed: session.run(None, {n: feed[n] for n in wanted})[0]


def openvino(name, hint):
    core = ov.Core()
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(folder / name), "CPU", settings).create_infer_request()
    return f"OpenVINO {ov.__version__.split('-')[0]}", lambda feed: request.infer(feed, share_inputs=True, share_outputs=True)[0]


MODELS = {
    "ort-f32": lambda: onnx("f32.onnx"),
    "ort-int8": lambda: onnx("int8.onnx"),
    "openvino-bf16": lambda: openvino("f32.onnx", "bf16"),
    "openvino-int8": lambda: openvino("int8.xml", "f32"),
    "openvino-int8-bf16": lambda: openvino("int8.xml", "bf16"),
}
model = functools.cache(lambda name: MODELS[name]())


class Encoder:
    def __init__(self, name, how, texts, tokens):
        lengths, ids = read(4 * int(texts)), read(4 * int(tokens))
        rows = np.split(np.frombuffer(ids, np.int32), np.cumsum(np.frombuffer(lengths, np.int32))[:-1])
        self.code, self.call = model(name)
        self.feeds = [self.feed(rows)] if how == "batch" else [self.feed([row]) for row in rows]

    @staticmethod
    def feed(rows):
        ids = np.array(rows, np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}

    def run(self):
        for feed in self.feeds:
            self.call(feed)

    def result(self):
        for feed in self.feeds:
            mean = np.asarray(self.call(feed), np.float64).mean(axis=1)
            yield from (mean / np.linalg.norm(mean, axis=1, keepdims=True)).ravel()


class Splitter:
    def __init__(self, name, size):
        texts = json.loads(read(int(size)))
        tokenizer = tokenizers.Tokenizer.from_file(str(vocabulary))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.code = f"tokenizers {tokenizers.__version__}"
        one = lambda: [tokenizer.encode(text) for text in texts]
        self.run = {"encode": one, "encode-batch": lambda: tokenizer.encode_batch(texts)}[name]

    def result(self):
        for e in self.run():
            yield from e.ids


def read(size):
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        sys.exit("the pipe is broken")
    return data


cases = []


def answer(verb, *args):
    if verb == "open":
        case = Encoder(*args) if args[0] in MODELS else Splitter(*args)
        cases.append(case)
        return case.code
    if verb == "time":
        case, calls = cases[int(args[0])], int(args[1])
        for _ in range(calls // 10 + 1):
            case.run()
        start = time.perf_counter_ns()
        for _ in range(calls):
            case.run()
        return (time.perf_counter_ns() - start) / calls
    if verb == "result":
        return " ".join(map(repr, map(float, cases[int(args[0])].result())))
    raise ValueError(f"no request {verb}")


for line in iter(sys.stdin.buffer.readline, b""):
    try:
        text = f"ok {answer(*line.decode().split())}"
    except Exception as e:
        text = "error " + " ".join(str(e).split())
    print(text, flush=True)
