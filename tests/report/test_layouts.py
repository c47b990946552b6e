"""Which views make one figure, with which letters, in how many columns."""

from __future__ import annotations

import pytest

from winnow.experiment.recipe.views import View
from winnow.report.layouts import columns_of, layouts_of, letters


def view(of: str = "final_test_accuracy", figure: str = "", panel: str = "") -> View:
    return View(title=of, of=of, figure=figure, panel=panel)


def test_views_of_a_figure_are_together_at_the_place_of_its_first() -> None:
    views = [view(), view(figure="lth/4"), view(figure="lth/12"), view(figure="lth/4"), view()]
    made = [(one.figure, one.number, len(one.views)) for one in layouts_of(views)]
    assert made == [("", 1, 1), ("lth/4", 2, 2), ("lth/12", 3, 1), ("", 5, 1)]


def test_letters_are_the_views_own_else_in_turn() -> None:
    assert letters([view(), view(), view()]) == ["a", "b", "c"]
    assert letters([view()]) == [""]
    own = [view(figure="lth/4", panel="a"), view(figure="lth/4"), view(figure="lth/4", panel="c")]
    assert letters(own) == ["a", "", "c"]
    assert letters([view()] * 30)[25:27] == ["z", ""]


@pytest.mark.parametrize(
    ("metrics", "columns"),
    [
        ("a", 1), ("ab", 2), ("abc", 3), ("aaa", 3), ("aaaa", 2), ("aaaaa", 3),
        ("ababab", 2), ("abcabc", 3), ("abcabca", 3), ("abab", 2), ("abcd", 2), ("abcdab", 3),
    ],
)  # fmt: skip
def test_metrics_that_take_turns_have_rows(metrics: str, columns: int) -> None:
    names = {
        "a": "stop_iteration",
        "b": "stop_test_accuracy",
        "c": "final_test_accuracy",
        "d": "cost",
    }
    assert columns_of([view(names[one]) for one in metrics]) == columns


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"figure": "lth/44444"}, "there is no figure 'lth/44444'. Did you mean"),
        ({"panel": "a"}, "panel a is of no figure"),
        ({"figure": "lth/4", "panel": "left"}, "panel"),
    ],
)
def test_a_figure_that_there_is_not_is_refused(fields: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        View.model_validate({"title": "x", "of": "final_test_accuracy", **fields})
