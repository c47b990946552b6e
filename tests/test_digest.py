"""The digest: everything is in it, and it is the same wherever it is made."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import torch
from torch import Tensor

from winnow.digest import canonical_json, digest_of

TENSORS = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor([[True], [False]])}
ABOUT: dict[str, Any] = {"kind": "x", "deep": {"z": [1, 2.5, None], "a": "é"}}


def test_it_is_sha_256_of_what_the_docstring_says() -> None:
    told = [["a", "torch.bool", [2, 1]], ["b", "torch.float32", [2]]]
    line = json.dumps([ABOUT, told], separators=(",", ":"))
    expected = hashlib.sha256(line.encode() + b"\n" + b"\1\0" + TENSORS["b"].numpy().tobytes())
    assert digest_of(TENSORS, ABOUT) == expected.hexdigest()
    again = {name: TENSORS[name] for name in sorted(TENSORS)}
    assert digest_of(again, json.loads(json.dumps(ABOUT))) == expected.hexdigest()


@pytest.mark.parametrize(
    ("tensors", "about"),
    [
        ({**TENSORS, "b": torch.tensor([1.0, 3.0])}, ABOUT),
        ({**TENSORS, "b": torch.tensor([[1.0, 2.0]])}, ABOUT),
        ({**TENSORS, "b": torch.tensor([1.0, 2.0]).view(torch.int32)}, ABOUT),
        ({"c": TENSORS["b"], "a": TENSORS["a"]}, ABOUT),
        ({"a": TENSORS["a"]}, ABOUT),
        (TENSORS, {**ABOUT, "kind": "y"}),
        (TENSORS, {**ABOUT, "more": None}),
        (TENSORS, {"kind": "x", "deep": {"a": "é", "z": [1, 2.5, None]}}),
        (TENSORS, {"kind": "x", "deep": {"z": [1, 2.5, 0], "a": "é"}}),
    ],
)
def test_everything_is_in_it(tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    assert digest_of(tensors, about) != digest_of(TENSORS, ABOUT)


def test_any_dtype_and_shape() -> None:
    tensors = {
        "single": torch.tensor(3, dtype=torch.int64),
        "empty": torch.empty(0, 4),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "complex": torch.ones(2, dtype=torch.complex64),
    }
    assert len(digest_of(tensors, {})) == 64


def test_json_is_what_is_read_back() -> None:
    assert canonical_json({1: "a", "b": (1, 2)}) == '{"1":"a","b":[1,2]}'
    assert canonical_json({"é": 1.0}) == '{"\\u00e9":1.0}'
    for value in (float("nan"), float("inf"), object()):
        with pytest.raises((ValueError, TypeError)):
            canonical_json({"x": value})
