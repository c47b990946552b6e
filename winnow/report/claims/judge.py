"""A claim against what a store holds: its status, with all that the status rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import ValidationError

from winnow.errors import UserError, unknown
from winnow.experiment.arms import DENSE
from winnow.experiment.recipe.claims import Claim, ClaimPart, claims_in
from winnow.experiment.recipe.explain import faults
from winnow.experiment.recipe.sides import of_an_analysis
from winnow.report.claims.evidence import CENSORED, Gap
from winnow.report.claims.gather import gather, known_lines, leading_line
from winnow.report.claims.holds import Joined, Leaf, decide, leaves, needed, without_absent
from winnow.report.claims.intervals import LEAST
from winnow.report.claims.number import Reproduced, not_given, reproduced
from winnow.report.claims.places import one_round
from winnow.report.claims.regions import region
from winnow.report.claims.seen import seen
from winnow.report.results import Results
from winnow.report.samples import check_column

Verdict = Literal[
    "confirmed",
    "contradicted",
    "undecided",
    "not run",
    "no data",
    "paper inconsistent",
    "seen",
    "not seen",
]
Scale = Literal["full", "small", "smoke"]

_NO_SIGN = "a printed value has no sign, and a small scale shows nothing else"


@dataclass(frozen=True)
class Conditions:
    """What is known of the runs beside their rows.

    ``scale``: of anything but ``full`` no verdict is given; ``reencoded``: the images are no exact
    copies of those of the paper (JPEG), so that no number is compared.
    """

    scale: Scale = "full"
    reencoded: bool = False


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict. ``reason`` says why where nothing is decided.

    ``tree`` is None where nothing was looked at. ``n``: the fewest replicates of any comparison;
    ``needed``: how many would decide it, None where that is not known or more than MOST.
    """

    claim: Claim
    recipe: str
    verdict: Verdict
    reason: str = ""
    tree: Leaf | Joined | None = None
    n: int | None = None
    needed: int | None = None
    number: Reproduced | None = None


def conditions_of(results: Results) -> Conditions:
    """The conditions that results tell: the recipe's ``scale``, full where it says nothing, and
    whether its images are re-encoded.
    """
    said = results.recipe.get("scale", "full")
    return Conditions(said if said in get_args(Scale) else "full", results.reencoded)


def judge_all(
    results: Results,
    conditions: Conditions | None = None,
    claims: Sequence[Claim] | None = None,
) -> tuple[Judged, ...]:
    """The verdicts on the claims of a recipe, in its order: those written in it unless given.

    A claim about a column that rows do not have is ``not run``, with the reason, so that a page can
    be written; `check_claims` refuses it. Raises UserError for claims that another version of
    Winnow wrote and this one cannot read.
    """
    if claims is None:
        try:
            claims = claims_in(results.recipe)
        except ValidationError as error:
            lines = [f"  {line}" for line in faults(error, Claim)]
            where = f"the claims of {results.name} as it was run are not valid:"
            raise UserError("\n".join([where, *lines])) from None
    known = conditions or conditions_of(results)
    return tuple(_judge_or_say(claim, results, known) for claim in claims)


def _judge_or_say(claim: Claim, results: Results, known: Conditions) -> Judged:
    try:
        return judge(claim, results, known)
    except UserError as error:
        return unjudged(claim, results.name, "not run", str(error))


def judge(
    claim: Claim,
    results: Results,
    conditions: Conditions | None = None,
) -> Judged:
    """The verdict on a claim, from rows (and what analyses found) alone.

    Arms and lines that these results do not have make it ``not run``; `check_claims` refuses them.
    Raises UserError for a column that rows do not have.
    """
    known = conditions or Conditions()
    if claim.status is not None:
        return unjudged(claim, results.name, claim.status, claim.reason)
    tree = claim_tree(claim, results)
    gaps = _gaps(tree)
    if claim.decidable == "no-data" and len(gaps) == len(leaves(tree)):
        return unjudged(claim, results.name, "no data", "its data are not here")
    if known.scale == "smoke":
        return unjudged(claim, results.name, "not run", "a smoke run shows only that it runs")
    if known.scale == "small":
        return _small(claim, results, tree)
    return _full(claim, results, tree, gaps, known)


def unjudged(claim: Claim, recipe: str, verdict: Verdict, reason: str) -> Judged:
    """A claim whose runs were not looked at, and why."""
    return Judged(claim, recipe, verdict, reason)


def claim_tree(claim: Claim, results: Results) -> Leaf | Joined:
    """A claim's comparisons with their evidence: of every part, at every round of it."""
    parts = [_part_tree(part, results) for part in claim.parts()]
    if not claim.all and not claim.any:
        return parts[0]
    return Joined("any" if claim.any else "all", tuple(parts))


def check_claims(claims: Sequence[Claim], results: Results) -> None:
    """Raises UserError for an arm, a line, a column or an analysis that a recipe as written does
    not have.
    """
    arms = [DENSE, *(arm.name for arm in results.arms)]
    lines = known_lines(results)
    written = results.recipe.get("analyses", ())
    analyses = [str(one.get("label") or one["name"]) for one in written]
    for claim in claims:
        for part in claim.parts() if claim.status is None else ():
            _check_part(claim, part, arms, lines)
            _check_analyses(claim, part, analyses)


def _check_part(claim: Claim, part: ClaimPart, arms: list[str], lines: list[str]) -> None:
    for operand in part.sides():
        assert operand.of is not None
        check_column(operand.of, operand.at.step if operand.at else None)
        if operand.arm not in arms:
            hint = f"Claim {claim.id} can compare {', '.join(arms)}"
            raise unknown("arm", operand.arm, arms, hint)
        _check_line(claim, operand.line or "", lines)


def _check_analyses(claim: Claim, part: ClaimPart, analyses: list[str]) -> None:
    for column in (side.of or "" for side in part.sides()):
        name = column.partition(".")[0]
        if of_an_analysis(column) and name not in analyses:
            listed = ", ".join(analyses) or "none"
            hint = f"Claim {claim.id} can read the recipe's analyses: {listed}"
            raise unknown("analysis", name, analyses, hint)


def _check_line(claim: Claim, line: str, lines: list[str]) -> None:
    listed = ", ".join(filter(None, lines))
    has = f"has the lines {listed}" if listed else "has no lines"
    if not line and lines and "" not in lines:
        raise UserError(
            f"claim {claim.id} names no line, and its recipe {has}: write line: {lines[0]}"
        )
    if line and line not in lines:
        raise unknown("line", line, filter(None, lines), f"The recipe of claim {claim.id} {has}")


def _part_tree(part: ClaimPart, results: Results) -> Leaf | Joined:
    wanted = region(part, one_round(results, leading_line(part)))
    sided: Literal["side", "crosses", "region"] = "region"
    if part.kind == "crossing":
        sided = "crosses"
    elif part.kind in ("difference", "ratio") and part.same is None:
        sided = "side"
    found = tuple(Leaf(one, wanted, sided) for one in gather(results, part))
    return found[0] if len(found) == 1 else Joined("all", found, rounds=True)


def _gaps(tree: Leaf | Joined) -> list[Gap]:
    return [leaf.evidence for leaf in leaves(tree) if isinstance(leaf.evidence, Gap)]


def _small(claim: Claim, results: Results, everything: Leaf | Joined) -> Judged:
    number = None if claim.number is None else not_given("the scale is small")
    tree = without_absent(everything) or everything  # a small scale has fewer lines and arms
    here, whole = len(leaves(tree)), len(leaves(everything))
    if gaps := _gaps(tree):
        verdict, reason = _not_run(claim, tree, gaps)
    elif claim.number is not None and all(leaf.sided == "region" for leaf in leaves(tree)):
        verdict, reason = "undecided", _NO_SIGN
    else:
        verdict = "seen" if seen(tree) else "not seen"
        some = "" if here == whole else f"of {whole} comparisons this scale has {here}"
        reason = "; ".join(filter(None, (_blocked(tree), some)))
    return Judged(claim, results.name, verdict, reason, everything, _fewest(tree), number=number)


def _full(
    claim: Claim, results: Results, tree: Leaf | Joined, gaps: Sequence[Gap], known: Conditions
) -> Judged:
    verdict: Verdict = decide(tree)
    reason, more = "", None
    if verdict == "not run":
        verdict, reason = _not_run(claim, tree, gaps)
    elif verdict == "undecided":
        more = needed(tree)
        reason = _undecided(tree, more)
    number = None if claim.number is None else _number(claim, tree, known)
    return Judged(claim, results.name, verdict, reason, tree, _fewest(tree), more, number)


def _number(claim: Claim, tree: Leaf | Joined, known: Conditions) -> Reproduced:
    assert claim.number is not None
    if known.reencoded:
        return not_given("the images are re-encoded copies")
    leaf = leaves(tree)[0]
    found = leaf.estimate
    if isinstance(leaf.evidence, Gap) or found is None:
        return not_given("not run")
    if leaf.evidence.blocked or leaf.evidence.bound:
        return not_given(leaf.evidence.blocked or CENSORED)
    return reproduced(found, claim.number, log=leaf.evidence.log)


def _not_run(claim: Claim, tree: Leaf | Joined, gaps: Sequence[Gap]) -> tuple[Verdict, str]:
    whole = len(leaves(tree))
    share = f" ({len(gaps)} of {whole} comparisons)" if whole > 1 else ""
    where = " It needs a GPU." if claim.decidable == "gpu" else ""
    return "not run", f"{gaps[0].reason}{share}.{where}".removesuffix(".")


def _undecided(tree: Leaf | Joined, more: int | None) -> str:
    fewest = _fewest(tree) or 0
    if blocked := _blocked(tree):
        return blocked
    if fewest < LEAST:
        return f"{LEAST} replicates are the least"
    if any(leaf.estimate and leaf.estimate.interval() is None for leaf in leaves(tree)):
        return "all replicates agree exactly, in a column whose smallest step is not known"
    return "" if more else "more than 50 replicates would be needed"


def _blocked(tree: Leaf | Joined) -> str:
    reasons = [leaf.evidence.blocked for leaf in leaves(tree) if not isinstance(leaf.evidence, Gap)]
    return next(filter(None, reasons), "")


def _fewest(tree: Leaf | Joined) -> int | None:
    counts = [leaf.evidence.n for leaf in leaves(tree) if not isinstance(leaf.evidence, Gap)]
    return min(counts, default=None)
