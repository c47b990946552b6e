"""Rounds that remove whole units: how many of each set stay, and how many weights that leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from winnow.algorithms.rounds import Round, iterative
from winnow.criteria import get_criterion, traits_of
from winnow.data.own import known_data
from winnow.errors import UserError
from winnow.experiment.plan.setting import Setting
from winnow.experiment.recipe.network import network
from winnow.experiment.runs import Pruning
from winnow.structure import Structure, structure_of, weights_kept
from winnow.structure.coupling import UnitKind


@dataclass(frozen=True)
class UnitRounds:
    """The walk over the units of a recipe's network."""

    structure: Structure
    kind: UnitKind
    sizes: Mapping[str, int]

    def walk(self, rounds: int, rate: float) -> Iterator[Round]:
        """As ``algorithms.rounds.iterative``, over units: a set never loses its last one."""
        sets = {name: len(units) for name, units in self.structure.by_name.items()}
        before: dict[str, int] | None = None
        for step in iterative(sets, rounds=rounds, rate=rate, scope="layer"):
            if not isinstance(step.keep, dict):
                yield step
                continue
            counts = {name: max(count, 1) for name, count in step.keep.items()}
            if counts == (before or sets):
                return
            yield replace(step, keep=counts)
            before = counts

    def in_weights(self, step: Round) -> Round:
        """A round of the walk, with what it keeps in weights."""
        return replace(step, keep=self._weights(step.keep) if step.keep else step.keep)

    def pruning(self, pruning: Pruning, counts: Mapping[str, int]) -> Pruning:
        """The pruning of a round that keeps these units: ``keep`` is what they leave of layers."""
        return replace(pruning, keep=self._weights(counts), structure=self.kind, units=dict(counts))

    def _weights(self, counts: int | Mapping[str, int]) -> dict[str, int]:
        assert not isinstance(counts, int)
        return {**self.sizes, **weights_kept(self.structure, counts)}


def unit_rounds(setting: Setting) -> UnitRounds | None:
    """The units that rounds remove; None where they remove single weights.

    UserError for a network without units that may go, and for controls of single weights.
    """
    recipe = setting.recipe
    kind = recipe.prune.structure
    if kind == "none":
        return None
    asked = recipe.controls
    if asked.one_shot != "none" or asked.at_init:
        raise UserError(
            f"prune.structure is {kind}: the controls one-shot and at-init prune single weights; "
            "leave them out. reinit keeps the widths and draws new weights, random draws units"
        )
    if traits_of(get_criterion(recipe.prune.criterion)).surgeon is not None:
        raise UserError(
            f"prune.structure is {kind}: {recipe.prune.criterion} moves the weights around single "
            "ones that go; take another criterion, e.g. magnitude"
        )
    model = network(recipe)
    shape = known_data(recipe.data.key).inputs(recipe.data.size)
    example = torch.zeros(1, *shape, device=next(model.parameters()).device)
    structure = structure_of(model, example, kind)
    weights_kept(structure, {name: len(units) for name, units in structure.by_name.items()})
    return UnitRounds(structure, kind, setting.layers.sizes)
