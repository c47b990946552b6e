"""An entry in words and as tables: the verdict, the calls at each density, the cost."""

from __future__ import annotations

from winnow.report import wording
from winnow.report.entry.calls import MOST_REPLICATES, MethodCall
from winnow.report.entry.entry import Against, Entry, Standing

LEVELS = (
    "Differences in points of test accuracy, paired by replicate. Against one reference the mean "
    "over densities is called with half of an error of 5 %, the densities share the rest "
    "(Bonferroni; all of it where the mean is called), so a method that is equal is called better "
    "or worse anywhere in at most 5 % of cases. References are not corrected for. The strongest is "
    "chosen for each replicate by the other replicates; better than it is what is called better "
    "than every single method."
)
"""How the calls are made."""


def entry_text(entry: Entry) -> str:
    """The verdict, the table of calls and the cost, as a terminal shows them."""
    lines = entry_table(entry)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([verdict_sentence(entry), "", *table, "", *remarks(entry)])


def verdict_sentence(entry: Entry) -> str:
    """Its rank, and better, worse or cannot be told against each reference."""
    standing = entry.overall
    if standing is None:
        return f"{entry.name} has no replicate with every density: nothing can be said of it."
    start = f"{entry.name} is {_place(standing)} by mean test accuracy over {_densities(entry)}"
    said = "; ".join(said_of(one) for one in entry.against)
    return f"{start}: {said}." if said else f"{start}."


def said_of(one: Against) -> str:
    """The call on the mean over densities against one reference, with what would decide it."""
    call, name = one.calls.overall, one.reference
    if one.role != "fixed":
        name += f", the {one.role}"
    if call.called != "open":
        return f"{call.called} than {name} ({_points(call)})"
    return f"cannot be told from {name} ({_points(call)}; {_what_decides(call)})"


def remarks(entry: Entry) -> tuple[str, ...]:
    """What it costs, the front, what is missing: a sentence each."""
    return (*_cost(entry), *_front(entry), *_missing(entry), *entry.notes)


def entry_table(entry: Entry) -> list[tuple[str, ...]]:
    """A header, a line for the mean over densities, and one for each density."""
    heads = [_head(one) for one in entry.against]
    ranked = [("mean", entry.overall, [one.calls.overall for one in entry.against])]
    for k, density in enumerate(entry.densities):
        cells = [one.calls.at[k] for one in entry.against]
        ranked.append((f"{wording.percent(density)} %", entry.at[k], cells))
    body = [
        (label, *_standing(standing), *(_cell(call) for call in cells))
        for label, standing, cells in ranked
    ]
    return [("weights", "rank", "accuracy", *heads), *body]


def _head(one: Against) -> str:
    role = {"strongest": " (strongest)", "strongest at its cost": " (strongest at its cost)"}
    return f"against {one.reference}{role.get(one.role, '')}"


def _standing(standing: Standing | None) -> tuple[str, str]:
    if standing is None:
        return "", ""
    return f"{standing.rank}/{standing.of}", wording.accuracy(standing.accuracy)


def _cell(call: MethodCall) -> str:
    word = "" if call.called == "open" else f" {call.called}"
    return f"{_points(call)}{word}"


def _points(call: MethodCall) -> str:
    text = wording.signed_points(call.mean)
    if call.interval is None:
        return f"{text} [no interval]"
    low, high = call.interval.low, call.interval.high
    return f"{text} [{wording.signed_points(low)}, {wording.signed_points(high)}]"


def _what_decides(call: MethodCall) -> str:
    if call.n < 2:
        return "one replicate decides nothing: take --replicates 5"
    if call.mean == 0:
        return "the means are equal"
    if call.interval is None:
        return "all replicates differ by the same, so that no interval can be given"
    if call.interval.low > 0:
        return "it is not better than every single method"
    if call.decides is None:
        most = f"{MOST_REPLICATES:,}"
        return f"more than {most} replicates would decide it, were mean and spread to stay"
    return f"{call.decides} replicates would decide it, were mean and spread to stay"


def _place(standing: Standing) -> str:
    return f"{_ordinal(standing.rank)} of {standing.of} methods"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _densities(entry: Entry) -> str:
    count = len(entry.densities)
    return "one density" if count == 1 else f"{count} densities"


def _cost(entry: Entry) -> tuple[str, ...]:
    point = entry.points.get(entry.name)
    if point is None:
        return ()
    tail = ""
    if dense := entry.dense:
        tail = f"; the dense network has {wording.accuracy(dense.accuracy)} % at {dense.cost:.1f}"
    return (
        f"Cost: {point.cost:.1f} epochs a network, for {wording.accuracy(point.accuracy)} % (means "
        f"over {_densities(entry)}){tail}.",
    )


def _front(entry: Entry) -> tuple[str, ...]:
    if entry.name not in entry.points:
        return ()
    front = ", ".join(_at_cost(entry, name) for name in entry.front)
    if entry.name in entry.front:
        said = f"{entry.name} is on the front of accuracy and cost"
    else:
        best = max(entry.beaten_by, key=lambda name: entry.points[name].accuracy)
        point = entry.points[best]
        said = (
            f"{entry.name} is not on the front of accuracy and cost: {best} has "
            f"{wording.accuracy(point.accuracy)} % for {point.cost:.1f} epochs"
        )
    return (f"{said}. The front: {front} (accuracy % at epochs).",)


def _at_cost(entry: Entry, name: str) -> str:
    point = entry.points[name]
    return f"{name} {100 * point.accuracy:.1f} at {point.cost:.1f}"


def _missing(entry: Entry) -> tuple[str, ...]:
    said: list[str] = []
    if entry.lost:
        said.append(f"{wording.plural(entry.lost, 'run')} of {entry.name} diverged and left out.")
    if entry.n < entry.asked:
        said.append(f"Of {entry.asked} replicates {entry.n} have every density.")
    said += [_chosen(one) for one in entry.against if len(one.chosen) > 1]
    return tuple(said)


def _chosen(one: Against) -> str:
    return (
        f"The {one.role}: {one.reference} over all replicates; of {', '.join(one.chosen)}, the "
        "other replicates choose one for each replicate, and the difference is from that."
    )
