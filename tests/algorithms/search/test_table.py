"""What holds for every mask search: names, options, declarations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from winnow.algorithms.search import SEARCH_METHODS, make_search, search_defaults
from winnow.algorithms.search.driven import needs_data
from winnow.errors import UserError


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("jackpots", {"density": 0.1}, "Did you mean 'jackpot'"),
        ("jackpot", {"density": 0.1, "strat": "snip"}, "Did you mean 'start'"),
        ("jackpot", {"density": 0.1, "start": "snipe"}, "Did you mean 'snip'"),
        ("jackpot", {"density": 2}, "density is 2"),
        ("jackpot", {"density": 0.1, "removed": 1.5}, "removed is 1.5"),
        ("jackpot", {"density": 0.1, "rates": "global"}, "layer rates"),
        ("jackpot", {"density": 0.1, "statistics": "frozen"}, "choose 'updated' or 'fixed'"),
        ("edge-popup", {}, "edge-popup needs density="),
        ("supermask", {"probability": 1}, "probability is 1"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_search(name, **options)


RECORDED = {  # part of the identity of runs
    "edge-popup": "rates absolute statistics",
    "supermask": "rates probability rescale statistics",
    "jackpot": "start rates removed absolute statistics",
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_options_that_runs_record(name: str) -> None:
    recorded = asdict(make_search(name, 0.3))  # type: ignore[call-overload]
    assert recorded.pop("density") == 0.3
    assert set(recorded) == set(RECORDED[name].split())
    assert recorded == search_defaults(name)


def test_what_each_method_declares() -> None:
    assert list(SEARCH_METHODS) == list(RECORDED)
    assert [n for n, method in SEARCH_METHODS.items() if method.of_trained] == ["jackpot"]
    assert [n for n, method in SEARCH_METHODS.items() if method.needs_density] == ["edge-popup"]
    for name, method in SEARCH_METHODS.items():
        assert set(method.compared) <= set(search_defaults(name))


def test_which_criterion_scores_for_a_start() -> None:
    starts = {start: make_search("jackpot", 0.1, start=start).scored_by
              for start in ("magnitude", "snip", "grasp", "random")}  # fmt: skip
    assert starts == {"magnitude": "magnitude", "snip": "snip", "grasp": "grasp", "random": None}
    assert make_search("edge-popup", 0.1).scored_by is None
    assert make_search("supermask").scored_by is None
    assert [name for name in ("magnitude", "snip", "grasp") if needs_data(name)] == [
        "snip",
        "grasp",
    ]
