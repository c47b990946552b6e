"""The entry of one's own method from rows, and what is written of it."""

from __future__ import annotations

import pytest
from made_comparison import COSTS, LEVELS, made_comparison

from winnow.report.entry.entry import entry_of
from winnow.report.entry.entry_figure import draw_entry
from winnow.report.entry.entry_page import write_entry
from winnow.report.entry.entry_text import entry_table, entry_text, remarks, verdict_sentence


def test_ranks_costs_and_references():
    entry = entry_of(made_comparison(), "mine")
    assert (entry.overall.rank, entry.overall.of) == (2, 4)
    assert [at.rank for at in entry.at] == [2, 2]
    assert entry.densities == pytest.approx((0.5, 0.1))
    assert [(a.reference, a.role) for a in entry.against] == [
        ("imp", "strongest"),
        ("magnitude", "strongest at its cost"),
        ("random", "fixed"),
        ("magnitude", "fixed"),
    ]
    assert [a.calls.overall.called for a in entry.against] == [
        "worse",
        "better",
        "better",
        "better",
    ]
    assert entry.points["mine"].cost == pytest.approx(COSTS["mine"] + 1)
    mean = sum(LEVELS["mine"]) / 2
    assert entry.points["mine"].accuracy == pytest.approx(mean, abs=0.01)
    assert entry.front == ("magnitude", "mine", "imp")
    assert entry.beaten_by == ()
    assert (entry.dense.accuracy, entry.dense.cost) == pytest.approx((0.98, 13.0))


def test_the_verdict_in_words():
    entry = entry_of(made_comparison(), "mine")
    said = verdict_sentence(entry)
    assert said.startswith(
        "mine is 2nd of 4 methods by mean test accuracy over 2 densities: worse "
    )
    assert "worse than imp, the strongest (-" in said
    assert "better than random (+" in said
    text = entry_text(entry)
    assert text.splitlines()[2].split()[:3] == ["weights", "rank", "accuracy"]
    assert "mine is on the front of accuracy and cost." in text
    assert "Cost: 16.0 epochs a network" in text
    assert "the dense network has 98.00 % at 13.0." in text


def test_what_cannot_be_told_names_the_n_that_would_decide():
    close = {**LEVELS, "mine": (0.9201, 0.8003)}
    entry = entry_of(made_comparison(close), "mine")
    call = entry.against[-1].calls.overall
    assert call.called == "open"
    assert f"{call.decides} replicates would decide it" in verdict_sentence(entry)


def test_one_replicate_says_so():
    entry = entry_of(made_comparison(replicates=1), "mine")
    assert "one replicate decides nothing" in verdict_sentence(entry)
    assert "no interval" in entry_table(entry)[1][3]


def test_lost_runs_are_told_and_their_replicate_is_left_out():
    lost = [("mine", 1, 2), ("imp", 0, 1), *(("random", k, 2) for k in range(5))]
    entry = entry_of(made_comparison(lost=lost), "mine")
    assert (entry.n, entry.asked, entry.lost) == (4, 5, 1)
    assert entry.overall.of == 3
    assert entry.at[0].of == 4
    said = " ".join(remarks(entry))
    assert "1 run of mine diverged" in said
    assert "Of 5 replicates 4 have every density." in said
    assert "random has no replicate with every density" in said
    imp = entry.against[0].calls.overall
    assert imp.n == 3


def test_nothing_finished_is_told():
    lost = [("mine", k, 2) for k in range(5)]
    entry = entry_of(made_comparison(lost=lost), "mine")
    assert "nothing can be said of it" in verdict_sentence(entry)
    assert entry_text(entry)


def test_an_arm_without_rows_is_refused():
    with pytest.raises(ValueError, match="has no rows of yours"):
        entry_of(made_comparison(), "yours")


def test_the_page_stands_alone_and_is_the_same_each_time(tmp_path):
    results = made_comparison()
    page = write_entry(results, "mine", tmp_path, "winnow enter mine.py:mine <x>")
    text = page.read_text()
    assert page.name == "entry.html"
    assert "winnow enter mine.py:mine &lt;x&gt;" in text
    assert "mine is 2nd of 4 methods" in text
    assert "<script" not in text
    assert (tmp_path / "accuracy-and-cost.png").is_file()
    first = draw_entry(entry_of(results, "mine"))
    assert first.svg == (tmp_path / "accuracy-and-cost.svg").read_bytes()
    write_entry(results, "mine", tmp_path, "winnow enter mine.py:mine <x>")
    assert page.read_text() == text
