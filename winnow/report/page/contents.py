"""What the templates show of a recipe, as plain values; numbers and words are made here."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from winnow.experiment.recipe.scales import FULL
from winnow.report import wording
from winnow.report.answer import answer
from winnow.report.caveats import caveats
from winnow.report.charts.by_round import ByRound
from winnow.report.charts.chart import Chart, ChartSeries
from winnow.report.charts.looks import arm_looks, line_looks
from winnow.report.charts.of_runs import main_chart
from winnow.report.charts.printed import Printed, printed_numbers
from winnow.report.charts.vega import look_of_css
from winnow.report.claims.judge import Verdict
from winnow.report.claims.words import numbers_of
from winnow.report.page.costs import Saved, cost_lines, saved
from winnow.report.page.run_list import RunList
from winnow.report.page.section import Section
from winnow.report.page.tables import (
    PageTable,
    claim_tables,
    cost_table,
    density_tables,
    method_table,
    plain_table,
)
from winnow.report.results import Results, bars, by_line, compares
from winnow.report.statement import Statement


@dataclass(frozen=True)
class Toggle:
    """An entry of the legend. ``look``: colour, dash and shape of its swatch."""

    name: str
    look: Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A chart's place: its key, its title, and a legend of its own where it needs one."""

    key: str
    title: str
    legend: tuple[Toggle, ...]


@dataclass(frozen=True)
class PagePart:
    """A line of the recipe (or all of one without lines): its statements and tables."""

    slug: str
    line: str
    statements: tuple[Statement, ...]
    tables: tuple[PageTable, ...]
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Contents:
    """All that stands on the page of one recipe."""

    slug: str
    name: str
    title: str
    source: str
    scale: str
    answer: str
    size: str
    warnings: tuple[str, ...]
    verdicts: tuple[tuple[str, int], ...]
    main: Figure | None
    figures: tuple[Figure, ...]
    arms: tuple[Toggle, ...]
    lines: tuple[Toggle, ...]
    bars: str
    thumbnail: tuple[tuple[str, str], ...]
    rounds: ByRound
    printed: tuple[Printed, ...]
    methods: PageTable | None
    parts: tuple[PagePart, ...]
    claims: tuple[PageTable, ...]
    comparisons: tuple[tuple[str, PageTable], ...]
    costs: PageTable
    saved: Saved
    runs: RunList
    notes: tuple[str, ...]
    recipe: str
    provenance: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]


def contents_of(
    section: Section, charts: Sequence[Chart], rounds: ByRound, runs: RunList
) -> Contents:
    """The contents of one recipe's part of the page."""
    results = section.results
    main = main_chart(charts)
    lines = cost_lines(results)
    recipe = results.recipe
    return Contents(
        slug=section.slug,
        name=results.name,
        title=str(recipe.get("title") or results.name),
        source=str(recipe.get("source") or ""),
        scale=str(recipe.get("scale", FULL)),
        answer=answer(results),
        size=_size(results),
        warnings=_warnings(results),
        verdicts=_verdicts(section),
        main=_figure(main) if main else None,
        figures=tuple(_figure(chart) for chart in charts if chart is not main),
        arms=_arms(results),
        lines=tuple(Toggle(line, look_of_css(k)) for line, k in line_looks(results).items()),
        bars=_BARS[bars(results)],
        thumbnail=_thumbnail(main),
        rounds=rounds,
        printed=printed_numbers(section.judged),
        methods=method_table(results) if compares(results) and not section.lines else None,
        parts=tuple(_part(part) for part in section.lines or (section,)),
        claims=claim_tables(section.judged),
        comparisons=tuple(_comparisons(section)),
        costs=cost_table(lines),
        saved=saved([results]),
        runs=runs,
        notes=tuple(results.notes),
        recipe=as_yaml(recipe),
        provenance=tuple(_provenance(results)),
        files=tuple((name, drawing.caption) for name, drawing in section.drawings.items()),
    )


_BARS = {
    "min-max": "bars go from the lowest to the highest single run",
    "interval": "bars are 95 % t-intervals of the mean at one density",
}


def _figure(chart: Chart) -> Figure:
    own = chart.series if chart.own_legend or len(chart.series) == 1 else ()
    return Figure(chart.key, chart.title, tuple(_toggle(one) for one in own))


def _toggle(series: ChartSeries) -> Toggle:
    return Toggle(series.label, look_of_css(series.look))


def _arms(results: Results) -> tuple[Toggle, ...]:
    """Those that have rows, in the recipe's order, dense first."""
    return tuple(Toggle(name, look_of_css(look)) for name, look in arm_looks(results).items())


def _verdicts(section: Section) -> tuple[tuple[str, int], ...]:
    counts = Counter(one.verdict for one in section.judged)
    return tuple((verdict, counts[verdict]) for verdict in get_args(Verdict) if counts[verdict])


def _warnings(results: Results) -> tuple[str, ...]:
    """What weakens the numbers; of recipes with lines, what went wrong in each."""
    parts = by_line(results)
    if parts == (results,):
        said = list(caveats(results))
    else:
        said = [f"{part.line}: {text}" for part in parts for text in caveats(part)]
        if results.missing:
            said += [f"{wording.plural(results.missing, 'run')} of the plan not done yet."]
    scale = results.recipe.get("scale", FULL)
    if scale != FULL:
        said.insert(0, f"Scale {scale}: a shortened experiment, which shows signs, not numbers.")
    if results.reencoded:
        said.append("The images are re-encoded copies (JPEG) of the dataset's.")
    return tuple(said)


def _size(results: Results) -> str:
    rows = [row for row in results.rows if row.status != "unreachable"]
    once = {row.run: row for row in rows}.values()
    iterations = sum(row.iterations for row in once)
    hours = sum(row.seconds for row in once) / 3600
    replicates = len({row.replicate for row in rows})
    missing = f"; {wording.plural(results.missing, 'run')} missing" if results.missing else ""
    return (
        f"{wording.plural(len(once), 'run')} in {wording.plural(replicates, 'replicate')}, "
        f"{iterations:,} training iterations, {hours:,.2f} hours of training{missing}."
    )


def _part(section: Section) -> PagePart:
    files = tuple((name, drawing.caption) for name, drawing in section.drawings.items())
    tables = density_tables(section.results)
    return PagePart(section.slug, section.results.line, tuple(section.statements), tables, files)


def _comparisons(section: Section) -> Iterable[tuple[str, PageTable]]:
    """Claims that look at several densities or arms, comparison by comparison."""
    for one in section.judged:
        lines = numbers_of(one)
        if len(lines) > 2:
            yield one.claim.id, plain_table(one.claim.id, lines)


def _thumbnail(chart: Chart | None) -> tuple[tuple[str, str], ...]:
    """Colour and path of each series, in a box of 160 x 90; bars of those side by side."""
    if chart is None:
        return ()
    every = [point for one in chart.series for point in one.points]
    floor = chart.y.bottom if chart.y.bottom is not None else -math.inf
    x = _span([_place(chart, point.x) for point in every], 160)
    y = _span([max(point.mean, floor) for point in every], 90)
    paths = []
    for k, one in enumerate(chart.series):
        tops = [90 - y(max(point.mean, floor)) for point in one.points]
        dots = [
            f"{x(_place(chart, p.x)):.0f} {top:.0f}"
            for p, top in zip(one.points, tops, strict=True)
        ]
        path = "M" + "L".join(dots)
        if chart.side_by_side:
            path = f"M{160 * (k + 0.5) / len(chart.series):.0f} 88V{min(tops):.0f}"
        paths.append((look_of_css(one.look)["color"], path))
    return tuple(paths)


def _place(chart: Chart, x: float) -> float:
    value = math.log(x) if chart.x.log and x > 0 else x
    return -value if chart.x.falling else value


def _span(values: Sequence[float], length: float) -> Any:
    low, high = min(values, default=0.0), max(values, default=1.0)
    width = (high - low) or 1.0
    return lambda value: 4 + (length - 8) * (value - low) / width


def _provenance(results: Results) -> Iterable[tuple[str, str]]:
    details = [results.details[row.run] for row in results.rows if row.run in results.details]
    once = {one.id: one for one in details}.values()
    engines = Counter(one.engine or "unknown" for one in once)
    if engines:
        named = (f"{name}: {wording.plural(n, 'run')}" for name, n in engines.items())
        yield "Engines", ", ".join(named)
    for name in ("winnow", "torch", "python", "system", "machine"):
        values = sorted({one.versions[name] for one in once if name in one.versions})
        if values:
            yield name.capitalize() if name != "winnow" else "Winnow", ", ".join(values)
    contents = sorted({f"{one.data.name} {one.data.content}" for one in once})
    if contents:
        yield "Images (SHA-256 of their content)", "; ".join(contents)
    if results.rows:
        yield "Replicates", ", ".join(map(str, sorted({row.replicate for row in results.rows})))


def as_yaml(recipe: Mapping[str, Any]) -> str:
    """The recipe as YAML text."""
    import yaml

    text = io.StringIO()
    yaml.safe_dump(_plain(recipe), text, sort_keys=False, allow_unicode=True, width=100)
    return text.getvalue()


def _plain(value: object) -> object:
    """Only values that YAML can write; anything else as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inside) for inside in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
