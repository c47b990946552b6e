"""Choosing parameters by name, pattern, filter and group word."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from winnow.errors import UserError
from winnow.selection import (
    expand_rates,
    match,
    parameters,
    prunable,
    resolve_names,
    spread,
    spread_over,
    weight_groups,
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 4, 2)
        self.fc1 = nn.Linear(4, 4)
        self.fc2 = nn.Linear(4, 2)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.fc = nn.Linear(3, 3)
        self.head = nn.Linear(3, 5)
        self.head.weight = self.embedding.weight


ALL = ["stem.weight", "up.weight", "fc1.weight", "fc2.weight"]


def test_default_is_the_weight_of_every_linear_and_conv_layer_in_module_order() -> None:
    model = Net()
    assert list(prunable(model)) == ALL
    assert prunable(model)["up.weight"] is model.up.weight
    with torch.device("meta"):
        assert list(prunable(Net())) == ALL


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ("fc1.weight", ["fc1.weight"]),
        (["fc2.weight", "stem.bias"], ["stem.bias", "fc2.weight"]),
        ("fc*.weight", ["fc1.weight", "fc2.weight"]),
        (r"re:fc\d\.(weight|bias)", ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]),
        (lambda name, p: p.dim() == 1 and "norm" in name, ["norm.weight", "norm.bias"]),
    ],
)
def test_params(params: object, names: list[str]) -> None:
    assert list(prunable(Net(), params)) == names  # type: ignore[arg-type]


def test_tied_weights_appear_once_under_their_first_name() -> None:
    model = Tied()
    assert list(prunable(model)) == ["fc.weight"]  # the head is the embedding's
    assert list(prunable(model, "head.weight")) == ["embedding.weight"]
    assert list(prunable(model, "*.weight")) == ["embedding.weight", "fc.weight"]
    assert list(parameters(model)).count("head.weight") == 1


def test_a_compiled_model_has_its_own_names() -> None:
    compiled = torch.compile(Net(), backend="eager")
    assert isinstance(compiled, nn.Module)
    assert list(prunable(compiled)) == ALL


def test_what_selects_nothing_is_an_error() -> None:
    with pytest.raises(UserError, match=r"unknown parameter 'fc1\.wieght'.*'fc1\.weight'"):
        prunable(Net(), "fc1.wieght")
    with pytest.raises(UserError, match=r"re:conv.*none of stem\.weight, .*10 in all"):
        prunable(Net(), ["fc1.weight", "re:conv.*"])
    with pytest.raises(UserError, match="regular expression"):
        prunable(Net(), "re:(")
    with pytest.raises(UserError, match="no parameter to prune"):
        prunable(nn.BatchNorm1d(3))
    with pytest.raises(UserError, match="no parameter to prune"):
        prunable(Net(), lambda name, parameter: False)  # noqa: ARG005


def test_match_keeps_the_order_of_the_names() -> None:
    assert match(["b", "a", "c"], ["c", "b"]) == ["b", "c"]
    assert match(["w[0]", "w0"], "w[0]") == ["w[0]"]  # an exact name is no glob
    assert match(["w0", "w1"], "w[0]") == ["w0"]


def test_spread_prefers_exact_names_and_refuses_contradictions() -> None:
    names = ["a.weight", "b.weight", "c"]
    assert spread(names, {"b.weight": 1, "*.weight": 2}) == {"a.weight": 2, "b.weight": 1}
    assert spread(names, {"a*": 2, "*t": 2}) == {"a.weight": 2, "b.weight": 2}
    with pytest.raises(UserError, match=r"'a\.weight' gets .*name it exactly"):
        spread(names, {"a*": 2, "*t": 3})


def test_groups() -> None:
    assert weight_groups(Net()) == {
        "conv": ["stem.weight", "up.weight"],
        "linear": ["fc1.weight", "fc2.weight"],
        "first": ["stem.weight"],
        "output": ["fc2.weight"],
    }
    assert weight_groups(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Conv1d(1, 2, 1)))["output"] == [
        "1.weight"
    ]


def test_the_most_specific_key_wins() -> None:
    rates = {"linear": 0.4, "output": 0.3, "fc?.weight": 0.2, "fc1.weight": 0.1}
    model = Net()
    assert spread_over(model, rates) == {"fc1.weight": 0.1, "fc2.weight": 0.2}
    del rates["fc?.weight"]
    assert spread_over(model, rates) == {"fc1.weight": 0.1, "fc2.weight": 0.3}
    assert spread_over(model, {"conv": 0.5, "first": 0.0}) == {"stem.weight": 0.0, "up.weight": 0.5}


def test_expand_rates_as_in_the_recipes() -> None:
    with torch.device("meta"):
        model = Net()
    assert expand_rates(model, {"output": 0.1}, 0.2) == dict.fromkeys(ALL[:3], 0.2) | {ALL[3]: 0.1}
    assert expand_rates(model, {"conv": 0}, 0.2)["stem.weight"] == 0
    with pytest.raises(UserError, match="rate of 'conv' is 1"):
        expand_rates(model, {"conv": 1}, 0.2)
    with pytest.raises(UserError, match=r"rate is 1\.5"):
        expand_rates(model, {}, 1.5)
    with pytest.raises(UserError, match=r"'outputs'"):
        expand_rates(model, {"outputs": 0.1}, 0.2)


def test_resolve_names() -> None:
    assert resolve_names(Net(), ["output", "first"]) == ["stem.weight", "fc2.weight"]
    assert resolve_names(Net(), "conv") == ["stem.weight", "up.weight"]
    assert resolve_names(Net(), []) == []
    with pytest.raises(UserError, match="group 'conv' is empty"):
        resolve_names(nn.Linear(2, 2), "conv")
