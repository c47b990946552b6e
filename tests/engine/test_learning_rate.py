"""The learning rate in closed form."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from conformance import lenet, make_job, training_data

from winnow.engine.learning_rate import learning_rate, rate_at


def schedule(name="constant", drops=(), factor=None, warmup=0, every=None, **more):
    about = {"drops": list(drops), "factor": factor, "warmup": warmup, "every": every}
    return {"name": name, **about, **more}


def test_constant():
    assert {learning_rate(s, 100, 0.3, schedule()) for s in range(100)} == {0.3}


def test_steps_drop_at_their_iteration():
    vgg = schedule("steps", (50, 80), 0.1)
    rates = [learning_rate(s, 100, 0.1, vgg) for s in (0, 49, 50, 79, 80, 99)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_cosine_falls_from_all_through_half_to_nearly_nothing():
    rates = [learning_rate(s, 100, 2.0, schedule("cosine")) for s in range(100)]
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1 + math.cos(math.pi * 0.99))
    assert all(a > b for a, b in itertools.pairwise(rates))


@pytest.mark.parametrize("name", ["constant", "steps", "cosine", "linear", "exponential"])
def test_warm_up_is_linear_from_zero(name):
    every = 50 if name == "exponential" else None
    warm = schedule(name, (50,) if name == "steps" else (), 0.1, warmup=10, every=every)
    assert [learning_rate(s, 100, 1.0, warm) for s in range(10)] == pytest.approx(
        [s / 10 for s in range(10)]
    )
    assert learning_rate(10, 100, 1.0, warm) >= 0.9
    bare = {**warm, "warmup": 0}  # what follows is counted from step 0, warm-up included
    for step in (10, 49, 50, 99):
        assert learning_rate(step, 100, 1.0, warm) == learning_rate(step, 100, 1.0, bare)


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_the_line_ends_at_0_after_the_last_update(steps):
    """η (1 − t/T), as `torch.optim.lr_scheduler.LinearLR` from 1 to 0 gives it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for step in range(steps):
        rate = learning_rate(step, steps, 0.3, schedule("linear"))
        assert rate == pytest.approx(theirs.get_last_lr()[0], rel=1e-6)
        assert rate > 0
        optimizer.step()
        theirs.step()
    assert theirs.get_last_lr()[0] == pytest.approx(0, abs=1e-9)
    assert learning_rate(10 * steps, steps, 0.3, schedule("linear")) == rate


@pytest.mark.parametrize("every", [1, 7, 200])
def test_the_exponential_is_a_staircase(every):
    stairs = schedule("exponential", factor=0.94, every=every)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, every, 0.94)
    for step in range(100):
        rate = learning_rate(step, 100, 0.3, stairs)
        assert rate == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()


def test_past_the_end_the_last_rate_goes_on():
    drops = schedule("steps", (50,), 0.1)
    assert learning_rate(1000, 100, 1.0, drops) == learning_rate(99, 100, 1.0, drops)


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_the_cosine_is_counted_to_the_end_and_reaches_it_only_after_the_last_update(steps):
    """η_t = η (1 + cos(π t / T)) / 2: T updates, t = 0 … T − 1, none of them at rate 0."""
    last = learning_rate(steps - 1, steps, 2.0, schedule("cosine"))
    assert last == 1 + math.cos(math.pi * (steps - 1) / steps)
    assert last > 0
    for later in (steps, steps + 1, 10 * steps):  # continued training stays at the last update's
        assert learning_rate(later, steps, 2.0, schedule("cosine")) == last


def test_the_rate_of_a_job_is_that_of_its_schedule():
    job = make_job(lenet(), training_data((1, 4, 4)), schedule=schedule("cosine"), steps=10)
    assert rate_at(job, 3) == learning_rate(3, 10, job.optimizer["lr"], job.schedule)


@pytest.mark.parametrize("steps", [1, 3, 100])
def test_a_line_to_a_rate_ends_there(steps):
    """From η to ``to``, as `torch.optim.lr_scheduler.LinearLR` with a last factor gives it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.03)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.005 / 0.03, total_iters=steps)
    line = schedule("linear", to=0.005)
    for step in range(steps):
        assert learning_rate(step, steps, 0.03, line) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert theirs.get_last_lr()[0] == pytest.approx(0.005)
    zero = schedule("linear", to=0.0)
    rates = [[learning_rate(s, steps, 0.3, w) for s in range(steps)] for w in (zero, line | zero)]
    assert rates[0] == [0.3 * (1 - s / steps) for s in range(steps)], "as before it could be said"
