"""A trial of one's own criterion on a small network and a small batch, before anything is trained.

What is wrong is told with the user's file and line, and how to fix it.
"""

from __future__ import annotations

import inspect
import random
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow import rng
from winnow.criteria import traits_of
from winnow.criteria.base import Criterion
from winnow.errors import UserError
from winnow.scoring import Scores, score

_PER_CLASS = 2


def try_criterion(
    function: Criterion, model: nn.Module, shape: tuple[int, ...], classes: int, name: str
) -> None:
    """Score ``model`` twice with a user's function, on random images of ``shape`` (C, H, W).

    As in an experiment: data, a loss and the shape of an example only where its traits ask for
    them; in its mode; a generator of a fixed seed. Between both, the global states of Python's and
    NumPy's random numbers differ, as they do between worker processes.

    Raises UserError, naming file and line: it raises, its scores are of other names, shapes or
    types, not finite, or differ from one call to the next.
    """
    given = _given(function, shape, classes)
    model.train(traits_of(function).training)
    with _global_states():
        first, second = (_scored(function, model, name, given, seed) for seed in (1, 2))
    for layer, scores in first.items():
        _check_finite(function, name, layer, scores)
    different = [layer for layer in first if not torch.equal(first[layer], second[layer])]
    if different:
        raise UserError(
            f"{_defined(function)}: {name} gave other scores of {different[0]} when it was called "
            "again on the same network and data, so that its runs could not be made again. Draw "
            "random numbers from subject.random() only: torch.rand(…, generator=subject.random()), "
            "and keep nothing from call to call"
        )


def _given(function: Criterion, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """What an experiment would give it."""
    known = traits_of(function)
    given: dict[str, Any] = {}
    if known.examples != "none":
        generator = rng.torch_generator(0, "trial")
        labels = torch.arange(classes).repeat(_PER_CLASS)
        images = torch.randn(len(labels), *shape, generator=generator)
        half = len(labels) // 2  # two batches, as of a loader
        given["loader"] = [(images[:half], labels[:half]), (images[half:], labels[half:])]
        given["loss_fn"] = F.cross_entropy
    if known.takes_input_shape:
        given["input_shape"] = shape
    return given


def _scored(
    function: Criterion, model: nn.Module, name: str, given: Mapping[str, Any], seed: int
) -> Scores:
    random.seed(seed)
    np.random.seed(seed)
    generator = rng.torch_generator(0, "score")
    try:
        return score(model, function, generator=generator, **given)
    except Exception as error:  # whatever the function raises
        raise _told(function, name, error) from error


def _told(function: Criterion, name: str, error: Exception) -> UserError:
    """The error with the deepest line of the user's file that led to it; else its ``def``."""
    file = _file(function)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename) == file]
    if not own:  # the scores are wrong, not the code
        return UserError(f"{_defined(function)}: {error}. Return a dictionary with a float tensor "
                         "of the weight's shape for each name in subject.weights")  # fmt: skip
    line = f", `{own[-1].line}`" if own[-1].line else ""
    return UserError(
        f"{file}, line {own[-1].lineno}{line}: {name} failed on a small network with "
        f"{type(error).__name__}: {error}. Nothing is trained yet; correct the line and run the "
        "command again"
    )


def _check_finite(function: Criterion, name: str, layer: str, scores: Tensor) -> None:
    bad = int((~torch.isfinite(scores)).sum())
    if not bad:
        return
    kind = "NaN" if bool(torch.isnan(scores).any()) else "infinite"
    raise UserError(
        f"{_defined(function)}: {name} gave {bad} of {scores.numel()} scores of {layer} that are "
        f"{kind}, which cannot be ranked. Look for a division by zero, a root or a logarithm "
        "of what may be zero, e.g. divide by x.clamp(min=1e-12)"
    )


def _defined(function: Criterion) -> str:
    """The file and line of the function."""
    plain = inspect.unwrap(function)
    return f"{_file(function)}, line {plain.__code__.co_firstlineno}"


def _file(function: Criterion) -> Path:
    return Path(inspect.unwrap(function).__code__.co_filename)


@contextmanager
def _global_states() -> Iterator[None]:
    """Put the global random states back on exit."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
