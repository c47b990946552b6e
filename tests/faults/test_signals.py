"""SIGTERM, SIGHUP and Ctrl-C: their exit codes, what they say, and what is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import LONG, RECIPE, children, ended, lives, start, wait_until, workers
from moments import some_of

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks at processes in /proc"),
]
CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


def is_training(store: Path):
    return lambda: list(store.glob("checkpoints/[!.]*"))


def stopped(answer, code, command="run"):
    """It ended by the signal, and says so, what is kept and how to go on."""
    returned, _, err = answer
    assert returned == code, err
    assert "Traceback" not in err
    assert "what is finished is kept" in err
    assert f"To continue: winnow {command}" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "kill"),
    [
        (signal.SIGTERM, os.kill),
        pytest.param(signal.SIGTERM, os.killpg, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, os.kill, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, os.killpg, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, os.kill, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, os.killpg, marks=pytest.mark.slow),
    ],
)
def test_what_trains_is_kept_in_a_checkpoint(recipe, tmp_path, number, kill):
    store = tmp_path / "runs"
    process = start("run", recipe, *LONG, "--store", store, "--jobs", 1, "--checkpoint", 0.2)
    assert wait_until(is_training(store), process)
    (checkpoint,) = store.glob("checkpoints/[!.]*")
    own = [*children(process.pid), *workers(process.pid)]
    asked = time.time()
    kill(process.pid, number)
    stopped(ended(process), CODES[number])
    assert checkpoint.stat().st_mtime >= asked
    assert not list(store.glob("locks/*"))
    assert not list(store.rglob(".*.tmp"))
    assert not any(map(lives, own))


@pytest.mark.slow
def test_the_checkpoint_is_made_where_there_was_none(recipe, tmp_path):
    store = tmp_path / "runs"
    process = start("run", recipe, *LONG, "--store", store, "--jobs", 1, "--checkpoint", 10_000)
    assert wait_until(lambda: list(store.glob("locks/*")), process)
    time.sleep(5)  # training begins some moments after its lock
    process.send_signal(signal.SIGTERM)
    stopped(ended(process), 143)
    assert list(store.glob("checkpoints/[!.]*"))


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(recipe, tmp_path):
    store = tmp_path / "runs"
    process = start("run", recipe, *LONG, "--store", store, "--jobs", 1, "--checkpoint", 0.2)
    assert wait_until(is_training(store), process)
    own = [*children(process.pid), *workers(process.pid)]
    for worker in own:
        os.kill(worker, signal.SIGSTOP)  # so that it keeps nothing, and the command waits
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert (code, "ended at once" in err) == (130, True)
    assert wait_until(lambda: not any(map(lives, own)))


@pytest.mark.slow
def test_signals_that_are_ignored_stay_so(recipe, tmp_path):
    """As nohup has it for SIGHUP."""
    import subprocess

    store = tmp_path / "runs"
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "winnow", "run", recipe, "--store", store, "--jobs", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_until(lambda: list(store.glob("locks/*")), process)
    os.killpg(process.pid, signal.SIGHUP)
    code, _, err = ended(process)
    assert code == 0, err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "after", "number"),
    some_of(
        [
            (command, after, number)
            for number in CODES
            for after in (0.4, 1.0, 1.6, 2.4, 3.2)
            for command in ("run", "plan", "report", "find", "bench", "deploy")
        ]
    ),
)
def test_at_any_moment_of_any_command(finished, tmp_path, command, number, after):
    """Whatever it does then: imports, plans, compiles, calibrates, draws. Or it has ended."""
    recipe, store = finished
    run = next(f.name for f in sorted(store.glob("runs/[!.]*")) if "-dense-" not in f.name)
    commands = {
        "run": ("run", recipe, "--store", store),
        "plan": ("plan", "lth/4", "--store", store),
        "report": ("report", recipe, "--store", store, "--out", tmp_path / "out"),
        "find": ("find", "lenet-300-100", "--data", "digits", "--density", 0.3,
                 "--to", tmp_path / "t.safetensors", "--store", tmp_path / "found"),
        "bench": ("bench", "--density", "1,0.5", "--seconds", 5, "--out", tmp_path / "bench"),
        "deploy": ("deploy", run, "--store", store, "--to", tmp_path / "deployed"),
    }  # fmt: skip
    process = start(*commands[command], WINNOW_CACHE=str(tmp_path / "cache"))
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    else:
        assert process.returncode == 0
    answer = ended(process)
    if answer[0] != 0:
        stopped(answer, CODES[number], command)
    assert not list(tmp_path.rglob("out/**/.*.tmp"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, own_cache):  # noqa: ARG001
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(RECIPE)
    done = ended(start("run", folder / "small.yaml", "--store", folder / "runs"))
    assert done[0] == 0, done
    return folder / "small.yaml", folder / "runs"


@pytest.mark.slow
def test_while_the_report_is_written(finished):
    """Of a run: the moment is that of its first figure."""
    recipe, store = finished
    reports = store / "reports"
    for file in list(reports.rglob("*.svg")):
        file.unlink()
    process = start("run", recipe, "--store", store)
    assert wait_until(lambda: list(reports.rglob("*.svg")), process)
    process.send_signal(signal.SIGINT)
    answer = ended(process)
    if answer[0] != 0:  # it was not as quick as the signal
        stopped(answer, 130)
    assert not list(store.rglob(".*.tmp"))
