"""Writes heads/, what different models have behind the transformer of tiny-bert/, as the reference library
saves it, and heads.safetensors, what it computes with each: the vectors of the first 20 texts in texts.json;
and with the transformer's weights rounded to F16 and to BF16. tiny-bert/ must be there (make_tiny_bert.py).

    pip install sentence-transformers safetensors
"""

import json
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

here = pathlib.Path(__file__).parent
out = here / "heads"
shutil.rmtree(out, ignore_errors=True)
torch.manual_seed(23)
torch.set_num_threads(1)
texts = json.loads((here / "texts.json").read_text())[:20]


def dense(inputs, outputs, activation, bias=True):
    d = Dense(inputs, outputs, bias=bias, activation_function=activation)
    with torch.no_grad():
        for p in d.parameters():
            p.copy_(torch.randn_like(p) * 0.5)
    return d


def pooling(*modes):
    return Pooling(32, pooling_mode=modes)


heads = {
    "all-poolings": [pooling("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")],
    "other-order": [pooling("lasttoken", "cls"), Normalize()],
    "tanh": [pooling("cls"), dense(32, 24, torch.nn.Tanh()), Normalize()],
    "identity": [pooling("mean"), dense(32, 40, torch.nn.Identity(), bias=False)],
    "relu-gelu": [pooling("mean", "max"), dense(64, 80, torch.nn.ReLU()), dense(80, 16, torch.nn.GELU(), bias=False), Normalize()],
    "normalize-first": [pooling("weightedmean"), Normalize(), dense(32, 8, torch.nn.GELU())],
}
vectors = {}


def embed(model):
    with torch.no_grad():
        return torch.stack([torch.from_numpy(model.encode(t, batch_size=1)).float() for t in texts])


for name, modules in heads.items():
    model = SentenceTransformer(modules=[Transformer(str(here / "tiny-bert"), max_seq_length=32), *modules], device="cpu").eval()
    vectors[name] = embed(model)
    with tempfile.TemporaryDirectory() as tmp:
        model.save(tmp)
        for path in pathlib.Path(tmp).rglob("*"):
            below = path.relative_to(tmp)
            if path.is_file() and (str(below) == "modules.json" or below.parts[0][0].isdigit()):
                (out / name / below).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, out / name / below)

for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
    model = SentenceTransformer(str(here / "tiny-bert"), device="cpu", local_files_only=True)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(dtype).float())
    vectors[name] = embed(model)

save_file(vectors, here / "heads.safetensors")
