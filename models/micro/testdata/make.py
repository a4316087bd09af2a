"""Writes want.json: the ids that the reference tokenizers library gives for some texts with the
model's tokenizer.json, and the vectors that numpy computes from its table as the README describes it.

    pip install tokenizers==0.23.3 numpy safetensors && python make.py
"""
import json, pathlib
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

here = pathlib.Path(__file__).parent
model = here.parent / "model"
tok = Tokenizer.from_file(str(model / "tokenizer.json"))
tensors = load_file(model / "model.safetensors")
groups = tensors["embeddings_int4"].reshape(-1, 16)
scales = tensors["embeddings_scale"].astype(np.float64).reshape(-1, 1)
rows = (np.concatenate([groups & 15, groups >> 4], axis=1).astype(np.float64) - 8) * scales
rows = rows.reshape(tok.get_vocab_size(), -1)
ignored = {tok.token_to_id("[UNK]"), tok.token_to_id("[PAD]")}

texts = [
    "hello world", "Hello, world!", "", " \t\n", "The quick brown fox jumps over the lazy dog.",
    "Unaffordable internationalisation, tokenisers & co.", "Straße, façade, Ærø, Žižek, İstanbul",
    "привет", "привет мир, hello world", "你好。", "[PAD] [UNK] [CLS]", "x" * 200, "1,234.56 € at 12:30 – “quoted”",
    "emoji 👩‍👩‍👧 and ﬁ ligatures", "don't stop_me-now (v2.0)", "a " * 600,
]
cases = []
for text in texts:
    ids = tok.encode(text).ids
    known = [i for i in ids if i not in ignored]
    v = rows[known].sum(0) if known else np.zeros(rows.shape[1])
    norm = np.linalg.norm(v)
    cases.append({"text": text, "ids": ids, "vector": [float(f"{x:.7g}") for x in (v / norm if norm else v)]})
(here / "want.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
