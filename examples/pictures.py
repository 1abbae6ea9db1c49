#!/usr/bin/env python3
"""Pictures: writes a directory of PNG files for each class, a small CNN, and a job that learns to tell the classes apart.

    pictures.py DIRECTORY
    lockstep train DIRECTORY/job.json       accuracy on the pictures held back: 0.99

The pictures are scikit-learn's handwritten digits, 1,797 of 8×8 pixels. Needs torch 2.11, pillow and scikit-learn.
"""

import argparse
import json
import pathlib

import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("directory", type=pathlib.Path)
directory = parser.parse_args().directory

# train/7/0012.png. Every fifth picture is held back.
digits = load_digits()
for i, (pixels, digit) in enumerate(zip(digits.images, digits.target)):
    path = directory / ("validation" if i % 5 == 0 else "train") / str(digit) / f"{i:04}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels * 255 / 16).astype("uint8")).save(path)

# Pictures of any size and kind become what the program takes: here one channel of 16×16.
torch.manual_seed(1)
model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
                      nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10))
program = torch.export.export(model.train(), (torch.zeros(2, 1, 16, 16),), dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.export.save(program, directory / "model.pt2")

(directory / "job.json").write_text(json.dumps({
    "channels": {"train": "train", "validation": "validation"}, "model_dir": "artifacts", "output_dir": "output",
    "model": "model.pt2", "epochs": 8, "batch_size": 32, "optimizer": "adamw", "learning_rate": 0.003, "schedule": "cosine",
    "image_padding": 1, "monitor": "accuracy:max"}, indent=2))
