"""The answer while runs are still trained: one clause on what is finished."""

from __future__ import annotations

from winnow.report.answer.doubt import replicates_of
from winnow.report.answer.keeping import against_the_dense, kept
from winnow.report.answer.of_lines import line_answer
from winnow.report.answer.of_methods import leader
from winnow.report.answer.of_rounds import subject_of
from winnow.report.answer.phrases import correct, method_called, of_weights, points_of
from winnow.report.results import Results, by_line, compares


def so_far(results: Results) -> str:
    """What would be the answer, without its doubts; empty while there is nothing to say."""
    parts = by_line(results)
    if len(parts) == 1:
        return _of_methods(parts[0]) if compares(parts[0]) else _of_rounds(parts[0])
    said = line_answer(results)
    return _small(said[0]) if said else ""


def _of_methods(results: Results) -> str:
    lead = leader(results)
    if lead is None or not lead.learned:
        return ""
    who, mean = method_called(lead.name), correct(lead.means[lead.name])
    leads = "lead" if lead.name == "random" else "leads"
    return f"{who} {leads} at {of_weights(lead.density)} of the weights with {mean}"


def _of_rounds(results: Results) -> str:
    pair = against_the_dense(results)
    if pair is None:
        return ""
    of = results.recipe.get("replicates")
    n = replicates_of([pair])
    counted = f" ({n} of {of} replicates)" if isinstance(of, int) else ""
    who, place = _small(subject_of(results, pair)), kept(pair)
    if place is None:
        first = pair.accuracy[0]
        lost = f"{points_of(first.mean)} at {of_weights(first.density_total)} of the weights"
        return f"{who} lose {lost}{counted}"
    return (
        f"{who} keep the dense accuracy down to {of_weights(pair.accuracy[place].density_total)}"
        f"{counted}"
    )


def _small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
