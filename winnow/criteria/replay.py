"""Going over the same batches twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from winnow.criteria.base import Subject
from winnow.errors import UserError


class Replay:
    """Passes over the data of a subject that all begin from the same random states.

    So a shuffled, augmented DataLoader gives the same batches in the same order, and dropout
    between them draws the same. Memory: a few bytes for each batch.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._restore = _states(subject.data)
        self._seen: list[float] = []
        self._passes = 0

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """One pass. UserError when a later one differs from the first, or finds nothing."""
        if self._passes and isinstance(self._subject.data, Iterator):
            raise UserError(
                f"criterion {self._subject.criterion!r} goes over the batches twice, and loader= "
                "can be read only once: pass list(loader), or a DataLoader"
            )
        for restore in self._restore:
            restore()
        first, self._passes, place = self._passes == 0, self._passes + 1, 0
        for x, y in self._subject.batches():
            mark = _mark(x) + _mark(y)
            if first:
                self._seen.append(mark)
            elif place >= len(self._seen) or self._seen[place] != mark:
                raise self._differs(place)
            place += 1
            yield x, y
        if place != len(self._seen):
            raise self._differs(place)

    @property
    def passes_over_several(self) -> bool:
        """Whether the first pass, when complete, had more than one batch."""
        return len(self._seen) > 1

    def _differs(self, place: int) -> UserError:
        return UserError(
            f"criterion {self._subject.criterion!r} goes over the batches twice, and batch "
            f"{place} of the second pass was another one: pass a list of batches, or a loader "
            "whose order and augmentation come from torch's, numpy's or Python's global generator"
        )


def _mark(batch: Any) -> float:
    """A number that differs where batches do."""
    return sum(map(_mark_of, pytree.tree_leaves(batch)))


def _mark_of(value: Any) -> float:
    if not isinstance(value, Tensor) or value.is_complex():
        return 0.0
    total = float(value.detach().sum()) + value.numel()
    return total if total == total else 0.0  # NaN differs from itself


def _states(data: object) -> list[Callable[[], object]]:
    """What puts each random state back to what it is now."""
    torch_state, python, arrays = torch.get_rng_state(), random.getstate(), np.random.get_state()
    restore: list[Callable[[], object]] = [
        lambda: torch.set_rng_state(torch_state),
        lambda: random.setstate(python),
        lambda: np.random.set_state(arrays),
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        cuda = torch.cuda.get_rng_state_all()
        restore.append(lambda: torch.cuda.set_rng_state_all(cuda))
    return restore + [_putting_back(generator) for generator in _generators(data)]


def _putting_back(generator: torch.Generator) -> Callable[[], object]:
    state = generator.get_state()
    return lambda: generator.set_state(state)


def _generators(data: object) -> list[torch.Generator]:
    """The generators of a DataLoader and its samplers."""
    batches = getattr(data, "batch_sampler", None)
    owners = (data, getattr(data, "sampler", None), batches, getattr(batches, "sampler", None))
    found = (getattr(owner, "generator", None) for owner in owners)
    return list(dict.fromkeys(g for g in found if isinstance(g, torch.Generator)))
