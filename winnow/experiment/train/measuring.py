"""What a worker does with an analysis: give it the states of its runs, store its rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.feed import Feed
from winnow.experiment.analyses import START, Analysed, Analysis, SeenData
from winnow.experiment.measures import find_measure
from winnow.experiment.measures.kind import MeasuredRow, Specimen
from winnow.experiment.runs import Run
from winnow.experiment.store.analyses import analysis_lock, find_analysis, write_analysis
from winnow.experiment.store.store import Found, Store
from winnow.experiment.train.job import initial_network, make_job, make_network
from winnow.experiment.train.protocol import Answer, Task, Tell
from winnow.experiment.train.tasks import states_of_parents
from winnow.mask import Mask
from winnow.state import State, load_weights

_BATCH = 250  # images that an analysis sees at once: where batch norm takes their statistics, part
# of what it computes; elsewhere it changes sums in their rounding alone


def measure_and_store(store: Store, task: Task, tell: Tell) -> None:
    """Make the analysis of a task, unless it is there or somebody makes it.

    Raises DamagedParentError, UserError (bad data or options), OSError.
    """
    analysis = task.analysis
    assert analysis is not None
    with analysis_lock(store, analysis) as free:
        if not free:
            tell(Answer("busy", run=analysis.id))
            return
        if find_analysis(store, analysis.folder, analysis.id) is None:
            rows = states_of_parents(store, task, functools.partial(measured, analysis))
            write_analysis(store, analysis, rows, dict(task.about))
        tell(Answer("done", run=analysis.id))


def measured(
    analysis: Analysis,
    parents: Callable[[str], Found],
    start: Callable[[Run], State],
) -> list[MeasuredRow]:
    """The rows of an analysis. ``parents``: identity → stored run; ``start``: where a run begins.

    Numbers that are not finite become None, as JSON has none.
    """
    runs = [(subject, parents(subject.run)) for subject in analysis.subjects]
    specimens = [_specimen(analysis, subject, found, start) for subject, found in runs]
    data = _Images(runs[0][1].run, analysis.data) if analysis.data else ()
    rows = find_measure(analysis.name).function(specimens, data, analysis.options)
    return [{field: _plain(value) for field, value in row.items()} for row in rows]


def _specimen(
    analysis: Analysis, subject: Analysed, found: Found, start: Callable[[Run], State]
) -> Specimen:
    state = start(found.run) if subject.at == START else found.state(subject.at)
    mask = state.mask or Mask.dense({name: state.weights[name] for name in analysis.prunable})
    return Specimen(
        found.run,
        state,
        mask,
        functools.partial(_initial, found.run),
        functools.partial(_model, found.run, state),
    )


def _initial(run: Run) -> Mapping[str, Tensor]:
    return {name: w.detach() for name, w in initial_network(run).named_parameters()}


def _model(run: Run, state: State) -> nn.Module:
    model = make_network(run)
    load_weights(model, state)
    return model.eval()


class _Images:
    """Batches of the images that an analysis sees, as often as they are asked for."""

    def __init__(self, run: Run, seen: SeenData) -> None:
        job = make_job(run)
        splits = dict(job.data.splits)
        split = splits[seen.split]
        if seen.examples is not None:
            split = replace(split, index=split.index[: seen.examples])
        splits["train"] = split  # what a feed cannot be without
        self.feed = Feed(replace(job, data=replace(job.data, splits=splits)), torch.device("cpu"))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.feed.whole("train", _BATCH)


def _plain(value: Any) -> float | int | str | None:
    if value is None or isinstance(value, str | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None
