"""Effective weights against walking the graph of values, and against taking weights away."""

from __future__ import annotations

import copy

import pytest
import torch
from small_networks import half, lenet
from torch import nn

from winnow.analysis import effective_weights
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.models import NETWORKS, build


def walked(mask, names):
    """Of a chain of Linear layers, unit by unit: forwards what the input reaches, backwards."""
    bits = [mask[name].tolist() for name in names]
    reached = [set(range(len(bits[0][0])))]
    for rows in bits:
        reached.append({o for o, row in enumerate(rows) if any(row[i] for i in reached[-1])})
    useful = [set(range(len(bits[-1])))]
    for rows in reversed(bits):
        columns = range(len(rows[0]))
        useful.append({i for i in columns if any(rows[o][i] for o in useful[-1])})
    useful.reverse()
    return Mask({
        name: torch.tensor([[bool(keep and i in reached[at] and o in useful[at + 1])
                             for i, keep in enumerate(row)] for o, row in enumerate(bits[at])])
        for at, name in enumerate(names)
    })  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_chains_are_walked(seed):
    model = lenet(hidden=(7, 6))
    generator = torch.Generator().manual_seed(seed)
    mask = Mask({n: torch.rand(mask.shape, generator=generator) < 0.12
                 for n, mask in half(model).items()})  # fmt: skip
    found = effective_weights(model, mask, (1, 4, 4))
    right = walked(mask, list(mask))
    assert found.effective == right
    assert right.kept < mask.kept  # else the test shows nothing
    assert found.density == right.density
    for name, bits in right.items():
        assert found.dead_units[name] == sum(not any(row) for row in bits.tolist())
    assert set(found.collapsed) == {n for n, b in right.items() if not b.any()}


def changes_output(model, name, place, x):
    """Whether the positive network notices that a weight is gone. Sums, so nothing hides."""
    weight = dict(model.named_parameters())[name].data
    before, old = model(x).sum().item(), weight[place].item()
    weight[place] = 0
    after = model(x).sum().item()
    weight[place] = old
    return abs(before - after) > 1e-9 * abs(before)


class Residual(nn.Module):
    """A convolution, a maximum pool of few positions, a block with a shortcut, a Linear layer."""

    def __init__(self, pool):
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.pool = pool
        self.block = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.output = nn.Linear(3, 2)

    def forward(self, x):
        x = self.pool(torch.relu(self.first(x)))
        x = torch.relu(self.norm(self.block(x)) + x)
        return self.output(x.mean((2, 3)))


def test_convolutions_pools_and_shortcuts_notice_what_is_taken_away():
    torch.manual_seed(0)
    model = Residual(nn.MaxPool2d(2))
    named = {n: w for n, w in model.named_parameters() if w.ndim > 1}
    mask = Mask({n: torch.rand(w.shape) < 0.3 for n, w in named.items()})
    mask = Mask({**mask, "first.weight": mask["first.weight"].index_fill(0, torch.tensor(1), False),
                 "output.weight": torch.tensor([[1, 0, 0], [1, 0, 0]]).bool()})  # fmt: skip
    found = effective_weights(model, mask, (1, 4, 4))
    positive = copy.deepcopy(Residual(nn.AvgPool2d(2))).double().eval()
    positive.load_state_dict(model.state_dict())
    for name, weight in positive.named_parameters():
        weight.data = weight.data.abs() * mask[name] if name in mask else weight.data * 0
    positive.norm.weight.data.fill_(1)
    x = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    for name, keep in mask.items():
        noticed = torch.zeros_like(keep)
        for place in keep.nonzero().tolist():
            noticed[tuple(place)] = changes_output(positive, name, tuple(place), x)
        assert torch.equal(found.effective[name], noticed), name
    assert found.effective.kept < mask.kept
    assert found.dead_units["first.weight"] >= 1


@pytest.mark.parametrize("name", [n for n, known in NETWORKS.items() if known.check is None])
def test_every_network_of_ours_is_whole_when_dense_and_collapses(name):
    model = build(name, inputs=(3, 32, 32), classes=10)
    weights = {n: w for n, w in model.named_parameters() if w.ndim > 1 and "shortcut" not in n}
    dense = Mask.dense(weights)
    assert effective_weights(model, dense, (3, 32, 32)).effective == dense
    last = Mask({**dense, "output.weight": ~dense["output.weight"]})
    gone = effective_weights(model, last, (3, 32, 32))
    assert gone.effective.kept == 0
    assert set(gone.collapsed) == set(weights)
    assert gone.dead_units["output.weight"] == 10


def test_taps_that_only_meet_padding_have_no_effect():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(2, 2))
    dense = Mask.dense({n: w for n, w in model.named_parameters() if w.ndim > 1})
    found = effective_weights(model, dense, (1, 1, 1))
    assert found.effective.kept_per_layer == {"0.weight": 2, "2.weight": 4}


def test_units_of_transposed_convolutions_are_their_output_channels():
    model = nn.Sequential(
        nn.ConvTranspose2d(3, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 9, 2, bias=False)
    )
    dense = Mask.dense({n: w for n, w in model.named_parameters() if w.ndim > 1})
    keep = dense["0.weight"].clone()
    keep[:, 1] = False  # nothing goes into channel 1
    found = effective_weights(model, Mask({**dense, "0.weight": keep}), (3, 2, 2))
    assert found.dead_units == {"0.weight": 1, "3.weight": 0}
    assert found.units == {"0.weight": 2, "3.weight": 2}
    assert torch.equal(found.effective["0.weight"], keep)
    assert found.effective["3.weight"].sum(1).tolist() == [9, 9]  # those of channel 0


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.Hardtanh(), nn.ReLU6(), nn.Softsign()])
def test_activations_that_level_off_lose_no_path(layer):
    """About forty paths meet in a unit, where the slope of tanh is 0 in double precision."""
    chain = [nn.Linear(80, 2), layer, nn.Linear(2, 2)]
    model = nn.Sequential(*chain)
    mask = half(model)
    right = effective_weights(nn.Sequential(chain[0], nn.ReLU(), chain[2]), mask, (80,))
    assert effective_weights(model, mask, (80,)).effective == right.effective
    assert right.effective.kept > 40


def test_activations_that_are_not_zero_at_zero_are_refused():
    """A sigmoid of a dead unit is 1/2: its outgoing weights have an effect without any path."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1))
    mask = Mask({
        "0.weight": torch.tensor([[1, 1], [0, 0]]).bool(), "2.weight": torch.ones(1, 2).bool(),
    })  # fmt: skip
    with pytest.raises(UserError, match=r"through 1, a Sigmoid: it makes 0\.5 of zeros"):
        effective_weights(model, mask, (2,))
    logs = nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax(1))
    with pytest.raises(UserError, match=r"a LogSoftmax: .*outputs are logits"):
        effective_weights(logs, Mask.dense({"0.weight": logs[0].weight}), (2,))


def test_the_model_stays_as_it_is_and_bad_input_is_named():
    model = lenet()
    before = {n: w.clone() for n, w in model.named_parameters()}
    effective_weights(model, half(model), (1, 4, 4))
    assert all(torch.equal(before[n], w) and w.requires_grad for n, w in model.named_parameters())
    with pytest.raises(ValueError, match="another network"):
        effective_weights(model, Mask({"w": torch.ones(2).bool()}), (1, 4, 4))
    odd = nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.PReLU())
    with pytest.raises(UserError, match="through 2, a PReLU"):
        effective_weights(odd, Mask.dense({"1.weight": odd[1].weight}), (1, 4, 4))
