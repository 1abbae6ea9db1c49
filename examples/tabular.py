#!/usr/bin/env python3
"""Tables: writes a CSV file of measurements of tumours, a network, and a job that learns which are malignant.

    tabular.py DIRECTORY
    lockstep train DIRECTORY/job.json       accuracy on the patients held back: 0.98

Look at what it wrote: `lockstep inspect DIRECTORY/train`. Needs torch 2.11, pandas and scikit-learn, whose package has the data (Breast
Cancer Wisconsin, 569 patients).
"""

import argparse
import json
import pathlib

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("directory", type=pathlib.Path)
directory = parser.parse_args().directory

# 30 columns of numbers, and `diagnosis`: malignant or benign. Every fifth patient is held back.
data = load_breast_cancer(as_frame=True)
table = data.frame.rename(columns={"target": "diagnosis"})
table["diagnosis"] = data.target_names[table["diagnosis"]]
held_back = table.index % 5 == 0
for channel, rows in {"train": table[~held_back], "validation": table[held_back]}.items():
    (directory / channel).mkdir(parents=True, exist_ok=True)
    rows.to_csv(directory / channel / "patients.csv", index=False)

# The first layer learns each column's mean and deviation, so that the artifacts take numbers as they are in the table.
torch.manual_seed(1)
model = nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))
program = torch.export.export(model.train(), (torch.zeros(2, 30),), dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.export.save(program, directory / "model.pt2")

(directory / "job.json").write_text(json.dumps({
    "channels": {"train": "train", "validation": "validation"}, "model_dir": "artifacts", "output_dir": "output",
    "model": "model.pt2", "columns": {"target": "diagnosis"}, "epochs": 20, "batch_size": 32, "optimizer": "adamw", "learning_rate": 0.003,
    "schedule": "cosine", "monitor": "accuracy:max"}, indent=2))
