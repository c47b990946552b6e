"""Progress of an execution, on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from winnow.experiment.arms import TICKET
from winnow.experiment.plan.plan import Planned
from winnow.experiment.train.executor import Event

_LINE_EVERY = 10.0  # seconds between plain lines


class Tally:
    """What is done of a plan: runs, rounds, iterations; and the time that is left."""

    def __init__(self, plan: Planned, status: Mapping[str, str]) -> None:
        self.plan, self.status = plan, dict(status)
        self.tickets = [n for n in plan.nodes if n.arm == TICKET.name]
        self.rounds = len({(node.line, node.round) for node in self.tickets})
        self.began = time.monotonic()
        self.partial: dict[str, int] = {}
        self.made = 0
        self.todo = sum(self._length(i) for i, s in status.items() if s == "missing")

    def hear(self, event: Event) -> None:
        """Take an executor's event."""
        if event.kind == "step":
            self.partial[event.run] = event.step
        elif event.kind not in ("started", "note"):
            self.partial.pop(event.run, None)
            self.status[event.run] = event.kind
            self.made += self._length(event.run)

    def _length(self, identity: str) -> int:
        run = self.plan.runs[identity]
        return run.end - run.begin

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
        runs = f"{self.runs_done}/{len(self.status)} runs"
        return f"{runs}, {self.rounds_done}/{self.rounds} rounds done{tail}"


def in_words(seconds: float) -> str:
    """A duration: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


@contextmanager
def shown(tally: Tally, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """What to tell events to, while it is shown how far things are."""
    if quiet:
        yield tally.hear
    else:
        with _bars(tally) if sys.stderr.isatty() else _lines(tally) as tell:
            yield tell


@contextmanager
def _lines(tally: Tally) -> Iterator[Callable[[Event], None]]:
    last = time.monotonic() - _LINE_EVERY
    told = ""

    def say() -> None:
        nonlocal last, told
        last, told = time.monotonic(), tally.line()
        print(told, file=sys.stderr, flush=True)

    def tell(event: Event) -> None:
        tally.hear(event)
        if event.kind == "note":
            print(event.text, file=sys.stderr, flush=True)
        elif time.monotonic() - last > _LINE_EVERY:
            say()

    yield tell
    if tally.line() != told:
        say()


@contextmanager
def _bars(tally: Tally) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description:>6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        rounds = progress.add_task("rounds", total=tally.rounds, left="")
        runs = progress.add_task("runs", total=len(tally.status), left="")

        def draw() -> None:
            left = tally.seconds_left
            words = f"{in_words(left)} left" if left is not None else ""
            progress.update(rounds, completed=tally.rounds_done)
            progress.update(runs, completed=tally.runs_done, left=words)

        def tell(event: Event) -> None:
            tally.hear(event)
            if event.kind == "note":
                progress.console.print(event.text, highlight=False, markup=False)
            draw()

        draw()
        yield tell
