"""The operations that `lockstep inspect` counts in a program, against torch.utils.flop_counter on the model."""

import pathlib
import re

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import common
import models


def counted_by_torch(model, example):
    # It does not know the CPU's fused attention; as two products of matrices it does.
    # Nor the one operator that oneDNN has for recurrent layers.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
        model(example)
    return counter.get_total_flops()


def counted_by_lockstep(program):
    line = re.compile(r"^flops +(\d+) of matrix products in the forward pass of one sample$", re.MULTILINE)
    return int(line.search(common.run(["inspect", program])).group(1))


class Everything(nn.Module):
    """Every operator that is counted, with groups, strides, dilation, and batch dimensions that broadcast."""

    def __init__(self):
        super().__init__()
        self.line = nn.Conv1d(6, 8, 3, groups=2)
        self.grouped = nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=1, dilation=(1, 2), groups=4)
        self.same = nn.Conv2d(8, 4, 3, padding="same")
        self.back = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)
        self.volume = nn.Conv3d(2, 3, 2)
        self.linear = nn.Linear(5, 12)
        self.matrix = nn.Parameter(torch.randn(12, 7))
        self.bias = nn.Parameter(torch.randn(7))

    def forward(self, x):  # [batch, 240]
        y = self.back(self.same(self.grouped(x.view(-1, 4, 10, 6))))
        z = self.volume(x.view(-1, 2, 5, 6, 4))
        rows = self.linear(x.view(-1, 48, 5))
        q = rows.view(-1, 48, 3, 4).transpose(1, 2)
        attention = F.scaled_dot_product_attention(q, q[:, :, :9], q[:, :, :9, :2])
        products = torch.bmm(rows, rows.transpose(1, 2))
        products = torch.baddbmm(products, rows, rows.transpose(1, 2))
        flat = torch.addmm(self.bias, rows.mean(1), self.matrix)
        parts = [y, z, attention, products, flat, rows @ self.matrix, torch.mm(rows.mean(1), self.matrix), self.line(x.view(-1, 6, 40))]
        return sum(part.flatten(1).sum(1) for part in parts)


class Recurrent(nn.Module):
    """Recurrent layers, and products that are written as something else than a product of matrices."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 7, 2, batch_first=True, bidirectional=True)
        self.projected = nn.LSTM(5, 7, proj_size=3, batch_first=True)
        self.gru = nn.GRU(5, 6, batch_first=True)
        self.rnn = nn.RNN(5, 6, batch_first=True)
        self.cells = nn.ModuleList((nn.LSTMCell(5, 4), nn.GRUCell(5, 4), nn.RNNCell(5, 4)))
        self.matrix = nn.Parameter(torch.randn(5, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):  # [batch, 15]
        x = x.view(-1, 3, 5)
        parts = [layer(x)[0] for layer in (self.lstm, self.projected, self.gru, self.rnn)]
        first = x[:, 0]
        parts += [self.cells[0](first)[0], self.cells[1](first), self.cells[2](first)]
        wide = torch.einsum("bld,dk->blk", x, self.matrix)
        parts += [wide, torch.einsum("...ld,...md->...lm", x, x)]
        parts += [torch.tensordot(x, self.matrix, dims=1), torch.inner(x, self.matrix.t())]
        parts += [self.attention(wide, wide, wide, need_weights=False)[0]]
        return sum(part.flatten(1).sum(1) for part in parts)


def every_operator():
    with common.temporary_directory() as name:
        directory = pathlib.Path(name)
        for number, (model, example) in enumerate(((Everything(), torch.randn(4, 240)), (Recurrent(), torch.randn(4, 15)), (models.Transformer(), torch.rand(4, 1, 8, 8)),
                                                   (models.Residual(), torch.rand(4, 1, 8, 8)), (models.Tied(), torch.rand(4, 1, 8, 8)))):
            path = directory / f"{number}.pt2"
            models.export(model, path, example)
            found, expected = 4 * counted_by_lockstep(path), counted_by_torch(model, example)
            assert found == expected, (type(model).__name__, found, expected)


if __name__ == "__main__":
    common.main(every_operator)
