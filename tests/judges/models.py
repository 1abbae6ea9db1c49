"""The models that the judges export: small, and together of every trait that training must get right."""

import torch
from torch import nn
from torch.nn import functional as F


class Mlp(nn.Module):
    """With a parameter that no node uses and one that a node uses but no gradient reaches."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 24)
        self.fc2 = nn.Linear(24, 10)
        self.unused = nn.Parameter(torch.ones(3))
        self.detached = nn.Parameter(torch.ones(10))

    def forward(self, x):
        hidden = torch.tanh(self.fc1(x.flatten(1)))
        return self.fc2(hidden) + self.detached.detach() * 0.5


class Residual(nn.Module):
    """A residual block with batch norm, and a view of images, which only their usual order of memory has."""

    def __init__(self, norm=True):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1, bias=not norm)  # a bias before batch norm has no gradient but noise
        self.norm1 = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.conv = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.head = nn.Linear(6 * 16, 10)

    def forward(self, x):
        x = F.relu(self.norm1(self.stem(x)))
        x = F.relu(x + self.norm2(self.conv(x)), inplace=True)
        return self.head(F.adaptive_avg_pool2d(x, 4).view(x.size(0), -1))


class Tied(nn.Module):
    """Two names of one parameter, symbolic sizes, and a constant."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 8, bias=False)
        self.again = nn.Linear(8, 8, bias=False)
        self.again.weight = self.embed.weight
        self.head = nn.Linear(8, 10)
        self.register_buffer("scale", torch.tensor([1.5]), persistent=False)

    def forward(self, x):
        batch = x.shape[0]
        rows = x.reshape(batch * 8, 8)
        rows = self.again(torch.sigmoid(self.embed(rows))) * self.scale
        return self.head(rows.view(batch, 8, 8).mean(dim=1))


def export(model, path, example=None, dynamic=True):
    example = torch.rand(4, 1, 8, 8, dtype=next(model.parameters()).dtype) if example is None else example
    shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},) if dynamic else None
    torch.export.save(torch.export.export(model.train(), (example,), dynamic_shapes=shapes), path)
