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


class Transformer(nn.Module):
    """A vision transformer of two layers: embeddings, residuals before layer norm, attention, both forms of GELU."""

    class Layer(nn.Module):
        def __init__(self, approximate):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12, eps=1e-3)
            self.qkv, self.project = nn.Linear(12, 36), nn.Linear(12, 12)
            self.up, self.down = nn.Linear(12, 40), nn.Linear(40, 12)
            self.gelu = nn.GELU(approximate)

        def forward(self, x):
            batch, length, width = x.shape
            q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind()
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, width)
            x = x + self.project(mixed)
            return x + self.down(self.gelu(self.up(self.norm2(x))))

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 12, 2, stride=2)
        self.register_buffer("positions", torch.arange(16))
        self.position = nn.Embedding(16, 12)
        self.layers = nn.Sequential(self.Layer("none"), self.Layer("tanh"))
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position(self.positions)
        return self.head(self.norm(self.layers(x)).mean(1))


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


class RmsNorm(nn.Module):
    """Llama's: in float32 whatever comes in, and back."""

    def __init__(self, width, wide, back):
        super().__init__()
        self.weight, self.wide, self.back = nn.Parameter(torch.ones(width)), wide, back

    def forward(self, x):
        y = x.to(self.wide)
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)
        return self.weight * y.to(self.back or x.dtype)


class Converting(nn.Module):
    """Conversions of type in the forward: what they meet is float32 at export, and another type under a lower precision, or
    float32 still where all else is float64. `back`: what is converted back; None, to the type of what came in."""

    def __init__(self, wide=torch.float32, back=None):
        super().__init__()
        self.embed, self.up, self.head = nn.Linear(8, 12), nn.Linear(12, 16), nn.Linear(16, 10)
        self.norm, self.wide, self.back = RmsNorm(12, wide, back), wide, back

    def forward(self, x):
        rows = self.embed(x.reshape(-1, 8, 8))
        positions = (torch.arange(8, device=x.device) / 8).to(self.back or rows.dtype).unsqueeze(1)
        rows = self.norm(rows + positions) + torch.zeros(12, device=x.device).to(self.back or rows.dtype)
        return self.head(torch.tanh(self.up(rows)).to(self.wide).mean(1).to(x.dtype))


def export(model, path, example=None, dynamic=True):
    """`example`: the input, or a tuple of several."""
    example = torch.rand(4, 1, 8, 8, dtype=next(model.parameters()).dtype) if example is None else example
    examples = example if isinstance(example, tuple) else (example,)
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = tuple({0: batch} for _ in examples) if dynamic else None
    torch.export.save(torch.export.export(model.train(), examples, dynamic_shapes=shapes), path)
