"""One run's training: evaluation grid, best step, records, resuming from a checkpoint."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sample_runs import RUN

from winnow.data import load_images
from winnow.engine.dense import DenseEngine
from winnow.experiment.run_parts import AnyExamples, BalancedExamples, PartedExamples
from winnow.experiment.runs import Pruning, Record, Start
from winnow.experiment.train.checkpoint import Checkpoints
from winnow.experiment.train.examples import examples
from winnow.experiment.train.job import make_job
from winnow.experiment.train.start import starting_state
from winnow.experiment.train.train import train

ENGINE = DenseEngine("cpu")


@pytest.fixture(scope="module", autouse=True)
def cached(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def run():
    return replace(
        RUN,
        data=replace(RUN.data, content=load_images("digits").content),
        model=replace(RUN.model, hidden=(30, 20)),
        end=90,
        steps=90,
        optimizer=RUN.optimizer | {"lr": 0.02, "weight_decay": 0.0, "eps": 1e-8},
        seeds={"init": 0, "order": 0, "split": 0},
    )


def trained(run, record=Record(), **more):  # noqa: B008 - frozen
    return train(run, record, make_job(run), ENGINE, lambda: starting_state(run, none), **more)


def none(identity):
    raise AssertionError(identity)


def numbers(result):
    return {k: v for k, v in vars(result).items() if k != "seconds"}


def test_the_grid_the_end_and_the_first_minimum(run):
    result, states = trained(run)
    assert result.curve["steps"] == [0, 20, 40, 60, 80, 90]
    losses = result.curve["validation_loss"]
    best = losses.index(min(losses))
    assert result.stop_iteration == result.curve["steps"][best]
    assert result.stop_validation_loss == min(losses)
    assert result.stop["validation"] == result.curve["validation_accuracy"][best]
    assert result.stop_censored == (best == len(losses) - 1)
    assert result.final["validation"] == result.curve["validation_accuracy"][-1]
    assert set(result.stop) == set(result.final) == {"train", "validation", "test"}
    assert result.curve["test_accuracy"] == []
    assert result.curve["test_loss"] == []
    assert result.stop_loss["validation"] == min(losses)
    assert result.final_loss["validation"] == losses[-1]
    assert set(result.stop_loss) == set(result.final_loss) == set(result.final)
    assert states["final"].step == 90
    assert not states["final"].slots


def test_stop_accuracies_are_those_of_the_weights_at_the_best_step(run):
    fast = replace(run, optimizer=run.optimizer | {"lr": 0.3})  # so that the end is not the best
    result, _ = trained(fast)
    assert result.stop_iteration < 90
    short = replace(fast, end=result.stop_iteration)
    again, _ = trained(short)
    assert again.final == result.stop


def test_what_is_recorded_changes_no_number(run):
    plain, _ = trained(run)
    record = Record(frozenset({33, 90}), frozenset({7}), True, frozenset({40, 47}))
    full, states = trained(run, record)
    assert full.final == plain.final
    assert full.curve["validation_loss"] == plain.curve["validation_loss"]
    assert set(full.accuracy_at) == {"33", "90"}
    assert full.accuracy_at["90"] == full.final["test"]
    assert full.curve["test_accuracy"][-1] == full.final["test"]
    assert full.curve["test_loss"][-1] == full.final_loss["test"]
    assert full.curve["training_loss"] == plain.curve["training_loss"], "more looks, the same means"
    assert set(full.validation_at) == {"40", "47"}
    assert full.validation_at["40"] == full.curve["validation_accuracy"][2]
    assert states["step-7"].step == 7
    assert states["step-7"].slots  # for an optimizer that is rewound too
    brief, _ = trained(replace(run, end=47))
    assert brief.final["validation"] == full.validation_at["47"]
    first, _ = trained(replace(run, end=33))
    assert first.final["test"] == full.accuracy_at["33"]


def test_the_training_loss_is_the_mean_of_the_losses_of_the_steps_between(run):
    """Against sessions that train one step at a time, and their losses added up."""
    result, _ = trained(run)
    job = make_job(run)
    session = ENGINE.open(job, starting_state(run, none))
    losses = [session.advance(step + 1).loss for step in range(90)]
    ends = result.curve["steps"]
    means = [sum(losses[a:b]) / (b - a) for a, b in itertools.pairwise(ends)]
    assert result.curve["training_loss"][0] is None
    assert result.curve["training_loss"][1:] == pytest.approx(means, rel=1e-5)
    assert len(set(means)) == len(means)


def test_a_run_without_validation_has_no_early_stopping(run):
    bare = replace(run, data=replace(run.data, validation=0), seeds={"init": 0, "order": 0})
    result, _ = trained(replace(bare, seeds=bare.seeds | {"split": 0}))
    assert result.stop_iteration is None
    assert result.stop == {}
    assert set(result.final) == {"train", "test"}


class CutError(Exception):
    pass


@pytest.mark.parametrize("at", [1, 19, 20, 50, 85])
def test_cut_at_any_step_it_resumes_from_its_checkpoint_in_the_same_bits(
    run, at, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr("os.fsync", lambda _: None)  # dozens of checkpoints: spare the disk
    record = Record(frozenset({33}), frozenset({7}), test_curve=True)
    whole, states = trained(run, record)
    checkpoints = Checkpoints(tmp_path / "c.safetensors", every=0)

    def cut(step):
        if step >= at and checkpoints.path.exists():
            raise CutError

    with pytest.raises(CutError):
        trained(run, record, checkpoints=checkpoints, report=cut)
    resumed = train(run, record, make_job(run), ENGINE, lambda: none("start"), checkpoints)
    assert numbers(resumed[0]) == numbers(whole)
    for name, state in states.items():
        other = resumed[1][name]
        groups = [(state.weights, other.weights), (state.buffers, other.buffers)]
        groups += [(state.slots[s], other.slots[s]) for s in state.slots]
        assert all(torch.equal(a[n], b[n]) for a, b in groups for n in a)
        assert state.updates == other.updates


def test_a_control_that_is_cut_resumes_in_the_same_bits(run, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)
    keep = {"hidden.0.weight": 500, "hidden.1.weight": 200}
    early = Pruning(None, "magnitude", {}, tuple(keep), keep, 0)
    noisy = replace(run, pruning=early, start=Start("init", noise=1.0, draw=1))
    whole, states = trained(noisy)
    checkpoints = Checkpoints(tmp_path / "c.safetensors", every=0)

    def cut(step):
        if step >= 50 and checkpoints.path.exists():
            raise CutError

    with pytest.raises(CutError):
        trained(noisy, checkpoints=checkpoints, report=cut)
    resumed = train(noisy, Record(), make_job(noisy), ENGINE, lambda: none("start"), checkpoints)
    assert numbers(resumed[0]) == numbers(whole)
    one, other = states["final"].weights, resumed[1]["final"].weights
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_that_recorded_less_is_no_use(run, tmp_path):
    checkpoints = Checkpoints(tmp_path / "c.safetensors", every=0)
    seen = itertools.count()

    def cut(_):
        if next(seen) > 4:
            raise CutError

    with pytest.raises(CutError):
        trained(run, checkpoints=checkpoints, report=cut)
    with pytest.raises(AssertionError, match="start"):
        train(
            run,
            Record(frozenset({3})),
            make_job(run),
            ENGINE,
            lambda: none("start"),
            checkpoints,
        )


def test_a_last_update_that_goes_too_far_is_divergence(run):
    """The loss of the only iteration is finite; only the weights after it are not."""
    wild = replace(run, optimizer=run.optimizer | {"name": "sgd", "lr": 1e39}, end=1)
    result, states = trained(wild)
    assert (result.status, result.diverged_at) == ("diverged", 1)
    assert states == {}


def test_divergence_keeps_what_was_seen(run):
    wild = replace(run, optimizer=run.optimizer | {"name": "sgd", "lr": 1e30})
    result, states = trained(wild)
    assert result.status == "diverged"
    assert 1 <= result.diverged_at <= 90
    assert result.final == {}
    assert states == {}
    assert result.stop_iteration == 0


def test_a_part_of_the_data_is_all_that_is_trained_on_and_evaluated(run):
    part = replace(run, data=replace(run.data, train=300), end=10, steps=10)
    splits = make_job(part).data.splits
    whole = make_job(run).data.splits
    assert len(splits["train"].index) == 300
    assert set(splits["train"].index.tolist()) < set(whole["train"].index.tolist())
    assert torch.equal(splits["validation"].index, whole["validation"].index)
    assert len(splits["test"].index) == len(whole["test"].index)
    result, _ = trained(part)
    hits = result.final["train"] * 300
    assert hits == pytest.approx(round(hits), abs=1e-6)


@pytest.mark.parametrize("scoring", [AnyExamples("all"), BalancedExamples(5, 2)])
def test_criteria_see_only_the_part_that_is_trained_on(run, scoring):
    job = make_job(replace(run, data=replace(run.data, train=300)))
    seen = torch.cat([x for x, _ in examples(job, scoring, seed=0)]).flatten(1)
    own = job.data.splits["train"]
    every = torch.cat([x for x, _ in examples(job, AnyExamples("all"), seed=0)]).flatten(1)
    assert len(every) == len(own.index) == 300
    assert len(seen) == (300 if isinstance(scoring, AnyExamples) else 100)
    assert all(bool((every == one).all(1).any()) for one in seen)


def test_parts_of_some_examples_are_those_of_one_batch(run):
    job = make_job(run)
    ((x, y),) = examples(job, AnyExamples(50), seed=0)
    parts = list(examples(job, PartedExamples(50, 4), seed=0))
    assert [len(labels) for _, labels in parts] == [13, 13, 12, 12]
    assert torch.equal(torch.cat([images for images, _ in parts]), x)
    assert torch.equal(torch.cat([labels for _, labels in parts]), y)
