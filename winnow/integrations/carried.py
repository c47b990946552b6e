"""What a trainer's checkpoint carries of a callback: the mask, and what the method remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.state import Tensors

VERSION = 1


@dataclass(frozen=True)
class Carried:
    """The state of a callback between two steps.

    ``told``: what it was asked for (``Wanted.told``). ``made``: optimizer steps under it.
    ``global_step``: the trainer's own count then. ``planned``, ``per_epoch``: the length of the
    training and of an epoch that a dynamic method counted on, in steps. ``scalars``, ``tensors``:
    what the method remembers, as in ``Dynamic.state_dict``.
    """

    told: Mapping[str, Any]
    mask: Mask
    made: int
    global_step: int
    planned: int | None = None
    per_epoch: int | None = None
    scalars: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, Tensors] = field(default_factory=dict)

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Flat tensors (mask bit-packed) and a description that JSON can hold."""
        packed, shapes = self.mask.pack()
        flat = {f"mask/{name}": bits for name, bits in packed.items()}
        for kind, values in self.tensors.items():
            flat |= {f"memory/{kind}/{name}": value for name, value in values.items()}
        about = {
            "version": VERSION, "shapes": shapes, "told": dict(self.told), "made": self.made,
            "global_step": self.global_step, "planned": self.planned, "per_epoch": self.per_epoch,
            "scalars": dict(self.scalars),
        }  # fmt: skip
        return flat, about

    @classmethod
    def unpack(cls, flat: Mapping[str, Tensor], about: Mapping[str, Any]) -> Carried:
        """The inverse of ``pack``. UserError for a newer version and for what is damaged."""
        if about.get("version", 0) > VERSION:
            raise UserError(
                f"the checkpoint's mask has version {about['version']} of a newer Winnow; this "
                f"reads {VERSION}"
            )
        memory: dict[str, dict[str, Tensor]] = {}
        for key, value in flat.items():
            if key.startswith("memory/"):
                kind, name = key.removeprefix("memory/").split("/", 1)
                memory.setdefault(kind, {})[name] = value
        bits = {n.removeprefix("mask/"): t for n, t in flat.items() if n.startswith("mask/")}
        try:
            return cls(
                about["told"],
                Mask.unpack(bits, about["shapes"]),
                int(about["made"]),
                int(about["global_step"]),
                about["planned"],
                about["per_epoch"],
                about["scalars"],
                memory,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"the checkpoint's mask is damaged: {error}") from error

    def check_same(self, told: Mapping[str, Any]) -> None:
        """UserError, with what differs, unless the callback asks for what was trained."""
        keys = dict.fromkeys([*self.told, *told])
        faults = [
            f"{key} was {self.told.get(key)!r} and is {told.get(key)!r}"
            for key in keys
            if self.told.get(key) != told.get(key)
        ]
        if faults:
            raise UserError(
                f"the checkpoint was trained with another SparseCallback: {'; '.join(faults)}. "
                "Go on with the arguments of then, or start a new training from its weights"
            )
