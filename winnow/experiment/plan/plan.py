"""From a recipe to its graph of runs: which trainings, from which masks and weights, for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from winnow.algorithms.rounds import Round, iterative, one_shot, one_shot_paper_grid
from winnow.allocation import Keep, keep_for_density
from winnow.errors import UserError, unknown
from winnow.experiment.arms import OF_ROUNDS, TICKET, Arm
from winnow.experiment.expected import ExpectedRun, Experiment
from winnow.experiment.plan import criterion as scoring
from winnow.experiment.plan.groups import Group, groups_of
from winnow.experiment.plan.kinds import init_controls, methods
from winnow.experiment.plan.kinds import search as searching
from winnow.experiment.plan.kinds.compared import Compared
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.resolve import (
    dense_run,
    examples_trained_on,
    iterations_per_epoch,
    read_layers,
    seeded,
    what_to_record,
)
from winnow.experiment.plan.restart import WORDS, Restart, restart
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.runs import Record, Run
from winnow.experiment.store.images import Source


@dataclass(frozen=True)
class Plan:
    """All points of an experiment, in an order in which parents come first."""

    name: str
    recipe: Recipe
    nodes: tuple[Node, ...]
    possible: tuple[Arm, ...]  # arms that the recipe can have, in the order of tables
    whole: Plan | None = None  # the recipe's, where this is a part of it

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Identity → run, each once, parents first."""
        return {node.run.id: node.run for node in self.nodes}

    @cached_property
    def records(self) -> dict[str, Record]:
        """Identity → all that the experiment wants recorded of the run."""
        records: dict[str, Record] = {}
        for node in self.nodes:
            records[node.run.id] = records.get(node.run.id, Record()) | node.record
        return records

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Runs that can share a stack: of all that the recipe plans, whatever part this is."""
        return groups_of((self.whole or self).runs)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that this experiment has, in the order of tables."""
        present = {node.arm for node in self.nodes}
        return tuple(arm for arm in self.possible if arm.name in present)

    @property
    def arm_names(self) -> list[str]:
        """The names of `arms`."""
        return [arm.name for arm in self.arms]

    def experiment(self) -> Experiment:
        """All that a report needs to know of it, as data."""
        runs = tuple(
            ExpectedRun(i, run.folder, run.parents, run.begin, run.end, run.steps, self.records[i])
            for i, run in self.runs.items()
        )
        points = tuple(node.expected() for node in self.nodes)
        return Experiment(self.name, self.recipe.dump(), self.arms, points, runs)

    def only(self, arms: Sequence[str]) -> Plan:
        """The points of some arms and all runs that they need. Raises UserError: unknown arm."""
        if isinstance(arms, str):
            raise UserError(f"only is {arms!r}: give a list of arms, [{arms!r}]")
        for arm in arms:
            if arm not in self.arm_names:
                hint = f"This recipe has {', '.join(self.arm_names)}"
                raise unknown("arm", arm, self.arm_names, hint)
        wanted = [n.run.id for n in self.nodes if n.arm in arms or n.round == 0]
        needed: set[str] = set()
        while wanted:
            if (run := wanted.pop()) not in needed:
                needed.add(run)
                wanted += self.runs[run].parents
        derived = {arm.of for arm in self.possible if arm.name in arms}
        shown = {*arms, *derived, "ticket", "continued"}
        kept = [n for n in self.nodes if n.run.id in needed and n.arm in shown]
        return replace(self, nodes=tuple(kept), whole=self.whole or self)


def expand(name: str, recipe: Recipe, source: Source) -> Plan:
    """The plan of a recipe on given images. Raises UserError for what does not fit together."""
    scoring.resolved(recipe.prune.criterion, recipe.prune.options)
    layers, dense = read_layers(recipe), dense_run(recipe, source)
    how = _restart(recipe, source, dense.steps)
    record = what_to_record(recipe, source, dense.steps)
    per_epoch = iterations_per_epoch(recipe, source)
    points: list[Node] = []
    compared = None
    if recipe.compare:
        compared = methods.compared(recipe, layers.shapes, source, dense.steps)
        methods.check(recipe, source, dense.steps, compared)
    for replicate in range(recipe.replicates):
        own = seeded(recipe, dense, replicate)
        ex = Replicate(recipe, layers, record, how, own, replicate, per_epoch)
        points += _replicate(ex) if compared is None else _comparison(ex, compared)
    if compared:
        points = _with_costs(points, recipe, source)
    possible = (TICKET, *init_controls.arms(recipe.compare)) if recipe.compare else OF_ROUNDS
    points = _with_states(points)
    points.sort(key=_turn(possible))  # stable: replicates stay in order
    return Plan(name, recipe, tuple(points), possible)


_EARLY = ("ticket", "continued", "reinit", "random", "random-reinit")  # of a round


def _turn(possible: Sequence[Arm]) -> Callable[[Node], tuple[int, int]]:
    """By what runs are sorted: by round, of a round the arms that later rounds need first."""
    names = [arm.name for arm in possible]
    order = [name for name in _EARLY if possible is OF_ROUNDS]
    order += [name for name in names if name not in order]
    return lambda node: (node.round, order.index(node.arm))


def _comparison(ex: Replicate, compared: list[Compared]) -> Iterator[Node]:
    """The dense network of one replicate, then every method at every density."""
    yield ex.point("ticket", 0, ex.dense)
    yield from methods.nodes(ex, compared)


def _with_costs(points: list[Node], recipe: Recipe, source: Source) -> list[Node]:
    """The points with what each costs, what it needs of the dense training and others included."""
    runs = {node.run.id: node.run for node in points}
    per_epoch = iterations_per_epoch(recipe, source)
    examples = examples_trained_on(recipe, source)

    def cost(point: Node) -> float:
        reached = _reached(runs, point.run)
        return sum(
            (reached[i] - runs[i].begin) / per_epoch
            + scoring.epochs(runs[i], examples)
            + searching.epochs(runs[i], examples)
            for i in sorted(reached)
        )

    return [replace(node, cost=cost(node)) for node in points]


def _reached(runs: Mapping[str, Run], run: Run) -> dict[str, int]:
    """The run and all that it is made from → the iteration up to which each has to be trained."""
    reached: dict[str, int] = {}
    asked: list[tuple[str, int | None]] = [(run.id, None)]
    while asked:
        identity, step = asked.pop()
        one = runs[identity]
        asked += one.needs if identity not in reached else ()
        reached[identity] = max(reached.get(identity, 0), one.end if step is None else step)
    return reached


def _with_states(points: Sequence[Node]) -> list[Node]:
    """The points with the states that others begin from, to be recorded on the way."""
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for node in points:
        for identity, step in node.run.needs:
            wanted[identity].update(() if step is None else (step,))
    return [
        replace(node, record=replace(node.record, states=frozenset(wanted[node.run.id])))
        for node in points
    ]


def _restart(recipe: Recipe, source: Source, steps: int) -> Restart:
    """What the recipe's ``prune`` says of training around it."""
    prune = recipe.prune
    written = {word: getattr(prune, word) for word in WORDS}
    return restart(written, recipe, source, steps, prune.rounds if prune.algorithm == "imp" else 1)


def _replicate(ex: Replicate) -> Iterator[Node]:
    """Every point of one replicate: the dense network, the walk of rounds, the controls."""
    yield ex.point("ticket", 0, ex.dense)
    chain = {0: ex.dense}
    continued = ex.recipe.prune.rewind == "none"
    for step in _walk(ex):
        if step.parent is None:
            continue
        run = chain[step.index] = ex.ticket(step, chain[step.parent])
        if continued:  # appendix B, strategy 2: the chain's masks, trained from the initialisation
            yield ex.point("continued", step.index, run)
            run = replace(ex.dense, pruning=run.pruning)
        yield ex.point("ticket", step.index, run)
        yield from _controls(ex, step.index, run)
    yield from _one_shot(ex)


def _controls(ex: Replicate, round_: int, ticket: Run) -> Iterator[Node]:
    """The controls of one ticket; they share its data order."""
    asked, pruning = ex.recipe.controls, ticket.pruning
    assert pruning is not None
    for draw in range(1, asked.reinit + 1):
        yield ex.point("reinit", round_, replace(ex.dense, pruning=pruning, draw=draw), draw)
    for draw in range(1, asked.random + 1):
        shuffled = replace(pruning, shuffle=draw)
        yield ex.point("random", round_, replace(ticket, pruning=shuffled), draw)
    for draw in range(1, asked.random_reinit + 1):
        run = replace(ex.dense, pruning=replace(pruning, shuffle=draw), draw=draw)
        yield ex.point("random-reinit", round_, run, draw)


def _one_shot(ex: Replicate) -> Iterator[Node]:
    """The arm that prunes the dense network once, to each density."""
    asked = ex.recipe.controls
    if asked.one_shot == "none":
        return
    keeps = _keeps(ex, asked.one_shot)
    how = ex.restart
    if how.rewind == "none":
        how = replace(how, rewind="init", optimizer="fresh")
    for step in one_shot(ex.layers.sizes, keeps, rewind=ex.rewind_word):
        if step.parent is None:
            continue
        run = ex.ticket(step, ex.dense, how)
        yield ex.point("one-shot", step.index, run)
        for draw in range(1, asked.one_shot_reinit + 1):
            reinit = replace(ex.dense, pruning=run.pruning, draw=draw)
            yield ex.point("one-shot-reinit", step.index, reinit, draw)


def _walk(ex: Replicate) -> Iterator[Round]:
    """The walk of the recipe's algorithm, the one that `wn.imp` makes too."""
    prune = ex.recipe.prune
    if prune.algorithm == "one-shot":
        return one_shot(ex.layers.sizes, _keeps(ex, prune.densities), rewind=ex.rewind_word)
    return _iterative(ex)


def _iterative(ex: Replicate) -> Iterator[Round]:
    prune = ex.recipe.prune
    return iterative(
        ex.layers.sizes,
        rounds=prune.rounds,
        rate=prune.rate,
        rates=ex.layers.rates if prune.scope == "layer" else None,
        scope=prune.scope,
        rewind=ex.rewind_word,
    )


def _keeps(ex: Replicate, densities: str | Sequence[float]) -> list[Keep]:
    """What each one-shot pruning keeps: the paper's grid, the rounds' own counts, or densities."""
    prune, layers = ex.recipe.prune, ex.layers
    if densities == "paper":
        return one_shot_paper_grid(layers.sizes, layers.rates, prune.rate)
    if densities == "rounds":
        return [step.keep for step in _iterative(ex) if step.keep is not None]
    assert not isinstance(densities, str)
    return [keep_for_density(layers.shapes, layers.sizes, d, prune.scope) for d in densities]
