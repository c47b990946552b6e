"""What is chosen, with clocks that say what they are told."""

from __future__ import annotations

import json

import pytest
import torch
from runtime.networks import check_equal, given_to, ready, sparse_module
from torch import nn

from winnow.deployment.runtime import choose
from winnow.deployment.runtime.choose import (
    BatchChoice,
    LayerChoice,
    choice_of,
    chosen,
    least_seconds,
    plan_chosen,
)
from winnow.deployment.runtime.steps import ProductStep


class Shared(nn.Module):
    """One weight in two layers, and others."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.c(self.b(self.a(self.b(x).relu()).relu()).tanh())


@pytest.fixture(scope="module")
def shared():
    torch.manual_seed(0)
    model = ready(Shared())
    return model, sparse_module(model, [(6,)], "torch").sparse


def clock(monkeypatch, ways, layers):
    """Seconds of the ways of a network, and of its layers, one after the other."""
    turns = iter(layers)

    def told(calls):
        for call in calls.values():
            call()  # they can all be run
        if set(calls) <= {"1", "16", "64"}:
            return dict.fromkeys(calls, 1.0)
        if "both" in calls or (len(calls) == 2 and not told.layers):
            return {way: ways[way] for way in calls}
        told.layers -= 1
        return dict(zip(("kernels", "torch"), next(turns), strict=True))

    told.layers = len(layers)
    monkeypatch.setattr(choose, "least_seconds", told)


FAST, SLOW = (1.0, 2.0), (2.0, 1.0)


@pytest.mark.parametrize(
    ("ways", "layers", "way", "in_torch"),
    [
        ((1, 2, 3), [FAST] * 4, "kernels", [False] * 4),
        ((2, 1, 3), [FAST] * 4, "torch", [True] * 4),
        ((2, 3, 1), [FAST, SLOW, FAST, FAST], "both", [False, True, False, False]),
        ((1, 3, 2), [FAST, SLOW, FAST, FAST], "kernels", [False] * 4),
        ((3, 1, 2), [FAST, SLOW, FAST, FAST], "torch", [True] * 4),
        # the first and third layers are one: what both take together decides
        ((3, 2, 1), [FAST, FAST, (9.0, 1.0), FAST], "both", [True, False, True, False]),
        ((3, 2, 1), [SLOW, FAST, (1.0, 9.0), SLOW], "both", [False, False, False, True]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch", [1, 16, 64])
def test_the_faster_way(shared, monkeypatch, ways, layers, way, in_torch, batch):
    model, sparse = shared
    clock(monkeypatch, dict(zip(("kernels", "torch", "both"), ways, strict=True)), layers)
    known = sparse.known(batch)
    made, choice = chosen(sparse, known, batch)
    assert (choice.batch, choice.way) == (batch, way)
    assert [layer.name for layer in choice.layers] == [
        "b.weight", "a.weight", "b.weight", "c.weight"
    ]  # fmt: skip
    assert [layer.in_torch for layer in choice.layers] == in_torch
    run = [s.weights.name for p in made.parts for s in p.steps.steps if isinstance(s, ProductStep)]
    kept = zip(("b.weight", "a.weight", "b.weight", "c.weight"), in_torch, strict=True)
    assert run == [name for name, torch_runs in kept if not torch_runs]
    (x,) = given_to([(6,)], 5)
    check_equal(made.module(x)[0], model(x))

    plain = json.loads(json.dumps(choice.plain()))
    assert choice_of(plain) == choice
    again = plan_chosen(sparse, known, choice_of(plain))
    assert [p.nodes for p in again.parts] == [p.nodes for p in made.parts]
    assert [r.seconds for r in again.runners] == [r.seconds for r in made.runners]
    check_equal(again.module(x)[0], model(x))


@pytest.mark.parametrize("lanes", [(), ({1: 1.0},), ({1: 1.0, 16: 1.0},) * 2, ({1: 1.0},) * 3])
def test_what_was_chosen_for_another_network(shared, lanes):
    _, sparse = shared
    with pytest.raises(ValueError, match="another network"):
        plan_chosen(sparse, sparse.known(1), BatchChoice(1, "kernels", {}, (), lanes))
    assert plan_chosen(sparse, sparse.known(1), BatchChoice(1, "kernels", {}, (), ({1: 1.0},) * 2))


LAYER = LayerChoice("a", 0.1, 1.0, 2.0, False)
GOOD = BatchChoice(1, "kernels", {"kernels": 1.0, "torch": 2.0}, (LAYER,), ({1: 1.0},)).plain()


@pytest.mark.parametrize(
    "change",
    [
        {"batch": "one"}, {"batch": None}, {"way": "fast"}, {"seconds": None},
        {"seconds": {"kernels": "soon"}}, {"seconds": {}}, {"layers": 1}, {"layers": [{}]},
        {"layers": [{**GOOD["layers"][0], "kernels": "soon"}]},
        {"layers": [{**GOOD["layers"][0], "more": 1}]}, {"lanes": [{"one": 1.0}]},
        {"lanes": [{"1": "soon"}]}, {"lanes": [1]},
    ],
)  # fmt: skip
def test_what_is_no_choice(change):
    assert choice_of(GOOD).plain() == GOOD
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        choice_of({**GOOD, **change})


def test_the_density_below_which_it_pays():
    assert LayerChoice("a", 0.1, 1.0, 2.0, False).pays_below == pytest.approx(0.2)
    assert LayerChoice("a", 0.1, 2.0, 1.0, True).pays_below == pytest.approx(0.05)
    assert LayerChoice("a", 0.5, 1.0, 9.0, False).pays_below == 1
    assert LayerChoice("a", 0.5, 0.0, 1.0, False).pays_below == 1


def test_seconds_are_those_of_one_call():
    import time

    found = least_seconds({"fast": lambda: None, "slow": lambda: time.sleep(0.002)})
    assert 0 <= found["fast"] < 0.002 <= found["slow"]
