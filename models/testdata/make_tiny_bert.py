"""Writes tiny-bert/, a seeded random sentence-transformers model, and tiny-bert.safetensors, what the
reference library computes with it: vectors of the texts in texts.json, the number of tokens seen,
queries, the vectors of the first 20 texts with the model's prompt for queries, and poolings, those of
one text under each mode of pooling, without Normalize.

    pip install sentence-transformers safetensors
"""

import json
import pathlib
import shutil
import string

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel, BertTokenizerFast

here = pathlib.Path(__file__).parent
folder = here / "tiny-bert"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
torch.manual_seed(11)
torch.set_num_threads(1)


def write(name, value):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


letters = string.ascii_lowercase + string.digits
vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
vocab += list(letters + "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~\u4f60\u597d\u4e16\u754c\u4e2d") + ["##" + c for c in letters]
vocab += "hello world the of and to in is it not good cat dog sits on mat what capital france paris query passage word ##ing ##ed ##ers ##tion ##ab".split()
assert len(vocab) == len(set(vocab))
(folder / "vocab.txt").write_text("\n".join(vocab) + "\n")

sizes = dict(vocab_size=len(vocab), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=48)
model = BertModel(BertConfig(**sizes, layer_norm_eps=1e-12, type_vocab_size=2, hidden_act="gelu"), add_pooling_layer=False).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        p.copy_(torch.randn_like(p) * (0.1 if "bias" in name else 0.3) + (1 if name.endswith("LayerNorm.weight") else 0))
save_file({k: v for k, v in model.state_dict().items() if v.is_floating_point()}, folder / "model.safetensors", metadata={"format": "pt"})

write("config.json", dict(architectures=["BertModel"], model_type="bert", hidden_act="gelu", layer_norm_eps=1e-12, type_vocab_size=2, position_embedding_type="absolute", pad_token_id=0, **sizes))
write("modules.json", [
    dict(idx=i, name=str(i), path=path, type="sentence_transformers.models." + kind)
    for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])
])
write("1_Pooling/config.json", dict(word_embedding_dimension=32, pooling_mode_cls_token=False, pooling_mode_mean_tokens=True, pooling_mode_max_tokens=False, pooling_mode_mean_sqrt_len_tokens=False))
write("sentence_bert_config.json", dict(max_seq_length=32, do_lower_case=False))
write("config_sentence_transformers.json", dict(prompts=dict(query="query: ", passage="passage: "), default_prompt_name=None))
tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True, model_max_length=48)
tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
write("tokenizer_config.json", dict(tokenizer_class="BertTokenizer", do_lower_case=True, model_max_length=48, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]"))

texts = json.loads((here / "texts.json").read_text())
st = SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def embed(text, **kw):
    return torch.from_numpy(st.encode(text, batch_size=1, **kw)).float()


poolings = []
with torch.no_grad():
    for mode in ("mean", "cls", "max"):
        st[1].pooling_mode = mode
        poolings.append(st[1](st[0](st.tokenize(["hello world the cat sits"])))["sentence_embedding"][0])
st[1].pooling_mode = "mean"

save_file(
    {
        "lengths": torch.tensor([len(st.tokenizer(t, truncation=True, max_length=32)["input_ids"]) for t in texts], dtype=torch.int32),
        "vectors": torch.stack([embed(t) for t in texts]),
        "poolings": torch.stack(poolings),
        "queries": torch.stack([embed(t, prompt_name="query") for t in texts[:20]]),
    },
    here / "tiny-bert.safetensors",
)
for path in [*folder.rglob("*"), here / "tiny-bert.safetensors"]:
    if path.is_file():
        path.chmod(0o644)
