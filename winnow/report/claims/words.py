"""How claims write numbers: in the unit of their column, densities in percent."""

from __future__ import annotations

import math

from winnow.experiment.recipe.claims import Claim, ClaimPart
from winnow.report import wording
from winnow.report.claims.evidence import Gap
from winnow.report.claims.holds import Joined, Leaf, decide, leaves
from winnow.report.claims.judge import Judged
from winnow.report.statistics import Interval


def ours_in_words(judged: Judged) -> str:
    """Our mean and 95 % interval; of several comparisons how many hold, and the telling one's."""
    if judged.tree is None:
        return ""
    pairs = _with_parts(judged)
    if len(pairs) == 1:
        return _leaf_in_words(*pairs[0])
    said = [decide(leaf) for leaf, _ in pairs]
    kinds = ("confirmed", "contradicted", "undecided", "not run")
    counts = ", ".join(f"{said.count(k)} {k}" for k in kinds if k in said)
    telling = _telling(judged)
    return f"{counts}; {_leaf_in_words(*telling)}" if telling else counts


def expected_in_words(judged: Judged) -> str:
    """Where the claim wants its result; of several parts, part by part."""
    if judged.claim.status is not None:
        return ""
    joined = " or " if judged.claim.any else " and "
    said = dict.fromkeys(part_in_words(part) for part in judged.claim.parts())
    return joined.join(said)


def number_in_words(judged: Judged) -> str:
    """What the paper prints, and whether it is reproduced."""
    printed, found = judged.claim.number, judged.number
    if printed is None:
        return ""
    part = judged.claim.parts()[0]
    spread = printed.spread
    if isinstance(spread, tuple):
        text = f"{printed.mean:g} [{spread[0]:g}, {spread[1]:g}]"
    else:
        text = f"{printed.mean:g}" + (f" ± {spread:g}" if spread is not None else "")
    text = f"{text} (n {printed.n})"
    if found is None:
        return text
    if found.interval is None or found.by is None:
        return f"{text}: not compared, {found.reason}"
    between = f"[{_plain(part, found.interval.low)}, {_plain(part, found.interval.high)}]"
    if found.answer == "reproduced":
        return f"{text}: reproduced, {between}"
    by = f"a factor {found.by:.3g}" if part.kind == "ratio" else f"{found.by:+.3g}"
    return f"{text}: differs by {by}, {between}"


def part_in_words(part: ClaimPart) -> str:
    """Where a part wants its result: "≥ 0", "−0.5 to 0.5 points"."""
    unit = unit_in_words(part)
    if part.kind == "crossing":
        assert part.at is not None
        return f"within one round of {part.at.density:g} %"
    if part.same is not None:
        return f"equal within {f'a factor {1 + part.same:g}' if part.kind == 'ratio' else ''}" + (
            "" if part.kind == "ratio" else f"{part.same:g}{unit}"
        )
    assert part.expect is not None
    low, high = part.expect
    if math.isinf(high):
        return f"≥ {low:g}{unit}"
    return f"≤ {high:g}{unit}" if math.isinf(low) else f"{low:g} to {high:g}{unit}"


def numbers_of(judged: Judged) -> tuple[tuple[str, ...], ...]:
    """Every comparison of a claim, a line each, header first; empty without any."""
    pairs = _with_parts(judged)
    if not pairs:
        return ()
    head = ("at %", "n", "result [95 %]", "expected", "answer")
    return (head, *(_line(leaf, part) for leaf, part in pairs))


def _line(leaf: Leaf, part: ClaimPart) -> tuple[str, ...]:
    at = leaf.evidence.density
    where = "" if at is None else wording.percent(at)
    n = "" if isinstance(leaf.evidence, Gap) else str(leaf.evidence.n)
    shown = "" if isinstance(leaf.evidence, Gap) else _estimate_in_words(leaf, part)
    return where, n, shown, part_in_words(part), decide(leaf)


def _with_parts(judged: Judged) -> list[tuple[Leaf, ClaimPart]]:
    if judged.tree is None:
        return []
    claim: Claim = judged.claim
    parts = claim.parts()
    trees = (
        judged.tree.parts
        if (claim.all or claim.any) and isinstance(judged.tree, Joined)
        else (judged.tree,)
    )
    return [(leaf, part) for part, tree in zip(parts, trees, strict=True) for leaf in leaves(tree)]


def _telling(judged: Judged) -> tuple[Leaf, ClaimPart] | None:
    """The comparison that the verdict hangs on: the least sure one, of ``any`` the surest."""
    judgeable = [(leaf, part) for leaf, part in _with_parts(judged) if _margin(leaf) is not None]
    if not judgeable:
        return None
    choose = max if judged.claim.any else min
    return choose(judgeable, key=lambda pair: _margin(pair[0]) or 0.0)


def _margin(leaf: Leaf) -> float | None:
    """How far inside its region an interval lies, in spreads, so that columns can be compared."""
    found = leaf.estimate
    interval = found.interval() if found else None
    if found is None or interval is None:
        return None
    inside = min(interval.low - leaf.region.low, leaf.region.high - interval.high)
    return inside / (found.spread or found.resolution or 1.0)


def _leaf_in_words(leaf: Leaf, part: ClaimPart) -> str:
    at = leaf.evidence.density
    where = "" if at is None or part.kind == "crossing" else f" at {wording.percent(at)} %"
    if isinstance(leaf.evidence, Gap):
        return ""
    text = _estimate_in_words(leaf, part)
    return f"{text}{where}" if text else ""


def _estimate_in_words(leaf: Leaf, part: ClaimPart) -> str:
    found = leaf.estimate
    if found is None:
        return ""
    back = math.exp if part.kind in ("ratio", "crossing") else float
    interval = found.interval()
    text = _plain(part, back(found.mean))
    if interval is not None:
        shown = Interval(back(interval.low), back(interval.high))
        text += f" [{_plain(part, shown.low)}, {_plain(part, shown.high)}]"
    return text + unit_in_words(part)


def _plain(part: ClaimPart, number: float) -> str:
    """A number on the scale of the paper: signed where it is a difference."""
    if part.kind == "crossing":
        return wording.percent(number)
    sign = "+" if part.kind == "difference" else ""
    if part.unit == "points":
        return f"{round(number, 2) + 0.0:{sign}.2f}"
    if abs(number) >= 1000:
        return f"{round(number):{sign},d}"
    return f"{number:{sign}.3g}" if part.kind == "ratio" else f"{number:{sign}.4g}"


def unit_in_words(part: ClaimPart) -> str:
    """What stands behind a number of a part, with its space: " points"; empty without a unit."""
    if part.kind == "crossing":
        return " %"
    if part.kind == "ratio":
        return " times"
    if part.unit != "points":
        return ""
    return " points" if part.kind == "difference" else " %"
