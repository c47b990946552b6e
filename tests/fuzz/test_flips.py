"""No flipped bit and no cut of any file that Winnow writes is read: nothing is silently another."""

from __future__ import annotations

import random

import pytest
from files import whole_files
from readers import READERS

KINDS = sorted(READERS)
SAMPLE = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return whole_files(tmp_path_factory.mktemp("files"))


def accepted(reader, file, data):
    file.write_bytes(data)
    try:
        reader.read(file)
    except reader.raises:
        return False
    return True


def accepted_of(kind, file, bits, cuts):
    """The bits that flip, and the lengths to which the file is cut, without an error."""
    data, reader = file.read_bytes(), READERS[kind]
    assert accepted(reader, file, data), "the whole file is read"
    found = []
    try:
        for bit in bits(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            if accepted(reader, file, bytes(flipped)):
                found.append(f"bit {bit}")
        lengths = [length for length in cuts(len(data)) if accepted(reader, file, data[:length])]
        found += [f"length {length}" for length in lengths]
    finally:
        file.write_bytes(data)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_no_sampled_bit_flips_unseen(whole, kind):
    chosen = random.Random(f"flips of {kind}")

    def some(count):
        return sorted(chosen.sample(range(count), min(SAMPLE, count)))

    assert accepted_of(kind, whole[kind], some, lambda n: [*some(n)[:10], n - 1]) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_flips_unseen(whole, kind):
    assert accepted_of(kind, whole[kind], range, range) == []
