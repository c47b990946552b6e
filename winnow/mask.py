"""The mask: a frozen mapping from parameter name to boolean tensor, True = keep.

Of the project this file imports `winnow.digest` alone, which imports nothing of it, so that
everything else can import both first.
Errors are therefore plain ValueError and TypeError.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from winnow.digest import canonical_json, digest_of, read_json

MASK_FORMAT = 1  # version of the file layout without a digest: only read, of before there were any
_UNFIT = (
    *(ValueError, KeyError, TypeError, AttributeError, RuntimeError),
    *(ArithmeticError, MemoryError),  # shapes that no memory holds
)
DIGEST_FORMAT = 2  # the same with a digest over all of it


class Mask(Mapping[str, Tensor]):
    """Frozen mapping: parameter name -> bool tensor of the parameter's shape, True = keep.

    The tensors are copied on the way in and on the way out, so that a mask never changes.
    Raises TypeError, with the name, for a value that is not a bool tensor.
    """

    __slots__ = ("_tensors",)
    _tensors: dict[str, Tensor]

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        copies = {name: _checked(name, tensors[name]) for name in tensors}
        object.__setattr__(self, "_tensors", copies)

    @classmethod
    def dense(cls, like: Mapping[str, Tensor]) -> Mask:
        """The mask that keeps everything of the named tensors, on their devices."""
        return cls({name: torch.ones_like(like[name], dtype=torch.bool) for name in like})

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name].clone()

    def lent(self, name: str) -> Tensor:
        """One of its tensors itself, not to be written to: what reads it need not copy it."""
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a mask is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a mask is frozen: cannot delete {name!r}")

    def __reduce__(self) -> tuple[type[Mask], tuple[dict[str, Tensor]]]:
        return Mask, (self._tensors,)

    def __copy__(self) -> Mask:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Mask:
        return self

    def __eq__(self, other: object) -> bool:
        """Same names (in any order), shapes and entries; devices may differ."""
        if not isinstance(other, Mask):
            return NotImplemented
        return self._tensors.keys() == other._tensors.keys() and all(
            torch.equal(tensor.cpu(), other._tensors[name].cpu())
            for name, tensor in self._tensors.items()
        )

    def __hash__(self) -> int:
        """Equal for equal masks, in every process."""
        digest = hashlib.blake2b(digest_size=8)
        for name in sorted(self._tensors):
            bits = _pack_bits(self._tensors[name])
            digest.update(f"{name}:{list(self._tensors[name].shape)};".encode())
            digest.update(bits.numpy().tobytes())
        return int.from_bytes(digest.digest(), "little")

    def __repr__(self) -> str:
        counts = f"{len(self)} tensors, {self.kept} of {self.size} kept"
        return f"Mask({counts}, density {self.density:.4g})"

    # ---- counts

    @property
    def kept(self) -> int:
        """Number of True entries."""
        return sum(self.kept_per_layer.values())

    @property
    def size(self) -> int:
        """Number of entries."""
        return sum(tensor.numel() for tensor in self._tensors.values())

    @property
    def kept_per_layer(self) -> dict[str, int]:
        """Name -> number of True entries."""
        return {name: int(tensor.count_nonzero()) for name, tensor in self._tensors.items()}

    @property
    def density(self) -> float:
        """Kept fraction of the entries of this mask; 1.0 for a mask without entries."""
        return _fraction(self.kept, self.size)

    @property
    def densities(self) -> dict[str, float]:
        """Name -> kept fraction of that tensor; 1.0 for a tensor without entries."""
        kept = self.kept_per_layer
        return {
            name: _fraction(kept[name], tensor.numel()) for name, tensor in self._tensors.items()
        }

    def report(self, model: nn.Module) -> str:
        """A table, one line a tensor: its shape, what is kept, its density; above it the share of
        the model's weights (parameters with two or more dimensions, tied ones once) that the mask
        covers, below it the weights that it does not. ValueError if it does not fit the model.
        """
        return "\n".join(_report_lines(self, model))

    # ---- algebra

    def __and__(self, other: Mask) -> Mask:
        """What both keep. ValueError unless names and shapes are the same."""
        return self._combine(other, torch.logical_and)

    def __or__(self, other: Mask) -> Mask:
        """What either keeps. ValueError unless names and shapes are the same."""
        return self._combine(other, torch.logical_or)

    def inverted(self) -> Mask:
        """What this mask removes."""
        return Mask({name: ~tensor for name, tensor in self._tensors.items()})

    def is_subset(self, other: Mask) -> bool:
        """Whether ``other`` keeps everything that this mask keeps. ValueError as for ``&``."""
        return (self & other) == self

    def overlap(self, other: Mask) -> float:
        """|self & other| / |self|: the fraction of the kept entries that ``other`` keeps too.

        Not symmetric unless both keep the same number. Two independent random masks of density d
        score d. 1.0 when this mask keeps nothing. ValueError as for ``&``.
        """
        return _fraction((self & other).kept, self.kept)

    def agreement(self, other: Mask) -> float:
        """Fraction of the entries that are equal, agreeing zeros included.

        Zhang et al. 2021, "Lottery Jackpots Exist in Pre-trained Models", equation 7. Two
        independent random masks of density d score d² + (1 − d)²: 0.82 at d = 0.1.
        ValueError as for ``&``.
        """
        differing = self._combine(other, torch.logical_xor).kept
        return _fraction(self.size - differing, self.size)

    def shuffled(self, generator: torch.Generator) -> Mask:
        """A random permutation inside each tensor: the count of every tensor stays exactly."""
        return Mask({name: _permuted(bits, generator) for name, bits in self._tensors.items()})

    def to(self, device: torch.device | str) -> Mask:
        """The same mask on another device."""
        return Mask({name: tensor.to(device) for name, tensor in self._tensors.items()})

    def check_fits(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise ValueError, with the first names and shapes that differ, unless every tensor of
        the mask has a namesake of its shape in ``tensors``. ``tensors`` may have more.
        """
        faults = [
            _fault(name, mine, tensors.get(name))
            for name, mine in self._tensors.items()
            if name not in tensors or tensors[name].shape != mine.shape
        ]
        if faults:
            raise ValueError(f"the mask is for another network: {_first(faults)}")

    def _combine(self, other: Mask, operation: Callable[[Tensor, Tensor], Tensor]) -> Mask:
        _check_same(self, other)
        return Mask(
            {
                name: operation(mine, other._tensors[name].to(mine.device))
                for name, mine in self._tensors.items()
            }
        )

    # ---- files

    def pack(self) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
        """Bits as uint8 tensors of shape (ceil(n / 8),), lowest bit first, and the shapes."""
        packed = {name: _pack_bits(tensor) for name, tensor in self._tensors.items()}
        return packed, {name: list(tensor.shape) for name, tensor in self._tensors.items()}

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], shapes: Mapping[str, list[int]]) -> Mask:
        """The inverse of ``pack``, in the order of ``shapes``. ValueError if they disagree."""
        if packed.keys() != shapes.keys():
            raise ValueError(f"packed bits of {sorted(packed)} but shapes of {sorted(shapes)}")
        return cls({name: _unpack_bits(name, packed[name], shapes[name]) for name in shapes})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, bit-packed, with a digest; it appears whole or not at all."""
        packed, shapes = self.pack()
        _write_whole(Path(path), to_bytes("mask", packed, {"shapes": shapes}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Mask:
        """Read a file of ``save``. ValueError names the file and what is wrong with it;
        FileNotFoundError when there is none.
        """
        packed, about = from_bytes("mask", Path(path).read_bytes(), str(path))
        try:
            return cls.unpack(packed, about["shapes"])
        except _UNFIT as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def _report_lines(mask: Mask, model: nn.Module) -> Iterator[str]:
    named = dict(getattr(model, "_orig_mod", model).named_parameters(remove_duplicate=False))
    mask.check_fits(named)
    masked = {id(named[name]) for name in mask}
    others = {id(p): name for name, p in reversed(named.items()) if id(p) not in masked}
    left = {name: named[name] for name in reversed(others.values()) if named[name].dim() >= 2}
    outside = sum(tensor.numel() for tensor in left.values())
    share = _fraction(mask.size, mask.size + outside)
    yield (
        f"{mask.kept:,} of {mask.size:,} weights kept (density {mask.density:.4g}); the mask is of "
        f"{100 * share:.3g} % of the model's {mask.size + outside:,} weights"
    )
    kept, width = mask.kept_per_layer, max(map(len, [*mask, *left]), default=0)
    for name, bits in mask.items():
        shape = "x".join(map(str, bits.shape))
        density = f"{100 * _fraction(kept[name], bits.numel()):.3g} %"
        yield f"  {name:<{width}}  {shape:>12}  {kept[name]:>12,} kept  {density:>8}"
    owners = [(id(p), m) for m in model.modules() for p in m.parameters(recurse=False)]
    kinds = {key: type(module).__name__ for key, module in reversed(owners)}
    for name, tensor in left.items():
        shape = "x".join(map(str, tensor.shape))
        kind = kinds.get(id(tensor), "")
        yield f"  {name:<{width}}  {shape:>12}  {tensor.numel():>12,} not in the mask ({kind})"


def density_total(mask: Mask, weights: nn.Module | Mapping[str, Tensor]) -> float:
    """Kept fraction of ALL weights of a model: the LTH paper's P_m = ‖m‖₀ / |θ|.

    Weights are the parameters with two or more dimensions (kernels and matrices, exempt layers
    included; no biases, no batch norm), tied ones once. Tensors on the meta device are fine.
    ``weights`` is the model, or the parameters by name. ValueError if the mask does not fit.
    """
    named = _by_name(weights)
    mask.check_fits(named)
    distinct = {id(tensor): tensor for tensor in named.values() if tensor.dim() >= 2}
    total = sum(tensor.numel() for tensor in distinct.values())
    kept = mask.kept_per_layer
    removed = {id(named[n]): named[n].numel() - kept[n] for n in mask if named[n].dim() >= 2}
    return _fraction(total - sum(removed.values()), total)


def to_bytes(
    kind: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, digest: bool = True
) -> bytes:
    """A safetensors file of ``tensors`` with JSON metadata ``about`` and a digest over all of it.

    ``kind`` ("mask", "ticket") is verified by ``from_bytes``. Every tensor is copied: safetensors
    refuses shared memory (tied weights) and strides. Equal input gives equal bytes. Without
    ``digest`` the file is one of before digests, which has a checksum of its tensors alone. Raises
    ValueError or TypeError for metadata that JSON cannot hold.
    """
    from safetensors.torch import save

    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    if digest:
        header = {"kind": kind, "format": DIGEST_FORMAT, **about}
        text = canonical_json({**header, "digest": digest_of(plain, header)})
    else:
        header = {"kind": kind, "format": MASK_FORMAT, "checksum": _checksum(plain), **about}
        text = json.dumps(header, allow_nan=False)
    # One metadata key: safetensors writes several in the order of a salted hash.
    return save(plain, metadata={"winnow": text})


def from_bytes(kind: str, data: bytes, where: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of ``to_bytes``; ``digest`` is in the metadata of a file that
    has one. ValueError names ``where`` and the problem.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        metadata = header_of(data)["__metadata__"]
        about = read_json(metadata["winnow"])
        found, version = about["kind"], about["format"]
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{where} is damaged or no safetensors file: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where} was not written by Winnow: it is no {kind} file") from error
    if type(version) is not int or version < MASK_FORMAT:
        raise ValueError(f"{where} is damaged: there is no format {version!r}")
    if version > DIGEST_FORMAT:
        raise ValueError(
            f"{where} has format {version} of a newer Winnow; this reads up to {DIGEST_FORMAT}"
        )
    if found != kind:
        raise ValueError(f"{where} holds a {found}, not a {kind}")
    if version == MASK_FORMAT:
        if about.get("checksum") != _checksum(tensors):
            raise ValueError(f"{where} is damaged: its tensors do not match their checksum")
    elif not _is_whole(data, metadata, about, tensors):
        raise ValueError(f"{where} is damaged: what it holds does not match its digest")
    return tensors, about


def header_of(data: bytes) -> dict[str, Any]:
    """The header of a safetensors file. ValueError or TypeError if there is none."""
    header = read_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
    if not isinstance(header, dict):
        raise TypeError("its header is no mapping")
    return header


def _is_whole(
    data: bytes,
    metadata: Mapping[str, Any],
    about: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> bool:
    """Whether the digest is that of all that the file says, and all is spelled as `to_bytes` does.

    The same can be said in other words (1E-5 for 1e-5), and no byte is to be another one.
    """
    text = data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip(b" ")
    rest = {key: value for key, value in about.items() if key != "digest"}
    try:
        said = json.dumps(header_of(data), separators=(",", ":"), ensure_ascii=False)
        spelled = metadata == {"winnow": canonical_json(about)} and said.encode() == text
        return spelled and about.get("digest") == digest_of(tensors, rest)
    except (ValueError, RecursionError):
        return False


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{tensor.dtype}:{list(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    # A twin of files.write_whole: this file imports nothing of the project.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _checked(name: str, value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"mask of {name!r}: expected a bool tensor, got {type(value).__name__}")
    if value.dtype != torch.bool:
        raise TypeError(f"mask of {name!r}: expected a bool tensor, got dtype {value.dtype}")
    return value.detach().clone(memory_format=torch.contiguous_format)


def _check_same(mine: Mask, other: Mask) -> None:
    if not isinstance(other, Mask):
        raise TypeError(f"expected a Mask, got {type(other).__name__}")
    a, b = mine._tensors, other._tensors
    faults = [f"{name!r} is only in one of them" for name in [*a, *b] if (name in a) != (name in b)]
    faults += [
        f"{name!r} is {list(a[name].shape)} and {list(b[name].shape)}"
        for name in a
        if name in b and a[name].shape != b[name].shape
    ]
    if faults:
        raise ValueError(f"the two masks are not of the same network: {_first(faults)}")


def _fault(name: str, mine: Tensor, theirs: Tensor | None) -> str:
    there = "is not there" if theirs is None else f"is {list(theirs.shape)} there"
    return f"{name!r} is {list(mine.shape)} in the mask and {there}"


def _first(faults: list[str], limit: int = 3) -> str:
    more = f"; and {len(faults) - limit} more" if len(faults) > limit else ""
    return "; ".join(faults[:limit]) + more


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _permuted(bits: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(bits.numel(), generator=generator, device=generator.device)
    return bits.reshape(-1)[order.to(bits.device)].reshape(bits.shape)


def _by_name(weights: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if isinstance(weights, nn.Module):
        return dict(weights.named_parameters(remove_duplicate=False))
    return weights


def _pack_bits(bits: Tensor) -> Tensor:
    flat = bits.reshape(-1).cpu()
    padded = torch.zeros(-(-flat.numel() // 8) * 8, dtype=torch.uint8)
    padded[: flat.numel()] = flat
    columns = padded.view(-1, 8)
    packed = columns[:, 0].clone()
    for place in range(1, 8):
        packed |= columns[:, place] << place
    return packed


def _unpack_bits(name: str, packed: Tensor, shape: list[int]) -> Tensor:
    size = torch.Size(shape).numel()
    if packed.dtype != torch.uint8 or list(packed.shape) != [-(-size // 8)]:
        raise ValueError(f"{name!r}: {list(packed.shape)} {packed.dtype} bits for shape {shape}")
    places = torch.arange(8, dtype=torch.uint8)
    bits = ((packed.cpu()[:, None] >> places) & 1).bool().reshape(-1)
    if bool(bits[size:].any()):
        raise ValueError(f"{name!r}: bits are set beyond the end of shape {shape}")
    return bits[:size].reshape(shape)
