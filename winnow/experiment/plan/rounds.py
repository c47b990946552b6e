"""The arms of an experiment without ``compare``: tickets found round by round, and their controls.

The walk of rounds is that of ``wn.imp`` (`winnow.algorithms.rounds`); here each round is a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from winnow.algorithms.rounds import Round, iterative, one_shot, one_shot_paper_grid
from winnow.allocation import Keep, check_least, keep_for_density
from winnow.experiment.arms import (
    AT_INIT,
    CONTINUED,
    MORE_CONTROLS,
    OF_ROUNDS,
    ONE_SHOT,
    ONE_SHOT_REINIT,
    PERMUTED,
    RANDOM,
    RANDOM_REINIT,
    REINIT,
    REINIT_MASKED,
    TICKET,
    Arm,
    noise_arm,
)
from winnow.experiment.plan.criterion import Scoring, own_options, resolve_scoring
from winnow.experiment.plan.other_orders import other_orders, rounds_at
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.restart import RESTART_WORDS, Restart, restart_of
from winnow.experiment.plan.setting import Setting
from winnow.experiment.plan.units import UnitRounds, unit_rounds
from winnow.experiment.runs import GIVEN, Pruning, Run, Start
from winnow.experiment.store.tickets import FittedTicket, fitted_ticket


@dataclass(frozen=True)
class Rounds:
    """What ``prune`` and ``controls`` of a recipe ask for."""

    setting: Setting
    restart: Restart
    scoring: Scoring
    given: FittedTicket | None = None
    units: UnitRounds | None = None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """In the order of tables."""
        return (*OF_ROUNDS, *self._more)

    @property
    def in_turn(self) -> tuple[Arm, ...]:
        """In the order of the runs of a round."""
        pruned_once = (ONE_SHOT, ONE_SHOT_REINIT)
        return (TICKET, CONTINUED, REINIT, RANDOM, RANDOM_REINIT, *pruned_once, *self._more)

    @property
    def _more(self) -> tuple[Arm, ...]:
        return (*MORE_CONTROLS, *map(noise_arm, self.setting.recipe.controls.noise))

    def points(self, replicate: Replicate) -> Iterator[Node]:
        """Every point of a replicate: the dense network, the walk of rounds, one-shot pruning."""
        yield replicate.point(TICKET, 0, replicate.dense)
        if self.given is not None:
            run = _trained_from(self.given, replicate)
            yield replicate.point(TICKET, 1, run)
            yield from self._controls(replicate, 1, run)
            return
        trained = {0: replicate.dense}  # what the next round scores
        for step in self._walk():
            if step.parent is None:
                continue
            run = trained[step.index] = self._pruned(replicate, step, trained[step.parent])
            if self.restart.continues:
                # Appendix B, strategy 2: the masks of the chain, trained from the initialisation.
                yield replicate.point(CONTINUED, step.index, run)
                run = replace(replicate.dense, pruning=run.pruning)
            yield replicate.point(TICKET, step.index, run)
            yield from self._controls(replicate, step.index, run)
        yield from self._one_shot(replicate)

    def _controls(self, replicate: Replicate, round_: int, ticket: Run) -> Iterator[Node]:
        """The controls of one ticket; they share its data order."""
        asked, dense, pruning = self.setting.recipe.controls, replicate.dense, ticket.pruning
        assert pruning is not None
        for draw in _draws(asked.reinit):
            run = replace(dense, pruning=pruning, draw=draw)
            yield replicate.point(REINIT, round_, run, draw)
        for draw in _draws(asked.random):
            run = replace(ticket, pruning=replace(pruning, shuffle=draw))
            yield replicate.point(RANDOM, round_, run, draw)
        for draw in _draws(asked.random_reinit):
            run = replace(dense, pruning=replace(pruning, shuffle=draw), draw=draw)
            yield replicate.point(RANDOM_REINIT, round_, run, draw)
        yield from self._more_controls(replicate, round_, ticket)

    def _more_controls(self, replicate: Replicate, round_: int, ticket: Run) -> Iterator[Node]:
        """Those that change the order of data, the ticket's own weights, or when it is pruned."""
        asked, pruning = self.setting.recipe.controls, ticket.pruning
        assert pruning is not None
        redrawn = (
            (REINIT_MASKED, "survivors", asked.reinit_masked),
            (PERMUTED, "permuted", asked.permuted),
        )
        for arm, how, count in redrawn:
            for draw in _draws(count):
                run = replace(ticket, start=replace(ticket.start, redrawn=how, draw=draw))
                yield replicate.point(arm, round_, run, draw)
        if self._reordered is None or round_ in self._reordered:
            for arm, run, draw in other_orders(asked, ticket):
                yield replicate.point(arm, round_, run, draw)
        if asked.at_init:
            early = Pruning(
                None, "magnitude", {}, pruning.prunable, pruning.keep, 0, least=pruning.least
            )
            yield replicate.point(AT_INIT, round_, replace(replicate.dense, pruning=early), 1)
        for level in asked.noise:
            start = replace(ticket.start, noise=level, draw=1)
            yield replicate.point(noise_arm(level), round_, replace(ticket, start=start), 1)

    @cached_property
    def _reordered(self) -> frozenset[int] | None:
        """The rounds that are trained in other orders, None for all."""
        wanted = self.setting.recipe.controls.order_densities
        if not wanted or self.given is not None:
            return None
        walk = self._walk() if self.units is None else map(self.units.in_weights, self._walk())
        return rounds_at(walk, wanted, sum(self.setting.layers.sizes.values()))

    def _one_shot(self, replicate: Replicate) -> Iterator[Node]:
        """The arm that prunes the dense network once, to each density."""
        asked, dense = self.setting.recipe.controls, replicate.dense
        if asked.one_shot == "none":
            return
        restart = self.restart.reset() if self.restart.continues else self.restart
        for step in one_shot(self.setting.layers.sizes, self._keeps(asked.one_shot)):
            if step.parent is None:
                continue
            run = self._pruned(replicate, step, dense, restart)
            yield replicate.point(ONE_SHOT, step.index, run)
            for draw in _draws(asked.one_shot_reinit):
                again = replace(dense, pruning=run.pruning, draw=draw)
                yield replicate.point(ONE_SHOT_REINIT, step.index, again, draw)

    def _pruned(
        self, replicate: Replicate, step: Round, parent: Run, restart: Restart | None = None
    ) -> Run:
        """The run of a round: its mask, and what its training restarts from."""
        how = restart or self.restart
        return how.run(replicate.dense, parent, self._pruning(replicate, step, parent, how))

    def _pruning(self, replicate: Replicate, step: Round, parent: Run, restart: Restart) -> Pruning:
        """How the mask of a round comes from its parent's trained weights."""
        least, sizes = self.setting.recipe.prune.least, self.setting.layers.sizes
        assert step.keep is not None
        if self.units is None:
            check_least(step.keep, sizes, least, "prune.least")
        seed = replicate.mask_seed
        pruning = self.scoring.pruning(tuple(sizes), step.keep, seed=seed, least=least)
        if self.units is not None:
            assert isinstance(step.keep, dict)
            pruning = self.units.pruning(pruning, step.keep)
        return replace(pruning, of=parent.id, step=restart.pruned_at(parent))

    def _walk(self) -> Iterator[Round]:
        prune = self.setting.recipe.prune
        if prune.is_one_shot:
            return one_shot(self.setting.layers.sizes, self._keeps(prune.densities))
        return self._iterative()

    def _iterative(self) -> Iterator[Round]:
        prune, layers = self.setting.recipe.prune, self.setting.layers
        if self.units is not None:
            return self.units.walk(prune.rounds, prune.rate)
        rates = layers.rates if prune.scope == "layer" else None
        return iterative(
            layers.sizes, rounds=prune.rounds, rate=prune.rate, rates=rates, scope=prune.scope
        )

    def _keeps(self, densities: str | Sequence[float]) -> list[Keep]:
        """What each one-shot pruning keeps: the paper's grid, the rounds' counts, or densities."""
        prune, layers = self.setting.recipe.prune, self.setting.layers
        if densities == "paper":
            return one_shot_paper_grid(layers.sizes, layers.rates, prune.rate)
        if densities == "rounds":
            return [step.keep for step in self._iterative() if step.keep is not None]
        assert not isinstance(densities, str)
        return [keep_for_density(layers.shapes, layers.sizes, d, prune.scope) for d in densities]


def rounds_of(setting: Setting) -> Rounds:
    """The rounds of a recipe. UserError for what ``prune`` says that does not go together."""
    prune = setting.recipe.prune
    scoring = resolve_scoring(prune.criterion, prune.options)
    # Options as they are written: such runs have always been stored without the defaults.
    scoring = replace(scoring, options=own_options(prune.options))
    asked = setting.recipe.ticket
    given = None if asked is None else fitted_ticket(setting.recipe, asked)
    return Rounds(setting, restart_of_prune(setting), scoring, given, unit_rounds(setting))


def _trained_from(given: FittedTicket, replicate: Replicate) -> Run:
    """The training of a ticket that was found elsewhere."""
    mask = given.mask
    pruning = Pruning(
        None,
        GIVEN,
        {},
        tuple(mask),
        dict(mask.kept_per_layer),
        replicate.mask_seed,
        given=given.mask_hash,
    )
    start = Start("given", given=given.weights_hash) if given.weights_hash else Start("init")
    return replace(replicate.dense, pruning=pruning, start=start)


def restart_of_prune(setting: Setting) -> Restart:
    """What ``prune`` says of training around a pruning."""
    prune = setting.recipe.prune
    written = {word: getattr(prune, word) for word in RESTART_WORDS}
    return restart_of(written, setting, rounds=1 if prune.is_one_shot else prune.rounds)


def _draws(count: int) -> range:
    return range(1, count + 1)
