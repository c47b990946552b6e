from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import synthetic_report as made

from winnow.experiment.arms import OF_ROUNDS, Arm
from winnow.report.density_table import by_density, plain_html, table_html, table_text


def test_one_line_for_each_density() -> None:
    table = by_density(made.paper_like(replicates=2, rounds=3))
    assert table.arms == ("ticket", "reinit", "random", "one-shot")
    densities = [round(line.density_total, 3) for line in table.lines]
    assert densities == sorted(densities, reverse=True)
    assert {1.0, 0.8, 0.64, 0.512}.issubset(densities)
    assert len(densities) == 4 + 10
    eighty = table.lines[densities.index(0.8)]
    assert set(eighty.cells) == {"ticket", "reinit", "random"}


def test_numbers_by_hand() -> None:
    rows = made.sweep(
        {"ticket": [[0.90, 0.80], [0.92, 0.83]]}, {"ticket": [[100, 1200], [300, 1400]]}
    )
    lines = table_text(by_density(made.results(rows))).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == [
        "100.00", "100.00", "266,200", "0", "dense", "2",
        "200", "[100–300]", "91.00", "[90.00–92.00]", "91.00", "[90.00–92.00]",
    ]  # fmt: skip
    assert lines[2].split()[:8] == [
        "50.00", "50.00", "133,100", "1", "ticket", "2", "1,300", "[1,200–1,400]"
    ]  # fmt: skip


def test_text_is_never_wrapped_or_shortened() -> None:
    long = "an-arm-with-a-name-that-is-longer-than-eighty-columns-" * 3
    rows = [made.row(), made.row(arm=long, round=1, density=0.5)]
    text = table_text(by_density(made.results(rows, arms=(*OF_ROUNDS, Arm(long, "one-shot")))))
    assert len(text.splitlines()) == 3
    assert long in text
    assert "…" not in text


def test_two_rounds_of_one_arm_never_share_a_line() -> None:
    rows = [made.row(round=number, density=0.995**number) for number in range(4)]
    assert len(by_density(made.results(rows)).lines) == 4


def test_one_shot_joins_the_line_of_the_same_density() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.8]]})
    rows.append(made.row(arm="one-shot", round=3, density=0.5001))
    lines = by_density(made.results(rows)).lines
    assert [set(line.cells) for line in lines] == [{"ticket"}, {"ticket", "one-shot"}]


def test_diverged_and_censored_runs_show() -> None:
    rows = made.sweep({"ticket": [[0.9, 0.8], [0.9, 0.8]]})
    rows[1] = dataclasses.replace(rows[1], status="diverged")
    rows[0] = dataclasses.replace(rows[0], stop_censored=True)
    lines = table_text(by_density(made.results(rows))).splitlines()
    assert "≥ 8,000" in lines[1]
    assert "1, 1 diverged" in lines[2]


def test_without_early_stopping_there_are_no_such_columns() -> None:
    recipe = {"train": {"early_stopping": False}}
    text = table_text(by_density(made.results(made.sweep({"ticket": [[0.9, 0.8]]}), recipe=recipe)))
    assert "stop" not in text
    assert "final test accuracy %" in text


class Cells(HTMLParser):
    """Collects the cells of each line of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.lines[-1] += [""] * int(dict(attrs).get("colspan") or 1)

    def handle_data(self, data: str) -> None:
        if self.lines and self.lines[-1] and data.strip():
            self.lines[-1][-1] += data


def test_html_has_equal_columns_and_the_numbers_of_the_text() -> None:
    table = by_density(made.paper_like(replicates=2, rounds=3))
    parser = Cells()
    parser.feed(table_html(table))
    assert {len(line) for line in parser.lines} == {4 + 4 * 4}
    assert len(parser.lines) == 2 + len(table.lines)
    text = table_text(table)
    shown = [cell for line in parser.lines[2:] for cell in line if "[" in cell]
    assert shown
    assert all(cell in text for cell in shown)


def test_html_is_escaped() -> None:
    rows = [made.row(), made.row(arm="<b>", round=1, density=0.5)]
    table = by_density(made.results(rows, arms=(*OF_ROUNDS, Arm("<b>", "one-shot"))))
    assert "<b>" not in table_html(table)
    assert "&lt;b&gt;" in table_html(table)
    assert plain_html([["a"], ["<i>"]]).count("&lt;i&gt;") == 1
