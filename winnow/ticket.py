"""The ticket: a mask, the weights that it is trained from, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import UserError, unknown
from winnow.files import write_whole
from winnow.hub import resolve
from winnow.mask import MASK_FORMAT, Mask, from_bytes, to_bytes
from winnow.selection import uncompiled
from winnow.sparsifying import fitting
from winnow.state import check_writable
from winnow.survivors import Survivors, check_known
from winnow.ticketfile import TicketParts, pack_ticket, unpack_ticket

WEIGHTS = ("rewind", "final", "none")
_DAMAGES = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, MemoryError),  # shapes that no memory holds
)


@dataclass(frozen=True, eq=False)
class Ticket:
    """A sparse network that can be trained.

    ``rewind``: the full state_dict (weights and buffers, removed weights included) that it is
    trained from; ``final``: the state_dict after that training, if known; ``provenance``: what
    JSON can hold; ``digest``: that of the file that it was read from, None without such a file or
    from one of before digests. The tensors are copied. Raises UserError when the mask does not fit
    them, or keeps weights that another ticket's file has left out.
    """

    mask: Mask
    rewind: Mapping[str, Tensor]
    final: Mapping[str, Tensor] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None

    def __post_init__(self) -> None:
        for part in ("rewind", "final"):
            tensors = getattr(self, part)
            if tensors is not None:
                object.__setattr__(self, part, _copied(part, tensors))
                fitting(self.mask, getattr(self, part))
                check_known(tensors, self.mask, f"{part} weights")
        object.__setattr__(self, "provenance", dict(self.provenance))

    @property
    def removed_known(self) -> bool:
        """Whether the removed weights are known. If not, they are 0 here: the file that the ticket
        was read from has left them out. Masks that keep others need ``save(path, removed=True)``.
        """
        return not isinstance(self.rewind, Survivors) and not isinstance(self.final, Survivors)

    def save(
        self, path: str | os.PathLike[str], *, removed: bool = False, half: bool = False
    ) -> None:
        """Write one compact safetensors file: mask, weights that are kept, metadata, a digest.

        ``removed``: removed weights, too, which only other masks need (random masks as controls).
        ``half``: float32 and float64 as float16, rounded by up to 0.05 % (those below 6e-5 by up
        to 3e-8); they come back in their own dtype. Without it every number comes back in the same
        bits.

        The file appears whole or not at all. Raises UserError for a provenance that JSON cannot
        hold, removed weights that are not known, or a value that float16 cannot hold.
        """
        parts = TicketParts(self.mask, self.rewind, self.final, self.provenance)
        tensors, about = pack_ticket(parts, removed=removed, half=half)
        try:
            data = to_bytes("ticket", tensors, about)
        except (TypeError, ValueError) as error:
            raise UserError(f"provenance must be plain JSON values: {error}") from error
        write_whole(Path(path), data)

    def apply(self, model: nn.Module, weights: str = "rewind") -> Mask:
        """Copy weights and buffers into the model and zero the removed weights; give the mask.

        ``weights``: "rewind", "final", or "none" (mask the weights that the model has). Values
        are converted to the model's dtypes. Nothing holds the zeros during later training:
        ``with wn.sparsify(model, ticket.apply(model), optimizer)`` does.

        Raises UserError, and leaves the model untouched, unless all names and shapes of its
        state_dict are those of the ticket ("none": those of the mask), and for tensors without
        memory of their own to write to: on the meta device, or expanded.
        """
        if weights not in WEIGHTS:
            raise unknown("weights", str(weights), WEIGHTS, f"Choose from {', '.join(WEIGHTS)}")
        own = dict(uncompiled(model).state_dict(keep_vars=True))
        source = {} if weights == "none" else self._source(weights)
        if weights != "none":
            _check_same(source, own)
        fitting(self.mask, own)
        check_writable({name: own[name] for name in {**source, **self.mask}})
        with torch.no_grad():
            for name, tensor in source.items():
                own[name].copy_(tensor)
            for name in self.mask:
                own[name].masked_fill_(~self.mask[name].to(own[name].device), 0)
        return self.mask

    def _source(self, weights: str) -> Mapping[str, Tensor]:
        tensors = self.rewind if weights == "rewind" else self.final
        if tensors is None:
            raise UserError("this ticket has no final weights: train it from weights='rewind'")
        return tensors

    def __repr__(self) -> str:
        trained = "" if self.final is None else ", trained"
        lost = "" if self.removed_known else ", removed weights left out"
        return f"Ticket({self.mask!r}{trained}{lost})"


def load(path: str | os.PathLike[str]) -> Ticket:
    """Read a file of ``Ticket.save``, also of the hub: ``hf://ORG/NAME[@REVISION][/FILE]``.

    Raises UserError, with the path and what is wrong, for a damaged or foreign file;
    FileNotFoundError when there is none.
    """
    try:
        tensors, about = from_bytes("ticket", resolve(path).read_bytes(), str(path))
    except ValueError as error:
        raise UserError(str(error)) from error
    try:
        unpack = _unpacked_whole if about["format"] == MASK_FORMAT else unpack_ticket
        parts = unpack(tensors, about)
        return Ticket(parts.mask, parts.rewind, parts.final, parts.provenance, about.get("digest"))
    except _DAMAGES as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _unpacked_whole(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> TicketParts:
    """The parts of a file of before there were compact ones: every tensor whole."""
    mask = Mask.unpack(_part(tensors, "mask"), about["shapes"])
    final = _part(tensors, "final") if about["final"] else None
    return TicketParts(mask, _part(tensors, "rewind"), final, about["provenance"])


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}/"
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _copied(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise UserError(f"{part} weights: {name!r} is a {type(value).__name__}, not a tensor")
        if value.is_meta:
            raise UserError(
                f"{part} weights: {name!r} is on the meta device and holds no numbers: give those "
                "of a model that has been made or loaded"
            )
    copied = {name: value.detach().clone() for name, value in tensors.items()}
    return Survivors(copied, tensors.known) if isinstance(tensors, Survivors) else copied


def _check_same(ticket: Mapping[str, Tensor], model: Mapping[str, Any]) -> None:
    faults = [f"{name!r} is not in the model" for name in ticket if name not in model]
    faults += [f"{name!r} is not in the ticket" for name in model if name not in ticket]
    faults += [
        f"{name!r} is {list(ticket[name].shape)} in the ticket, {list(model[name].shape)} in the "
        "model"
        for name in ticket
        if name in model and ticket[name].shape != model[name].shape
    ]
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UserError(f"the ticket is for another network: {'; '.join(faults[:3])}{more}")
