"""The tables of a recipe: by density for each metric, methods by densities, claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from winnow.experiment.arms import DENSE
from winnow.report import wording
from winnow.report.claims.judge import Judged
from winnow.report.claims.score import SCORE_HEAD, score_lines, scoreboard
from winnow.report.density_table import Cell, by_density
from winnow.report.method_table import MethodTable, by_method, methods_caption
from winnow.report.results import Results, by_line, compares, has_early_stopping
from winnow.report.tables.plain import Measured, PlainTable, TableCell, plus_minus, with_range

_LONG_CLAIM = (2,)  # where SCORE_HEAD has sentences


def tables_of(results: Results, judged: Sequence[Judged] = ()) -> tuple[PlainTable, ...]:
    """Those that have a row. Lines of a recipe stand under each other, named in the first column.

    Names are those of the figures that show the same: ``accuracy-at-stop``, ``early-stopping``,
    ``final-accuracy``; where methods are compared ``methods`` instead; and ``claims``.
    """
    parts = by_line(results)
    if compares(results):
        made = [_methods(parts)]
    else:
        made = [_by_density(parts, *metric) for metric in _metrics(results)]
    made += [_claims(judged)] if judged else []
    return tuple(table for table in made if table.body)


# ---- by density

_Metric = tuple[str, str, str, Callable[[Cell], Measured | None]]


def _metrics(results: Results) -> list[_Metric]:
    """Name, caption, unit, and what is read of a cell."""
    final: _Metric = ("final-accuracy", "Test accuracy at the end", "%", _final)
    if not any(has_early_stopping(part) for part in by_line(results)):
        return [final]
    return [
        ("accuracy-at-stop", "Test accuracy at early stopping", "%", _at_stop),
        ("early-stopping", "Iteration of early stopping", "iterations", _stop),
        final,
    ]


def _final(cell: Cell) -> Measured | None:
    return with_range(cell.final_test_accuracy, 100) if cell.final_test_accuracy else None


def _at_stop(cell: Cell) -> Measured | None:
    return with_range(cell.stop_test_accuracy, 100) if cell.stop_test_accuracy else None


def _stop(cell: Cell) -> Measured | None:
    if cell.stop_iteration is None:
        return None
    return with_range(cell.stop_iteration, digits=0, at_least=bool(cell.censored))


def _by_density(
    parts: Sequence[Results],
    name: str,
    says: str,
    unit: str,
    read: Callable[[Cell], Measured | None],
) -> PlainTable:
    tables = [(part.line, by_density(part)) for part in parts]
    arms = list(dict.fromkeys(arm for _, table in tables for arm in table.arms))
    lined = any(line for line, _ in tables)
    body: list[tuple[TableCell, ...]] = []
    for line, table in tables:
        for one in table.lines:
            dense = next((cell for cell in one.cells.values() if cell.is_dense), None)
            cells = {arm: cell for arm, cell in one.cells.items() if not cell.is_dense}
            means = [read(dense) if dense else None]
            means += [read(cells[arm]) if arm in cells else None for arm in arms]
            if any(means):
                left = [wording.percent(one.density_total), f"{one.weights_kept:,}"]
                body.append((*([line] if lined else []), *left, *(m or "" for m in means)))
    n = max((cell.n for row in body for cell in row if isinstance(cell, Measured)), default=0)
    columns = [DENSE, *arms]
    first = 3 if lined else 2
    used = [k for k in range(len(columns)) if any(row[first + k] for row in body)]
    head = (
        *(["line"] if lined else []),
        "weights left (%)",
        "weights",
        *(f"{columns[k]} ({unit})" for k in used),
    )
    kept = tuple((*row[:first], *(_of(row[first + k], n) for k in used)) for row in body)
    return PlainTable(name, _caption(says, kept, n), head, kept, left=1 if lined else 0)


def _of(cell: TableCell, n: int) -> TableCell:
    return replace(cell, of=n) if isinstance(cell, Measured) else cell


def _caption(says: str, body: Sequence[Sequence[TableCell]], n: int) -> str:
    cells = [cell for row in body for cell in row if isinstance(cell, Measured)]
    text = f"{says}: mean over {wording.plural(n, 'replicate')}"
    text += ", fewer where n stands" if any(cell.n < n for cell in cells) else ""
    text += ", [lowest–highest run]" if any(cell.low is not None for cell in cells) else ""
    return text + ("; ≥: may come later" if any(cell.at_least for cell in cells) else "")


# ---- methods


def _methods(parts: Sequence[Results]) -> PlainTable:
    tables = [(part.line, by_method(part)) for part in parts]
    densities = list(
        dict.fromkeys(wording.percent(d) for _, table in tables for d in table.densities)
    )
    lined = any(line for line, _ in tables)
    body = [
        (*([line] if lined else []), *row)
        for line, table in tables
        for row in _method_rows(table, densities)
    ]
    costed = any(cost is not None for _, table in tables for cost in table.costs.values())
    head = (
        *(["line"] if lined else []),
        "method",
        *(f"accuracy (%) at {density} %" for density in densities),
        *(["cost at the smallest (epochs)"] if costed else []),
    )
    if not costed:
        body = [row[:-1] for row in body]
    captions = {methods_caption(table) for _, table in tables}
    caption = captions.pop() if len(captions) == 1 else "Test accuracy in %, of each line"
    return PlainTable("methods", caption, head, tuple(body), left=2 if lined else 1)


def _method_rows(table: MethodTable, densities: Sequence[str]) -> list[tuple[TableCell, ...]]:
    rows = []
    for method, line in table.lines.items():
        own = dict(zip(map(wording.percent, table.densities), line, strict=True))
        estimates = [own.get(density) for density in densities]
        cells = [plus_minus(e, table.n, 100) if e else "" for e in estimates]
        cost = table.costs[method]
        rows.append((method, *cells, "" if cost is None else f"{cost:.1f}"))
    return rows


# ---- claims


def _claims(judged: Sequence[Judged]) -> PlainTable:
    lines = tuple(line for paper in scoreboard(judged).papers for line in score_lines(paper))
    caption = "What the paper states, and what these runs say of it"
    return PlainTable("claims", caption, SCORE_HEAD, lines, left=len(SCORE_HEAD), long=_LONG_CLAIM)
