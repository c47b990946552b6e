"""Tables as CSV (numbers in columns of their own) and as Markdown (numbers as one reads them)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from winnow.report.tables.plain import Measured, PlainTable, TableCell


def as_csv_table(table: PlainTable) -> str:
    """A line for each row. A column of means becomes several: the mean under the column's name,
    then ``low``, ``high``, ``half`` (of the 95 % interval), ``n`` and ``at least`` as far as any
    row has them. Numbers have their decimals and no commas.
    """
    columns = [_flat(head, cells) for head, cells in _columns(table)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([head for part in columns for head, _ in part])
    for place in range(len(table.body)):
        writer.writerow([cells[place] for part in columns for _, cells in part])
    return text.getvalue()


def as_markdown(table: PlainTable) -> str:
    """The caption, then a table with aligned columns; ``|`` is escaped."""
    lines = [table.head, *([read_aloud(cell) for cell in row] for row in table.body)]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = [
        "-" * width if place < table.left else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    head, *body = (_padded(line, widths, table.left) for line in cells)
    return "\n".join([table.sentence, "", head, _line(rule), *body, ""])


def read_aloud(cell: TableCell) -> str:
    """A cell as one reads it: 98.17 [97.20–98.90], 92.30 ± 1.20, ≥ 276; (n = 3): fewer."""
    if isinstance(cell, str):
        return cell
    text = ("≥ " if cell.at_least else "") + cell.number(cell.mean)
    if cell.half is not None:
        text += f" ± {cell.number(cell.half)}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.number(cell.low)}–{cell.number(cell.high)}]"
    return f"{text} (n = {cell.n})" if cell.n < cell.of else text


def _columns(table: PlainTable) -> list[tuple[str, list[TableCell]]]:
    return [(head, [row[k] for row in table.body]) for k, head in enumerate(table.head)]


def _flat(head: str, cells: Sequence[TableCell]) -> list[tuple[str, list[str]]]:
    """A column as the columns of a file."""
    if not any(isinstance(cell, Measured) for cell in cells):
        return [(head, list(map(_text, cells)))]
    known = [cell if isinstance(cell, Measured) else None for cell in cells]
    made = [(head, [_number(cell, cell.mean) if cell else "" for cell in known])]
    for name in ("low", "high", "half"):
        values = [getattr(cell, name) if cell else None for cell in known]
        if any(value is not None for value in values):
            pairs = zip(known, values, strict=True)
            written = ["" if v is None or c is None else _number(c, v) for c, v in pairs]
            made.append((f"{head} {name}", written))
    if any(cell and cell.at_least for cell in known):
        truth = [str(cell.at_least).lower() if cell else "" for cell in known]
        made.append((f"{head} at least", truth))
    return [*made, (f"{head} n", [str(cell.n) if cell else "" for cell in known])]


def _text(cell: TableCell) -> str:
    """A text; a count without the commas between its thousands."""
    text = str(cell)
    return text.replace(",", "") if text.replace(",", "").isdigit() else text


def _number(cell: Measured, value: float) -> str:
    return cell.number(value).replace(",", "")


def _padded(line: Sequence[str], widths: Sequence[int], left: int) -> str:
    cells = zip(line, widths, strict=True)
    return _line([c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(cells)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
