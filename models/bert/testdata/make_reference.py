"""Writes a tiny seeded BERT (config.json, weights.safetensors) and what the reference library computes
with it, once for each activation (expected.safetensors).

    pip install torch transformers safetensors
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

here = pathlib.Path(__file__).parent
torch.manual_seed(7)
config = dict(
    model_type="bert", vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
    intermediate_size=40, hidden_act="gelu", max_position_embeddings=40, type_vocab_size=2,
    layer_norm_eps=1e-5, position_embedding_type="absolute",
)
(here / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def build(act):
    c = BertConfig(**{**config, "hidden_act": act})
    return BertModel(c, add_pooling_layer=False).eval()


model = build("gelu")
with torch.no_grad():
    for name, p in model.named_parameters():  # large enough that every part of the encoder matters
        p.copy_(torch.randn_like(p) * (0.1 if "bias" in name else 0.3) + (1 if name.endswith("LayerNorm.weight") else 0))
weights = model.state_dict()
save_file({"bert." + k: v for k, v in weights.items() if v.is_floating_point()}, here / "weights.safetensors")

out = {}
for tokens in (1, 17, 40):  # one, more than a tile of 16 rows, all positions
    ids = torch.randint(0, config["vocab_size"], (tokens,), dtype=torch.int32)
    out[f"ids.{tokens}"] = ids
    for act in ("gelu", "gelu_new", "relu"):
        m = build(act)
        m.load_state_dict(weights)
        with torch.no_grad():
            out[f"{act}.{tokens}"] = m(ids[None].long()).last_hidden_state[0].contiguous()
save_file(out, here / "expected.safetensors")
