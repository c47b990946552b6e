"""Killed at a moment that its files show, each command continues to the numbers of a quiet one."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from commands import children, ended, start, wait_until, workers
from moments import some_of
from small_experiment import check_whole, leftovers, numbers, stamps

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc"),
]
SMALL = """
title: small
source: a test
data: {{name: digits, validation: 100}}
model: {{name: lenet-300-100, hidden: [40, 20]}}
train: {{steps: 400it, batch: 50, optimizer: {{name: adam, lr: 5e-3}}, evaluate: 50it}}
{rest}
replicates: 1
engine: {engine}
"""
ROUNDS = """prune: {rate: 0.5, rounds: 2, rewind: 50it}
controls: {reinit: 1}
analyses: [{name: connectivity, arms: [ticket]}]"""
METHODS = """compare:
  methods: [{name: rigl, every: 50it}, edge-popup, snip]
  densities: [0.2]"""
KINDS = {
    "rounds": SMALL.format(rest=ROUNDS, engine="dense"),
    "calibration": SMALL.format(rest=ROUNDS, engine="auto"),
    "compile": SMALL.format(rest=ROUNDS, engine="sparse"),
    "methods": SMALL.format(rest=METHODS, engine="dense"),
}
MOMENTS = {
    "lock": "locks/*.lock",
    "checkpoint": "checkpoints/[!.]*",
    "half a checkpoint": "checkpoints/.*.tmp",
    "half a run": "runs/.*.tmp",
    "a run": "runs/[!.]*",
    "an analysis": "analyses/*",
    "calibration": "calibration/.*.lock",
    "report": "reports/*/*",
}
KILLS = {
    "parent": lambda process: os.kill(process.pid, signal.SIGKILL),
    "group": lambda process: os.killpg(process.pid, signal.SIGKILL),
    "parent, asked": lambda process: os.kill(process.pid, signal.SIGTERM),
    "group, asked": lambda process: os.killpg(process.pid, signal.SIGTERM),
    "server": lambda process: [os.kill(one, signal.SIGKILL) for one in children(process.pid)[:1]],
    "worker": lambda process: [os.kill(one, signal.SIGKILL) for one in workers(process.pid)[:1]],
    "worker, asked": lambda process: [
        os.kill(one, signal.SIGTERM) for one in workers(process.pid)[:1]
    ],
}
CASES = [
    pytest.param(kind, moment, kill, marks=pytest.mark.slow)
    for kind, moments in {
        "rounds": [name for name in MOMENTS if name != "calibration"],
        "calibration": ["calibration", "checkpoint"],
        "compile": ["lock", "checkpoint"],
        "methods": ["checkpoint", "half a run", "a run"],
    }.items()
    for moment in moments
    for kill in KILLS
]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, own_cache):  # noqa: ARG001
    """The numbers of a run that nothing happens to, by kind of recipe; made when asked for."""
    known: dict[str, dict[str, object]] = {}

    def ask(kind: str) -> dict[str, object]:
        if kind not in known:
            folder = tmp_path_factory.mktemp("quiet")
            (folder / "small.yaml").write_text(KINDS[kind])
            code, _, err = ended(start("run", folder / "small.yaml", "--store", folder / "runs"))
            assert code == 0, err
            known[kind] = numbers(folder / "runs")
        return known[kind]

    return ask


@pytest.mark.parametrize(("kind", "moment", "kill"), some_of(CASES))
def test_killed_it_continues_to_the_same_numbers(quiet, tmp_path, kind, moment, kill):
    recipe, store = tmp_path / "small.yaml", tmp_path / "runs"
    recipe.write_text(KINDS[kind])
    arguments = ("run", recipe, "--store", store, "--jobs", 2, "--checkpoint", 0)
    process = start(*arguments)
    came = wait_until(lambda: list(store.glob(MOMENTS[moment])), process)
    if came and process.poll() is None:
        KILLS[kill](process)
    code, _, err = ended(process)
    assert "Traceback" not in err
    if kill == "parent, asked":
        assert code in (0, 143), err
    if kill.startswith(("worker", "server")):
        assert code == 0, err
    check_whole(store)
    before = stamps(store)
    if kind == "calibration":
        keep_calibration(store)
    code, _, err = ended(start(*arguments))
    assert code == 0, err
    assert "damaged" not in err
    assert_same(numbers(store), quiet(kind), kind)
    now = stamps(store)
    assert before == {path: now.get(path) for path in before}  # nothing finished was trained again
    assert leftovers(store) == []


def keep_calibration(store: Path) -> None:
    """What engines cost is measured once: a file of it is whole."""
    for file in store.glob("calibration/*.json"):
        json.loads(file.read_text())


def assert_same(found, wanted, kind: str) -> None:
    """``auto`` may choose another engine in another store, whose numbers differ in bits."""
    if kind != "calibration":
        assert found == wanted
    else:
        assert found.keys() == wanted.keys()


@pytest.mark.slow
def test_killed_again_and_again(quiet, tmp_path):
    """WINNOW_KILLS: how often, at moments drawn from a seed; the count is printed."""
    draw, many = random.Random(14), int(os.environ.get("WINNOW_KILLS", "12"))
    recipe, store = tmp_path / "small.yaml", tmp_path / "runs"
    kills, stores = 0, 0
    while kills < many:
        stores += 1
        kind = draw.choice(("rounds", "compile", "methods"))
        recipe.write_text(KINDS[kind])
        store = tmp_path / f"runs-{stores}"
        arguments = ("run", recipe, "--store", store, "--jobs", 2, "--checkpoint", 0)
        for _ in range(4):
            before, process = stamps(store), start(*arguments)
            seen = set(map(str, store.rglob("*")))
            wait_until(lambda seen=seen, at=store: set(map(str, at.rglob("*"))) - seen, process)
            time.sleep(1.5 * draw.random())
            if process.poll() is None:
                KILLS[draw.choice(sorted(KILLS))](process)
                kills += 1
            ended(process)
            check_whole(store)
            now = stamps(store)
            assert before == {path: now.get(path) for path in before}
        code, _, err = ended(start(*arguments))
        assert code == 0, err
        assert numbers(store) == quiet(kind)
        assert leftovers(store) == []
    print(json.dumps({"kills": kills, "stores": stores}))
