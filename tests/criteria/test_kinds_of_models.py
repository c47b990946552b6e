"""Criteria against slow float64 definitions on many kinds of models, in both modes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import winnow as wn

FAST = ("linear", "conv2d grouped", "lstm", "shared", "batch norm")
ACT = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "elu": nn.ELU, "prelu": nn.PReLU}
ACT |= {"glu": lambda: nn.GLU(1), "softplus": nn.Softplus, "mish": nn.Mish, "leaky": nn.LeakyReLU}


class Fn(nn.Module):
    """Layers, and how they are called."""

    def __init__(self, call: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.call = call
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


def mlp(middle: Callable[[], nn.Module], width: int = 6) -> nn.Module:
    return nn.Sequential(nn.Linear(24, 6), middle(), nn.Linear(width, 3))


def images(layer: Callable[[], nn.Module]) -> nn.Module:
    """(B, 24) as (B, 4, 2, 3) through a layer."""
    return nn.Sequential(nn.Unflatten(1, (4, 2, 3)), layer(), nn.Tanh(), nn.Flatten(),
                         nn.LazyLinear(3))  # fmt: skip


def lines(layer: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (4, 6)), layer(), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3)
    )


def volumes(layer: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (2, 2, 2, 3)), layer(), nn.Tanh(), nn.Flatten(),
                         nn.LazyLinear(3))  # fmt: skip


def recurrent(layer: nn.Module) -> nn.Module:
    size = 5 * (2 if getattr(layer, "bidirectional", False) else 1)
    return Fn(
        lambda m, x: m.head(m.body(x.view(-1, 6, 4))[0][:, -1]), body=layer, head=nn.Linear(size, 3)
    )


def cell(layer: nn.Module) -> nn.Module:
    def call(m: Any, x: Tensor) -> Tensor:
        h = None
        for step in x.view(-1, 6, 4).unbind(1):
            h = m.body(step, h)
        return m.head(h[0] if isinstance(h, tuple) else h)

    return Fn(call, body=layer, head=nn.Linear(5, 3))


def tokens(layer: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> nn.Module:
    return Fn(lambda m, x: m.head(call(m.body, x.view(-1, 6, 4)).mean(1)), body=layer,
              head=nn.Linear(4, 3))  # fmt: skip


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * delta


def shared() -> nn.Module:
    one = nn.Linear(6, 6)
    return nn.Sequential(nn.Linear(24, 6), one, nn.Tanh(), one, nn.Linear(6, 3))


def hooked() -> nn.Module:
    model = mlp(nn.Tanh)
    model[0].register_forward_hook(lambda _m, _x, out: out * 2)  # type: ignore[operator,index]
    model[2].register_forward_pre_hook(lambda _m, x: (x[0] ** 2,))  # type: ignore[operator,index]
    return model


KINDS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(24, 3),
    "no bias": lambda: nn.Sequential(nn.Linear(24, 6, bias=False), nn.Linear(6, 3, bias=False)),
    **{n: (lambda a=a, n=n: mlp(a, 3 if n == "glu" else 6)) for n, a in ACT.items()},
    "in place": lambda: mlp(lambda: nn.ReLU(inplace=True)),
    "dropout": lambda: mlp(nn.Dropout),
    "layer norm": lambda: mlp(lambda: nn.LayerNorm(6)),
    "rms norm": lambda: mlp(lambda: nn.RMSNorm(6)),
    "batch norm": lambda: mlp(lambda: nn.BatchNorm1d(6)),
    "group norm": lambda: images(lambda: nn.Sequential(nn.Conv2d(4, 4, 2), nn.GroupNorm(2, 4))),
    "instance norm": lambda: lines(lambda: nn.Sequential(nn.Conv1d(4, 4, 2), nn.InstanceNorm1d(4))),
    "conv1d": lambda: lines(lambda: nn.Conv1d(4, 5, 3, stride=2, padding=1)),
    "conv1d dilated": lambda: lines(lambda: nn.Conv1d(4, 5, 2, dilation=3)),
    "conv1d circular": lambda: lines(
        lambda: nn.Conv1d(4, 5, 3, padding=1, padding_mode="circular")
    ),
    "conv1d transposed": lambda: lines(lambda: nn.ConvTranspose1d(4, 3, 3, stride=2)),
    "conv2d": lambda: images(lambda: nn.Conv2d(4, 5, 2, padding=1)),
    "conv2d same": lambda: images(lambda: nn.Conv2d(4, 5, 3, padding="same")),
    "conv2d grouped": lambda: images(lambda: nn.Conv2d(4, 6, 2, groups=2)),
    "conv2d depthwise": lambda: images(lambda: nn.Conv2d(4, 8, 2, groups=4)),
    "conv2d transposed": lambda: images(lambda: nn.ConvTranspose2d(4, 2, 2, output_padding=0)),
    "conv2d pooled": lambda: images(lambda: nn.Sequential(nn.Conv2d(4, 5, 1), nn.MaxPool2d(2))),
    "conv3d": lambda: volumes(lambda: nn.Conv3d(2, 3, 2)),
    "conv3d transposed": lambda: volumes(lambda: nn.ConvTranspose3d(2, 2, 2, groups=2)),
    "rnn": lambda: recurrent(nn.RNN(4, 5, batch_first=True)),
    "gru": lambda: recurrent(nn.GRU(4, 5, batch_first=True)),
    "lstm": lambda: recurrent(nn.LSTM(4, 5, batch_first=True)),
    "lstm both ways": lambda: recurrent(nn.LSTM(4, 5, batch_first=True, bidirectional=True)),
    "gru deep": lambda: recurrent(nn.GRU(4, 5, 2, batch_first=True)),
    "rnn cell": lambda: cell(nn.RNNCell(4, 5)),
    "gru cell": lambda: cell(nn.GRUCell(4, 5)),
    "lstm cell": lambda: cell(nn.LSTMCell(4, 5)),
    "attention": lambda: tokens(
        nn.MultiheadAttention(4, 2, batch_first=True), lambda m, x: m(x, x, x)[0]
    ),
    "attention without weights": lambda: tokens(
        nn.MultiheadAttention(4, 2, batch_first=True),
        lambda m, x: m(x, x, x, need_weights=False)[0],
    ),
    "encoder layer": lambda: tokens(
        nn.TransformerEncoderLayer(4, 2, 6, 0.0, batch_first=True), lambda m, x: m(x)
    ),
    "decoder layer": lambda: tokens(
        nn.TransformerDecoderLayer(4, 2, 6, 0.0, batch_first=True), lambda m, x: m(x, x)
    ),
    "bilinear": lambda: Fn(
        lambda m, x: m.head(torch.tanh(m.two(x[:, :12], x[:, 12:]))),
        two=nn.Bilinear(12, 12, 4), head=nn.Linear(4, 3),
    ),
    "shared": shared,
    "residual": lambda: Fn(
        lambda m, x: m.head(x + torch.relu(m.body(x))), body=nn.Linear(24, 24),
        head=nn.Linear(24, 3),
    ),
    "unused": lambda: Fn(lambda m, x: m.head(x), head=nn.Linear(24, 3), spare=nn.Linear(2, 2)),
    "functional": lambda: Fn(
        lambda m, x: F.linear(F.linear(x, m.a.weight), m.b.weight.T), a=nn.Linear(24, 6),
        b=nn.Linear(3, 6),
    ),
    "checkpointed": lambda: Fn(
        lambda m, x: m.head(checkpoint(lambda x: torch.tanh(m.body(x)), x, use_reentrant=False)),
        body=nn.Linear(24, 6), head=nn.Linear(6, 3),
    ),
    "own function": lambda: Fn(
        lambda m, x: m.head(Cube.apply(m.body(x))), body=nn.Linear(24, 6), head=nn.Linear(6, 3)
    ),
    "hooks": hooked,
    "tokens": lambda: tokens(nn.Linear(4, 4), lambda m, x: torch.tanh(m(x))),
    "time first": lambda: Fn(
        lambda m, x: m.head(torch.tanh(m.body(x.view(-1, 6, 4).transpose(0, 1))).mean(0)),
        body=nn.Linear(4, 4), head=nn.Linear(4, 3),
    ),
}  # fmt: skip
assert len(KINDS) >= 43


def made(kind: str, training: bool) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    x, y = torch.randn(6, 24, dtype=torch.float64), torch.arange(6) % 3
    model = KINDS[kind]()
    model(x.float())  # statistics, and lazy layers
    return model.double().train(training), x, y


def grads(model: nn.Module, weights: list[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(
        F.cross_entropy(model(x), y), weights, allow_unused=True, materialize_grads=True
    )
    return list(found)


def expected(criterion: str, model: nn.Module, names: list[str], x: Tensor, y: Tensor) -> Any:
    model = copy.deepcopy(model)
    weights: list[Tensor] = [model.get_parameter(name) for name in names]
    values = [w.detach().clone() for w in weights]
    if criterion == "magnitude":
        return [v.abs() for v in values]
    if criterion == "snip":
        return [(v * g).abs() for v, g in zip(values, grads(model, weights, x, y), strict=True)]
    if criterion == "synflow":
        model.eval()
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                tensor.data.abs_()
        flow = model(torch.ones_like(x[:1])).sum()
        slopes = torch.autograd.grad(flow, weights, allow_unused=True, materialize_grads=True)
        return [(v * g).abs() for v, g in zip(values, slopes, strict=True)]
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    each = [grads(model, weights, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    if criterion == "obd":
        means = [sum(g**2 for g in one) / len(x) for one in zip(*each, strict=True)]
        return [v**2 * mean / 2 for v, mean in zip(values, means, strict=True)]
    means = [sum(g.abs() for g in one) / len(x) for one in zip(*each, strict=True)]
    return [(v * mean).abs() for v, mean in zip(values, means, strict=True)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("criterion", ["magnitude", "snip", "synflow", "obd", "data-dependent"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(
    "kind", [k if k in FAST else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_scores_are_those_of_the_definition(kind: str, training: bool, criterion: str) -> None:
    model, x, y = made(kind, training)
    if kind == "dropout" and training and criterion != "synflow":
        criterion = "magnitude"  # what is drawn is another sample in the definition
    scores = wn.score(model, criterion, batch=(x, y), loss_fn=F.cross_entropy)
    for name, want in zip(scores, expected(criterion, model, list(scores), x, y), strict=True):
        torch.testing.assert_close(scores[name], want, rtol=1e-7, atol=1e-14)
    if kind == "instance norm" and criterion == "synflow":
        return  # a constant image is normalised to 0: in float32 its scores are rounding alone
    single = copy.deepcopy(model).float()
    found = wn.score(single, criterion, batch=(x.float(), y), loss_fn=F.cross_entropy)
    for name, score in scores.items():
        largest = float(score.abs().max())
        torch.testing.assert_close(found[name].double(), score, rtol=1e-2, atol=1e-4 * largest)
