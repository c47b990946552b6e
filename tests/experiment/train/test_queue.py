"""The executor's queue, with a pool that plays what workers may do."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest
from inline_pool import InlinePool

from winnow.data import load_images
from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Event, Settings, execute
from winnow.experiment.train.protocol import Answer, DiskError, Task, WorkerError
from winnow.experiment.train.status import status_of

SMALL = ["train.steps=10it", "model.hidden=[9, 5]", "prune.rounds=1", "controls.one-shot=none"]


pytestmark = pytest.mark.usefixtures("own_cache", "no_fsync")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs").open()


def plan_of(*overrides):
    recipe = load_recipe("lth/digits", [*SMALL, "engine=dense", *overrides], 1)
    return expand("small", recipe, Source(1437, load_images("digits").content))


class Playing(InlinePool):
    """Answers what it is told to, and serves tasks when that is used up."""

    def __init__(self, store, script):
        super().__init__(store, [])
        self.script = deque(script)

    def start(self, task):
        if not self.script:
            return super().start(task)
        self.tasks.append(task)
        self.answers.extend((task, answer) for answer in self.script.popleft())
        return None


def executed(plan, store, *script, jobs=1, threads=None):
    """The tasks that were started, and the events."""
    pool, events = Playing(store, script), []
    settings = Settings(jobs, threads=threads)
    execute(plan, store, settings, events.append, lambda _: pool)
    return pool.tasks, events


def test_parents_come_first_and_everything_ends_once(store):
    plan = plan_of()
    started, events = executed(plan, store)
    assert [task.runs for task in started] == [(identity,) for identity in plan.runs]
    assert status_of(plan, store) == dict.fromkeys(plan.runs, "done")
    ended = [event.run for event in events if event.kind == "done"]
    assert ended == list(plan.runs)
    assert [e for e in events if e.kind == "step"][-1] == Event("step", ended[-1], 10)
    assert executed(plan, store) == ([], [])


def test_a_worker_that_dies_once_is_forgiven_and_twice_is_not(store):
    plan, died = plan_of(), [Answer("died", error="-9")]
    started, _ = executed(plan, store, died)
    assert len(started) == len(plan.runs) + 1
    again = plan_of("train.batch=50")
    with pytest.raises(WorkerError, match=r"-dense-\w+ ended with -9 twice"):
        executed(again, store, died, died)


@pytest.mark.parametrize(
    ("fault", "error"), [("user", UserError), ("disk", DiskError), ("bug", WorkerError)]
)
def test_faults_have_their_own_errors(store, fault, error):
    with pytest.raises(error, match="so it is"):
        executed(plan_of(), store, [Answer("failed", fault=fault, error="so it is")])


def test_a_damaged_parent_is_made_again(store):
    plan = plan_of()
    dense = plan.nodes[0].run
    executed(plan_of("prune.rounds=0"), store)

    def lose():
        for folder in (store.path / "runs").iterdir():
            folder.rename(store.path / folder.name)
        return Answer("damaged", run=dense.id)

    pool = Playing(store, [])
    serve, first = pool.start, []

    def start(task):
        if first:
            return serve(task)
        first.append(task)
        return pool.answers.append((task, lose()))

    pool.start = start
    execute(plan, store, Settings(1), None, lambda _: pool)
    assert dense.id not in first[0].runs
    assert pool.tasks[0].runs == (dense.id,)
    assert status_of(plan, store) == dict.fromkeys(plan.runs, "done")


def test_a_run_that_another_process_trains_is_asked_for_again(store, monkeypatch):
    plan = plan_of()
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("winnow.experiment.train.executor.time", clock)
    dense = plan.nodes[0].run
    pool = Playing(store, [[Answer("busy", run=dense.id), Answer("idle")]])
    waited = []

    def next_answer(seconds):
        if pool.answers:
            return pool.answers.popleft()
        waited.append(len(pool.tasks))
        now[0] += seconds
        return None

    pool.next_answer = next_answer
    execute(plan, store, Settings(1), None, lambda _: pool)
    assert waited == [1]  # nothing else can begin, and nothing is asked too early
    assert [task.runs[0] for task in pool.tasks][:2] == [dense.id, dense.id]


def test_what_needs_a_diverged_run_is_unreachable_at_once(store):
    plan = plan_of("train.optimizer.lr=1e30")
    started, events = executed(plan, store)
    assert len(started) == 1
    kinds = [event.kind for event in events if event.kind != "step"]
    assert kinds == ["started", "diverged", *["unreachable"] * 3]
    assert [e.run for e in events if e.kind == "unreachable"] == list(plan.runs)[1:]
    assert list(status_of(plan, store).values()) == ["diverged", *["unreachable"] * 3]


@pytest.mark.parametrize(
    ("asked", "jobs", "given"), [(None, 1, 5), (None, 2, 2), (None, 9, 1), (3, 2, 3), (1, 1, 1)]
)
def test_workers_have_the_threads_asked_for_or_their_share_of_the_cores(
    store, monkeypatch, asked, jobs, given
):
    """Five cores; with more than 1 job there are 4 workers at most, as there are 4 replicates."""
    monkeypatch.setattr("winnow.experiment.train.executor.usable_cores", lambda: 5)
    recipe = load_recipe("lth/digits", [*SMALL, "prune.rounds=0", "engine=sparse"], 4)
    plan = expand("small", recipe, Source(1437, load_images("digits").content))
    tasks, _ = executed(plan, store, jobs=jobs, threads=asked)
    assert [task.threads for task in tasks] == [given] * 4
    assert Task.load(tasks[0].dump()).threads == given
