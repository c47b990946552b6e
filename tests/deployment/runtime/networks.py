"""Networks of one's own kinds, and what a sparse module makes of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.deployment.capture import capture
from winnow.deployment.runtime.module import SparseModule
from winnow.deployment.runtime.sparse import sparse_network
from winnow.deployment.simplify import simplified


def conv(i: int, o: int, k: int = 3, **more) -> nn.Conv2d:
    """A convolution that keeps the map's size."""
    return nn.Conv2d(i, o, k, padding=more.pop("padding", k // 2), **more)


class PreActivation(nn.Module):
    """Batch norm and ReLU before each layer; the sum is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv(3, 8, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.layers = nn.ModuleList(conv(8, 8, bias=False) for _ in range(2))
        self.last = nn.Linear(8, 5)

    def forward(self, x):
        x = self.first(x)
        for norm, layer in zip(self.norms, self.layers, strict=False):
            x = x + layer(norm(x).relu())
        return self.last(self.norms[2](x).relu().mean((2, 3)))


class Dense(nn.Module):
    """Every layer reads all that was made before."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(3 + 4 * i, 4) for i in range(3))
        self.last = nn.Linear(15 * 4, 5)

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x).relu()], 1)
        return self.last(functional.avg_pool2d(x, 4).flatten(1))


class Squeeze(nn.Module):
    """Channels gated by a small network: sigmoid and product are torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(3, 8), conv(8, 8, groups=8)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.last = nn.Linear(8, 5)

    def forward(self, x):
        x = self.b(self.a(x).relu())
        gate = self.up(self.down(functional.adaptive_avg_pool2d(x, 1)).relu()).sigmoid()
        return self.last((x * gate + x).mean((2, 3)))


class ChannelsLast(nn.Module):
    """Linear layers on (B, 1, 1, F)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(3, 8), nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, x):
        x = self.a(x).permute(0, 2, 3, 1)
        return x * self.c(self.b(x.mean((1, 2), keepdim=True)).relu())


class Tokens(nn.Module):
    """Layers on (B, T, F), with layer norms and what else there is in transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.a, self.b = nn.LayerNorm(12), nn.Linear(12, 24), nn.Linear(24, 12)
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.last = nn.Linear(12, 5)

    def forward(self, x):
        x = x + self.attention(x, x, x, need_weights=False)[0]
        x = x + self.b(functional.gelu(self.a(self.norm(x))))
        x = x + self.b(self.a(x).relu())
        return self.last(x)[:, -1]


class Separable(nn.Module):
    """Depthwise layers, strides, ReLU6, adaptive pools of several pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(3, 6, groups=3, stride=2), nn.Conv2d(6, 9, 1)
        self.c, self.d = conv(9, 9, 5, groups=9, stride=(1, 2)), nn.Conv2d(9, 4, 1)
        self.last = nn.Linear(4 * 4, 5)

    def forward(self, x):
        x = functional.relu6(self.b(self.a(x)))
        x = self.d(self.c(x)).relu()
        return self.last(functional.adaptive_avg_pool2d(x, 2).flatten(1))


class Several(nn.Module):
    """Two inputs, and outputs of several kinds; one weight twice."""

    def __init__(self) -> None:
        super().__init__()
        self.part_0 = nn.LayerNorm(6)
        self.a, self.b, self.shared = nn.Linear(7, 6), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, image, other):
        x, y = self.a(image).relu(), self.shared(self.b(other) + other)
        z = self.shared(x + y)
        return {"z": z, "both": [x, (self.part_0(z), None)], "same": image}


class Mixing(nn.Module):
    """What a batch of one cannot tell from examples each on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(12, 3)

    def forward(self, x):
        first = self.a(x)[:1]
        return self.c(torch.cat([self.b(x), self.b(x) + first], 1)), self.b(first) + x


OWN = {
    "pre-activation": (PreActivation, [(3, 8, 8)]),
    "dense": (Dense, [(3, 8, 8)]),
    "squeeze": (Squeeze, [(3, 9, 7)]),
    "channels last": (ChannelsLast, [(3, 5, 5)]),
    "tokens": (Tokens, [(7, 12)]),
    "separable": (Separable, [(3, 15, 17)]),
    "several": (Several, [(7,), (6,)]),
    "mixing": (Mixing, [(6,)]),
}


def ready(model: nn.Module, density: float = 0.3, seed: int = 0) -> nn.Module:
    """The model in evaluation with random weights, of which few are left, and statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.dim() > 1:
                value *= torch.rand(value.shape, generator=generator) < density
                value *= (1 / density) ** 0.5
            elif value.is_floating_point():
                value += 0.3 * torch.rand(value.shape, generator=generator)
    return model.eval().requires_grad_(False)


def own_network(name: str) -> tuple[nn.Module, list[tuple[int, ...]]]:
    """A model of `OWN` and the shapes of an example."""
    kind, shapes = OWN[name]
    torch.manual_seed(0)
    return ready(kind()), shapes


def given_to(shapes: list[tuple[int, ...]], count: int, seed: int = 1) -> tuple[Tensor, ...]:
    """Normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, *shape, generator=generator) for shape in shapes)


def sparse_module(model: nn.Module, shapes, run="kernels", int8=False, **more) -> SparseModule:
    """A module made of a model."""
    network = simplified(capture(model, given_to(shapes, 3)))
    return SparseModule(sparse_network(network, int8=int8), run=run, **more)


def tensors_in(value) -> list[Tensor]:
    """All of a structure, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for one in value for tensor in tensors_in(one)]
    return [] if value is None else [value]


def check_equal(found, wanted, close: float = 2e-5) -> None:
    """Equal structures of tensors, to rounding."""
    assert type(found) is type(wanted)
    mine, theirs = tensors_in(found), tensors_in(wanted)
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = max(1.0, float(b.abs().max())) if b.numel() else 1.0
        torch.testing.assert_close(a, b.detach(), rtol=0, atol=close * scale)
