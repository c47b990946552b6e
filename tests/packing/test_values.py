"""Numbers as bytes: every dtype comes back in its bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from winnow.packing.deflate import deflated
from winnow.packing.values import (
    DTYPES,
    are_zero,
    as_bytes,
    as_tensor,
    dtype_name,
    kept_of,
    number_bytes,
    on_cpu,
    pack_values,
    spread_to,
    unpack_values,
)


def numbers(dtype: str, count: int, seed: int = 0) -> Tensor:
    """Any bits at all, NaN and infinities among them; bools are 0 and 1."""
    size = count * DTYPES[dtype].itemsize
    generator = torch.Generator().manual_seed(seed)
    high = 2 if dtype == "bool" else 256
    raw = torch.randint(0, high, (size,), generator=generator, dtype=torch.uint8)
    return raw.view(DTYPES[dtype])


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_the_dtypes_of_networks_are_there() -> None:
    assert {"float32", "bfloat16", "float16", "float64", "int64", "bool", "uint8"} <= set(DTYPES)
    assert {"complex64", "float8_e4m3fn"} <= set(DTYPES)


@given(st.sampled_from(sorted(DTYPES)), st.lists(st.integers(0, 90), max_size=4), st.integers(0, 9))
def test_every_dtype_comes_back(dtype: str, counts: list[int], seed: int) -> None:
    parts = [numbers(dtype, count, seed) for count in counts]
    coding, data = pack_values(parts)
    whole = unpack_values(coding, data, dtype, sum(counts))
    assert whole.dtype == DTYPES[dtype]
    assert bits(whole) == b"".join(map(bits, parts))


@given(st.sampled_from(sorted(DTYPES)), st.integers(0, 60), st.integers(0, 9))
def test_what_a_mask_keeps_of_every_dtype(dtype: str, count: int, seed: int) -> None:
    tensor = numbers(dtype, 2 * count, seed).reshape(2, count).t()  # not contiguous
    keep = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)) < 0.4
    kept = kept_of(tensor, keep)
    size = DTYPES[dtype].itemsize
    raw, chosen = bits(tensor), keep.reshape(-1).tolist()
    each = [raw[i * size : (i + 1) * size] for i in range(2 * count)]
    assert bits(kept) == b"".join(one for one, k in zip(each, chosen, strict=True) if k)
    dense = spread_to(kept, keep)
    assert dense.shape == keep.shape
    zero = bytes(size)
    expected = [one if k else zero for one, k in zip(each, chosen, strict=True)]
    assert bits(dense) == b"".join(expected)


def test_a_single_number_without_dimensions() -> None:
    single = torch.tensor(3.5)
    assert kept_of(single, torch.tensor(True)).tolist() == [3.5]
    assert spread_to(torch.tensor([3.5]), torch.tensor(True)).item() == 3.5
    assert spread_to(torch.empty(0), torch.tensor(False)).item() == 0
    assert number_bytes(single) == bits(single)


def test_weights_shrink_by_what_their_exponents_repeat() -> None:
    weights = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    coding, data = pack_values([weights])
    assert coding == "deflated planes"
    assert len(data) < 0.9 * 80_000
    assert pack_values([numbers("float32", 1000)])[0] == "plain"
    assert len(pack_values([torch.zeros(10_000)])[1]) < 200


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_zeros_of_every_dtype(dtype: str) -> None:
    assert are_zero(torch.zeros(3).to(DTYPES[dtype]))
    assert are_zero(torch.empty(0).to(DTYPES[dtype]))
    assert not are_zero(torch.tensor([0.0, 1.0]).to(DTYPES[dtype]))


def test_small_and_signed_zeros() -> None:
    assert are_zero(torch.tensor([-0.0, 0.0]))
    for value in (5e-324, float("nan")):
        assert not are_zero(torch.tensor([value], dtype=torch.float64))
    assert not are_zero(torch.tensor([1j]))


def test_lazy_signs_are_resolved() -> None:
    whole = torch.tensor([1 + 2j, 3 - 4j])
    lazy = whole.conj()
    assert lazy.is_conj()
    assert number_bytes(on_cpu(lazy)) == bits(whole.conj_physical())
    assert on_cpu(lazy.imag).tolist() == [-2, 4]


def test_what_is_no_plain_numbers_is_refused() -> None:
    assert dtype_name(torch.zeros(1, dtype=torch.bfloat16)) == "bfloat16"
    for tensor in (torch.zeros(2, 2).to_sparse(), torch.empty(2, device="meta")):
        with pytest.raises(ValueError, match="cannot be packed"):
            dtype_name(tensor)


@pytest.mark.parametrize(
    ("coding", "data", "dtype", "count", "said"),
    [
        ("plain", bytes(7), "float32", 2, "7 bytes are not those of 2 numbers of float32"),
        ("plain", bytes(12), "float32", 2, "12 bytes"),
        ("deflated planes", deflated([bytes(9)]), "float32", 2, "more than the 8 bytes"),
        ("deflated planes", deflated([bytes(7)]), "float32", 2, "7 bytes"),
        ("deflated planes", deflated([bytes(1 << 22)]), "float64", 3, "more than the 24 bytes"),
        ("zip", b"", "float32", 0, "coded as one of plain, deflated planes"),
        ("plain", b"", "object", 0, "no dtype 'object'"),
        ("plain", b"\2", "bool", 1, "neither 0 nor 1"),
    ],
)
def test_bytes_that_are_no_numbers(
    coding: str, data: bytes, dtype: str, count: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        unpack_values(coding, data, dtype, count)


def test_bytes_as_tensors() -> None:
    assert as_bytes(as_tensor(b"abc")) == b"abc"
    for tensor in (torch.zeros(3), torch.zeros(1, 3, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="no row of bytes"):
            as_bytes(tensor)
