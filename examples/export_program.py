#!/usr/bin/env python3
"""Exports a PyTorch model as a program that Lockstep trains: a small residual CNN for 1×28×28 images and 10 classes.

    export_program.py model.pt2
    lockstep inspect model.pt2 --passes       what Lockstep sees in it, what its passes change, what its artifacts can hold
    lockstep train --model model.pt2 --channel train=DIR

Any model that torch.export takes will do; what matters is train() and the batch of free size. Needs torch 2.11.
"""

import argparse

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
                                  nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return torch.relu(x + self.body(x))


def model():
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), Block(16), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), Block(32),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.25), nn.Linear(32 * 7 * 7, 10))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", metavar="FILE.pt2")
parser.add_argument("--seed", type=int, default=1, help="of the initial weights, which the file holds")
arguments = parser.parse_args()

torch.manual_seed(arguments.seed)
# train(): dropout and batch norm are exported as they train; Lockstep evaluates and writes artifacts in eval() form by itself.
# Two samples, not one: torch.export takes a size of 1 for a fixed one.
program = torch.export.export(model().train(), (torch.zeros(2, 1, 28, 28),), dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.export.save(program, arguments.file)
