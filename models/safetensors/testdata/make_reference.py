"""Writes reference.safetensors with the reference library (pip install torch safetensors)."""

import pathlib

import torch
from safetensors.torch import save_file

inf = float("inf")
save_file(
    {
        "f32": torch.tensor([0, 1, -2.5, 3.4028235e38, 1e-45, -inf], dtype=torch.float32),
        "f16": torch.tensor([0, 1, -2.5, 65504, 2**-24, 1023 * 2**-24, inf], dtype=torch.float16),
        "bf16": torch.tensor([0, 1, -2.5, 255 * 2.0**120, 2.0**-133], dtype=torch.bfloat16),
        "i8": torch.tensor([[0, 1, 2], [-1, 127, -128]], dtype=torch.int8),
    },
    pathlib.Path(__file__).with_name("reference.safetensors"),
    metadata={"licence": "none"},
)
