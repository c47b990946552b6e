"""A disk that is full, read-only, broken or off: each run is whole or absent, no number changes."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from faulty_disk import FAULTS, FaultyDisk, PowerLossError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from small_experiment import check_whole, leftovers, make, numbers, planned, stamps

from winnow.errors import UserError

pytestmark = pytest.mark.usefixtures("own_cache")


class Quiet:
    """A run without faults: what it gives, and how many calls of the disk it takes."""

    def __init__(self, folder: Path) -> None:
        self.plan = planned()
        disk = FaultyDisk(folder, "short", 0, 0, random.Random(0))
        with disk.in_use():
            make(self.plan, folder / "runs")
        self.numbers, self.calls, self.seen = numbers(folder / "runs"), disk.calls, disk.seen
        assert not leftovers(folder / "runs")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, own_cache):  # noqa: ARG001
    return Quiet(tmp_path_factory.mktemp("quiet"))


def test_every_kind_of_call_is_seen(quiet):
    assert len(quiet.numbers) == 5  # three runs and two analyses
    assert set(quiet.seen) == {"create", "write", "sync", "rename", "mkdir", "unlink"}


def one_fault(quiet: Quiet, root: Path, fault: str, at: int, lasting: int, seed: int) -> FaultyDisk:
    """Make the experiment on a disk that fails so; what is finished before stays as it is."""
    before = stamps(root / "runs")
    disk = FaultyDisk(root, fault, at, lasting, random.Random(seed))
    with disk.in_use():
        try:
            make(quiet.plan, root / "runs")
            failed = False
        except (OSError, UserError, PowerLossError):
            failed = True
    assert disk.struck or not failed
    disk.lose_power()
    check_whole(root / "runs")
    now = stamps(root / "runs")
    assert before == {path: now.get(path) for path in before}
    found = numbers(root / "runs")
    assert found == {name: quiet.numbers[name] for name in found}
    return disk


def finish(quiet: Quiet, root: Path) -> None:
    before = stamps(root / "runs")
    make(quiet.plan, root / "runs")
    assert numbers(root / "runs") == quiet.numbers
    now = stamps(root / "runs")
    assert before == {path: now.get(path) for path in before}  # nothing finished was made again
    assert leftovers(root / "runs") == []
    assert not (root / "runs" / "damaged").exists()


def sequence_of_faults(quiet: Quiet, folders: list[Path], tally: dict[str, int]):
    """A machine whose rules are runs with a fault, one after the other on one store."""

    class Faults(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.root = folders[0] / str(len(folders))
            folders.append(self.root)
            self.root.mkdir()

        @rule(
            fault=st.sampled_from(FAULTS),
            at=st.integers(0, quiet.calls - 1),
            lasting=st.sampled_from((1, 3, 10_000)),
            seed=st.integers(0, 2**16),
        )
        def run(self, fault: str, at: int, lasting: int, seed: int) -> None:
            disk = one_fault(quiet, self.root, fault, at, lasting, seed)
            tally[fault] = tally.get(fault, 0) + bool(disk.struck)

        @invariant()
        def is_whole(self) -> None:
            check_whole(self.root / "runs")

        def teardown(self) -> None:
            finish(quiet, self.root)

    return Faults


def run_machine(quiet: Quiet, folder: Path, examples: int, steps: int) -> dict[str, int]:
    tally: dict[str, int] = {}
    machine = sequence_of_faults(quiet, [folder], tally)
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=[Phase.generate],  # a failure has its numbers; to shrink it takes for ever
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=how)
    return tally


def test_a_few_faults_in_any_order_change_no_number(quiet, tmp_path):
    tally = run_machine(quiet, tmp_path, examples=4, steps=3)
    assert sum(tally.values()) > 3


@pytest.mark.slow
def test_any_faults_in_any_order_change_no_number(quiet, tmp_path):
    """WINNOW_FAULTS sets how many sequences of up to 8 faults; the counts are printed."""
    tally = run_machine(quiet, tmp_path, int(os.environ.get("WINNOW_FAULTS", "60")), steps=8)
    print(json.dumps({"faults": tally}))
    assert set(tally) == set(FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_each_call_of_the_disk(quiet, tmp_path, fault):
    struck = 0
    for at in range(0, quiet.calls, 3):
        root = tmp_path / str(at)
        root.mkdir()
        struck += bool(one_fault(quiet, root, fault, at, 1, at).struck)
        finish(quiet, root)
    print(json.dumps({fault: struck}))
    assert struck
