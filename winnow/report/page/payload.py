"""What the page's script gets, as JSON: charts with their data, runs, what the slider shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from winnow.report.charts.by_round import ByRound
from winnow.report.charts.chart import Chart
from winnow.report.charts.looks import arm_looks, line_looks
from winnow.report.charts.vega import (
    CONFIG,
    chart_data,
    chart_spec,
    curves_spec,
    histogram_spec,
    layers_spec,
    look_of_css,
)
from winnow.report.page.run_list import RunList
from winnow.report.results import Results


def payload(experiments: Mapping[str, Mapping[str, Any]]) -> str:
    """The JSON of the page, safe inside of a script element."""
    whole = {
        "config": CONFIG,
        "specs": {
            "curves": curves_spec(),
            "layers": layers_spec(),
            "histogram": histogram_spec(),
        },
        "experiments": experiments,
    }
    text = json.dumps(whole, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def experiment_payload(
    results: Results, charts: Sequence[Chart], rounds: ByRound, runs: RunList
) -> dict[str, Any]:
    """The part of one recipe."""
    return {
        "name": results.name,
        "charts": {
            chart.key: {"spec": chart_spec(chart, results), "points": chart_data(chart)}
            for chart in charts
        },
        "arms": {name: look_of_css(look) for name, look in arm_looks(results).items()},
        "lines": {name: look_of_css(look) for name, look in line_looks(results).items()},
        "rounds": rounds.dump(),
        "runs": list(runs.runs),
    }
