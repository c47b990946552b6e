import gc
import os
import threading
import time

import pytest

from winnow.engine.sparse_cpu.team import Team


def noted(count, notes):
    """Tasks that note their number and the thread that runs them."""
    return [lambda i=i: notes.append((i, threading.get_ident())) for i in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_every_task_runs_once_before_run_returns(threads, count):
    team, notes = Team(threads), []
    for _ in range(3):
        team.run(noted(count, notes))
    assert sorted(i for i, _ in notes) == sorted(3 * list(range(count)))


def test_a_team_of_one_needs_no_thread():
    notes = []
    team = Team()
    team.run(noted(5, notes))
    assert {who for _, who in notes} == {threading.get_ident()}
    assert [i for i, _ in notes] == list(range(5))
    team.close()


def test_tasks_run_at_the_same_time():
    """Each of two tasks waits for the other, which one thread could never do."""
    both = threading.Barrier(2, timeout=20)
    Team(2).run([both.wait, both.wait])


def test_threads_stay_between_runs_and_end_with_the_team():
    others = set(threading.enumerate())
    team, meet = Team(3), threading.Barrier(3, timeout=20)
    team.run([meet.wait] * 3)  # a run that needs them all
    first = set(threading.enumerate()) - others
    assert len(first) == 2
    team.run([meet.wait] * 3)
    assert set(threading.enumerate()) - others == first
    team.close()
    assert ended(first)
    team.run([meet.wait] * 3)
    second = set(threading.enumerate()) - others
    assert len(second - first) == 2
    del team
    gc.collect()
    assert ended(second)


def ended(threads):
    """Whether these threads end within a while."""
    for thread in threads:
        thread.join(20)
    return not any(thread.is_alive() for thread in threads)


def test_what_a_task_raises_is_raised_to_the_caller_and_the_team_goes_on():
    team, meet = Team(2), threading.Barrier(2, timeout=20)

    def fail(number):
        meet.wait()
        raise ValueError(number)

    for _ in range(3):
        with pytest.raises(ValueError, match="0"):  # both raised: the first task's counts
            team.run([lambda: fail(0), lambda: fail(1)])
    notes = []
    team.run(noted(10, notes))
    assert len(notes) == 10


@pytest.mark.parametrize("threads", [1, 2])
def test_what_nobody_has_begun_when_a_task_fails_is_left_out(threads):
    notes = []
    with pytest.raises(ZeroDivisionError):
        Team(threads).run([lambda: 1 / 0, *[lambda: time.sleep(0.1)] * 2, *noted(1, notes)])
    assert notes == []


def test_threads_that_do_not_come_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    notes = []
    Team(4).run(noted(20, notes))
    assert [i for i, _ in notes] == list(range(20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    team, meet = Team(2), threading.Barrier(2, timeout=20)
    team.run([meet.wait, meet.wait])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = threading.Barrier(2, timeout=20)
            team.run([own.wait, own.wait])
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    team.run([meet.wait, meet.wait])
