"""Progress of an execution, on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from winnow.experiment.arms import TICKET
from winnow.experiment.plan.plan import Planned
from winnow.experiment.store.store import Store
from winnow.experiment.train.executor import Event
from winnow.experiment.train.status import plan_status

_LINE_EVERY = 10.0  # seconds between plain lines
_TEXTS = ("note", "waiting")
"""Events that are shown as they are."""


class Tally:
    """What is done of a plan: runs, rounds, analyses, iterations; and the time that is left.

    ``status``: identity → what is done of a run; ``unmade``: the analyses that are not made.
    """

    def __init__(
        self,
        plan: Planned,
        status: Mapping[str, str],
        unmade: Iterable[str] = (),
        again: Mapping[str, int] | None = None,
    ) -> None:
        """``again``: the iterations of finished runs of which more is to be recorded."""
        self.plan, self.status, self.unmade = plan, dict(status), set(unmade)
        self.again = dict(again or {})
        self.tickets = [n for n in plan.nodes if n.arm == TICKET.name]
        self.rounds = len({(node.line, node.round) for node in self.tickets})
        self.analyses = {point.node.id: point.node.parents for point in plan.analyses}
        self.began = time.monotonic()
        self.partial: dict[str, int] = {}
        self.made = 0
        self.todo = sum(self._length(i) for i, s in status.items() if s == "missing")

    def hear(self, event: Event) -> None:
        """Take an executor's event."""
        if event.kind == "step":
            self.partial[event.run] = min(event.step, self._length(event.run))
        elif event.kind == "made":
            self.unmade.discard(event.run)
        elif event.kind not in ("started", *_TEXTS):
            self.partial.pop(event.run, None)
            self.status[event.run] = event.kind
            self.made += self._length(event.run)

    def _length(self, identity: str) -> int:
        run = self.plan.runs[identity]
        return self.again.get(identity, run.end - run.begin)

    @property
    def runs_done(self) -> int:
        """Runs that need no more work."""
        return sum(status != "missing" for status in self.status.values())

    @property
    def rounds_done(self) -> int:
        """Rounds whose tickets are all done."""
        left = {(n.line, n.round) for n in self.tickets if self.status[n.run.id] == "missing"}
        return self.rounds - len(left)

    @property
    def analyses_possible(self) -> int:
        """All analyses, without those of runs that diverged or cannot start."""
        lost = ("diverged", "unreachable")
        parents = self.analyses.values()
        return sum(not any(self.status[p] in lost for p in own) for own in parents)

    @property
    def analyses_done(self) -> int:
        """Analyses that are made."""
        return len(self.analyses) - len(self.unmade)

    @property
    def seconds_left(self) -> float | None:
        """At the pace of this execution; None before there is one, and at the end."""
        done = self.made + sum(self.partial.values())
        if not done or done == self.todo:
            return None
        return (time.monotonic() - self.began) * max(self.todo - done, 0) / done

    def line(self) -> str:
        """The tally in words."""
        left = self.seconds_left
        tail = f", {in_words(left)} left" if left is not None else ""
        counts = [
            f"{self.runs_done}/{len(self.status)} runs",
            f"{self.rounds_done}/{self.rounds} rounds",
        ]
        if self.analyses:
            counts.append(f"{self.analyses_done}/{self.analyses_possible} analyses")
        return f"{', '.join(counts)} done{tail}"


def tally_of(plan: Planned, store: Store) -> Tally:
    """The tally of a plan as the store has it."""
    found = plan_status(plan, store)
    return Tally(plan, found.runs, found.unmade, found.again)


def in_words(seconds: float) -> str:
    """A duration: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


class Told(Protocol):
    """What the counts are followed by: a clause on the runs that are finished."""

    def hear(self, event: Event) -> None: ...
    def text(self) -> str: ...


@contextmanager
def shown(tally: Tally, quiet: bool, told: Told | None = None) -> Iterator[Callable[[Event], None]]:
    """What to tell events to, while it is shown how far things are, and what they say so far."""
    if quiet:

        def hear(event: Event) -> None:
            tally.hear(event)
            if event.kind == "waiting":
                print(event.text, file=sys.stderr, flush=True)

        yield hear
        return
    with _bars(tally, told) if sys.stderr.isatty() else _lines(tally, told) as draw:

        def tell(event: Event) -> None:
            tally.hear(event)
            if told is not None:
                told.hear(event)
            draw(event)

        yield tell


def _clause(told: Told | None) -> str:
    text = told.text() if told is not None else ""
    return f"so far: {text}" if text else ""


@contextmanager
def _lines(tally: Tally, told: Told | None) -> Iterator[Callable[[Event], None]]:
    last = time.monotonic() - _LINE_EVERY
    said = ""

    def say() -> None:
        nonlocal last, said
        last, said = time.monotonic(), tally.line()
        clause = _clause(told)
        print(f"{said}; {clause}" if clause else said, file=sys.stderr, flush=True)

    def draw(event: Event) -> None:
        if event.kind in _TEXTS:
            print(event.text, file=sys.stderr, flush=True)
        elif time.monotonic() - last > _LINE_EVERY:
            say()

    yield draw
    if tally.line() != said:
        said = tally.line()  # the answer itself comes next
        print(said, file=sys.stderr, flush=True)


@contextmanager
def _bars(tally: Tally, told: Told | None) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.text import Text

    class Bars(Progress):
        clause = ""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            if self.clause:
                yield Text(self.clause)

    columns = (
        TextColumn("{task.description:>8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Bars(*columns, console=Console(stderr=True)) as progress:
        rounds = progress.add_task("rounds", total=tally.rounds, left="")
        runs = progress.add_task("runs", total=len(tally.status), left="")
        possible = tally.analyses_possible
        analyses = progress.add_task("analyses", total=possible, left="") if possible else None

        def refresh() -> None:
            left = tally.seconds_left
            words = f"{in_words(left)} left" if left is not None else ""
            progress.update(rounds, completed=tally.rounds_done)
            progress.update(runs, completed=tally.runs_done, left=words)
            if analyses is not None:
                total = tally.analyses_possible
                progress.update(analyses, completed=tally.analyses_done, total=total)
            progress.clause = _clause(told)

        def draw(event: Event) -> None:
            refresh()
            if event.kind in _TEXTS:
                progress.console.print(event.text, highlight=False, markup=False)

        refresh()
        yield draw
        progress.refresh()
        progress.clause = ""  # the answer itself comes next
