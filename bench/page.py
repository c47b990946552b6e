"""Claim: a page of 10,000 runs opens in under 3 s and weighs under 15 MB.
Peer: Plotly, where it is installed, with the same curves of means in one chart and nothing else.

    python bench/page.py [--replicates 20] [--rounds 25] [--repeats 5] [--smoke]

A made-up experiment (20 replicates, 25 rounds, tickets and two kinds of controls, learning curves)
is written as a page; chromium opens it, and says when it first painted something, when the main
chart was drawn, and how much memory its scripts hold: medians over the repeats, each in a browser
of its own. Without chromium only the writing is measured. Writes bench/results/page.json.
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from script import arguments, keep, parse

from winnow.experiment.arms import OF_ROUNDS
from winnow.report.page import Section, page_html
from winnow.report.results import Curve, Results, Row
from winnow.report.statistics import points
from winnow.report.verdict import verdict
from winnow.rng import stream

FILE = Path(__file__).parent / "results" / "page.json"
DRAWS = {"ticket": 1, "reinit": 10, "random": 9}  # 20 at each density
RECIPE = {
    "name": "bench/page",
    "title": "Many made-up runs",
    "data": {"name": "mnist", "validation": 5000},
    "model": {"name": "lenet-300-100", "init": "glorot-normal"},
    "train": {"steps": "20000it", "batch": 60},
    "prune": {"rate": 0.2},
}
OURS = "figure.chart.main[data-drawn]"
STEPS = tuple(range(0, 20_001, 200))


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parse(parser, argv, {"replicates": 2, "rounds": 3, "repeats": 1})
    results = made_up(asked.replicates, asked.rounds)
    begun = time.perf_counter()
    text = page_html([Section("page", results, verdict(results), {})], command="", version="bench")
    seconds = time.perf_counter() - begun
    answer: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "runs": len(results.rows),
        "written_in_seconds": round(seconds, 2),
        "megabytes": round(len(text.encode()) / 1e6, 2),
    }
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        print("no chromium: the page was written and not opened", file=sys.stderr)
    else:
        with tempfile.TemporaryDirectory() as folder:
            answer |= opened(program, text, Path(folder), asked.repeats, OURS)
            if peer := by_plotly(results):
                size = {"megabytes": round(len(peer.encode()) / 1e6, 2)}
                found = opened(program, peer, Path(folder), asked.repeats, ".main-svg .trace")
                answer["plotly"] = {**size, **found}
    print(json.dumps(answer, indent=1))
    keep(answer, FILE, asked)
    return 0


def made_up(replicates: int, rounds: int) -> Results:
    """Rows and curves with some noise, the same on every call."""
    rows, curves = [], {}
    for replicate in range(1, replicates + 1):
        for number in range(rounds + 1):
            for arm, draws in DRAWS.items() if number else {"ticket": 1}.items():
                for draw in range(draws):
                    row = _row(replicate, number, arm, draw)
                    rows.append(row)
                    curves[row.run] = _curve(row)
    return Results("bench/page", RECIPE, OF_ROUNDS, tuple(rows), curves, 0)


def _row(replicate: int, number: int, arm: str, draw: int) -> Row:
    density = 0.8**number
    noise = stream(1, arm, replicate, draw, number).standard_normal()
    loss = {"ticket": 0.002, "reinit": 0.004, "random": 0.008}[arm] * -math.log(density)
    accuracy = 0.98 - loss + 0.001 * noise
    return Row(
        recipe="bench/page",
        arm=arm,
        replicate=replicate,
        draw=draw,
        round=number,
        density=density,
        density_total=density,
        weights_kept=round(266_200 * density),
        run=f"{arm}-{replicate}-{draw}-{number}",
        status="done",
        diverged_at=None,
        iterations=20_000,
        stop_iteration=int(8000 + 400 * noise) // 200 * 200,
        stop_censored=False,
        stop_validation_loss=0.07,
        stop_validation_accuracy=accuracy,
        stop_test_accuracy=accuracy,
        stop_train_accuracy=1.0,
        final_validation_accuracy=accuracy,
        final_test_accuracy=accuracy,
        final_train_accuracy=1.0,
        accuracy_at={},
        seconds=10.0,
    )


def _curve(row: Row) -> Curve:
    best = row.stop_test_accuracy or 0.0
    accuracy = tuple(best - 0.8 * math.exp(-step / 1500) for step in STEPS)
    return Curve(STEPS, tuple(1 - value for value in accuracy), accuracy, accuracy)


def by_plotly(results: Results) -> str:
    """The means of each arm in a chart of Plotly, its script inlined; empty without Plotly."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        return ""
    figure = go.Figure()
    for arm in DRAWS:
        line = points(results.rows, arm, "stop_test_accuracy")
        spread = [(p.summary.maximum - p.summary.minimum) / 2 for p in line]
        x, y = [p.density_total for p in line], [p.summary.mean for p in line]
        figure.add_trace(go.Scatter(x=x, y=y, error_y={"array": spread}, name=arm))
    figure.update_xaxes(type="log", autorange="reversed")
    return str(figure.to_html(include_plotlyjs=True))


def opened(program: str, text: str, folder: Path, repeats: int, drawn: str) -> Mapping[str, Any]:
    """Medians of what the browser measures, in milliseconds and megabytes; ``drawn``: what is on
    the page once its chart is.
    """
    from playwright.sync_api import sync_playwright

    file = folder / "index.html"
    file.write_text(text, "utf-8")
    found = []
    with sync_playwright() as playwright:
        for _ in range(repeats):
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.goto(file.as_uri())
            page.wait_for_selector(drawn)
            found.append(page.evaluate(_MEASURE))
            browser.close()
    return {name: round(statistics.median(one[name] for one in found), 1) for name in found[0]}


_MEASURE = """() => ({
  first_paint_ms: performance.getEntriesByName('first-contentful-paint')[0].startTime,
  interactive_ms: performance.timing.domInteractive - performance.timing.navigationStart,
  main_chart_ms: performance.now(),
  scripts_megabytes: performance.memory.usedJSHeapSize / 1e6,
})"""


if __name__ == "__main__":
    sys.exit(main())
