"""A paper's figure: one drawing with its panels, letters, shared axes, one legend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import synthetic_report as made

from winnow import report
from winnow.report.figures import draw_views, style
from winnow.report.results import Results

VIEWS: list[dict[str, Any]] = [
    {"title": "Iteration", "of": "stop_iteration", "figure": "lth/4", "panel": "a"},
    {"title": "Accuracy", "of": "stop_test_accuracy", "figure": "lth/4", "panel": "a"},
    {"title": "Alone", "of": "final_test_accuracy"},
    {"title": "At the end", "of": "final_test_accuracy", "figure": "lth/4", "panel": "b"},
    *(
        {"title": title, "of": "test_accuracy", "against": "iteration", "figure": "lth/3",
         "arms": arms, "densities": [51.2, 80]}
        for title, arms in (("Tickets", ["ticket"]), ("Both", ["ticket", "reinit"]))
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Results:
    recipe = {**made.RECIPE, "source": "Somebody 2019, a paper", "views": VIEWS}
    return replace(made.paper_like(replicates=2, rounds=4), recipe=recipe)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is drawn, in the place of its bytes."""
    drawn: list[Any] = []

    def rendered(figure: Any) -> tuple[bytes, bytes]:
        drawn.append(figure)
        return b"png", b"<svg/>"

    monkeypatch.setattr(style, "rendered", rendered)
    return drawn


def test_a_figure_of_the_paper_is_one_drawing(found: Results, figures: list[Any]) -> None:
    drawings = draw_views(found)
    assert [(one.name, one.item) for one in drawings] == [
        ("lth-4", "lth/4"), ("view-3", ""), ("lth-3", "lth/3"),
    ]  # fmt: skip
    assert [len(figure.axes) for figure in figures] == [3, 1, 2]
    assert drawings[0].caption.startswith("Figure 4 of Somebody 2019. LeNet: early stopping and")
    assert drawings[0].wide


def test_panels_have_letters_titles_and_labels(found: Results, figures: list[Any]) -> None:
    draw_views(found)
    four, _, three = figures
    assert [axes.get_title(loc="left") for axes in four.axes] == ["a", "a", "b"]
    assert [axes.get_title() for axes in four.axes] == ["Iteration", "Accuracy", "At the end"]
    assert [axes.get_title(loc="left") for axes in three.axes] == ["a", "b"]
    assert all(axes.get_ylabel() for axes in four.axes)
    assert [bool(axes.get_ylabel()) for axes in three.axes] == [True, False]


def test_one_metric_has_one_axis_and_one_series_one_colour(
    found: Results, figures: list[Any]
) -> None:
    draw_views(found)
    first, second = figures[2].axes
    assert first.get_ylim() == second.get_ylim()
    colours = [
        {one.get_label(): one[0].get_color() for one in axes.containers} for axes in (first, second)
    ]
    shared = colours[0].keys() & colours[1].keys()
    assert shared == {"ticket, 51.2 %", "ticket, 80.0 %"}
    assert all(colours[0][label] == colours[1][label] for label in shared)
    (legend,) = figures[2].legends
    assert len(legend.get_texts()) == len(colours[1])


def test_curves_show_what_comes_after_the_beginning(found: Results, figures: list[Any]) -> None:
    draw_views(found)
    low, high = figures[2].axes[0].get_ylim()
    later = [
        100 * accuracy
        for row in found.rows
        if row.arm in ("ticket", "reinit") and row.round in (1, 3)
        for step, accuracy in zip(
            found.curves[row.run].steps, found.curves[row.run].test_accuracy, strict=True
        )
        if step >= made.ITERATIONS / 10
    ]
    assert low > 0
    assert high >= max(later) - 0.5


def test_a_figure_without_a_number_is_not_drawn(found: Results, figures: list[Any]) -> None:
    rows = tuple(row for row in found.rows if row.arm == "random")
    recipe = {**found.recipe, "views": [{**VIEWS[0], "arms": ["ticket"]}]}
    assert draw_views(replace(found, rows=rows, recipe=recipe)) == []
    assert figures == []


def test_files_are_named_by_the_figure_and_once(found: Results, tmp_path: Path) -> None:
    few = replace(found, recipe={**found.recipe, "views": VIEWS[:1]}, curves={})
    alone = report.write_report([few], tmp_path / "one")
    assert tmp_path / "one" / "lth-4.svg" in alone.figures
    both = report.write_report([few, replace(few, name="lth/other")], tmp_path / "two")
    names = {path.name for path in both.figures}
    assert {"lth-made-up-lth-4.svg", "lth-other-lth-4.svg"} <= names
    assert "lth-4.svg" not in names
