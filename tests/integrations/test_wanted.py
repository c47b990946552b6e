"""What a callback is asked for is checked at once, and told in plain values."""

from __future__ import annotations

import json

import pytest
import torch

import winnow as wn
from winnow.errors import UserError
from winnow.integrations.wanted import again, asked_for, loaded

MASK = wn.Mask({"w": torch.tensor([True, False, True])})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "nothing to hold: give a mask"),
        ({"mask": MASK, "method": "set", "density": 0.1}, "a mask and method="),
        ({"criterion": "snip", "method": "set", "density": 0.1}, "criterion= and method="),
        ({"method": "set"}, "method='set' needs density="),
        ({"criterion": "snip"}, "criterion='snip' needs density="),
        ({"mask": MASK, "density": 0.1}, "density=0.1 with a mask"),
        (
            {"method": "rigel", "density": 0.1},
            "unknown dynamic method 'rigel'. Did you mean 'rig",
        ),
        ({"method": "set", "density": {"a": 0.1}}, "one density for all"),
        ({"method": "set", "density": 1.5}, "density"),
        ({"method": "set", "density": 0.1, "evry": "3it"}, "evry"),
        ({"method": "set", "density": 0.1, "steps": 300}, "steps is 300: write iterations as"),
        ({"criterion": "snip", "density": {"a": 2}}, "density"),
        ({"criterion": "snip", "density": 0.1, "steps": "9it"}, "a mask that stays has no sched"),
        ({"criterion": "snap", "density": 0.1}, "unknown criterion 'snap'"),
        ({"criterion": "snip", "density": 0.1, "per_clas": 3}, "per_clas"),
        ({"criterion": "snip", "density": 0.1, "batches": 0}, "batches is 0"),
        ({"mask": MASK, "every": "3it"}, "'every' is no option of a mask that is given"),
        ({"mask": MASK, "weights": "best"}, "unknown weights 'best'"),
        ({"mask": 3}, "the mask is a int: give a Mask, a Ticket"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(arguments, said):
    known = ("mask", "criterion", "method", "density", "steps", "batches", "weights")
    options = {key: value for key, value in arguments.items() if key not in known}
    given = {key: value for key, value in arguments.items() if key in known}
    with pytest.raises(UserError) as error:
        asked_for(**given, options=options)
    assert said in str(error.value)


def test_options_of_pruning_and_of_a_criterion_are_both_taken():
    asked_for(criterion="snip", density=0.1, options={"scope": "layer", "least": 1, "per_class": 2})
    asked_for(criterion=lambda _: {}, density=0.1)


def test_a_path_is_a_ticket_or_a_mask(tmp_path):
    ticket = wn.Ticket(MASK, {"w": torch.arange(3.0)})
    ticket.save(tmp_path / "t.safetensors")
    MASK.save(tmp_path / "m.safetensors")
    assert loaded(tmp_path / "t.safetensors").mask == MASK
    assert loaded(tmp_path / "m.safetensors") == MASK
    assert asked_for(str(tmp_path / "m.safetensors")).given == MASK
    assert asked_for({"w": MASK["w"]}).given == MASK
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"x.safetensors is damaged"):
        loaded(tmp_path / "x.safetensors")


def test_what_is_told_is_plain_and_makes_the_same_plan_again():
    wanted = asked_for(method="rigl", density=0.2, seed=3, options={"every": "5it", "drop": 0.5})
    told = json.loads(json.dumps(wanted.told()))
    assert again(told).told() == told == wanted.told()
    assert again(told).method == "rigl"
    ticket = wn.Ticket(MASK, {"w": torch.arange(3.0)})
    assert asked_for(ticket).told() == asked_for(MASK).told()
    assert again(asked_for(MASK).told()).told() == asked_for(MASK).told()
    other = wn.Mask({"w": torch.tensor([True, True, False])})
    assert asked_for(other).told() != asked_for(MASK).told()
    named = asked_for(criterion="snip", density={"w": 0.5}, options={"per_class": 2})
    assert json.loads(json.dumps(named.told())) == named.told()
