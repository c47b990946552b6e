"""The mask: frozen, exact in its counts, and whole in its files."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import Tensor, nn

from winnow.digest import digest_of
from winnow.mask import DIGEST_FORMAT, Mask, density_total, from_bytes, to_bytes


def bits(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)


A = Mask({"a": bits(1, 1, 0, 0), "b": bits(1, 0).reshape(2, 1)})
B = Mask({"a": bits(1, 0, 1, 0), "b": bits(1, 1).reshape(2, 1)})


def random_mask(seed: int, *shapes: tuple[int, ...]) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    return Mask({f"w{i}": torch.rand(s, generator=generator) < 0.4 for i, s in enumerate(shapes)})


def test_counts() -> None:
    assert (A.kept, A.size, A.density) == (3, 6, 0.5)
    assert A.kept_per_layer == {"a": 2, "b": 1}
    assert B.densities == {"a": 0.5, "b": 1.0}
    assert (Mask({}).density, Mask({"e": torch.ones(0).bool()}).densities) == (1.0, {"e": 1.0})


def test_it_is_a_mapping_in_its_own_order() -> None:
    mask = Mask({"z": bits(1), "a": bits(0)})
    assert list(mask) == ["z", "a"]
    assert len(mask) == 2
    assert "a" in mask
    assert "q" not in mask
    with pytest.raises(KeyError):
        mask["q"]
    assert Mask(dict(mask)) == mask


def test_nothing_written_to_a_tensor_reaches_the_mask() -> None:
    given_tensor = bits(1, 0)
    mask = Mask({"a": given_tensor})
    before = hash(mask)
    given_tensor.fill_(False)
    mask["a"].fill_(True)
    assert mask["a"].tolist() == [True, False]
    assert hash(mask) == before
    with pytest.raises(AttributeError, match="frozen"):
        mask.density = 0.3  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del mask._tensors
    with pytest.raises(TypeError):
        mask["a"] = bits(1, 1)  # type: ignore[index]


def test_a_tensor_can_be_read_without_a_copy() -> None:
    mask = Mask({"a": torch.tensor([True, False])})
    assert torch.equal(mask.lent("a"), mask["a"])
    assert mask.lent("a").data_ptr() == mask.lent("a").data_ptr() != mask["a"].data_ptr()


@pytest.mark.parametrize("value", [torch.ones(2), torch.ones(2).to(torch.uint8), [True], None])
def test_only_bool_tensors_are_masks(value: object) -> None:
    with pytest.raises(TypeError, match=r"'layer\.weight'.*bool"):
        Mask({"layer.weight": value})  # type: ignore[dict-item]


def test_algebra() -> None:
    assert Mask({"a": bits(1, 0, 0, 0), "b": bits(1, 0).reshape(2, 1)}) == (A & B)
    assert Mask({"a": bits(1, 1, 1, 0), "b": bits(1, 1).reshape(2, 1)}) == (A | B)
    assert A.inverted() == Mask({"a": bits(0, 0, 1, 1), "b": bits(0, 1).reshape(2, 1)})
    assert (A & B).is_subset(A)
    assert not A.is_subset(B)
    assert Mask.dense(A).density == 1


def test_overlap_and_agreement() -> None:
    assert A.overlap(B) == 2 / 3
    assert B.overlap(A) == 2 / 4
    assert A.agreement(B) == B.agreement(A) == 3 / 6
    assert A.inverted().agreement(A) == 0
    assert Mask({"a": bits(0)}).overlap(Mask({"a": bits(1)})) == 1


def test_chance_levels_of_two_random_masks_at_density_one_tenth() -> None:
    one, two = (
        Mask({"w": torch.rand(200_000, generator=torch.Generator().manual_seed(s)) < 0.1})
        for s in (1, 2)
    )
    assert one.overlap(two) == pytest.approx(0.10, abs=0.01)
    assert one.agreement(two) == pytest.approx(0.82, abs=0.01)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"a": bits(1, 1, 0, 0)}, "'b' is only in one"),
        ({"a": bits(1, 0), "b": bits(1, 0).reshape(2, 1)}, r"'a' is \[4\] and \[2\]"),
    ],
)
def test_masks_of_different_networks_do_not_combine(other: dict[str, Tensor], said: str) -> None:
    for operation in (Mask.__and__, Mask.__or__, Mask.is_subset, Mask.overlap, Mask.agreement):
        with pytest.raises(ValueError, match=said):
            operation(A, Mask(other))


def test_equality_and_hash_ignore_the_order_of_names() -> None:
    turned = Mask({name: A[name] for name in reversed(list(A))})
    assert turned == A
    assert hash(turned) == hash(A)
    assert A != B
    assert Mask({"a": bits(1, 0)}) != Mask({"a": bits(1, 0).reshape(1, 2)})
    assert {"a": A["a"], "b": A["b"]} != A
    assert len({A, turned, B}) == 2


def test_hash_is_the_same_in_another_process() -> None:
    code = (
        "import torch; from winnow.mask import Mask;"
        "print(hash(Mask({'x': torch.tensor([[True, False, True]])})))"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert int(done.stdout) == hash(Mask({"x": bits(1, 0, 1).reshape(1, 3)}))


def test_shuffling_keeps_each_layers_count_and_changes_the_mask() -> None:
    mask = random_mask(0, (40, 30), (17,), (2, 3, 5, 5), ())
    shuffled = mask.shuffled(torch.Generator().manual_seed(1))
    assert shuffled.kept_per_layer == mask.kept_per_layer
    assert shuffled != mask
    assert shuffled == mask.shuffled(torch.Generator().manual_seed(1))
    assert shuffled != mask.shuffled(torch.Generator().manual_seed(2))


def test_shuffling_is_uniform() -> None:
    mask, generator = Mask({"w": bits(1, 0, 0, 0)}), torch.Generator().manual_seed(0)
    hits = sum(mask.shuffled(generator)["w"].long() for _ in range(2000))
    assert isinstance(hits, Tensor)
    assert (hits - 500).abs().max() < 5 * (2000 * 0.25 * 0.75) ** 0.5


def test_it_fits_or_names_what_differs() -> None:
    A.check_fits({"a": torch.zeros(4), "b": torch.zeros(2, 1), "more": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"'b' is \[2, 1\] in the mask and is \[1, 2\] there"):
        A.check_fits({"a": torch.zeros(4), "b": torch.zeros(1, 2)})
    many = Mask({f"n{i}": bits(1) for i in range(9)})
    with pytest.raises(ValueError, match=r"'n0'.*'n2'.*and 6 more"):
        many.check_fits({})


def test_copies_and_pickles() -> None:
    for twin in (copy.copy(A), copy.deepcopy(A), pickle.loads(pickle.dumps(A)), A.to("cpu")):
        assert twin == A
    assert repr(A) == "Mask(2 tensors, 3 of 6 kept, density 0.5)"


def test_density_total_counts_exempt_layers_and_tied_weights_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Linear(4, 2))
    model[2].weight = model[0].weight
    half = torch.zeros(4, 4, dtype=torch.bool)
    half[:2] = True
    for name in ("0.weight", "2.weight"):
        assert density_total(Mask({name: half}), model) == (8 + 8) / 24
    assert density_total(Mask({"0.bias": bits(0, 0, 0, 0)}), model) == 1
    named = {n: p.to("meta") for n, p in model.named_parameters()}
    assert density_total(Mask({"0.weight": half}), named) == (8 + 8) / 24
    with pytest.raises(ValueError, match="another network"):
        density_total(A, model)


# ---- files


@given(st.lists(st.lists(st.booleans(), max_size=40), max_size=4))
def test_packing_is_inverted_exactly(values: list[list[bool]]) -> None:
    mask = Mask({f"w{i}": torch.tensor(v, dtype=torch.bool) for i, v in enumerate(values)})
    packed, shapes = mask.pack()
    assert [len(p) for p in packed.values()] == [(len(v) + 7) // 8 for v in values]
    assert Mask.unpack(packed, json.loads(json.dumps(shapes))) == mask


def test_the_lowest_bit_comes_first() -> None:
    packed, shapes = Mask({"w": bits(1, 0, 0, 0, 0, 0, 0, 1, 0, 1).reshape(2, 5)}).pack()
    assert packed["w"].tolist() == [0b10000001, 0b10]
    assert shapes == {"w": [2, 5]}


@pytest.mark.parametrize(
    ("packed", "shapes"),
    [
        ({"w": torch.zeros(2, dtype=torch.uint8)}, {"w": [8]}),
        ({"w": torch.zeros(1, dtype=torch.int64)}, {"w": [8]}),
        ({"w": torch.tensor([8], dtype=torch.uint8)}, {"w": [3]}),
        ({"w": torch.zeros(1, dtype=torch.uint8)}, {"v": [3]}),
    ],
)
def test_bits_that_disagree_with_their_shape(
    packed: dict[str, Tensor], shapes: dict[str, list[int]]
) -> None:
    with pytest.raises(ValueError, match="'w'"):
        Mask.unpack(packed, shapes)


def test_save_and_load(tmp_path: Path) -> None:
    mask = Mask({"z.weight": bits(1, 0, 1), "a": torch.tensor(True), "e": torch.ones(0, 3).bool()})
    mask.save(tmp_path / "m.safetensors")
    loaded = Mask.load(tmp_path / "m.safetensors")
    assert loaded == mask
    assert list(loaded) == list(mask)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    big = Mask({"w": torch.ones(800_000).bool()})
    big.save(tmp_path / "big")
    assert (tmp_path / "big").stat().st_size < 101_000


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    A.save(path)

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        B.save(path)
    monkeypatch.undo()
    assert Mask.load(path) == A
    assert list(tmp_path.iterdir()) == [path]


def test_equal_masks_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from winnow.mask import Mask;"
        "Mask({'b': torch.tensor([True, False]), 'a': torch.tensor([True])}).save(sys.argv[1])"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "1")], check=True, cwd=root)
    Mask({"b": bits(1, 0), "a": bits(1)}).save(tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    A.save(tmp_path / "good")
    good = (tmp_path / "good").read_bytes()
    flipped = bytearray(good)
    flipped[-1] ^= 1
    old = bytearray(to_bytes("mask", A.pack()[0], {"shapes": A.pack()[1]}, digest=False))
    old[-1] ^= 1
    newer = to_bytes("mask", {}, {"shapes": {}}).replace(
        f'format\\":{DIGEST_FORMAT}'.encode(), b'format\\":7'
    )
    cases = {
        "empty": (b"", "damaged"),
        "short": (good[:-1], "damaged"),
        "header": (good[:20], "damaged"),
        "text": (b"not a safetensors file at all", "damaged"),
        "flipped": (bytes(flipped), "digest"),
        "old": (bytes(old), "checksum"),
        "foreign": (save({"w": torch.zeros(2)}), "not written by Winnow"),
        "ticket": (to_bytes("ticket", {}, {}), "holds a ticket, not a mask"),
        "newer": (newer, "newer Winnow"),
        "shapeless": (to_bytes("mask", {}, {}), "damaged"),
        "odd": (to_bytes("mask", {}, {"shapes": [1]}), "damaged"),
    }
    for name, (data, said) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}.*{said}"):
            Mask.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Mask.load(tmp_path / "none")


def test_no_bit_can_flip_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    A.save(tmp_path / "m")
    whole, read = (tmp_path / "m").read_bytes(), bytearray()
    monkeypatch.setattr(Path, "read_bytes", lambda _: bytes(read))
    for bit in range(8 * len(whole)):
        read = bytearray(whole)
        read[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="flipped"):
            Mask.load("flipped")


def test_files_of_before_there_were_digests_load(tmp_path: Path) -> None:
    packed, shapes = A.pack()
    (tmp_path / "old").write_bytes(to_bytes("mask", packed, {"shapes": shapes}, digest=False))
    assert Mask.load(tmp_path / "old") == A


def test_a_digest_is_no_choice_of_the_file(tmp_path: Path) -> None:
    """A file without one says that it is old, and then has the checksum of old files."""
    packed, shapes = A.pack()
    data = to_bytes("mask", packed, {"shapes": shapes})
    for version in (1, 0, -1, True, 1.0, "2", None):
        about = {"kind": "mask", "format": version, "shapes": shapes}
        (tmp_path / "m").write_bytes(save(packed, {"winnow": json.dumps(about)}))
        with pytest.raises(ValueError, match="m is damaged"):
            Mask.load(tmp_path / "m")
    found, about = from_bytes("mask", data, "here")
    assert about["digest"] == digest_of(found, {"kind": "mask", "format": 2, "shapes": shapes})


def test_every_dtype_survives_the_file() -> None:
    tensors = {
        str(d): torch.tensor([[1, 0], [3, 2]]).to(d)
        for d in (torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool)
    }
    tensors["strided"] = torch.arange(12.0).reshape(3, 4).t()
    tensors["scalar"] = torch.tensor(5)
    loaded, about = from_bytes("test", to_bytes("test", tensors, {"x": 1}), "here")
    assert about["x"] == 1
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
