"""Makes the fixtures of package static: tiny tables in the model2vec layout, written and read by the
model2vec package itself, and one in the int4 layout, computed with numpy as Load documents it.

    pip install model2vec==0.10.0 tokenizers==0.23.3 numpy safetensors && python make.py
"""
import json, pathlib
import numpy as np
from model2vec import StaticModel
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(7)
DIM = 64

words = "[PAD] [UNK] the a cat dog sat on mat big small red green house tree ##s ##ing ##ed run walk talk , . !".split()
tok = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
tok.normalizer = normalizers.BertNormalizer()
tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tok.add_special_tokens(["[PAD]", "[UNK]"])

texts = ["the cat sat on the mat", "Dogs, cats!", "walking", "the xyzzy walked", "xyzzy plugh", "",
         "a " * 40 + "tree", "THE BIG RED HOUSE talks."]
rows = rng.normal(size=(len(words), DIM)).astype(np.float32) * rng.uniform(0.1, 3, size=(len(words), 1)).astype(np.float32)
weights = rng.uniform(0.2, 2, size=len(words)).astype(np.float32)
mapping = rng.integers(0, 9, size=len(words))
int8 = np.clip(np.rint(rows / np.abs(rows).max() * 127), -127, 127).astype(np.int8)

variants = {
    "f32": dict(vectors=rows, normalize=True),
    "f32_mean": dict(vectors=rows, normalize=False),
    "f16": dict(vectors=rows.astype(np.float16), normalize=True),
    "i8": dict(vectors=int8, normalize=False),
    "i8_mapped": dict(vectors=int8[:9], normalize=True, weights=weights, token_mapping=mapping.astype(np.int64)),
    "f32_mapped": dict(vectors=rows[:9], normalize=False, weights=weights, token_mapping=mapping.astype(np.int32)),
}
want = {}
for name, args in variants.items():
    m = StaticModel(tokenizer=tok, config={}, **args)
    folder = here / name
    m.save_pretrained(folder)
    for extra in ("README.md", "tokenizer.json", "modules.json"):
        (folder / extra).unlink(missing_ok=True)
    want[name] = m.encode(texts, use_multiprocessing=False).astype(np.float64)

# int4, from the description: group of 32, byte j has value j low and value j+16 high, plus 8.
groups = rows.reshape(-1, 32)
scales = (np.abs(groups).max(1) / 7).astype(np.float16)
q = np.clip(np.rint(groups / scales[:, None].astype(np.float32)), -8, 7).astype(int)
packed = ((q[:, :16] + 8) | (q[:, 16:] + 8) << 4).astype(np.uint8)
(here / "int4").mkdir(exist_ok=True)
save_file({"embeddings_int4": packed.reshape(len(words), DIM // 2), "embeddings_scale": scales.reshape(len(words), -1)},
          here / "int4" / "model.safetensors")
(here / "int4" / "config.json").write_text(json.dumps({"normalize": True, "embedding_dtype": "int4", "group_size": 32}) + "\n")
dequantised = (q * scales[:, None].astype(np.float64)).reshape(rows.shape)
out = []
for t in texts:
    ids = [i for i in tok.encode(t, add_special_tokens=False).ids if i != 1]
    v = dequantised[ids].mean(0) if ids else np.zeros(DIM)
    out.append(v / np.linalg.norm(v) if ids else v)
want["int4"] = np.array(out)

tok.save(str(here / "tokenizer.json"), pretty=False)
cases = [{"text": t, "ids": tok.encode(t, add_special_tokens=False).ids,
          "vectors": {n: [float(f"{x:.9g}") for x in v[i]] for n, v in want.items()}} for i, t in enumerate(texts)]
(here / "want.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
