"""Writes minilm.safetensors: what sentence-transformers computes with the real all-MiniLM-L6-v2.

    pip install sentence-transformers safetensors
    python make_minilm.py MODEL_FOLDER

ids and lengths are the tokens that the model saw; vectors its embeddings of the texts in texts.json,
one at a time; vectors512 those of the same texts cut at 512 tokens, for the texts that are longer
than 256 only (long tells which).
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

here = pathlib.Path(__file__).parent
texts = json.loads((here / "texts.json").read_text())
torch.set_num_threads(1)
model = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)


def embed(text):
    return torch.from_numpy(model.encode(text, batch_size=1)).float()


assert model.max_seq_length == 256
ids = [model.tokenizer(t, truncation=True, max_length=256)["input_ids"] for t in texts]
out = {
    "ids": torch.tensor(sum(ids, []), dtype=torch.int32),
    "lengths": torch.tensor([len(i) for i in ids], dtype=torch.int32),
    "vectors": torch.stack([embed(t) for t in texts]),
}
model.max_seq_length = 512
full = [len(model.tokenizer(t)["input_ids"]) for t in texts]
long = [i for i, n in enumerate(full) if n > 256]
out["long"] = torch.tensor(long, dtype=torch.int32)
out["full_lengths"] = torch.tensor(full, dtype=torch.int32)
out["vectors512"] = torch.stack([embed(texts[i]) for i in long])
save_file(out, here / "minilm.safetensors")
print({k: list(v.shape) for k, v in out.items()}, sorted(full)[-12:])
