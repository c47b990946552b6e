"""Training accuracy on a fixed sample: which images, and in which columns it stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sample_plans import small
from sample_runs import RUN

from winnow.data import load_images
from winnow.engine.dense import DenseEngine
from winnow.errors import UserError
from winnow.experiment.runs import ALL_IMAGES, Record
from winnow.experiment.train.job import initial_network, make_job
from winnow.experiment.train.sampled import TRAIN_SAMPLE, with_sample
from winnow.experiment.train.train import train
from winnow.state import fresh_state


@pytest.fixture(scope="module", autouse=True)
def cached(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def short_run():
    return replace(
        RUN,
        data=replace(RUN.data, content=load_images("digits").content),
        model=replace(RUN.model, hidden=(30, 20)),
        end=40,
        steps=40,
        optimizer=RUN.optimizer | {"lr": 0.02, "weight_decay": 0.0, "eps": 1e-8},
        seeds={"init": 0, "order": 0, "split": 0},
    )


def measured(count):
    run = short_run()
    job = with_sample(make_job(run), count)
    start = lambda: fresh_state(initial_network(run))  # noqa: E731 - a callable as workers give it
    return job, *train(run, Record(measured=count), job, DenseEngine("cpu"), start)


def test_a_sample_is_of_the_training_images_always_the_same_and_measured_alone():
    job, result, states = measured(300)
    train_split, sample = job.data.splits["train"], job.data.splits[TRAIN_SAMPLE]
    assert len(sample.index) == len(set(sample.index.tolist())) == 300
    assert set(sample.index.tolist()) < set(train_split.index.tolist())
    again = with_sample(make_job(replace(short_run(), engine="sparse")), 300)
    assert torch.equal(again.data.splits[TRAIN_SAMPLE].index, sample.index)
    assert set(result.final) == set(result.stop) == {"test", "validation", TRAIN_SAMPLE}
    model = job.build()
    model.load_state_dict({**states["final"].weights, **states["final"].buffers})
    x = sample.images[sample.index].double() - job.data.mean[0]
    right = model.double()(x / job.data.std[0]).argmax(1) == sample.labels[sample.index]
    assert result.final[TRAIN_SAMPLE] == pytest.approx(float(right.double().mean()), abs=1e-9)


@pytest.mark.parametrize("count", [0, 10**6, ALL_IMAGES])
def test_without_a_sample_it_is_of_all_and_the_training_is_the_same(count):
    _, sampled, states = measured(300)
    _, every, same = measured(count)
    assert set(every.final) == {"test", "validation", "train"}
    assert every.curve == sampled.curve
    assert every.final["test"] == sampled.final["test"]
    for name, weight in same["final"].weights.items():
        assert torch.equal(weight, states["final"].weights[name])


@pytest.mark.parametrize(
    ("measure", "recorded"), [({}, ALL_IMAGES), (100, 100), ("all", ALL_IMAGES), (5000, ALL_IMAGES)]
)
def test_a_recipe_measures_all_of_few_images_and_changes_no_identity(measure, recorded):
    plain = small()
    plan = small(train={"measure": measure}) if measure else plain
    assert {record.measured for record in plan.records.values()} == {recorded}
    assert list(plan.runs) == list(plain.runs)


def test_a_measure_is_all_or_a_number():
    for wrong in (0, "some"):
        with pytest.raises((UserError, ValueError), match="measure"):
            small(train={"measure": wrong})
