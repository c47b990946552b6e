"""What comes into layers: of all at once, or of one after the other."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from winnow.criteria.base import Subject
from winnow.criteria.inputs import Add, watching
from winnow.criteria.stages import EnoughError, Stages
from winnow.errors import UserError


class LayerInputs:
    """What comes into each scored weight, one after the other, in the order of the model.

    Iterating gives the names. Whoever changes a weight before asking for the next sees what the
    layers behind make of it. Statistics of one weight are held at a time, beside the batches and
    what one block of the network made of them (see `stages`). UserError for weights whose inputs
    are not seen, see `inputs.watching`, and for layers that the model does not call.
    """

    def __init__(self, subject: Subject) -> None:
        held = None if subject.data is None else list(subject.data)
        self.subject = replace(subject, data=held)
        self._uses = call_order(self.subject)
        self._stages = Stages(self.subject, self._uses)

    def __iter__(self) -> Iterator[str]:
        return iter(self._uses)

    def gram(self, name: str) -> Tensor:
        """Σ x xᵀ over all positions of all examples, (groups, n, n), n the inputs of a unit; in the
        precision of the model, at least float32.
        """
        total: list[Tensor] = []

        def add(_: str, parts: Iterator[Tensor]) -> None:
            for x in parts:
                if total:
                    total[0].baddbmm_(x, x.mT)
                else:
                    total.append(x @ x.mT)

        self._run_up_to(name, add)
        return total[0]

    def square_sums(self, name: str) -> Tensor:
        """Σ x² over the same, (groups, n), in float64."""
        total: list[Tensor] = []

        def add(_: str, parts: Iterator[Tensor]) -> None:
            for x in parts:
                own = x.square().sum(2, dtype=torch.float64)
                total[:] = [total[0] + own if total else own]

        self._run_up_to(name, add)
        return total[0]

    def _run_up_to(self, name: str, add: Add) -> None:
        once = self._uses[name] == 1
        if once:
            self._stages.enter(name)

        def seen(name: str, parts: Iterator[Tensor]) -> None:
            add(name, parts)
            if once:
                raise EnoughError

        with watching(self.subject, [name], seen):
            for batch, (inputs, _) in enumerate(self.subject.batches()):
                skipping = self._stages.skipping(batch) if once else contextlib.nullcontext()
                with skipping, contextlib.suppress(EnoughError):
                    self.subject.outputs(inputs)


def all_square_sums(subject: Subject) -> dict[str, Tensor]:
    """Σ x² of every input of all scored weights, (groups, inputs of a unit) in float64, in one
    forward pass over the data. UserError as `LayerInputs` raises.
    """
    sums: dict[str, Tensor] = {}

    def add(name: str, parts: Iterator[Tensor]) -> None:
        for x in parts:
            own = x.square().sum(2, dtype=torch.float64)
            sums[name] = sums[name] + own if name in sums else own

    with watching(subject, list(subject.weights), add):
        for inputs, _ in subject.batches():
            subject.outputs(inputs)
    _check_called(subject, sums)
    return sums


def call_order(subject: Subject) -> dict[str, int]:
    """The scored weights in the order in which the model uses them first, with how often it does
    in a batch. Reads batches until all have been used. UserError as `LayerInputs` raises.
    """
    order: dict[str, int] = {}
    seen = Counter[str]()

    def add(name: str, parts: Iterator[Tensor]) -> None:  # noqa: ARG001
        seen[name] += 1

    with watching(subject, list(subject.weights), add):
        for inputs, _ in subject.batches():
            seen.clear()
            subject.outputs(inputs)
            order = order | {name: max(n, order.get(name, 0)) for name, n in seen.items()}
            if len(order) == len(subject.weights):
                break
    _check_called(subject, order)
    return order


def _check_called(subject: Subject, seen: Iterable[str]) -> None:
    called = set(seen)
    names = [name for name in subject.weights if name not in called]
    if not names:
        return
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    listed = ", ".join(map(repr, names[:3]))
    raise UserError(
        f"criterion {subject.criterion!r} looks at the inputs of layers, and with this data the "
        f"model never calls the layers of {listed}{more}: give it more of it (there may be none), "
        "or leave them out with params="
    )
