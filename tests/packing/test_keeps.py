"""Masks as bytes: all shapes and densities come back, small, and nothing else does."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from winnow.packing.deflate import deflated
from winnow.packing.keeps import CODINGS, pack_keep, unpack_keep


def drawn(shape: tuple[int, ...], density: float, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density


def slow_gaps(keep: Tensor) -> bytes:
    """The gaps, weight by weight."""
    coded, gap = bytearray(), 0
    for kept in keep.reshape(-1).tolist():
        if kept:
            coded += b"\xff" * (gap // 255) + bytes([gap % 255])
        gap = 0 if kept else gap + 1
    return bytes(coded)


@given(
    st.lists(st.integers(0, 40), max_size=3).map(tuple),
    st.sampled_from([0.0, 0.002, 0.03, 0.3, 0.5, 0.9, 1.0]),
    st.integers(0, 9),
)
def test_every_mask_comes_back(shape: tuple[int, ...], density: float, seed: int) -> None:
    keep = drawn(shape, density, seed)
    coding, data = pack_keep(keep)
    assert torch.equal(unpack_keep(coding, data, shape), keep)
    assert len(data) <= min(len(slow_gaps(keep)), -(-keep.numel() // 8))


@given(st.integers(0, 3000), st.sampled_from([0.0, 0.001, 0.05, 0.5, 1.0]), st.integers(0, 5))
def test_every_coding_gives_the_same_mask(size: int, density: float, seed: int) -> None:
    keep = drawn((size,), density, seed)
    bits = bytearray(-(-size // 8))
    for place in keep.nonzero().reshape(-1).tolist():
        bits[place // 8] |= 1 << place % 8
    plain = {"bits": bytes(bits), "gaps": slow_gaps(keep)}
    coded = plain | {f"deflated {coding}": deflated([data]) for coding, data in plain.items()}
    assert set(coded) == set(CODINGS)
    for coding, data in coded.items():
        assert torch.equal(unpack_keep(coding, data, [size]), keep)


def test_masks_take_little_more_than_their_entropy() -> None:
    for density in (0.01, 0.036, 0.2, 0.5):
        keep = drawn((100, 2000), density)
        d = float(keep.float().mean())
        least = -(d * math.log2(d) + (1 - d) * math.log2(1 - d)) * keep.numel() / 8
        assert len(pack_keep(keep)[1]) < 1.1 * least
    pattern = torch.tensor([1, 1, 0, 0, 1, 0, 1, 0] * 5000).bool()
    assert len(pack_keep(pattern)[1]) < 200


def test_large_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which only the shorter coding is deflated."""
    monkeypatch.setattr("winnow.packing.keeps._LARGE", 100)
    for density, coding in ((0.03, "deflated gaps"), (0.3, "deflated bits"), (0.5, "bits")):
        keep = drawn((100, 200), density)
        found, data = pack_keep(keep)
        assert found == coding
        assert torch.equal(unpack_keep(found, data, [100, 200]), keep)


def test_masks_that_are_not_contiguous() -> None:
    keep = drawn((30, 50), 0.1).t()[::2]
    coding, data = pack_keep(keep)
    assert torch.equal(unpack_keep(coding, data, [25, 30]), keep)


@pytest.mark.parametrize(
    ("coding", "data", "shape", "said"),
    [
        ("bits", b"\1", [9], "1 bytes of bits are no mask of 9"),
        ("bits", b"\1\0", [8], "2 bytes of bits"),
        ("bits", b"\xff", [7], "beyond the end"),
        ("gaps", b"\5", [5], "reach to entry 5"),
        ("gaps", b"\0\0\0", [2], "3 bytes of gaps are no mask of 2"),
        ("gaps", b"\xff", [300], "no mask of 300"),
        ("deflated gaps", deflated([bytes(1000)]), [10], "more than the 10 bytes"),
        ("deflated bits", deflated([bytes(1000)]), [800], "more than the 100 bytes"),
        ("deflated bits", b"\xff\xff", [800], "deflate stream"),
        ("pickle", b"", [0], "coded as one of bits, gaps"),
    ],
)
def test_bytes_that_are_no_mask(coding: str, data: bytes, shape: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpack_keep(coding, data, shape)
