"""Random networks with random masks, of all that shrinking follows and some that it does not."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 6
ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    nn.ReLU, nn.ReLU, nn.ReLU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.LeakyReLU, nn.Hardswish,
    nn.Hardsigmoid, nn.SiLU, nn.ReLU6, nn.ELU, nn.Softplus, nn.Identity,
)  # fmt: skip


class Residual(nn.Module):
    """x + f(x), or x - f(x)."""

    def __init__(self, inside: nn.Module, minus: bool) -> None:
        super().__init__()
        self.inside, self.minus = inside, minus

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inside(x)
        return x - y if self.minus else y + x


class Beside(nn.Module):
    """Two branches, one after the other along the channels; in between, channels of ones."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.first(x), self.second(x), x], 1)


class Gate(nn.Module):
    """Squeeze and excitation: channels times what a mean of all of them gives."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Halves(nn.Module):
    """The first half of the channels times the second."""

    def __init__(self, how: int) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[1] // 2
        if self.how == 0:
            a, b = x.chunk(2, 1)
        elif self.how == 1:
            a, b = x[:, :half], x[:, half:]
        else:
            a, b = x.split([half, half], 1)
        return a * b.sigmoid()


class Padded(nn.Module):
    """Every other pixel, and channels of zeros (or another value) around the others."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2), value=self.value)


class Shuffle(nn.Module):
    """Channels of two groups, in turns."""

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class Turned(nn.Module):
    """A linear layer over the channels of every pixel, and a norm of all of them now and then."""

    def __init__(self, channels: int, outputs: int, norm: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, outputs)
        self.norm = nn.LayerNorm(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.linear(x.permute(0, 2, 3, 1)))
        return y.permute(0, 3, 1, 2)


class Mixed(nn.Module):
    """Something that no rule follows."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.softmax(1).flip(1)


class Ends(nn.Module):
    """A body, then neurons: of a flattened image, of means, or of both sides of a permutation."""

    def __init__(self, body: nn.Module, how: int, example: Tensor, two: bool) -> None:
        super().__init__()
        self.body, self.how = body, how
        with torch.no_grad():
            features = self.flat(body(example)).shape[1]
        self.hidden = nn.Linear(features, 7)
        self.other = nn.Linear(7, 5, bias=False)
        self.head = nn.Linear(5, 3)
        self.second = nn.Linear(7, 2) if two else None

    def flat(self, x: Tensor) -> Tensor:
        if self.how == 0:
            return x.flatten(1)
        if self.how == 1:
            return x.mean((2, 3))
        if self.how == 2:
            return F.adaptive_avg_pool2d(x, 1).view(x.shape[0], -1)
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = F.relu(self.hidden(self.flat(self.body(x))))
        z: Tensor = self.head(F.relu(self.other(y)))
        return z if self.second is None else (z, self.second(y))


def drawn(seed: int, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    """A network in evaluation, masked, and an example (2, 3, 6, 6)."""
    chance = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    example = torch.randn(2, 3, SIDE, SIDE, generator=generator)
    blocks: list[nn.Module] = [nn.Conv2d(3, 6, 3, padding=1)]
    x = example
    for _ in range(chance.randint(1, 5)):
        with torch.no_grad():
            x = nn.Sequential(*blocks).eval()(example)
        blocks += _block(chance, x.shape[1], x.shape[2])
    model = Ends(nn.Sequential(*blocks).eval(), chance.randrange(4), example, chance.random() < 0.3)
    mask(model, chance.choice((0.2, 0.4, 0.8)), generator)
    return model.eval().to(dtype), example.to(dtype)


def _block(chance: random.Random, channels: int, side: int) -> list[nn.Module]:
    activation = chance.choice(ACTIVATIONS)
    outputs = chance.choice((4, 6, 8))
    padding = chance.choice((0, 1)) if side > 3 else 1
    conv = nn.Conv2d(channels, outputs, 3, padding=padding, bias=chance.random() < 0.5)
    around = [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), activation(),
              nn.Conv2d(outputs, channels, 1)]  # fmt: skip
    even = [nn.Conv2d(channels, 8, 1), activation()]
    kinds: dict[str, Callable[[], list[nn.Module]]] = {
        "conv": lambda: [conv, activation()],
        "normed": lambda: [conv, nn.BatchNorm2d(outputs), activation()],
        "before": lambda: [nn.BatchNorm2d(channels), activation(), conv],
        "residual": lambda: [Residual(nn.Sequential(*around), chance.random() < 0.3), activation()],
        "beside": lambda: [Beside(conv if padding else nn.Identity(), even[0])],
        "gate": lambda: [Gate(channels)],
        "halves": lambda: [*even, Halves(chance.randrange(3))],
        "padded": lambda: [Padded(chance.choice((0.0, 0.5)))] if side > 3 else [],
        "shuffle": lambda: [*even, Shuffle()],
        "depthwise": lambda: [nn.Conv2d(channels, channels, 3, padding=1, groups=channels)],
        "multiplied": lambda: [nn.Conv2d(channels, 2 * channels, 1, groups=channels), activation()],
        "grouped": lambda: [*even, nn.Conv2d(8, 4, 3, padding=1, groups=2), activation()],
        "transposed": lambda: [nn.ConvTranspose2d(channels, outputs, 2, bias=not padding)],
        "pool": lambda: [chance.choice((nn.MaxPool2d(2), nn.AvgPool2d(3, 1, 1),
                                        nn.AvgPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 1, 1)))]
        if side > 3 else [],
        "larger": lambda: [nn.Upsample(scale_factor=2, mode=chance.choice(("nearest", "bilinear")))]
        if side < 4 else [],
        "prelu": lambda: [conv, nn.PReLU(outputs), nn.Conv2d(outputs, 4, 1)],
        "turned": lambda: [Turned(channels, outputs, chance.random() < 0.3), activation()],
        "mixed": lambda: [Mixed()] if chance.random() < 0.4 else [],
        "reflected": lambda: [nn.ReflectionPad2d(1), conv, activation()],
    }  # fmt: skip
    return kinds[chance.choice(list(kinds))]()


def mask(model: nn.Module, density: float, generator: torch.Generator) -> None:
    """Weights of size 1 behind few survivors, some rows and columns without any; biases and
    statistics of size 1, some zero.
    """

    def bits(*shape: int, share: float) -> Tensor:
        return (torch.rand(*shape, generator=generator) < share).float()

    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator))
                layer.running_var.copy_(torch.rand(layer.num_features, generator=generator) + 0.5)
                layer.weight.mul_(bits(layer.num_features, share=0.9))
            weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
            if bias is not None:
                bias.copy_(torch.randn(len(bias), generator=generator) * bits(len(bias), share=0.7))
            if weight is None or weight.dim() < 2:
                continue
            rest = [1] * (weight.dim() - 2)
            rows, columns = (bits(size, share=0.8) for size in weight.shape[:2])
            keep = bits(*weight.shape, share=density) * columns.view(1, -1, *rest)
            keep = keep * rows.view(-1, 1, *rest)
            scale = keep.flatten(1).sum(1).clamp(min=1).rsqrt().view(-1, 1, *rest)
            weight.copy_(torch.randn(weight.shape, generator=generator) * keep * scale)
