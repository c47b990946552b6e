"""What a compact ticket file holds: masks, and of masked weights only those that are kept.

Three groups of bytes, and in the metadata what gives them back. ``mask``: the masks of all layers,
one after the other. ``rewind/DTYPE`` and ``final/DTYPE``: all numbers of one dtype. Which coding
each has is chosen by its size (`winnow.packing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.packing.bound import check_described
from winnow.ticketfile.layers import pack_layers, unpack_layers
from winnow.ticketfile.reading import TicketReader
from winnow.ticketfile.writing import TicketWriter


@dataclass(frozen=True)
class TicketParts:
    """A ticket as it is written and read, see `winnow.ticket.Ticket`."""

    mask: Mask
    rewind: Mapping[str, Tensor]
    final: Mapping[str, Tensor] | None
    provenance: Mapping[str, Any]


def pack_ticket(
    parts: TicketParts, *, removed: bool, half: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (bytes, as uint8) and the metadata of a compact file.

    ``removed``: removed weights too; ``half``: float32 and float64 as float16. Raises UserError:
    removed weights that are not known, a value that is too large for float16, or a tensor that is
    not plain numbers.
    """
    tensors, layers = pack_layers(parts.mask)
    writer = TicketWriter(parts.mask, removed=removed, half=half)
    rewind = writer.write("rewind", parts.rewind)
    final = None if parts.final is None else writer.write("final", parts.final)
    if final is not None and final["layout"] == rewind["layout"]:
        final["layout"] = None  # that of rewind
    _check_readable(parts, tensors | writer.tensors)
    about = {"mask": layers, "half": half, "rewind": rewind, "final": final}
    return tensors | writer.tensors, {**about, "provenance": dict(parts.provenance)}


def _check_readable(parts: TicketParts, tensors: Mapping[str, Tensor]) -> None:
    """UserError for a ticket that keeps so little that no reader would believe its shapes."""
    largest = [parts.mask, parts.rewind, parts.final or {}]
    try:
        check_described(max(sum(t.numel() for t in one.values()) for one in largest), tensors)
    except ValueError as error:
        raise UserError(f"{error}: save the ticket with removed=True") from None


def unpack_ticket(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> TicketParts:
    """The parts of what `pack_ticket` gave; what the file left out is 0, in a `Survivors`.

    Raises ValueError, KeyError, TypeError or AttributeError for what does not fit together. What is
    decoded is never larger than the shapes in ``about`` say.
    """
    mask = unpack_layers(tensors, about["mask"])
    reader = TicketReader(tensors, mask, half=about["half"])
    first, last = about["rewind"], about["final"]
    rewind = reader.read("rewind", first, first["layout"])
    final = None
    if last is not None:
        layout = first["layout"] if last["layout"] is None else last["layout"]
        final = reader.read("final", last, layout)
    return TicketParts(mask, rewind, final, about["provenance"])
