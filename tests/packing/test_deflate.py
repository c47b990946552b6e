"""Deflate streams: what went in comes out, within a bound and nothing else."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.packing.deflate import deflated, inflated


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_planes_come_back_one_after_the_other(planes: list[bytes]) -> None:
    whole = b"".join(planes)
    assert inflated(deflated(planes), len(whole)) == whole


def test_planes_have_codes_of_their_own() -> None:
    draw = random.Random(0)
    few = bytes(draw.choices(b"abcd", k=20_000))
    noise = draw.randbytes(20_000)
    apart = len(deflated([few, noise]))
    assert apart < len(deflated([few])) + 20_000 + 50
    assert apart < len(deflated([few + noise]))


def test_more_than_is_compared_is_packed_by_the_best_strategy() -> None:
    """Repeated bytes, which only the usual strategy finds, in more than a MiB."""
    pattern = random.Random(0).randbytes(1000) * 1500
    packed = deflated([pattern, pattern])
    assert len(packed) < 40_000
    assert inflated(packed, 2 * len(pattern)) == 2 * pattern


def test_what_is_longer_than_its_bound_is_not_unpacked() -> None:
    bomb = deflated([bytes(1 << 24)])
    with pytest.raises(ValueError, match="more than the 1000 bytes"):
        inflated(bomb, 1000)
    with pytest.raises(ValueError, match="more than the 0 bytes"):
        inflated(deflated([b"x"]), 0)
    assert inflated(deflated([bytes(1000)]), 1000) == bytes(1000)


def test_damaged_streams() -> None:
    packed = deflated([bytes(range(100))])
    for broken in (packed[:-1], packed + b"\0", b"", b"\xff" * 9):
        with pytest.raises(ValueError, match="deflate stream"):
            inflated(broken, 100)
    with pytest.raises(ValueError, match="deflate stream"):
        inflated(zlib.compress(b"with a header"), 100)
