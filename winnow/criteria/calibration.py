"""One layer's inputs at a time: the order in which layers run, and the Gram matrix of one."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor

from winnow.criteria.base import Subject
from winnow.criteria.inputs import Add, watching
from winnow.errors import UserError


class _EnoughError(Exception):
    """Raised where a layer has been called, so that what is behind it need not run."""


def square_sums(subject: Subject) -> dict[str, Tensor]:
    """Σ x² of every input of the scored weights, (groups, inputs of a unit) in float64.

    One forward pass over the data. UserError for weights whose inputs are not seen, see
    `inputs.watching`, and for layers that the model does not call.
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
    in a batch. UserError as for `square_sums`. Reads batches until all have been used.
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


def gram(subject: Subject, name: str, uses: int) -> Tensor:
    """Σ x xᵀ over all positions of all examples, (groups, n, n), n the inputs of a unit, of one
    weight; in the precision of the model, at least float32.

    The model runs as far as that weight, where it has one of ``uses`` in a batch.
    """
    total: list[Tensor] = []

    def add(_: str, parts: Iterator[Tensor]) -> None:
        for x in parts:
            if total:
                total[0].baddbmm_(x, x.mT)
            else:
                total.append(x @ x.mT)

    _run_up_to(subject, name, uses, add)
    if not total:  # a batch of nothing, of those that are read a second time
        raise _not_called(subject, [name])
    return total[0]


def square_sums_of(subject: Subject, name: str, uses: int) -> Tensor:
    """Σ x² as `square_sums` has it, of one weight; the model runs as far as for `gram`."""
    total: list[Tensor] = []

    def add(_: str, parts: Iterator[Tensor]) -> None:
        for x in parts:
            own = x.square().sum(2, dtype=torch.float64)
            total[:] = [total[0] + own if total else own]

    _run_up_to(subject, name, uses, add)
    if not total:
        raise _not_called(subject, [name])
    return total[0]


def _run_up_to(subject: Subject, name: str, uses: int, add: Add) -> None:
    def seen(name: str, parts: Iterator[Tensor]) -> None:
        add(name, parts)
        if uses == 1:
            raise _EnoughError

    with watching(subject, [name], seen):
        for inputs, _ in subject.batches():
            with contextlib.suppress(_EnoughError):
                subject.outputs(inputs)


def _check_called(subject: Subject, seen: dict[str, Tensor] | dict[str, int]) -> None:
    if missing := [name for name in subject.weights if name not in seen]:
        raise _not_called(subject, missing)


def _not_called(subject: Subject, names: list[str]) -> UserError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    listed = ", ".join(map(repr, names[:3]))
    return UserError(
        f"criterion {subject.criterion!r} looks at the inputs of layers, and with this data the "
        f"model never calls the layers of {listed}{more}: give it more of it (there may be none), "
        "or leave them out with params="
    )
