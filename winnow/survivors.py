"""Weights of which only those are known that a mask keeps: the rest was left out of a file."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from winnow.errors import UserError
from winnow.mask import Mask

HOW_TO_GET_THEM = (
    "save the ticket with ticket.save(path, removed=True), or write it with "
    "`winnow ticket RUN --to FILE --removed`"
)


class Survivors(dict[str, Tensor]):
    """A state_dict that has 0 in place of the weights that ``known`` removes, whatever they were.

    Tensors without a mask in ``known`` are known in whole.
    """

    def __init__(self, tensors: Mapping[str, Tensor], known: Mask) -> None:
        super().__init__(tensors)
        self.known = known


def check_known(tensors: Mapping[str, Tensor], mask: Mapping[str, Tensor], what: str) -> None:
    """UserError if the mask keeps weights that are not known. Layers without a mask are kept.

    ``what``: what the weights are, for the message. Any mapping but `Survivors` is known in whole.
    """
    if not isinstance(tensors, Survivors):
        return
    for name, known in tensors.known.items():
        missing = ~known if name not in mask else ~known & mask[name].to(known.device)
        if count := int(missing.count_nonzero()):
            raise UserError(
                f"{what}: {count} weights of {name!r} are wanted that are not known. They are "
                "removed by the ticket's mask, and the file that it was read from has left them "
                f"out: {HOW_TO_GET_THEM}"
            )
