"""Claims by figure and table: which ones a place names, and when one says seen."""

from __future__ import annotations

import pytest
from made_claims import claim

from winnow.experiment.recipe.items import ITEMS
from winnow.report.claims.by_item import ItemScore, by_item, items_of, items_seen
from winnow.report.claims.judge import Judged, unjudged


def judged(place: str, recipe: str = "lth/4", kind: str = "seen", paper: str = "") -> Judged:
    return unjudged(claim(place=place, paper=paper), recipe, kind, "")


def figures(recipe: str) -> tuple[str, ...]:
    return {"lth/4": ("lth/4", "lth/3")}.get(recipe, ())


@pytest.mark.parametrize(
    ("place", "items"),
    [
        ("section 2, figure 4a", ["lth/4"]),
        ("section 2, figures 4b and 12", ["lth/4", "lth/12"]),
        ("appendix F.5, figures 15, 16 and 19 to 21",
         ["lth/15", "lth/16", "lth/19", "lth/20", "lth/21"]),
        ("section 2", ["lth/4"]),
        ("figure 99", ["lth/4"]),
        ("figures 3 and 4, section 12, figure 3", ["lth/3", "lth/4"]),
    ],
)  # fmt: skip
def test_a_place_names_its_figures_and_else_those_of_the_recipe_count(place, items):
    assert list(items_of(judged(place), figures)) == items


def test_tables_are_other_items_than_figures():
    assert items_of(judged("table 2", "grasp/table-2"), figures) == ("grasp/table-2",)
    assert items_of(judged("table 1", "mine.yaml", paper="Jackpots"), figures) == (
        "jackpots/table-1",
    )


def test_our_own_questions_belong_to_no_item():
    assert items_of(judged("figure 1", "compare/x"), figures) == ()


def test_an_item_says_seen_where_more_of_its_claims_are_seen_than_not():
    scores = by_item(
        [
            judged("figure 3"),
            *[judged("figure 4")] * 2,
            judged("figure 4", kind="not seen"),
            judged("figure 5", kind="not run"),
            judged("figure 6"),
            judged("figure 6", kind="not seen"),
            judged("table 1", "grasp/table-1"),
        ],
        figures,
    )
    assert [score.item for score in scores] == list(ITEMS)
    counts = {score.item: dict(score.counts) for score in scores if score.counts}
    assert counts == {
        "lth/3": {"seen": 1},
        "lth/4": {"seen": 2, "not seen": 1},
        "lth/5": {"not run": 1},
        "lth/6": {"seen": 1, "not seen": 1},
        "grasp/table-1": {"seen": 1},
    }
    assert [score.item for score in scores if score.seen] == ["lth/3", "lth/4", "grasp/table-1"]
    assert [score.item for score in scores if score.wholly_seen] == ["lth/3", "grasp/table-1"]
    said = f"3 of {len(ITEMS)} say seen, 2 of them in every claim: LTH 2, GraSP 1"
    assert items_seen(scores) == said
    assert items_seen([ItemScore("lth/1", {})]) == "0 of 1 say seen"
