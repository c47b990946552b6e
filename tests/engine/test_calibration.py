"""Calibrations: what is measured, written once, read back, made again when damaged."""

from __future__ import annotations

import json
import multiprocessing
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from conformance import ADAM, lenet, make_job, training_data
from synthetic_calibration import calibration
from torch import nn

from winnow.engine.base import Metrics, StepStats
from winnow.engine.calibration import (
    Calibration,
    Cost,
    Other,
    calibrated,
    calibration_key,
    calibration_path,
    extended,
    read_calibration,
)
from winnow.engine.dense import DenseEngine
from winnow.engine.measure import LADDER, layers_of, measure
from winnow.engine.sparse_cpu.engine import SparseEngine
from winnow.engine.turns import in_turns

MADE = calibration((1.0, 1.5), (0.1, 0.3), costs={"a.weight": (0.1, 0.2)}, key="0123456789abcdef01")


# The file


def test_what_is_written_is_read_back_and_not_measured_again(tmp_path):
    assert read_calibration(tmp_path / "new", MADE.key) is None
    assert calibrated(tmp_path / "new", MADE.key, lambda: MADE) == MADE
    assert read_calibration(tmp_path / "new", MADE.key) == MADE
    assert calibrated(tmp_path / "new", MADE.key, never) == MADE
    assert Calibration.load(json.loads(json.dumps(MADE.dump()))).hash == MADE.hash
    assert replace(MADE, key="f" * 18).hash != MADE.hash


FULL = replace(
    MADE,
    rungs=(replace(MADE.rungs[0], sparse=None),),
    others={"compiled": Other(40.0, Cost(6e-4, 1e-6)), "stacked": Other(0.0, Cost(1e-4, 1e-6), 6)},
    cannot={"sparse": "no kernel"},
)


def test_other_engines_are_kept_and_files_without_them_stay_as_they_were():
    assert Calibration.load(json.loads(json.dumps(FULL.dump()))) == FULL
    assert FULL.dump()["format"] == 2
    assert MADE.dump()["format"] == 1
    assert not {"others", "cannot"} & set(MADE.dump())
    assert FULL.hash != MADE.hash


def test_a_calibration_is_extended_once(tmp_path):
    def lacks(one):
        return not one.others

    calibrated(tmp_path, MADE.key, lambda: MADE)
    asked = []

    def more(one):
        asked.append(one)
        return replace(one, others=FULL.others)

    first = extended(tmp_path, MADE, lacks, more)
    assert (first.rungs, first.others) == (MADE.rungs, FULL.others)
    assert extended(tmp_path, MADE, lacks, more) == first  # as another process made it meanwhile
    assert asked == [MADE]
    assert read_calibration(tmp_path, MADE.key) == first
    assert extended(tmp_path, first, lacks, never) == first


def never(*_):
    raise AssertionError("measured, though there is a calibration")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.0015", "0.0016"),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"rungs"', '"ladder"'),
        lambda _: "[]",
        lambda _: "\0",
    ],
)
def test_a_damaged_file_is_measured_again(tmp_path, damage, caplog):
    calibrated(tmp_path, MADE.key, lambda: MADE)
    path = calibration_path(tmp_path, MADE.key)
    whole = path.read_text()
    assert damage(whole) != whole
    path.write_text(damage(whole))
    assert read_calibration(tmp_path, MADE.key) is None
    assert "measured again" in caplog.text
    assert calibrated(tmp_path, MADE.key, lambda: MADE) == MADE
    assert path.read_text() == whole


def test_a_file_of_another_kind_of_work_is_not_taken(tmp_path):
    calibrated(tmp_path, MADE.key, lambda: MADE)
    same_name = MADE.key[:16] + "99"
    assert read_calibration(tmp_path, same_name) is None


def test_two_processes_measure_once(tmp_path):
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_contend, args=(tmp_path, number)) for number in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    (measured,) = tmp_path.glob("measured-*")
    taken = {path.read_text() for path in tmp_path.glob("taken-*")}
    assert taken == {measured.read_text()}
    assert len(list(tmp_path.glob("taken-*"))) == 2


def _contend(folder: Path, number: int) -> None:
    mine = replace(MADE, machine={**MADE.machine, "cores": number})

    def slowly():
        (folder / f"measured-{number}").write_text(mine.hash)
        time.sleep(0.5)
        return mine

    found = calibrated(folder, MADE.key, slowly)
    (folder / f"taken-{number}").write_text(found.hash)


# The kind of work


def test_the_key_follows_what_costs_and_nothing_else():
    data = training_data((1, 4, 4))
    key = calibration_key(make_job(lenet(), data))
    same = {"seeds": {"order": 9}, "steps": 5, "optimizer": {**ADAM, "lr": 0.5}}
    assert calibration_key(make_job(lenet(), data, **same)) == key
    assert calibration_key(make_job(lenet(), training_data((1, 4, 4), count=30))) == key
    others = [
        make_job(lenet(), data, batch=21),
        make_job(lenet(), data, clip=1.0),
        make_job(lenet(), data, optimizer={**ADAM, "name": "adamw"}),
        make_job(lenet(), replace(data, augment="flip-crop")),
        make_job(lenet((1, 4, 5)), training_data((1, 4, 5))),
        make_job(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 10)), data),
    ]
    assert len({key, *map(calibration_key, others)}) == 7


def test_the_key_follows_the_machine(monkeypatch):
    job = make_job(lenet(), training_data((1, 4, 4)))
    key = calibration_key(job)
    about = {"processor": "another", "cores": 2}
    monkeypatch.setattr("winnow.engine.calibration.machine", lambda: about)
    other = calibration_key(job)
    assert other != key
    assert calibration_key(job, "a GPU") not in (key, other)
    about["cores"] = 4  # a container's share changes, and costs nothing on one thread
    assert calibration_key(job) == other


class Small(nn.Module):
    """A convolution with a pool, a residual, a shortcut of 1x1 and an output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, padding=1, stride=2, bias=False)
        self.shortcut = nn.Conv2d(4, 6, 1, stride=2)
        self.output = nn.Linear(6 * 4, 3)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.output(torch.flatten(torch.relu(self.second(x) + self.shortcut(x)), 1))


def test_layers_are_found_with_how_often_each_weight_is_used():
    found = layers_of(make_job(Small, training_data((1, 4, 4), classes=3)))
    assert {name: (one.weights, one.uses) for name, one in found.items()} == {
        "first.weight": (36, 16.0),  # 4x4 pixels of output
        "second.weight": (216, 4.0),
        "shortcut.weight": (24, 4.0),
        "output.weight": (72, 1.0),
    }


# Measuring


def test_turns_alternate_and_count_repetitions():
    made, now = [], 0.0

    def side(name, each):
        def repeat(count):
            nonlocal now
            made.append((name, count))
            now += count * each

        return repeat

    sides = {"a": side("a", 0.001), "b": side("b", 0.02)}
    times = in_turns(sides, 0.0, turn=0.01, least=3, clock=lambda: now)
    assert [len(t) for t in times.values()] == [3, 3]
    assert [name for name, _ in made[-6:]] == ["a", "b"] * 3
    assert made[-1] == ("b", 1)  # a turn has at least one
    assert made[-2][1] == 10  # as many as fill it
    assert times["a"] == pytest.approx([0.001] * 3)
    assert times["b"] == pytest.approx([0.02] * 3)


def test_lenet_is_measured_at_every_rung_and_leaves_torch_as_it_was():
    threads = torch.get_num_threads()
    job = make_job(lenet(), training_data((1, 4, 4)))
    found = measure(job, DenseEngine("cpu"), SparseEngine, seconds=0.01)
    assert found.key == calibration_key(job)
    assert tuple(rung.density for rung in found.rungs) == LADDER
    costs = [c for r in found.rungs for c in (r.dense, r.sparse)]
    assert all(1e-7 < c.step < 1 and 1e-10 < c.image < 1 for c in costs)
    assert found.costs == {}
    assert set(found.layers) == {"hidden.0.weight", "hidden.1.weight", "output.weight"}
    assert torch.get_num_threads() == threads


@dataclass
class Slow:
    """An engine whose steps take a time that follows from the mask, by sleeping."""

    dense: frozenset[str] = frozenset()
    whole: float | None = None
    name: str = "slow"

    def refuses(self, _):
        return "the first layer stays" if "first.weight" in self.dense else None

    def open(self, _, state):
        return Sleeping(self._seconds(state.mask or {}))

    def _seconds(self, mask):
        if self.whole is not None:
            return self.whole
        slopes = {"first.weight": 2e-3, "second.weight": 8e-3, "shortcut.weight": 1e-3}
        each = {
            name: slope * (float(mask[name].float().mean()) if name in mask else 1.0)
            for name, slope in slopes.items()
            if name not in self.dense
        }
        return 1e-3 + sum(each.values()) + 3e-3 * len(self.dense)


class Sleeping:
    def __init__(self, seconds):
        self.seconds, self.at = seconds, 0

    def advance(self, to):
        time.sleep(self.seconds * (to - self.at))
        self.at = to
        return StepStats(to, 0.0)

    def evaluate(self, _):
        return Metrics(0.0, 0.0)


def test_where_sparse_refuses_dense_is_measured_alone():
    found = measure(
        make_job(lenet(), training_data((1, 4, 4)), optimizer={"name": "unheard of", "lr": 1.0}),
        Slow(whole=1e-3),
        SparseEngine,
        seconds=0.01,
    )
    (rung,) = found.rungs
    assert (rung.density, rung.sparse) == (1.0, None)
    assert rung.dense.step >= 1e-3
    assert "unheard of" in found.cannot["sparse"]


def test_single_layers_are_measured_by_the_difference_they_make():
    job = make_job(Small, training_data((1, 4, 4), classes=3))
    found = measure(job, Slow(whole=0.01), Slow, seconds=0.02)
    assert set(found.costs) == {"second.weight", "shortcut.weight", "output.weight"}  # not first
    second, shortcut = found.costs["second.weight"], found.costs["shortcut.weight"]
    assert second.slope == pytest.approx(0.8, rel=0.3)  # in dense steps of 10 ms
    assert second.slope > 3 * shortcut.slope
    assert second.torch == pytest.approx(0.3, rel=0.3)
