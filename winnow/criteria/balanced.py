"""Scoring batches with the same number of examples of each class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from winnow.criteria.base import Subject
from winnow.errors import UserError

Batch = tuple[Tensor, Tensor]


def rebalanced(
    subject: Subject, per_class: int | None, classes: int | None, batches: int = 1
) -> Subject:
    """The subject on class-balanced batches of its data, if ``per_class`` asks for them."""
    if per_class is not None:
        data = collect(subject.batches(), per_class, classes=classes, batches=batches)
        return replace(subject, data=data)
    if classes is not None or batches != 1:
        raise UserError(
            f"criterion {subject.criterion!r}: classes={classes} and batches={batches} describe "
            "class-balanced batches: pass per_class= too, e.g. per_class=10"
        )
    return subject


def collect(
    data: Iterable[tuple[Any, Any]],
    per_class: int,
    *,
    classes: int | None = None,
    batches: int = 1,
) -> list[Batch]:
    """The first ``per_class`` examples of each class in the data, as one batch; or several.

    ``data``: batches of inputs (B, …) and integer labels (B,), e.g. a shuffled DataLoader, whose
    order decides what is taken; reading stops when there is enough. ``classes``: how many there
    are, labels 0 … classes − 1; without it all data is read and the largest label says.
    ``batches``: so many of them, without common examples. Each batch is sorted by class, as in
    the GraSP authors' code, so that its halves hold different classes; shuffle it by hand and
    pass it as batch= for mixed halves.

    Raises UserError for a class that is missing or has too few examples, with its label.
    """
    _positive(per_class, "per_class"), _positive(batches, "batches")
    wanted, found = per_class * batches, _Found(classes)
    for x, y in data:
        found.take(x, y, wanted)
        if found.complete(wanted):
            break
    found.check(wanted)
    return [found.batch(slice(k * per_class, (k + 1) * per_class)) for k in range(batches)]


def draw_balanced(
    labels: Tensor, per_class: int, generator: torch.Generator, *, classes: int | None = None
) -> Tensor:
    """Indices (classes · per_class,) of examples drawn without replacement, sorted by class.

    For data in memory: ``labels`` (N,) holds integers 0 … classes − 1 (default: the largest label
    says). UserError for a class that is missing or has too few examples.
    """
    _positive(per_class, "per_class")
    _check_labels(labels)
    number = _number_of(classes, int(labels.max()) if len(labels) else -1)
    places = [(labels == label).nonzero().flatten().cpu() for label in range(number)]
    _check_enough([len(own) for own in places], per_class)
    return torch.cat([own[torch.randperm(len(own), generator=generator)][:per_class]
                      for own in places])  # fmt: skip


class _Found:
    """Examples by class, in the order in which they came."""

    def __init__(self, classes: int | None) -> None:
        self.classes = classes
        self.inputs: dict[int, list[Tensor]] = {}
        self.counts: dict[int, int] = {}

    def take(self, x: object, y: object, wanted: int) -> None:
        if not isinstance(x, Tensor):
            raise UserError(f"class-balanced batches need tensors, got a {type(x).__name__}")
        _check_labels(y)
        assert isinstance(y, Tensor)
        for label in torch.unique(y).tolist():
            if not 0 <= label < (self.classes or label + 1):
                raise UserError(f"label {label} is not one of the classes 0 to {self.classes - 1}"
                                if self.classes else f"label {label} is negative")  # fmt: skip
            missing = wanted - self.counts.get(label, 0)
            chosen = (y == label).nonzero().flatten()[:missing]
            if len(chosen):
                self.inputs.setdefault(label, []).append(x[chosen])
                self.device = y.device
                self.dtype = y.dtype
                self.counts[label] = self.counts.get(label, 0) + len(chosen)

    def complete(self, wanted: int) -> bool:
        return self.classes is not None and all(
            self.counts.get(label, 0) == wanted for label in range(self.classes)
        )

    def check(self, wanted: int) -> None:
        self.classes = _number_of(self.classes, max(self.counts, default=-1))
        _check_enough([self.counts.get(label, 0) for label in range(self.classes)], wanted)

    def batch(self, part: slice) -> Batch:
        assert self.classes is not None
        parts = [torch.cat(self.inputs[label])[part] for label in range(self.classes)]
        labels = torch.arange(self.classes, dtype=self.dtype, device=self.device)
        return torch.cat(parts), labels.repeat_interleave(part.stop - part.start)


def _number_of(classes: int | None, largest: int) -> int:
    if classes is None and largest < 0:
        raise UserError("no examples to take a class-balanced batch from: the data is empty")
    return largest + 1 if classes is None else _positive(classes, "classes")


def _check_enough(counts: list[int], wanted: int) -> None:
    few = [f"class {label} has {count}" for label, count in enumerate(counts) if count < wanted]
    if few:
        more = f" and {len(few) - 5} classes more" if len(few) > 5 else ""
        raise UserError(
            f"a class-balanced batch needs {wanted} examples of each of {len(counts)} classes, but "
            f"{', '.join(few[:5])}{more}. Ask for fewer, give more data, or correct classes=."
        )


def _check_labels(y: object) -> None:
    if not isinstance(y, Tensor) or y.dim() != 1 or y.is_floating_point() or y.is_complex():
        kind = f"{list(y.shape)} {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise UserError(f"class-balanced batches need integer labels of shape (B,), got {kind}")


def _positive(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} is {value!r}: give a whole number from 1 on")
    return value
