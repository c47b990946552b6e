"""What a forward returns, apart and together again."""

from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor

from winnow.deployment.outputs import flat, restored
from winnow.errors import UserError

A, B, C = torch.zeros(1), torch.ones(2), torch.ones(3)
Pair = namedtuple("Pair", "first second")


@pytest.mark.parametrize(
    "value",
    [A, (A,), [A, (B, None)], {"a": [A, {"b": B}], "c": (None, C)}, None, (), {}, [A, A]],
    ids=str,
)
def test_comes_back_as_it_was_through_json(value: Any) -> None:
    tensors: list[Tensor] = []
    structure = json.loads(json.dumps(flat(value, tensors)))
    assert str(restored(structure, tensors)) == str(value)
    assert type(restored(structure, tensors)) is type(value)


def test_tensors_are_added_in_order_after_those_before() -> None:
    tensors = [C]
    assert flat({"x": A, "y": [B]}, tensors) == {"dict": {"x": 1, "y": {"list": [2]}}}
    assert [t.numel() for t in tensors] == [3, 1, 2]


def test_classes_come_back_as_plain_ones() -> None:
    tensors: list[Tensor] = []
    structure = flat(OrderedDict(a=Pair(A, B)), tensors)
    assert restored(structure, tensors) == {"a": (A, B)}
    assert type(restored(structure, tensors)) is dict


@pytest.mark.parametrize(
    "value", [1.5, "text", {A}, [object()]], ids=["float", "text", "set", "list"]
)
def test_anything_else_is_refused_by_its_class(value: Any) -> None:
    inside = value[0] if isinstance(value, list) else value
    with pytest.raises(UserError, match=f"returns a {type(inside).__name__}, which no file"):
        flat(value, [])
