"""The answer on a comparison of methods: who is the best where it is hard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.answer.doubt import of_the_replicates, replicates_of
from winnow.report.answer.phrases import (
    FEW,
    bracketed,
    correct,
    is_nothing,
    listed,
    method_called,
    of_weights,
    points_of,
)
from winnow.report.comparison import arm_at_bound
from winnow.report.contrasts import Contrast, contrast, judgement
from winnow.report.method_table import by_method
from winnow.report.results import Results, compared_arms, data_facts
from winnow.report.statistics import Difference, same_density

_ABOVE_CHANCE = 0.01  # how much better than guessing a method must be to have learned anything
_SAME = 1e-9


@dataclass(frozen=True)
class Leader:
    """The best of ``means`` (method → accuracy) at a density; ``lost``: smaller densities, where no
    method learns anything. ``tied``: all that share the best mean, in the recipe's order.
    ``learned``: whether it is better than chance; else no method is, at any density.
    """

    density: float
    means: Mapping[str, float]
    tied: tuple[str, ...]
    lost: tuple[float, ...]
    learned: bool = True

    @property
    def name(self) -> str:
        """The best; of equal ones the recipe's first."""
        return self.tied[0]


def leader(results: Results) -> Leader | None:
    """Who leads at the smallest density where any method is better than chance."""
    table = by_method(results)
    names = [arm.name for arm in compared_arms(results) if arm.name in table.lines]
    columns = []
    for place, density in enumerate(table.densities):
        cells = {name: table.lines[name][place] for name in names}
        means = {name: cell.mean for name, cell in cells.items() if cell is not None}
        if means:
            columns.append((density, means))
    if not columns:
        return None
    least = _chance(results) + _ABOVE_CHANCE
    learned = [one for one in columns if max(one[1].values()) >= least]
    density, means = (learned or columns)[-1]
    best = max(means.values())
    tied = tuple(name for name, mean in means.items() if mean >= best - _SAME)
    lost = tuple(d for d, _ in columns if d < density)
    return Leader(density, means, tied, lost, bool(learned))


def difference_at(pair: Contrast, density: float) -> Difference | None:
    """The paired difference at a density."""
    same = (one for one in pair.accuracy if same_density(one.density_total, density))
    return next(same, None)


def lead_over(results: Results, found: Leader) -> Difference | None:
    """The leader against the next best of the methods; against dense where it is the only one."""
    others = [name for name in found.means if name != found.name]
    second = max(others, key=lambda name: found.means[name]) if others else DENSE
    return difference_at(contrast(results, found.name, second), found.density)


def method_answer(results: Results) -> tuple[str, tuple[str, ...]] | None:
    """The sentence without its stop, and its doubts; None while nothing is finished."""
    found = leader(results)
    if found is None:
        return None
    at = f"At {of_weights(found.density)} of the weights"
    others = [name for name in found.means if name not in found.tied]
    pairs = {name: contrast(results, found.name, name) for name in (*others, DENSE)}
    count = replicates_of(pairs.values())
    if not found.learned:
        guess = correct(_chance(results))
        return f"No method is better than chance ({guess}) at any density", (
            wording.plural(count, "replicate"),
        )
    doubts = (of_the_replicates(count), *_lost(found))
    if len(found.tied) > 1:
        who = _tied(found)
        return f"{at} {who} have {correct(found.means[found.name])}", doubts
    compared = _references(results, found, pairs)
    over = listed([_over(name, change) for name, change in compared.items()]) if compared else ""
    many = len(found.means)
    rank = f" is the most accurate of {many} methods with" if many > 1 else " has"
    said = f"{at} {method_called(found.name)}{rank} {correct(found.means[found.name])}"
    if found.name == "random":
        said = said.replace(" masks is ", " masks are ").replace(" masks has ", " masks have ")
    open_ = _not_told_apart(found, pairs, [name for name in others if name not in compared])
    return f"{said}{f': {over}' if over else ''}{open_}", doubts


def _tied(found: Leader) -> str:
    if len(found.tied) == len(found.means):
        return f"all {len(found.means)} methods" if len(found.means) > 2 else "both methods"
    return listed([method_called(name) for name in found.tied])


def _references(
    results: Results, found: Leader, pairs: Mapping[str, Contrast]
) -> dict[str, Difference]:
    """Random masks, and IMP; dense for the one that is missing or the best."""
    random, most = (arm_at_bound(results, bound) for bound in ("least", "most"))
    names = [random.name if random else "", most.name if most else DENSE]
    if names[1] not in pairs:
        names[1] = DENSE
    chosen = {name: pairs[name] for name in names if name in pairs}
    differences = {name: difference_at(pair, found.density) for name, pair in chosen.items()}
    return {name: change for name, change in differences.items() if change is not None}


def _over(name: str, change: Difference) -> str:
    who = method_called(name)
    if is_nothing(change.mean):
        return f"level with {who}{bracketed(change)}"
    side = "above" if change.mean > 0 else "below"
    return f"{points_of(change.mean)} {side} {who}{bracketed(change, by_size=True)}"


def _not_told_apart(found: Leader, pairs: Mapping[str, Contrast], names: Sequence[str]) -> str:
    """How many of the methods that are not named may be as good."""
    changes = [difference_at(pairs[name], found.density) for name in names]
    shared = [change for change in changes if change is not None and change.n >= FEW]
    equal = sum(judgement(change) == "open" for change in shared)
    if not equal:
        return ""
    whom = f"{equal} of the others" if len(names) > 1 else "the other"
    return f"; {whom} cannot be told apart from it"


def _lost(found: Leader) -> list[str]:
    if not found.lost:
        return []
    where = listed([of_weights(density) for density in found.lost])
    return [f"at {where} no method is better than chance"]


def _chance(results: Results) -> float:
    """What guessing gives; 0 for a dataset that is not known here."""
    data = results.recipe.get("data")
    name = data.get("name") if isinstance(data, Mapping) else None
    about = data_facts(results, name)
    return 0.0 if about is None else 1 / about.classes
