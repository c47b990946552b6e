"""Mask searches as they train: the state that a run begins in, and the job from a state on."""

from __future__ import annotations

from winnow.algorithms.search import driven, make_search
from winnow.engine.base import Job
from winnow.experiment.runs import Run
from winnow.state import State


def begun(run: Run, job: Job, state: State) -> State:
    """The dense state, in search: with its first scores. A run without search: as it is."""
    if (about := run.search) is None:
        return state
    method = make_search(about["name"], **about["options"])
    return driven.start_search(method, job, state, seed=about["seed"], names=about["prunable"])[1]


def sought(run: Run, job: Job, state: State) -> Job:
    """The job that goes on from a state in search. A run without search: as it is."""
    if (about := run.search) is None:
        return job
    method = make_search(about["name"], **about["options"])
    return driven.resume_search(method, job, state, seed=about["seed"], names=about["prunable"])
