"""Units that go together: exact counts, and a network that what has gone cannot change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.models import build
from winnow.structure import Structure, prune_units, structure_of, unit_scores
from winnow.structure.units import UNIT_SCOPES


class Gated(nn.Module):
    """Squeeze and excitation: a gate for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.down, self.up = nn.Conv2d(6, 3, 1), nn.Conv2d(3, 6, 1)
        self.last, self.head = nn.Conv2d(6, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.norm(self.conv(x)))
        gate = torch.sigmoid(self.up(F.relu(self.down(y.mean((2, 3), keepdim=True)))))
        return self.head(F.relu(self.last(y * gate)).mean((2, 3)))


class Dense(nn.Module):
    """Concatenated channels, a depthwise filter, and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(9, 9, 3, padding=1, groups=9)
        self.up = nn.ConvTranspose2d(9, 2, 2, stride=2)
        self.head = nn.Linear(2 * 64, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([x, F.relu(self.one(x))], 1)
        y = torch.cat([y, self.two(y)], dim=1)
        y = self.up(F.max_pool2d(self.depthwise(y), 2))
        return self.out(torch.tanh(self.head(y.view(y.size(0), -1))))


class Mixer(nn.Module):
    """Channels last, as in ConvNeXt and in the MLP of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.LayerNorm(4)
        self.wide, self.back, self.head = nn.Linear(4, 9), nn.Linear(9, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).permute(0, 2, 3, 1)
        return self.head((y + self.back(F.gelu(self.wide(self.norm(y))))).mean((1, 2)))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(128, 12), nn.Sigmoid(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3)
    )


def shipped(name: str, **how: object) -> Callable[[], nn.Module]:
    return lambda: build(name, inputs=(2, 8, 8), classes=3, **how)  # type: ignore[arg-type]


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "mlp": (mlp, 12 + 7),
    "gated": (Gated, 6 + 3 + 4),
    "dense": (Dense, 3 + 4 + 2 + 5),
    "mixer": (Mixer, 9),
    "lenet": (shipped("lenet-300-100", hidden=[20, 10]), 30),
    "conv": (shipped("conv-2", width=0.125), 8 + 8 + 32 + 32),
    # a stage's stream is one set, each block's first convolution another
    "resnet": (shipped("resnet-20", width=0.25), 4 + 8 + 16 + 3 * (4 + 8 + 16)),
    # padded channels are not followed: what goes in and comes out of a padded shortcut stays
    "padded": (shipped("resnet-20", width=0.25, shortcut="padded"), 3 * (4 + 8 + 16)),
}


def ready(name: str) -> tuple[nn.Module, Tensor, Structure]:
    torch.manual_seed(0)
    model, x = NETWORKS[name][0]().double().eval(), torch.randn(4, 2, 8, 8).double()
    with torch.no_grad():  # batch norms that shift, as trained ones do
        for parameter in [*model.parameters(), *model.buffers()]:
            if parameter.dim() == 1 and parameter.is_floating_point():
                parameter.uniform_(0.3, 1.7)
    return model, x, structure_of(model, x)


def masked(model: nn.Module, mask: Mask) -> None:
    with torch.no_grad():
        for name, bits in mask.items():
            model.get_parameter(name).mul_(bits)


@pytest.mark.parametrize("name", NETWORKS)
def test_units_are_counted_by_hand(name: str) -> None:
    _, _, structure = ready(name)
    assert structure.prunable == NETWORKS[name][1]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_network_without_the_units_is_the_masked_one(name: str, scope: str) -> None:
    """Whatever stands where a unit was, biases and norms included, nothing behind it changes."""
    model, x, structure = ready(name)
    mask = prune_units(wn.score(model, "magnitude"), structure, 0.5, scope=scope)
    masked(model, mask)
    before = model(x)
    with torch.no_grad():
        for path, axes in structure.axes.items():
            empty = ~mask[path].movedim(axes.outputs, 0).flatten(1).any(1)
            layer = model.get_submodule(path.rpartition(".")[0])
            layer.weight.movedim(axes.outputs, 0)[empty] = 9.0
            if layer.bias is not None:
                layer.bias[empty] = -9.0
    assert not torch.equal(before, model(x) * 0)
    torch.testing.assert_close(model(x), before)
    assert mask.kept < mask.size


class Pooled(nn.Module):
    """A pool along the axis of the neurons: each one goes into its neighbours' places."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.between, self.head = nn.Linear(8, 9), nn.Linear(9, 5), nn.Linear(5, 3)
        self.pool = nn.AvgPool1d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.between(self.pool(F.relu(self.wide(x[:, 0])))))).mean(1)


def test_what_mixes_neurons_keeps_them() -> None:
    structure = structure_of(Pooled(), torch.randn(2, 2, 8, 8))
    assert dict.fromkeys(structure.sets) == {("between.weight",): None}
    assert structure.prunable == 5


class Shared(nn.Module):
    """The first layer's weight, transposed, is also the last one's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 5)
        self.third = nn.Linear(5, 6)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.third(F.relu(self.second(F.relu(self.first(x))))))
        return hidden @ self.first.weight


def test_a_weight_that_is_read_elsewhere_stays_whole() -> None:
    structure = structure_of(Shared(), torch.randn(2, 4))
    assert list(structure.sets) == [("second.weight",)]


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_exact_in_every_set(name: str) -> None:
    _, _, structure = ready(name)
    model = NETWORKS[name][0]()
    scores = wn.score(model, "magnitude")
    for density in (0.0, 0.3, 0.75, 1.0):
        mask = prune_units(scores, structure, density)
        for names, units in structure.sets.items():
            kept = sum(unit_is_left(mask, structure, names[0], int(u)) for u in units)
            assert kept == max(round(density * len(units)), 1)
    assert mask == Mask.dense(dict(mask))


def unit_is_left(mask: Mask, structure: Structure, name: str, unit: int) -> bool:
    axes = structure.axes[name]
    rows = mask[name].movedim(axes.outputs, 0)[axes.writes == unit]
    return bool(rows.any())


def test_coupled_layers_lose_the_same_channels_and_readers_their_columns() -> None:
    _, _, structure = ready("resnet")
    model = NETWORKS["resnet"][0]()
    mask = prune_units(wn.score(model, "magnitude"), structure, 0.5)
    stream = next(names for names in structure.sets if names[0] == "conv.weight")
    assert len(stream) == 4  # the stem and the last convolutions of three blocks
    rows = [mask[name].flatten(1).any(1) for name in stream]
    assert all(torch.equal(rows[0], other) for other in rows)
    reader = mask["blocks.0.conv1.weight"].any(0).flatten(1).any(1)
    assert torch.equal(reader, rows[0])


def test_scores_are_the_sums_over_all_that_write_a_unit() -> None:
    _, _, structure = ready("gated")
    model = NETWORKS["gated"][0]()
    scores = wn.score(model, "magnitude")
    total = unit_scores(scores, structure)
    units = structure.axes["conv.weight"].writes
    assert torch.equal(units, structure.axes["up.weight"].writes)
    by_hand = scores["conv.weight"].flatten(1).sum(1) + scores["up.weight"].flatten(1).sum(1)
    torch.testing.assert_close(total[units].float(), by_hand)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.2, 1), st.floats(0.2, 1), st.sampled_from(UNIT_SCOPES), st.integers(0, 9))
def test_the_best_stay_and_nothing_returns(a: float, b: float, scope: str, seed: int) -> None:
    high, low = max(a, b), min(a, b)
    generator = torch.Generator().manual_seed(seed)
    structure = MLP
    scores = {n: torch.rand(axes.shape, generator=generator) for n, axes in structure.axes.items()}
    first = prune_units(scores, structure, high, scope=scope)
    second = prune_units(scores, structure, low, scope=scope, mask=first)
    assert second.is_subset(first)
    total = unit_scores(scores, structure)
    if scope == "layer":
        for names, units in structure.sets.items():
            left = [bool(unit_is_left(second, structure, names[0], int(u))) for u in units]
            kept, gone = total[units][torch.tensor(left)], total[units][~torch.tensor(left)]
            assert not len(gone) or float(kept.min()) >= float(gone.max())
    else:
        alive = sum(unit_is_left(second, structure, n[0], int(u))
                    for n, units in structure.sets.items() for u in units)  # fmt: skip
        assert alive == round(low * structure.prunable)


MLP = structure_of(mlp(), torch.zeros(1, 2, 8, 8))


def test_channels_alone() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 7), nn.ReLU(), nn.Linear(7, 3)
    )
    x = torch.randn(2, 2, 8, 8)
    assert structure_of(model, x).prunable == 12
    assert dict.fromkeys(structure_of(model, x, "channel").sets) == {("0.weight",): None}


def test_the_model_stays_as_it_is() -> None:
    model = NETWORKS["resnet"][0]().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    structure_of(model, torch.randn(2, 2, 8, 8))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: structure_of(Branching(), torch.ones(2, 3)), "torch.fx cannot trace Branching"),
        (lambda: structure_of(nn.Linear(3, 2), torch.ones(2, 3)), "no unit may go"),
        (lambda: structure_of(nn.Linear(3, 2), torch.ones(2, 3), "units"), "Did you mean 'unit'"),
        (lambda: prune_units({}, MLP, 0.5), "'1.weight' writes units and has no scores"),
        (lambda: prune_units(ONES, MLP, 1.5), "density is 1.5"),
        (lambda: prune_units(ONES, MLP, 0.5, scope="er"), "unknown scope 'er'"),
        (lambda: prune_units(ONES, MLP, 0.05, scope="global"), "it must be at least 2, least=1"),
        (lambda: prune_units(ONES, MLP, 0.5, least=-1), "least is -1"),
        (
            lambda: prune_units(ONES, MLP, 0.9, mask=prune_units(ONES, MLP, 0.5)),
            "1.weight: 11 of 12 units are to stay, and the mask has left 6",
        ),
        (lambda: prune_units({n: t * torch.nan for n, t in ONES.items()}, MLP, 0.5), "NaN|nan"),
    ],
)  # fmt: skip
def test_bad_input(attempt: Callable[[], object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        attempt()


ONES = {name: torch.ones(axes.shape) for name, axes in MLP.axes.items()}
