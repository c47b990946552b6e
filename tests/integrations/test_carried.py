"""What a checkpoint carries comes back as it was."""

from __future__ import annotations

import json

import pytest
import torch

from winnow.errors import UserError
from winnow.integrations.carried import VERSION, Carried
from winnow.mask import Mask

CARRIED = Carried(
    {"method": "set", "density": 0.5},
    Mask({"a.w": torch.tensor([[True, False, True]]), "b": torch.tensor([False])}),
    made=7,
    global_step=9,
    planned=20,
    per_epoch=None,
    scalars={"threshold": 0.25},
    tensors={"moments": {"a.w": torch.arange(3.0)}},
)


def test_it_comes_back():
    tensors, about = CARRIED.pack()
    back = Carried.unpack(tensors, json.loads(json.dumps(about)))
    for part in ("told", "mask", "made", "global_step", "planned", "per_epoch", "scalars"):
        assert getattr(back, part) == getattr(CARRIED, part)
    assert torch.equal(back.tensors["moments"]["a.w"], torch.arange(3.0))


def test_what_is_damaged_or_newer_is_refused():
    tensors, about = CARRIED.pack()
    with pytest.raises(UserError, match="newer Winnow"):
        Carried.unpack(tensors, {**about, "version": VERSION + 1})
    with pytest.raises(UserError, match="damaged"):
        Carried.unpack(tensors, {key: value for key, value in about.items() if key != "made"})
    with pytest.raises(UserError, match="damaged"):
        Carried.unpack({k: t for k, t in tensors.items() if k != "mask/b"}, about)


def test_what_differs_is_named():
    CARRIED.check_same({"method": "set", "density": 0.5})
    with pytest.raises(UserError, match=r"density was 0.5 and is 0.1"):
        CARRIED.check_same({"method": "set", "density": 0.1})
    with pytest.raises(UserError, match=r"method was 'set' and is None; .*; mask was None and is"):
        CARRIED.check_same({"mask": "1"})
