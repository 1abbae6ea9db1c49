#!/usr/bin/env python3
"""Writes torch-VERSION.pt2 beside this file, with the torch that runs it: a small program as that version exports it.

    python3 -m venv venv && venv/bin/pip install torch==2.9.1 numpy && venv/bin/python3 tests/archives/make.py

Its weights follow from a formula, so that tests/judges/archives.py trains the same model beside it with another torch."""

import pathlib
import re

import torch
from torch import nn
from torch.nn import functional as F

DIRECTORY = pathlib.Path(__file__).resolve().parent
CLASSES, TOKENS, LENGTH = 4, 6, 5


class Mixed(nn.Module):
    """Pictures and words, by operators of many families; two outputs with names."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.embed, self.project, self.layer_norm = nn.Embedding(TOKENS, 4), nn.Linear(4, 12), nn.LayerNorm(4)
        self.head = nn.Linear(3 * 9 + 4, CLASSES)

    def forward(self, image, words):
        x = F.max_pool2d(F.relu(self.norm(self.conv(image))), 2).flatten(1)
        query, key, value = self.project(self.embed(words)).view(-1, LENGTH, 2, 6).transpose(1, 2).chunk(3, -1)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(-1, LENGTH, 4)
        y = F.dropout(F.gelu(self.layer_norm(attended)), 0.0).mean(1)
        return {"features": y, "logits": self.head(torch.cat((x, y), 1))}


def model():
    """The same numbers with every version of torch, whatever it draws."""
    made = Mixed().train()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.copy_((torch.arange(parameter.numel(), dtype=torch.float64) * 0.7 + number).sin().mul(0.5).view(parameter.shape))
    return made


if __name__ == "__main__":
    batch = torch.export.Dim("batch")
    program = torch.export.export(model(), (torch.zeros(2, 1, 6, 6), torch.zeros(2, LENGTH, dtype=torch.long)),
                                  dynamic_shapes=({0: batch}, {0: batch}))
    for node in program.graph.nodes:  # where the files were on the machine that made them is nobody's affair
        if "stack_trace" in node.meta:
            node.meta["stack_trace"] = re.sub(r'File "[^"]*/', 'File "', node.meta["stack_trace"])
    torch.export.save(program, DIRECTORY / f"torch-{torch.__version__.split('+')[0]}.pt2")
