"""Noise on a ticket's weights and weights drawn from its own: against what they must be by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from sample_runs import RUN

from winnow.experiment.runs import Start
from winnow.experiment.train.disturb import disturbed
from winnow.mask import Mask
from winnow.models.initialise import SCHEMES, initialise, standard_deviation
from winnow.state import State

SHAPE = (300, 784)


def ticket():
    generator = torch.Generator().manual_seed(1)
    keep = torch.rand(SHAPE, generator=generator) < 0.4
    weights = {
        "w": torch.randn(SHAPE, generator=generator) * keep,
        "small": torch.arange(6.0).view(2, 3),
        "bias": torch.ones(300),
    }
    small = torch.tensor([[False, True, True], [True, False, True]])
    weights["small"] *= small
    return State(0, weights, {}, Mask({"w": keep, "small": small}))


def run(**start):
    return replace(RUN, start=Start("init", **start))


def test_nothing_asked_for_and_no_noise_leave_the_ticket():
    state = ticket()
    assert disturbed(run(), state) is state
    none = disturbed(run(noise=0.0, draw=1), state)
    assert all(torch.equal(none.weights[name], w) for name, w in state.weights.items())


@pytest.mark.parametrize("level", [0.5, 3.0])
def test_noise_has_the_layers_standard_deviation_times_the_level(level):
    state = ticket()
    noisy = disturbed(run(noise=level, draw=1), state)
    keep = state.mask["w"]
    added = (noisy.weights["w"] - state.weights["w"])[keep]
    sigma = math.sqrt(2 / (300 + 784))  # Glorot & Bengio 2010, equation 12
    assert added.std() == pytest.approx(level * sigma, rel=0.01)
    assert abs(added.mean()) < 5 * level * sigma / math.sqrt(len(added))
    assert not noisy.weights["w"][~keep].any()
    assert torch.equal(noisy.weights["bias"], state.weights["bias"])


def test_levels_of_a_draw_differ_in_scale_and_draws_in_all():
    state = ticket()
    one, two = (disturbed(run(noise=k, draw=1), state).weights["w"] for k in (1.0, 2.0))
    other = disturbed(run(noise=1.0, draw=2), state).weights["w"]
    before = state.weights["w"]
    torch.testing.assert_close(two - before, 2 * (one - before), atol=1e-6, rtol=0)
    keep = state.mask["w"]
    together = torch.corrcoef(torch.stack([(one - before)[keep], (other - before)[keep]]))
    assert abs(together[0, 1]) < 0.02


def test_drawn_anew_are_values_that_survive_some_of_them_several_times():
    state = ticket()
    keep, before = state.mask["w"], state.weights["w"]
    after = disturbed(run(redrawn="survivors", draw=1), state).weights["w"]
    assert torch.isin(after[keep], before[keep]).all()
    assert not after[~keep].any()
    share = len(after[keep].unique()) / len(before[keep].unique())
    assert share == pytest.approx(1 - math.exp(-1), abs=0.01)  # of n draws from n values
    small = disturbed(run(redrawn="survivors", draw=1), state).weights["small"]
    assert set(small[state.mask["small"]].tolist()) <= {1.0, 2.0, 3.0, 5.0}


def test_permuted_are_the_same_values_elsewhere():
    state = ticket()
    keep, before = state.mask["w"], state.weights["w"]
    after = disturbed(run(redrawn="permuted", draw=1), state).weights["w"]
    assert torch.equal(after[keep].sort().values, before[keep].sort().values)
    assert (after[keep] == before[keep]).float().mean() < 0.01
    other = disturbed(run(redrawn="permuted", draw=2), state).weights["w"]
    assert not torch.equal(after, other)


def test_a_layer_without_weights_stays_empty():
    state = State(0, {"w": torch.zeros(2, 2)}, {}, Mask({"w": torch.zeros(2, 2, dtype=torch.bool)}))
    for start in ({"redrawn": "survivors"}, {"redrawn": "permuted"}, {"noise": 1.0}):
        assert not disturbed(run(**start), state).weights["w"].any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_standard_deviation_is_that_of_drawn_weights(scheme):
    layer = torch.nn.Conv2d(32, 64, 3)
    std = 0.3 if scheme == "normal" else None
    initialise(layer, scheme, 0, std=std)
    expected = standard_deviation(layer.weight.shape, scheme, std=std)
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.03)
