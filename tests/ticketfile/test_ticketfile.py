"""Compact files of any weights under any masks: what is kept comes back in its bits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winnow.mask import Mask, from_bytes, to_bytes
from winnow.packing.values import DTYPES
from winnow.survivors import Survivors
from winnow.ticketfile import TicketParts, pack_ticket, unpack_ticket

SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (7,), (3, 0, 2), (4, 5), (40, 30), (3, 2, 3, 3)]
DENSITIES = (0.0, 0.01, 0.04, 0.5, 1.0)
FLOATS = ("float32", "bfloat16", "float16", "float64")


def drawn(shape: tuple[int, ...], dtype: str, generator: torch.Generator) -> Tensor:
    if DTYPES[dtype].is_floating_point or DTYPES[dtype].is_complex:
        numbers = torch.randn(shape, generator=generator).to(DTYPES[dtype])
    else:
        numbers = torch.randint(0, 2, shape, generator=generator).to(DTYPES[dtype])
    return numbers


@st.composite
def tickets(draw: st.DrawFn) -> TicketParts:
    """Names with and without masks, every dtype, weights that are not contiguous or are tied."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    masks: dict[str, Tensor] = {}
    parts: list[dict[str, Tensor]] = [{}, {}]
    for number in range(draw(st.integers(0, 5))):
        name, shape = f"layer.{number}/é", draw(st.sampled_from(SHAPES))
        masked = draw(st.booleans())
        if masked:
            density = draw(st.sampled_from(DENSITIES))
            masks[name] = torch.rand(shape, generator=generator) < density
        for part in parts:
            dtype = draw(st.sampled_from(FLOATS if masked else sorted(DTYPES)))
            part[name] = drawn(shape, dtype, generator)
            if draw(st.booleans()):
                part[name] = part[name].mT.contiguous().mT if len(shape) > 1 else part[name]
    if parts[0] and draw(st.booleans()):
        parts[1] = {**parts[1], "tied": next(iter(parts[0].values()))}
    final = parts[1] if draw(st.booleans()) else None
    return TicketParts(Mask(masks), parts[0], final, {"round": 3})


def through_a_file(parts: TicketParts, *, removed: bool, half: bool) -> TicketParts:
    data = to_bytes("t", *pack_ticket(parts, removed=removed, half=half))
    return unpack_ticket(*from_bytes("t", data, "here"))


def check_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """Names in order, dtypes, shapes and bits."""
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert (tensor.dtype, tensor.shape) == (other[name].dtype, other[name].shape)
        sides = [t.contiguous().reshape(-1).view(torch.uint8) for t in (tensor, other[name])]
        assert torch.equal(*sides)


def without_removed(weights: Mapping[str, Tensor], mask: Mask) -> dict[str, Tensor]:
    return {n: t.masked_fill(~mask[n], 0) if n in mask else t for n, t in weights.items()}


@settings(max_examples=150)
@given(tickets())
def test_with_removed_weights_every_bit_comes_back(parts: TicketParts) -> None:
    read = through_a_file(parts, removed=True, half=False)
    assert (read.mask, list(read.mask)) == (parts.mask, list(parts.mask))
    assert read.provenance == parts.provenance
    check_same(read.rewind, parts.rewind)
    assert not isinstance(read.rewind, Survivors)
    assert (read.final is None) == (parts.final is None)
    if read.final is not None and parts.final is not None:
        check_same(read.final, parts.final)
        assert not isinstance(read.final, Survivors)


@settings(max_examples=150)
@given(tickets())
def test_without_them_what_is_kept_comes_back(parts: TicketParts) -> None:
    read = through_a_file(parts, removed=False, half=False)
    assert read.mask == parts.mask
    for mine, theirs in ((read.rewind, parts.rewind), (read.final, parts.final)):
        if mine is not None and theirs is not None:
            check_same(mine, without_removed(theirs, parts.mask))
            lost = any(bool(theirs[n][~parts.mask[n]].any()) for n in parts.mask)
            assert isinstance(mine, Survivors) == lost


@settings(max_examples=60)
@given(tickets(), st.booleans())
def test_half_rounds_wide_floats_alone(parts: TicketParts, removed: bool) -> None:
    read = through_a_file(parts, removed=removed, half=True)
    wide = (torch.float32, torch.float64)
    rounded = {
        name: tensor.half().to(tensor.dtype) if tensor.dtype in wide else tensor
        for name, tensor in parts.rewind.items()
    }
    check_same(read.rewind, rounded if removed else without_removed(rounded, parts.mask))


def test_tied_weights_and_equal_parts_stand_there_once() -> None:
    weight = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    once = {"a": weight}
    twice = TicketParts(Mask({}), {"a": weight, "b": weight.clone()}, {"a": weight}, {})
    sizes = [
        len(to_bytes("t", *pack_ticket(parts, removed=True, half=False)))
        for parts in (TicketParts(Mask({}), once, None, {}), twice)
    ]
    assert sizes[1] < sizes[0] + 400
    read = through_a_file(twice, removed=True, half=False)
    check_same(read.rewind, twice.rewind)
    check_same(read.final or {}, once)


# ---- files that were made to deceive: their digest is right, and what they say is not


def example() -> TicketParts:
    generator = torch.Generator().manual_seed(0)
    mask = Mask({"w": torch.rand(30, 20, generator=generator) < 0.2})
    first, last = (
        {"w": torch.randn(30, 20, generator=generator), "b": torch.zeros(20), "n": torch.tensor(3)}
        for _ in range(2)
    )
    return TicketParts(mask, first, last, {})


def packed() -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, about = pack_ticket(example(), removed=False, half=False)
    return dict(tensors), json.loads(json.dumps(about))


def change(about: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    inner: Any = about
    for key in outer:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[int(last) if isinstance(inner, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("mask.0.1", [30, 21]),
        ("mask.0.1", [-30, -20]),
        ("mask.0.1", [30.0, 20]),
        ("mask.0.1", "600"),
        ("mask.0.1", [10**30]),
        ("mask.0.2", "pickle"),
        ("mask.0.3", 3),
        ("mask.0.3", 10**9),
        ("mask.0.3", -1),
        ("mask.0.3", True),
        ("mask.0.0", "v"),
        ("mask", []),
        ("mask", None),
        ("rewind.layout.0.2", [31, 20]),
        ("rewind.layout.0.1", "float64"),
        ("rewind.layout.0.1", "float16"),
        ("rewind.layout.0.1", "object"),
        ("rewind.layout.1.2", [10**12]),
        ("rewind.layout.1.2", [-20]),
        ("rewind.layout.1.0", "w"),
        ("rewind.layout", []),
        ("rewind.coded", {"float32": "plain", "int64": "plain"}),
        ("rewind.coded", {"float32": "deflated planes"}),
        ("rewind.coded", {}),
        ("rewind.whole", ["w"]),
        ("rewind.same", {"w": "rewind/w"}),
        ("rewind.same", {"w": "final/w"}),
        ("rewind.same", {"other": "rewind/w"}),
        ("rewind", None),
        ("final.same", {"w": "rewind/b"}),
        ("final.same", {"w": "rewind/n"}),
        ("final.layout", [["w", "float32", [30, 20]]]),
        ("half", True),
    ],
)
def test_descriptions_that_do_not_fit_the_bytes_are_refused(path: str, value: Any) -> None:
    tensors, about = packed()
    unpack_ticket(tensors, about)
    change(about, path, value)
    with pytest.raises((ValueError, KeyError, TypeError)):
        unpack_ticket(tensors, about)


@pytest.mark.parametrize("name", ["mask", "rewind/float32", "final/float32", "final/int64"])
@pytest.mark.parametrize("how", ["gone", "longer", "shorter", "other dtype"])
def test_bytes_that_do_not_fit_their_description_are_refused(name: str, how: str) -> None:
    tensors, about = packed()
    data = tensors.pop(name)
    others = {"longer": torch.cat([data, data[:1]]), "shorter": data[:-1]}
    others["other dtype"] = data.to(torch.int16)
    if how != "gone":
        tensors[name] = others[how]
    with pytest.raises(ValueError, match=r"byte|deflate"):
        unpack_ticket(tensors, about)


def test_a_key_that_is_missing_is_refused() -> None:
    for path in ("mask", "half", "rewind", "final", "provenance", "rewind.same", "final.layout"):
        tensors, about = packed()
        inner = about
        *outer, last = path.split(".")
        for key in outer:
            inner = inner[key]
        del inner[last]
        with pytest.raises(KeyError):
            unpack_ticket(tensors, about)
