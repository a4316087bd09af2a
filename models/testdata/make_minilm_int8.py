"""Writes minilm-int8.safetensors: what ONNX Runtime computes with an int8 export of all-MiniLM-L6-v2, of every
eighth text of minilm.safetensors: the mean of the hidden states.

    pip install onnxruntime safetensors
    python make_minilm_int8.py MODEL.onnx
"""

import pathlib
import sys

import numpy as np
import onnxruntime
from safetensors.numpy import load_file, save_file

here = pathlib.Path(__file__).parent
reference = load_file(here / "minilm.safetensors")
ends = np.cumsum(reference["lengths"])
session = onnxruntime.InferenceSession(sys.argv[1])
vectors = []
for i in range(0, len(ends), 8):
    ids = reference["ids"][ends[i] - reference["lengths"][i] : ends[i]].astype(np.int64)[None]
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    vectors.append(session.run(None, feed)[0][0].mean(0))
save_file({"vectors": np.stack(vectors).astype(np.float32)}, here / "minilm-int8.safetensors")
