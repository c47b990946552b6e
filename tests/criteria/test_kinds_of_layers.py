"""Every criterion on recurrent, attention and convolutional layers, against slow definitions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError

DEFINED = ("snip", "data-dependent", "obd", "grasp", "synflow")


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.body, self.head = kind(4, 3, batch_first=True), nn.Linear(3, 3)  # type: ignore[call-arg]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
        self.body, self.head = layer, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean(1))


class Convolutional(nn.Module):
    """Convolutions in groups and transposed ones, over the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(4, 6, 3, groups=2, padding=1), nn.Hardsigmoid(), nn.ConvTranspose1d(6, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.transpose(1, 2)).mean(2)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
    "rnn": lambda: Recurrent(nn.RNN),
    "attention": Attention,
    "convolutional": Convolutional,
}


def made(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = NETWORKS[name]().double()
    return model, torch.randn(6, 5, 4).double(), torch.randint(0, 3, (6,))


def gradient(model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    loss = F.cross_entropy(model(x), y)
    return list(torch.autograd.grad(loss, list(weights.values()), create_graph=True))


def with_plain_attention(function: Callable[[], list[Tensor]]) -> list[Tensor]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        return function()


def by_definition(
    criterion: str, model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor
) -> list[Tensor]:
    values = list(weights.values())
    if criterion == "snip":
        return [(w * g).abs() for w, g in zip(values, gradient(model, weights, x, y), strict=True)]
    if criterion in ("data-dependent", "obd"):
        each = [gradient(model, weights, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
        if criterion == "obd":
            means = [torch.stack(one).square().mean(0) / 2 for one in zip(*each, strict=True)]
            return [w.square() * mean for w, mean in zip(values, means, strict=True)]
        means = [torch.stack(one).abs().mean(0) for one in zip(*each, strict=True)]
        return [(w * mean).abs() for w, mean in zip(values, means, strict=True)]
    if criterion == "synflow":
        return flow(model, weights, x.shape[1:])
    return hessian_times_gradient(model, weights, x, y)


def flow(model: nn.Module, weights: dict[str, Tensor], shape: torch.Size) -> list[Tensor]:
    """w·∂R/∂w by central differences of R in each weight of the network of absolute values."""
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
        ones, found = torch.ones(1, *shape).double(), []
        for weight in weights.values():
            slope = torch.zeros_like(weight)
            for place in range(weight.numel()):
                flat = weight.view(-1)
                before = float(flat[place])
                sides = []
                for step in (1e-6, -1e-6):
                    flat[place] = before + step
                    sides.append(float(model(ones).sum()))
                flat[place] = before
                slope.view(-1)[place] = (sides[0] - sides[1]) / 2e-6
            found.append((weight * slope).abs())
    return found


def hessian_times_gradient(
    model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor
) -> list[Tensor]:
    """w·(Hg) of the sum over both halves at temperature 1, Hg by central differences of g."""
    values = list(weights.values())

    def total() -> list[Tensor]:
        halves = [gradient(model, weights, x[part], y[part]) for part in (slice(0, 3), slice(3, 6))]
        return [(a + b).detach() for a, b in zip(*halves, strict=True)]

    g = total()
    sides = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            for w, direction in zip(values, g, strict=True):
                w += step * direction
        sides.append(total())
        with torch.no_grad():
            for w, direction in zip(values, g, strict=True):
                w -= step * direction
    products = [(a - b) / 2e-5 for a, b in zip(*sides, strict=True)]
    return [w.detach() * product for w, product in zip(values, products, strict=True)]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("criterion", DEFINED)
def test_scores_are_those_of_the_definition(name: str, criterion: str) -> None:
    model, x, y = made(name)
    options = {"temperature": 1} if criterion == "grasp" else {}
    scores = wn.score(model, criterion, batch=(x, y), loss_fn=F.cross_entropy, **options)
    weights = {key: model.get_parameter(key) for key in scores}
    assert sum(w.numel() for w in weights.values()) == sum(
        p.numel() for p in model.parameters() if p.dim() >= 2
    )
    want = with_plain_attention(lambda: by_definition(criterion, model, weights, x, y))
    for key, tensor in zip(scores, want, strict=True):
        torch.testing.assert_close(scores[key], tensor, rtol=2e-4, atol=1e-8)
        assert scores[key].any()


@pytest.mark.parametrize("name", ["lstm", "attention"])
def test_mlprune_refuses_what_it_cannot_see(name: str) -> None:
    model, x, y = made(name)
    first = {"lstm": "body.weight_ih_l0", "attention": "body.self_attn.in_proj_weight"}[name]
    with pytest.raises(UserError, match=f"'{first}'.*no such layers' weights. Choose others"):
        wn.score(model, "mlprune", batch=(x, y), loss_fn=F.cross_entropy)


def test_mlprune_never_removes_attention_by_scoring_its_output_0() -> None:
    """MultiheadAttention uses out_proj's weight without calling out_proj."""
    model, x, y = made("attention")
    given = {"batch": (x, y), "loss_fn": F.cross_entropy}
    words = r"'body.self_attn.out_proj.weight': used by another module, as in attention"
    with pytest.raises(UserError, match=words):
        wn.score(model, "mlprune", params="*.out_proj.weight", **given)  # type: ignore[arg-type]
    linear = ["body.linear1.weight", "body.linear2.weight", "head.weight"]
    scores = wn.score(model, "mlprune", params=linear, **given)  # type: ignore[arg-type]
    assert all(tensor.any() for tensor in scores.values())


class Once(nn.Module):
    """An operation whose gradient torch cannot differentiate, and which stands as it is."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.hardsigmoid(x)


def test_what_cannot_be_differentiated_twice_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 3), Once(), nn.Linear(3, 3))
    batch = torch.randn(6, 4), torch.randint(0, 3, (6,))
    with pytest.raises(UserError, match="cannot do through hardsigmoid: replace that operation"):
        wn.score(model, "grasp", batch=batch, loss_fn=F.cross_entropy)
