"""The parts of a gain in words and as a table."""

from __future__ import annotations

from winnow.report import wording
from winnow.report.parts.decompose import (
    BOTH_CELL,
    CELLS,
    INITIALISATION,
    LAYERS,
    MASK,
    RANDOM_CELL,
    REINIT_CELL,
    TICKET_CELL,
    UNIFORM_CELL,
    Decomposition,
    Part,
)
from winnow.report.parts.explained import Explained

MEANINGS = {
    LAYERS: "how many weights each layer keeps, whichever they are",
    MASK: "which weights of a layer are kept",
    INITIALISATION: "the weights that the ticket starts from",
    "interaction": "what mask and initialisation do only together; half of it is in each",
    "gain": "the ticket over a uniform random mask with new weights: the sum of the parts",
}
CELL_MEANINGS = {
    TICKET_CELL: "its mask, its weights",
    REINIT_CELL: "its mask, new weights",
    RANDOM_CELL: "a random mask of its layer densities, its weights",
    BOTH_CELL: "a random mask of its layer densities, new weights",
    UNIFORM_CELL: "a mask random over all layers alike, new weights",
}
HOW = (
    "Points of test accuracy, paired by replicate. Mask and initialisation: what each brings, the "
    "mean over which comes first, from a random mask of the ticket's layer densities with new "
    "weights on. The 95 % intervals of the three parts hold together (Bonferroni); those of gain "
    "and interaction are 95 % each."
)


def explained_text(explained: Explained) -> str:
    """The heading, the sentence and both tables; what is missing is told by the command."""
    parts = explained.parts
    if parts is None:
        return heading(explained)
    tables = [_aligned(parts_table(parts)), _aligned(cells_table(parts))]
    return "\n\n".join([f"{heading(explained)}\n{why(parts)}", *tables])


def heading(explained: Explained) -> str:
    """Which network is explained."""
    line = f", line {explained.line}" if explained.line else ""
    density = wording.percent(explained.density_total)
    text = f"{explained.recipe}{line}: {explained.arm} with {density} % of the weights"
    text += f" (round {explained.round})"
    if explained.parts is None:
        return text
    return f"{text}, test accuracy {explained.at}, {wording.plural(explained.parts.n, 'replicate')}"


def why(parts: Decomposition) -> str:
    """What the gain is due to, as far as it can be told."""
    if parts.n < 2:
        return "One replicate: no intervals, so nothing can be told. Take --replicates 5."
    gain = f"gain {_points(parts.gain)}"
    if not parts.told:
        more = "more replicates or --draws narrow the intervals"
        if parts.gain.is_told:
            return f"There is a {gain}, but which part it comes from cannot be told: {more}."
        return f"Nothing can be told from zero, neither a part nor the {gain}: {more}."
    helps = [_said(part, parts) for part in parts.told if part.mean > 0]
    harms = [_said(part, parts) for part in parts.told if part.mean < 0]
    open_ = [part.name for part in parts.parts if not part.is_told]
    said = []
    if helps:
        said.append(f"It works by {_and(helps)}")
    if harms:
        said.append(f"{'it' if said else 'It'} is held back by {_and(harms)}")
    if open_:
        said.append(f"nothing can be told of {_and(open_)}")
    return f"{'; '.join(said)} ({gain})."


def parts_table(parts: Decomposition) -> list[tuple[str, ...]]:
    """A header, a line for each part, the gain, the interaction."""
    lines = [_line(part) for part in (*parts.parts, parts.gain, parts.interaction)]
    return [("part", "points", "interval", "what it is"), *lines]


def cells_table(parts: Decomposition) -> list[tuple[str, ...]]:
    """A header and a line for each of the five networks."""
    lines = [(c, wording.accuracy(parts.cells[c]), CELL_MEANINGS[c]) for c in CELLS]
    return [("network", "accuracy %", "what it has"), *lines]


def _line(part: Part) -> tuple[str, ...]:
    interval = "no interval"
    if part.interval:
        low, high = part.interval.low, part.interval.high
        interval = f"[{wording.signed_points(low)}, {wording.signed_points(high)}]"
    return part.name, wording.signed_points(part.mean), interval, MEANINGS[part.name]


def _said(part: Part, parts: Decomposition) -> str:
    """A part with its points, and its share where the gain is told and all pull one way."""
    text = f"its {part.name} ({wording.signed_points(part.mean)}"
    if parts.gain.is_told and all(p.mean * parts.gain.mean >= 0 for p in parts.parts):
        text += f", {100 * part.mean / parts.gain.mean:.0f} % of the gain"
    return f"{text})"


def _points(part: Part) -> str:
    _, points, interval, _ = _line(part)
    return f"{points} {interval}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _aligned(lines: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
