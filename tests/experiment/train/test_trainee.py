"""What is recorded of a run on its way, with a session that only plays its part."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from sample_runs import RUN

from winnow.engine.base import Job, Metrics, Split, StepStats, TrainingData
from winnow.experiment.runs import Record
from winnow.experiment.train.checkpoint import Progress
from winnow.experiment.train.trainee import Trainee
from winnow.state import State

ONE = torch.zeros(1, 1, 1, 1, dtype=torch.uint8)
SPLIT = Split(ONE, torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
DATA = TrainingData(dict.fromkeys(("train", "validation", "test"), SPLIT), (0.0,), (1.0,))
JOB = Job(torch.nn.Identity, DATA, 100, 1, "keep", {}, {}, {})


class Played:
    """A session whose validation losses are given by iteration, and whose weight is its step."""

    def __init__(self, losses, diverges=None, step=0):
        self.losses, self.diverges, self.step = losses, diverges, step

    def advance(self, to):
        if self.diverges is not None and to >= self.diverges:
            self.step = self.diverges - 1
            return StepStats(self.step, math.nan, diverged_at=self.diverges)
        self.step = to
        return StepStats(to, 1.0)

    def evaluate(self, split):
        order = ("train", "validation", "test").index(split)
        return Metrics(self.losses.get(self.step, 9.0), (order + 1) / 10 + self.step / 1000)

    def state(self):
        return State(self.step, {"w": torch.tensor([float(self.step)])}, {})


def trainee(losses, record=Record(), diverges=None, **run):  # noqa: B008 - frozen
    made = replace(RUN, end=100, steps=100, evaluate=20, **run)
    return Trainee(made, record, JOB, Played(losses, diverges), Progress())


def train(one, end=100):
    one.begin(0)
    step = 0
    while step < end and one.diverged_at is None:
        step = min(one.next_look(step), end)
        one.advance(step)
    best = one.progress.best
    return one.end(None if best is None else Played({}, step=best.step))


def test_of_equal_validation_losses_the_first_wins():
    result, _ = train(trainee({0: 3.0, 20: 1.0, 40: 2.0, 60: 1.0, 80: 1.0, 100: 1.5}))
    assert result.stop_iteration == 20
    assert result.stop_validation_loss == 1.0
    assert result.stop == pytest.approx({"train": 0.12, "validation": 0.22, "test": 0.32})
    assert result.final == pytest.approx({"train": 0.2, "validation": 0.3, "test": 0.4})
    assert result.stop_censored is False
    assert result.curve["validation_loss"] == [3.0, 1.0, 2.0, 1.0, 1.0, 1.5]
    assert result.curve["steps"] == [0, 20, 40, 60, 80, 100]
    falling, _ = train(trainee({step: -float(step) for step in range(101)}))
    assert (falling.stop_iteration, falling.stop_censored) == (100, True)


class Counting(Played):
    """It says which splits it was asked for."""

    def __init__(self, losses, step=0):
        super().__init__(losses, step=step)
        self.asked = []

    def evaluate(self, split):
        self.asked.append((self.step, split))
        return super().evaluate(split)


class Returning(Counting):
    """It can go back to earlier weights."""

    def snapshot(self):
        step, here = self.step, self.state()
        return SimpleNamespace(step=step, network=lambda: here)

    def return_to(self, state):
        self.step = int(state.weights["w"])


def ended(session, **record):
    """A run whose validation loss is lowest at iteration 40: its result and what was evaluated."""
    one = trainee({}, Record(**record))
    one.session = session
    one.begin(0)
    for step in range(20, 101, 20):
        one.advance(step)
    asked = len(session.asked)
    apart = one.apart()
    best = None if apart is None else Counting({}, step=apart.step)
    result, _ = one.end(best)
    return result, [*session.asked[asked:], *(best.asked if best else [])]


@pytest.mark.parametrize("curve", [False, True])
def test_what_the_curve_has_is_not_evaluated_again(curve):
    test = [] if curve else [(100, "test"), (40, "test")]
    for session in (Counting({40: 1.0}), Returning({40: 1.0})):
        result, asked = ended(session, test_curve=curve)
        assert sorted(asked) == sorted([(100, "train"), (40, "train"), *test])
        assert result.stop == pytest.approx({"train": 0.14, "validation": 0.24, "test": 0.34})
        assert result.final == pytest.approx({"train": 0.2, "validation": 0.3, "test": 0.4})
        assert (result.stop_loss["validation"], result.final_loss["validation"]) == (1.0, 9.0)


def test_the_last_weights_are_evaluated_once_where_they_are_the_best():
    for session in (Counting({100: 1.0}), Returning({100: 1.0})):
        result, asked = ended(session, test_curve=True)
        assert asked == [(100, "train")]
        assert (
            result.stop
            == result.final
            == pytest.approx({"train": 0.2, "validation": 0.3, "test": 0.4})
        )
        assert result.stop_iteration == 100


def test_losses_that_are_no_numbers_are_no_minimum():
    result, _ = train(trainee({0: math.nan, 20: math.inf, 40: 2.0, 60: math.nan}))
    assert result.stop_iteration == 40
    assert result.curve["validation_loss"][:4] == [None, None, 2.0, None]


def test_looks_come_on_the_grid_at_the_end_and_where_they_are_asked_for():
    record = Record(frozenset({33}), frozenset({7, 40}))
    one = trainee({}, record, begin=0)
    looks, step = [], 0
    while step < 100:
        looks.append(step := one.next_look(step))
    assert looks == [7, 20, 33, 40, 60, 80, 100]
    result, states = train(trainee({}, record))
    assert set(states) == {"final", "step-7", "step-40"}
    assert float(states["step-7"].weights["w"]) == 7
    assert result.accuracy_at == pytest.approx({"33": 0.333})
    late = trainee({}, begin=50)
    assert [late.next_look(step) for step in (50, 69, 70, 99)] == [70, 70, 90, 100]


def test_the_training_loss_weighs_every_update_the_same_wherever_the_loop_paused():
    """Losses 1, 2, 3, … by step; a step without an update has none and counts for none."""

    class Counted(Played):
        def advance(self, to):
            seen = [float(k) for k in range(self.step + 1, to + 1) if k != 25]
            self.step = to
            return StepStats(to, sum(seen) / len(seen) if seen else math.nan, seen=len(seen))

    curves = []
    for pause in (1, 7, 20):
        one = trainee({})
        one.session = Counted({})
        one.begin(0)
        step = 0
        while step < 100:
            step = min(one.next_look(step), step + pause)
            one.advance(step)
        curves.append(one.progress.curve["training_loss"])
    assert curves[0] == curves[1] == curves[2]
    assert curves[0][:2] == [None, 10.5]
    assert curves[0][2] == pytest.approx((sum(range(21, 41)) - 25) / 19, rel=1e-5)


def test_a_checkpoint_that_says_nothing_of_losses_leaves_them_unknown_until_the_next_look():
    one = trainee({})
    one.progress.loss_count = None
    one.session.advance = lambda to: StepStats(to, 3.0, seen=20)
    one.advance(20)
    one.advance(40)
    assert one.progress.curve["training_loss"] == [None, 3.0]


def test_a_run_that_diverges_keeps_what_was_seen():
    result, states = train(trainee({0: 2.0, 20: 1.0}, diverges=31))
    assert (result.status, result.diverged_at, result.stop_iteration) == ("diverged", 31, 20)
    assert states == {}
    assert result.final == {}
    assert result.stop["test"] == pytest.approx(0.32)
    assert result.curve["steps"] == [0, 20]


def test_weights_that_are_no_numbers_at_the_end_are_divergence():
    one = trainee({0: 1.0})
    one.session.state = lambda: State(100, {"w": torch.tensor([math.inf])}, {})
    result, states = train(one)
    assert (result.status, result.diverged_at, states) == ("diverged", 100, {})


def test_while_a_mask_is_not_yet_as_sparse_as_planned_nothing_is_best():
    about = {"name": "gradual", "options": {}, "seed": 0, "prunable": ["w"], "keep": 3}
    result, _ = train(trainee({0: 1.0}, dynamic=about))
    assert result.stop_iteration is None
    assert result.stop == {}
