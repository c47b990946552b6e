"""Mask search on an engine: what competes, what is found, resuming and fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from dynamic_jobs import job as little_job
from search_jobs import ALL, HIDDEN, begun, dense, digits, run_search

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.driven import Driven
from winnow.algorithms.search import make_search
from winnow.algorithms.search.driven import resume_search, settled, start_search
from winnow.engine.dense import DenseEngine
from winnow.errors import UserError
from winnow.models.initialise import initialise
from winnow.reparametrisation import SCORES
from winnow.state import fresh_state


def test_which_layers_compete() -> None:
    assert list(begun(density=0.3)[1].extras[SCORES]) == HIDDEN
    assert list(begun("edge-popup", density=0.3)[1].extras[SCORES]) == ALL
    job = little_job()
    chosen = start_search(
        make_search("jackpot", density=0.3), job, dense(job), seed=3, names=ALL[1:]
    )
    assert list(chosen[1].extras[SCORES]) == ALL[1:]
    with pytest.raises(UserError, match=r"no weight 'hidden\.9\.weight'"):
        start_search(
            make_search("jackpot", density=0.3), job, dense(job), seed=3, names=["hidden.9.weight"]
        )


def test_dynamic_methods_refuse_a_job_in_search() -> None:
    job, _ = begun(density=0.3)
    driven = Driven(DenseEngine("cpu"), make_dynamic("set", density=0.3), 0)
    assert "mask search" in str(driven.refuses(job))


def test_a_search_then_fine_tuning() -> None:
    engine = DenseEngine("cpu")
    job, state = begun(density=0.3)
    after = run_search(engine, job, state)
    assert job.search is not None
    plainly, ticket = settled(job, after)
    assert ticket.mask is not None
    assert ticket.mask.kept_per_layer == job.search.keep
    plain = engine.open(plainly, replace(ticket, step=0))
    plain.advance(10)
    tuned = plain.state()
    for name, keep in ticket.mask.items():
        assert (tuned.weights[name][~keep] == 0).all()
        assert not torch.equal(tuned.weights[name], ticket.weights[name])


@pytest.mark.parametrize("name", ["edge-popup", "supermask", "jackpot"])
def test_the_job_of_a_search_follows_from_any_of_its_states(name: str) -> None:
    method = make_search(name, density=0.3, **({"start": "grasp"} if name == "jackpot" else {}))
    job = little_job()
    sought, state = start_search(method, job, dense(job), seed=3)
    half = run_search(DenseEngine("cpu"), sought, state, to=5)
    assert half.step == 5
    assert resume_search(method, job, half, seed=3).search == sought.search


def test_without_a_search_nothing_is_to_settle() -> None:
    job = little_job()
    state = dense(job)
    assert settled(job, state) == (job, state)


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("edge-popup", {"density": 0.5}, 0.85),
        ("supermask", {}, 0.7),
        ("supermask", {"rescale": True}, 0.8),
    ],
)
def test_a_wide_random_network_holds_one_that_works_untrained(
    name: str, options: dict[str, Any], least: float
) -> None:
    method = make_search(name, **options)
    job = digits(method, [300, 100], 300)
    model = job.build()
    initialise(model, "signed-kaiming", 5, kept=0.5)
    sought, state = start_search(method, job, fresh_state(model), seed=6)
    engine = DenseEngine("cpu")
    before = engine.open(sought, state).evaluate("test").accuracy
    session = engine.open(sought, state)
    session.advance(300)
    after = session.evaluate("test").accuracy
    assert before < 0.4
    assert after > least
