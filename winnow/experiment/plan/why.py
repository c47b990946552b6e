"""The plan that explains a ticket: it, its controls at its round, and all that these need.

Four networks beside each ticket (m, θ), as in `winnow.report.parts.decompose`: its mask with new
weights, a mask of its layer densities with its weights and with new ones, and a mask drawn from all
prunable weights alike with new weights. Runs are those of ``controls``, found by identity where a
recipe has them; controls with new weights begin at the initialisation, also of a rewound ticket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from winnow import rng
from winnow.errors import UserError
from winnow.experiment.arms import Arm
from winnow.experiment.plan.criterion import resolve_scoring
from winnow.experiment.plan.plan import Plan, check_arms
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.setting import setting_of
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.runs import Run
from winnow.experiment.store.images import Source
from winnow.experiment.store.tickets import check_removed_known

EXPLAINED = "-explained"
"""Behind the recipe's name, in that of the experiment."""


@dataclass(frozen=True)
class ControlArms:
    """The arms of the controls: what stands for each of the networks without the ticket's own."""

    reinit: Arm
    random: Arm
    both: Arm
    uniform: Arm

    @property
    def all(self) -> tuple[Arm, ...]:
        """In the order of tables."""
        return (self.reinit, self.random, self.both, self.uniform)


def control_arms_of(arm: Arm, names: Mapping[str, str]) -> ControlArms:
    """The controls of an arm, under the names of ``reinit``, ``random``, ``random-reinit`` and
    ``uniform-reinit``.
    """
    kinds = {"uniform-reinit": "random-reinit"}
    made = [Arm(name, kinds.get(cell, cell), of=arm.name) for cell, name in names.items()]
    return ControlArms(*made)


def explaining_plan(
    whole: Plan, source: Source, arm: str, round_: int, names: Mapping[str, str], draws: int = 1
) -> Plan:
    """The runs that explain an arm at a round, from the plan of its recipe (or line).

    ``names``: what each control is called; ``draws``: how many there are of each at least, for
    each replicate. Raises UserError: no such arm or round; a network that
    has no mask of its own that others could have, as a dense one or that of a dynamic method.
    """
    check_arms([arm], whole.arm_names)
    (subject,) = [one for one in whole.arms if one.name == arm]
    chosen = [node for node in whole.nodes if (node.arm, node.round) == (arm, round_)]
    _check(whole, subject, round_, chosen)
    check_removed_known(whole.recipe, f"random masks beside {arm}")
    arms = control_arms_of(subject, names)
    setting = setting_of(whole.recipe, source)
    controls = [
        control
        for node in chosen
        for control in _controls(Replicate(setting, node.replicate), node, arms, draws)
    ]
    needed = _ancestors(whole, chosen)
    before = [node for node in whole.nodes if node.run.id in needed and node not in chosen]
    possible = (*(one for one in whole.possible if one.name in {n.arm for n in before} - {arm}),)
    return Plan(
        f"{whole.name}{EXPLAINED}",
        whole.recipe,
        (*before, *chosen, *controls),
        (*possible, subject, *arms.all),
        line=whole.line,
    )


def rounds_there(whole: Plan, arm: str) -> dict[int, float]:
    """The rounds that an arm has, each with its density of all weights."""
    return {n.round: n.density_total for n in whole.nodes if n.arm == arm and n.round > 0}


def draws_of(recipe: Recipe, least: int) -> tuple[int, int, int]:
    """How many draws of reinit, random and random-reinit: the recipe's, or ``least`` if more."""
    asked = recipe.controls
    return max(asked.reinit, least), max(asked.random, least), max(asked.random_reinit, least)


def _check(whole: Plan, subject: Arm, round_: int, chosen: list[Node]) -> None:
    if subject.is_control:
        raise UserError(
            f"{subject.name} is a control of {subject.of}: explain that one, --arm {subject.of}"
        )
    if not chosen or round_ == 0:
        there = rounds_there(whole, subject.name)
        listed = ", ".join(f"{number} ({100 * d:.2g} %)" for number, d in there.items())
        raise UserError(f"{subject.name} has no round {round_} with a mask. It has {listed}")
    run = chosen[0].run
    if run.pruning is None or run.dynamic or run.search or run.start.is_operated:
        raise UserError(
            f"{subject.name} ({subject.kind}) has no mask that was there before training, with "
            "weights that it starts from, so there is nothing to divide between both. Explain a "
            "ticket, or a method that prunes at initialisation"
        )


def _controls(replicate: Replicate, ticket: Node, arms: ControlArms, least: int) -> Iterator[Node]:
    """The controls of one ticket. New weights of one draw are the same under every mask."""
    run, dense, round_ = ticket.run, replicate.dense, ticket.round
    pruning = run.pruning
    assert pruning is not None
    reinit, random, both = draws_of(replicate.setting.recipe, least)
    for draw in range(1, reinit + 1):
        new = replace(dense, pruning=pruning, draw=draw)
        yield replicate.point(arms.reinit, round_, new, draw)
    for draw in range(1, random + 1):
        shuffled = replace(run, pruning=replace(pruning, shuffle=draw))
        yield replicate.point(arms.random, round_, shuffled, draw)
    for draw in range(1, both + 1):
        shuffled = replace(dense, pruning=replace(pruning, shuffle=draw), draw=draw)
        yield replicate.point(arms.both, round_, shuffled, draw)
        yield replicate.point(arms.uniform, round_, _uniform(replicate, run, draw), draw)


def _uniform(replicate: Replicate, ticket: Run, draw: int) -> Run:
    """A mask of the ticket's global density alone: each prunable weight is kept alike."""
    assert ticket.pruning is not None
    kept = ticket.keep
    count = kept if isinstance(kept, int) else sum((kept or {}).values())
    pruning = resolve_scoring("random", {}).pruning(
        ticket.pruning.prunable,
        count,
        seed=rng.torch_seed(replicate.mask_seed, "uniform mask", draw),
        least=0,
    )
    return replace(replicate.dense, pruning=pruning, draw=draw)


def _ancestors(whole: Plan, chosen: list[Node]) -> set[str]:
    """All runs that some points are made from."""
    needed: set[str] = set()
    waiting = [parent for node in chosen for parent in node.run.parents]
    while waiting:
        if (run := waiting.pop()) not in needed:
            needed.add(run)
            waiting += whole.runs[run].parents
    return needed
