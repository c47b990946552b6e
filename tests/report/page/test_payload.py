"""The JSON of the page: what is in it, and that no text of a recipe ends its script element."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import synthetic_report as made
from hypothesis import given
from hypothesis import strategies as st
from parsed_page import ParsedPage

from winnow.report.charts.by_round import by_round
from winnow.report.charts.of_runs import charts_of
from winnow.report.charts.vega import chart_data, chart_spec, look_of_css
from winnow.report.figures.style import IN_TURN
from winnow.report.page.payload import experiment_payload, payload
from winnow.report.page.run_list import run_lists
from winnow.report.results import Results

EVIL = ["</script><b>", "<!-- <script>", "]]>", "\u2028\u2029", "\"'\\&", "\0\x1f", "é😀", "&lt;"]


def of(results: Results) -> dict[str, Any]:
    (runs,) = run_lists([results])
    return experiment_payload(results, charts_of(results, "x"), by_round(results), runs)


def test_every_chart_has_its_specification_and_its_points() -> None:
    results = made.paper_like(replicates=2, rounds=3)
    found = of(results)
    charts = {chart.key: chart for chart in charts_of(results, "x")}
    assert found["name"] == "lth/made-up"
    assert list(found["charts"]) == list(charts)
    for key, chart in charts.items():
        assert found["charts"][key] == {
            "spec": chart_spec(chart, results),
            "points": chart_data(chart),
        }
    assert list(found["arms"]) == ["dense", "ticket", "reinit", "random", "one-shot"]
    assert found["arms"]["ticket"] == look_of_css(IN_TURN[0])
    assert found["lines"] == {}
    assert len(found["runs"]) == len(results.rows)
    assert found["rounds"] == by_round(results).dump()


def test_a_click_on_a_point_finds_its_runs() -> None:
    """As the script looks for them: by arm, line and round; of round 0 the dense ones."""
    results = made.paper_like(replicates=2, rounds=3)
    found = of(results)
    for chart in found["charts"].values():
        for point in chart["points"]:
            arm = "dense" if point["round"] == 0 else point["arm"]
            runs = [
                run for run in found["runs"]
                if (run["arm"], run.get("line", ""), run["round"])
                == (arm, point["at"], point["round"])
            ]  # fmt: skip
            assert len({run["replicate"] for run in runs}) == point["n"] == 2
            assert [run["density"] for run in runs] == pytest.approx(
                [point["x"]] * len(runs), rel=1e-3
            )


def test_lines_have_their_looks() -> None:
    listed = [made.row(line=line, run=line) for line in ("low", "high")]
    results = made.results(listed, recipe={**made.RECIPE, "lines": {"low": {}, "high": {}}})
    assert of(results)["lines"] == {
        "low": look_of_css(IN_TURN[0]), "high": look_of_css(IN_TURN[1])
    }  # fmt: skip


def test_the_whole_has_what_the_script_needs() -> None:
    whole = json.loads(payload({"slug": of(made.results([made.row()]))}))
    assert list(whole) == ["config", "specs", "experiments"]
    assert list(whole["specs"]) == ["curves", "layers", "histogram"]
    assert list(whole["experiments"]) == ["slug"]


def in_a_page(text: str) -> dict[str, Any]:
    html = f'<div><script type="application/json" id="d">{text}</script><p>after</p></div>'
    page = ParsedPage(html)
    assert page.text == "after"
    assert [tag for tag, _ in page.tags] == ["div", "script", "p"]
    return page.data["experiments"]


@pytest.mark.parametrize("evil", EVIL)
def test_text_reads_back_and_ends_no_script(evil: str) -> None:
    text = payload({evil: {"name": evil, "deep": [evil]}})
    assert "<" not in text
    assert not {"\u2028", "\u2029"} & set(text)
    assert in_a_page(text) == {evil: {"name": evil, "deep": [evil]}}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_reads_back(any_text: str) -> None:
    text = payload({"a": {any_text: any_text}})
    assert "<" not in text
    assert in_a_page(text) == {"a": {any_text: any_text}}


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        payload({"a": {"b": float("nan")}})


def test_runs_without_numbers_make_no_invalid_json() -> None:
    nan = float("nan")
    listed = [
        made.row(),
        made.row(round=1, density=0.5, status="unreachable", density_total=nan, run=""),
        made.row(round=2, density=0.25, final_test_accuracy=nan, stop_test_accuracy=nan),
    ]
    results = made.results(listed)
    json.loads(payload({"a": of(replace(results, curves={}))}))
