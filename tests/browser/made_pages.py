"""Made-up experiments as pages: every control of a page has something to act on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import synthetic_report as made
from made_comparison import made_comparison

from winnow.experiment.expected import slug_of
from winnow.experiment.run_parts import RunData, RunInit, RunModel
from winnow.report import by_line, verdict
from winnow.report.claims.judge import judge_all
from winnow.report.page import Section, page_html
from winnow.report.results import Details, Finding, Results, Row

LAYERS = {"hidden.0.weight": 235_200, "hidden.1.weight": 30_000, "output.weight": 1_000}
CLAIM = {
    "id": "made-up-sooner",
    "says": "tickets of 51 % stop sooner",
    "of": "stop_iteration",
    "compare": ["ticket", "dense"],
    "as": "ratio",
    "at": {"density": 51.2},
    "expect": [0, 1],
    "number": {"mean": 0.62, "n": 5},
}
VIEW = {"title": "Accuracy by iteration", "of": "test_accuracy", "against": "iteration"}


def write(results: Sequence[Results], folder: Path) -> Path:
    """The page of a report alone: its figures as files take long to draw."""
    sections = [_section(part, slug_of(part.name)) for part in results]
    path = folder / "index.html"
    path.write_text(page_html(sections, command="winnow report made-up", version="0"), "utf-8")
    return path


def _section(results: Results, slug: str) -> Section:
    parts = by_line(results)
    inside = [
        Section(f"{slug}-{slug_of(part.line)}", part, verdict(part), {})
        for part in (parts if len(parts) > 1 else ())
    ]
    said = () if inside else verdict(results)
    return Section(slug, results, said, {}, inside, judge_all(results))


def details(row: Row) -> Details:
    """How a run of LeNet on MNIST was trained; its layers are as dense as the row says."""
    kept = {name: round(row.density * size) for name, size in LAYERS.items()}
    return Details(
        id=f"id-of-{row.run}",
        engine="sparse" if row.round else "dense",
        seeds={"init": row.replicate, "order": row.replicate},
        versions={"winnow": "0.1.0", "torch": "2.13.0"},
        model=RunModel("lenet-300-100", RunInit("glorot-normal", None), None, 1.0, 0.0),
        data=RunData("mnist", "c0ffee", 5000, "none"),
        kept=kept if row.round else {},
    )


def rounds() -> Results:
    """Tickets with controls, curves, overlaps and a histogram; a diverged and a censored run."""
    results = made.paper_like(replicates=3, rounds=6)
    rows = list(results.rows)
    rows[2] = dataclasses.replace(rows[2], status="diverged", diverged_at=77)
    rows[3] = dataclasses.replace(rows[3], stop_censored=True)
    views = [{**VIEW, "arms": ["dense", "ticket"], "densities": [100, 51.2]}]
    recipe = {**made.RECIPE, "title": "Made-up tickets", "claims": [CLAIM], "views": views}
    return dataclasses.replace(
        results,
        rows=tuple(rows),
        recipe=recipe,
        details={row.run: details(row) for row in rows},
        findings=tuple(_findings()),
    )


def _findings() -> list[Finding]:
    place: dict[str, Any] = {"replicate": 1, "draw": 0, "weights_kept": 1}
    found = []
    for number in range(1, 4):
        at = {"round": number, "density": 0.8**number, "density_total": 0.8**number, **place}
        overlap = {"jaccard": 0.9 - 0.1 * number, "jaccard_chance": 0.3, "agreement": 0.9}
        rows = ({**overlap, "agreement_chance": 0.5},)
        found.append(Finding(key="overlap", arm="ticket", against="random", rows=rows, **at))
        bins = tuple({"bin": 0.1 * k, "w": 0.5 / (1 + k)} for k in range(6))
        found.append(Finding(key="histograms", arm="ticket", against=None, rows=bins, **at))
    return found


def comparison() -> Results:
    """Methods at two densities."""
    results = made_comparison(name="compare/made-up")
    return dataclasses.replace(results, recipe={**results.recipe, "title": "Made-up methods"})


def lines() -> Results:
    """Two lines of which the second learns slower; a view shows both."""
    single = made.paper_like(replicates=2, rounds=3)
    rows, curves = [], {}
    for line, later in (("fast", 0), ("slow", 900)):
        for row in single.rows:
            run = f"{line}-{row.run}"
            stop = (row.stop_iteration or 0) + later
            rows.append(dataclasses.replace(row, line=line, run=run, stop_iteration=stop))
            curve = single.curves[row.run]
            lower = tuple(value - later / 90_000 for value in curve.test_accuracy)
            curves[run] = dataclasses.replace(curve, test_accuracy=lower)
    view = {"title": "Early stopping by line", "of": "stop_iteration", "arms": ["ticket", "reinit"]}
    recipe = {
        **made.RECIPE,
        "title": "Made-up lines",
        "lines": {"fast": {"train.steps": "10000it"}, "slow": {"train.steps": "20000it"}},
        "views": [view],
    }
    return made.results(rows, name="lth/made-up-lines", recipe=recipe, curves=curves)
