"""Locks: held by one, signed, gone when nobody holds them, whoever comes and goes meanwhile."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

from winnow import locks
from winnow.locks import Holder, holder_of, lock_if_free, lock_when_free, sweep_locks

COUNTS = """
import sys
from pathlib import Path
from winnow import locks
from winnow.locks import lock_if_free, lock_when_free
locks._LOOK_EVERY = 0.0005
lock, counter, ways = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
done = 0
while done < 300:
    if ways and done % 2:
        with lock_if_free(lock) as free:
            if not free:
                continue
            counter.write_text(str(int(counter.read_text()) + 1))
    else:
        with lock_when_free(lock, "a count"):
            counter.write_text(str(int(counter.read_text()) + 1))
    done += 1
"""


def test_a_lock_is_signed_and_gone_when_nobody_holds_it(tmp_path):
    path = tmp_path / "a.lock"
    with lock_if_free(path) as free:
        assert free
        with lock_if_free(path) as again:
            assert not again
        assert holder_of(path) == locks.myself()
        assert locks.myself().process == os.getpid()
        assert locks.myself().host == socket.gethostname()
    assert not path.exists()
    assert holder_of(path) is None


def test_of_many_that_remove_it_behind_each_other_one_holds_it(tmp_path):
    """Each adds to a number that it reads first: a lock that two hold would lose some."""
    counter = tmp_path / "count"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNTS, str(tmp_path / "a.lock"), str(counter)]
    processes = [subprocess.Popen([*command, str(ways)]) for ways in (0, 1, 1)]
    for _ in range(200):
        sweep_locks(tmp_path)
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert counter.read_text() == "900"
    assert not (tmp_path / "a.lock").exists()


def test_a_sweep_removes_what_nobody_holds_and_leaves_the_rest(tmp_path):
    (tmp_path / "left.lock").write_text('{"of": "an older version"')
    with lock_if_free(tmp_path / "held.lock"):
        sweep_locks(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["held.lock"]


def test_who_waits_says_for_whom(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(locks, "SAY_AFTER", 0.0)
    path = tmp_path / "a.lock"
    script = (
        "import sys, pathlib, winnow.locks as l\n"
        "with l.lock_when_free(pathlib.Path(sys.argv[1]), 'x'):\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
    )
    told = {locks.FOR: json.dumps({"process": 12, "command": "winnow run mine.yaml"})}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        env=os.environ | told,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        monkeypatch.setattr(locks.time, "sleep", lambda _: other.stdin.close())
        with lock_when_free(path, "the calibration"):
            assert holder_of(path).process == os.getpid()
    said = capfd.readouterr().err
    assert f"the calibration waits for process {other.pid} on {socket.gethostname()}" in said
    assert "a worker of process 12 (winnow run mine.yaml)" in said
    assert "kill -KILL" in said


def test_what_to_do_about_a_holder_elsewhere():
    holder = Holder("elsewhere", 7, "winnow run lth/4", 6)
    assert not holder.is_frozen
    assert holder.advice.endswith("kill -KILL 6 7 on elsewhere")


def test_a_file_that_is_no_lock_of_ours_names_nobody(tmp_path):
    for text in ("", "[]", "{", '{"host": 1}'):
        (tmp_path / "a.lock").write_text(text)
        assert holder_of(tmp_path / "a.lock") is None
