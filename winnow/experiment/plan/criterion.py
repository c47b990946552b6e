"""How weights are scored in an experiment: a criterion, its options in full, what it sees."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from winnow import criteria
from winnow.allocation import Keep
from winnow.errors import UserError, repeated
from winnow.experiment.run_parts import (
    AnyExamples,
    BalancedExamples,
    PartedExamples,
    ScoredExamples,
)
from winnow.experiment.runs import Pruning
from winnow.scoring import check_options

_PER_CLASS = 10
_ABOUT_DATA = ("per_class", "classes", "batches", "examples")


@dataclass(frozen=True)
class Scoring:
    """A criterion with its own options, and the examples that it sees.

    Those are drawn from the training split without replacement: the same number of each class (10
    in one batch by default for snip and grasp, as Wang et al. 2020 take for both), or any, in one
    batch or in several; or they are the whole training split (the default of the others). None for
    criteria without data: the defaults are their `criteria.Traits`. All rounds of scoring see the
    same.
    """

    criterion: str
    options: Mapping[str, Any]
    examples: ScoredExamples | None

    @property
    def all_options(self) -> dict[str, Any]:
        """Its own options and those that say which examples it sees."""
        return {**self.options, **(asdict(self.examples) if self.examples else {})}

    def pruning(self, prunable: tuple[str, ...], keep: Keep, *, seed: int, least: int) -> Pruning:
        """The pruning of a run's own initial weights, in one round."""
        return Pruning(
            of=None,
            criterion=self.criterion,
            options=self.options,
            prunable=prunable,
            keep=keep,
            seed=seed,
            scoring=self.examples,
            source=criteria.source_of(self.criterion),
            least=least,
        )


def resolve_scoring(criterion: str, options: Mapping[str, Any]) -> Scoring:
    """The scoring that a recipe asks for, defaults included. UserError for an option that there is
    not, and for what identities of runs cannot hold.
    """
    function, written = criteria.get_criterion(criterion), own_options(options)
    about = {k: v for k, v in options.items() if k in _ABOUT_DATA}
    check_options(function, criterion, written)
    if "seed" in written:
        raise UserError(f"{criterion}: seeds stand in seeds.mask, not in seed")
    defaults = {
        p.name: p.default
        for p in list(inspect.signature(function).parameters.values())[1:]
        if p.default is not p.empty and p.name not in (*_ABOUT_DATA, "seed")
    }
    return Scoring(
        criterion, _checked(criterion, defaults | written, defaults), _examples(criterion, about)
    )


def own_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that do not say which examples are seen."""
    return {name: value for name, value in options.items() if name not in _ABOUT_DATA}


def _checked(criterion: str, options: dict[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The options, which are part of a run's identity: UserError for what JSON cannot hold."""
    for name, value in options.items():
        _check_kind(criterion, name, value, usual.get(name))
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise UserError(
                f"{name} of {criterion} is {value!r}: experiments know options that are numbers, "
                "words, true, false, null, and lists of them"
            ) from None
    return options


def _check_kind(criterion: str, name: str, value: Any, usual: Any) -> None:
    """UserError for a word in place of a number or a truth, or the other way, of Winnow's own."""
    if criterion not in criteria.CRITERIA or usual is None or value is None:
        return
    kinds = {bool: "true or false", float: "a number", int: "a number", str: "a word"}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = number if type(usual) in (int, float) else isinstance(value, type(usual))
    if type(usual) in kinds and not fits:
        raise UserError(
            f"{name} of {criterion} is {repeated(value)}: write {kinds[type(usual)]}, e.g. {usual}"
        )


def _examples(criterion: str, about: Mapping[str, Any]) -> ScoredExamples | None:
    usual = criteria.traits_of(criteria.get_criterion(criterion)).examples
    if usual == "none":
        if about:
            raise UserError(f"{criterion} sees no examples: leave out {', '.join(about)}")
        return None
    if "classes" in about:
        raise UserError(f"{criterion}: the data says how many classes there are; leave out classes")
    if "examples" in about and "per_class" in about:
        raise UserError(f"{criterion}: write examples, or per_class, not both")
    if "batches" in about and not {"per_class", "examples"} & {*about} and usual != "balanced":
        raise UserError(f"{criterion}: batches goes with per_class or examples: per_class: 10")
    for name, value in about.items():
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not whole and (name, value) != ("examples", "all"):
            more = ", or all" if name == "examples" else ""
            raise UserError(f"{name} of {criterion} is {value!r}: give a number from 1 on{more}")
    if "examples" in about and "batches" in about:
        return _parted(criterion, about["examples"], about["batches"])
    if "examples" in about or (usual != "balanced" and "per_class" not in about):
        return AnyExamples(about.get("examples", "all"))
    return BalancedExamples(about.get("per_class", _PER_CLASS), about.get("batches", 1))


def _parted(criterion: str, examples: Any, batches: int) -> ScoredExamples:
    if examples == "all":
        raise UserError(f"{criterion}: all examples are in batches anyway: leave out batches")
    if batches > examples:
        raise UserError(f"{criterion}: {batches} batches of {examples} examples: write fewer")
    return PartedExamples(examples, batches) if batches > 1 else AnyExamples(examples)
