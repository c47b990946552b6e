"""The state that a run begins in, and the job that goes on from a state."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.driven import start_dynamic
from winnow.algorithms.dynamic.method import DynamicMethod
from winnow.algorithms.search import make_search
from winnow.algorithms.search.driven import resume_search, start_search
from winnow.engine.base import Job
from winnow.experiment.runs import Run
from winnow.experiment.store.tickets import GivenFiles
from winnow.experiment.train.disturb import disturbed
from winnow.experiment.train.job import initial_network, make_job
from winnow.experiment.train.masks import Parents, pruned_for, shuffled_for, state_of
from winnow.mask import Mask
from winnow.state import State, fresh_state, masked


def starting_state(run: Run, parents: Parents, given: GivenFiles | None = None) -> State:
    """The masked state at which a run begins. ``given``: what recipes gave by files."""
    start = run.start
    network, mask = _pruned(run, parents, given) if run.pruning else (None, None)
    if start.kind == "init":
        state = fresh_state(initial_network(run), mask, run.begin)
        return _begun(run, disturbed(run, state))
    if start.kind == "given":
        assert given is not None
        if start.given is not None:
            return _begun(run, disturbed(run, _from_ticket(run, given.weights(start.given), mask)))
        assert run.search is not None
        assert run.search.weights is not None
        return _begun(run, replace(given.weights(run.search.weights), step=run.begin))
    assert start.run is not None
    reached = state_of(parents(start.run), start.step)
    state = State(run.begin, reached.weights, reached.buffers, mask)
    if start.is_operated:
        assert network is not None
        state = fresh_state(network, mask, run.begin)
    if start.optimizer == "rewound":
        state = replace(state, slots=reached.slots, updates=reached.updates)
    return _begun(run, disturbed(run, masked(state)))


def _pruned(run: Run, parents: Parents, given: GivenFiles | None) -> tuple[nn.Module | None, Mask]:
    """The run's mask: that of a ticket from a file, or found by scoring."""
    pruning = run.pruning
    assert pruning is not None
    if pruning.given is None:
        return pruned_for(run, parents)
    assert given is not None
    return None, shuffled_for(pruning, given.mask(pruning.given))


def _from_ticket(run: Run, ticket: State, mask: Mask | None) -> State:
    """The ticket's weights and buffers in the run's network, which has its own for all others."""
    own = fresh_state(initial_network(run), mask, run.begin)
    weights, buffers = {**own.weights, **ticket.weights}, {**own.buffers, **ticket.buffers}
    return masked(State(run.begin, weights, buffers, mask))


def method_of(run: Run) -> DynamicMethod | None:
    """The dynamic method that changes the run's mask, or None."""
    if run.dynamic is None:
        return None
    return make_dynamic(run.dynamic.name, **run.dynamic.options)


def job_from(run: Run, job: Job, state: State) -> Job:
    """The job that trains from a state of the run on: where the run searches for a mask, the search
    goes on.
    """
    if (about := run.search) is None:
        return job
    method = make_search(about.name, **about.options)
    return resume_search(method, job, state, seed=about.seed, names=about.prunable)


def _begun(run: Run, state: State) -> State:
    """The state under the first mask of the run's dynamic method, or with the first scores of its
    search, if it has one."""
    if (about := run.search) is not None:
        search = make_search(about.name, **about.options)
        job, names = make_job(run), about.prunable
        return start_search(search, job, state, seed=about.seed, names=names)[1]
    method = method_of(run)
    if run.dynamic is None or method is None:
        return state
    return start_dynamic(method, state, run.prunable, run.dynamic.seed)
