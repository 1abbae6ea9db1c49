#!/usr/bin/env python3
"""Text: writes tokens as nanoGPT's and llm.c's users have them, a small transformer, and a job that learns to say what comes next.

    tokens.py DIRECTORY
    lockstep train DIRECTORY/job.json       perplexity on the text held back: 8, of 256 possible bytes

The text is the reference of the Python language, which every Python has for help(); a token is a byte of it. Needs torch 2.11 and numpy.
"""

import argparse
import json
import pathlib
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import nn

WINDOW, WIDTH, HEADS = 64, 64, 4

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("directory", type=pathlib.Path)
directory = parser.parse_args().directory

tokens = np.frombuffer("".join(topics[name] for name in sorted(topics)).encode(), np.uint8).astype("<u2")
held_back = len(tokens) // 20
for channel, part in {"train": tokens[:-held_back], "validation": tokens[-held_back:]}.items():
    (directory / channel).mkdir(parents=True, exist_ok=True)
    part.tofile(directory / channel / "reference.bin")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm, self.query_key_value, self.projection = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        parts = self.query_key_value(self.attention_norm(x)).view(-1, WINDOW, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
        x = x + self.projection(seen.transpose(1, 2).reshape(-1, WINDOW, WIDTH))
        return x + self.mlp(x)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(256, WIDTH), nn.Parameter(torch.zeros(WINDOW, WIDTH))
        self.body = nn.Sequential(Block(), Block(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256))

    def forward(self, tokens):
        return self.body(self.token(tokens) + self.position)


# The input's length, 64, is the length of the windows that Lockstep cuts; its targets are the same tokens one later.
torch.manual_seed(1)
program = torch.export.export(Transformer().train(), (torch.zeros(2, WINDOW, dtype=torch.int64),),
                              dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.export.save(program, directory / "model.pt2")

(directory / "job.json").write_text(json.dumps({
    "channels": {"train": "train", "validation": "validation"}, "model_dir": "artifacts", "output_dir": "output",
    "model": "model.pt2", "epochs": 1, "batch_size": 32, "optimizer": "adamw", "learning_rate": 0.005, "warmup_steps": 20,
    "schedule": "cosine", "clip_norm": 1, "metrics": "perplexity",
    "export": "pt2,safetensors"}, indent=2))
