"""The surgeon is the criterion's own: what it declares moves the weights that stay."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from winnow.algorithms.in_rounds import prune_in_rounds
from winnow.algorithms.surgeon import operate
from winnow.criteria import CRITERIA, Subject, traits
from winnow.errors import UserError
from winnow.mask import Mask


def row_sums(subject: Subject, mask: Mask, *, factor: float = 1.0) -> Mapping[str, Tensor]:
    """A weight that stays takes its share of what its row loses."""
    changes = {}
    for name in mask:
        weight, keep = subject.weights[name].detach(), mask[name]
        lost = (weight * ~keep).sum(1, keepdim=True)
        changes[name] = factor * lost / keep.sum(1, keepdim=True) * keep
    return changes


@traits(examples="none", surgeon=row_sums)
def small(subject: Subject, *, factor: float = 1.0) -> dict[str, Tensor]:  # noqa: ARG001
    """|w|; ``factor`` is for the surgeon."""
    return {name: weight.detach().abs() for name, weight in subject.weights.items()}


def test_a_criterion_brings_its_own_surgeon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CRITERIA, "small", small)
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[4.0, 1.0, 3.0], [5.0, 6.0, 2.0]]))
    mask = prune_in_rounds(layer, "small", 4, Mask.dense({"weight": layer.weight}), factor=0.5)
    assert mask["weight"].tolist() == [[True, False, True], [True, True, False]]
    assert layer.weight.tolist() == [[4.25, 0.0, 3.25], [5.5, 6.5, 0.0]]


def test_without_a_surgeon_there_is_no_operation() -> None:
    layer = nn.Linear(3, 2)
    mask = Mask.dense({"weight": layer.weight})
    with pytest.raises(UserError, match="magnitude has no surgeon"):
        operate(layer, mask, "magnitude")
