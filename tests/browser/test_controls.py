"""Every control of a page is used, and what it changes is seen."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect
from watched import Watched

MAIN = "figure.chart.main"


def drawn(page: Page, place: str = MAIN) -> None:
    """Wait until a chart is drawn."""
    page.locator(place).scroll_into_view_if_needed()
    expect(page.locator(f"{place}[data-drawn]")).to_be_visible()


def marks(page: Page, place: str = MAIN) -> int:
    return page.locator(f"{place} .mark-symbol path").count()


def visible_rows(page: Page, table: str) -> int:
    return page.locator(f"{table} tbody tr:visible").count()


def test_dark_and_light(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    drawn(page)
    label = page.locator(f"{MAIN} .role-axis-label text").first
    assert label.evaluate("e => getComputedStyle(e).fill") == "rgb(232, 232, 230)"
    page.get_by_role("button", name="Light").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light
    assert label.evaluate("e => getComputedStyle(e).fill") == "rgb(27, 27, 27)"


def test_one_legend_hides_an_arm_in_every_chart(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    drawn(page)
    key = page.locator("figure.chart:not(.main)").nth(1).get_attribute("data-chart")
    places = [MAIN, f'figure.chart[data-chart="{key}"]']
    drawn(page, places[1])
    before = [marks(page, place) for place in places]
    assert all(before)
    count = "([p, n]) => document.querySelectorAll(`${p} .mark-symbol path`).length"
    button = page.locator('button.toggle[data-arm="reinit"]')
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    for place, was in zip(places, before, strict=True):
        page.wait_for_function(f"{count} < n", arg=[place, was])
    button.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")
    for place, was in zip(places, before, strict=True):
        page.wait_for_function(f"{count} === n", arg=[place, was])


def test_lines_have_toggles_too(watched: Watched, lines_page: Path) -> None:
    page = watched.open(lines_page)
    drawn(page)
    before = marks(page)
    page.locator('button.toggle[data-line="slow"]').click()
    page.wait_for_function(
        "n => document.querySelectorAll('.chart.main .mark-symbol path').length === n",
        arg=before // 2,
    )


def test_axes_become_linear_and_logarithmic(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    drawn(page)
    labels = page.locator(f"{MAIN} .role-axis-label").first
    before = labels.text_content()
    x = page.locator(f'{MAIN} [data-tool="x"]')
    expect(x).to_have_text("x: log")
    x.click()
    expect(x).to_have_text("x: linear")
    expect(labels).not_to_have_text(before or "")
    page.locator(f'{MAIN} [data-tool="y"]').click()
    expect(page.locator(f'{MAIN} [data-tool="y"]')).to_have_text("y: log")
    page.locator(f'{MAIN} [data-tool="reset"]').click()
    expect(x).to_have_text("x: log")
    expect(labels).to_have_text(before or "")


def test_a_brush_chooses_densities_for_tables(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    drawn(page)
    table = "table[data-runs]:visible"
    every = visible_rows(page, table)
    box = page.locator(f"{MAIN} .canvas svg").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 90, steps=5)
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 90, steps=5)
    page.mouse.up()
    low, high = page.locator('[data-range="low"]'), page.locator('[data-range="high"]')
    expect(low).not_to_have_value("")
    assert 0 < float(low.input_value()) < float(high.input_value()) < 100
    assert 0 < visible_rows(page, table) < every
    page.locator('[data-range="clear"]').click()
    assert visible_rows(page, table) == every
    low.fill("60")
    high.fill("90")
    assert visible_rows(page, table) == sum(
        60 <= float(density) <= 90
        for density in page.locator(f"{table} tbody tr").evaluate_all(
            "rows => rows.map((row) => row.dataset.density)"
        )
    )


def test_a_wheel_zooms_and_reset_goes_back(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    drawn(page)
    labels = page.locator(f"{MAIN} .role-axis-label").nth(1)
    before = labels.text_content() or ""
    page.locator(f"{MAIN} .canvas svg").hover(position={"x": 400, "y": 100})
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    expect(labels).not_to_have_text(before)
    page.locator(f'{MAIN} [data-tool="reset"]').click()
    expect(labels).to_have_text(before)


def test_a_pointer_over_a_point_shows_its_numbers(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    drawn(page)
    page.locator(f"{MAIN} .mark-symbol path").nth(2).hover(force=True)
    tip = page.locator("#tooltip")
    expect(tip).to_be_visible()
    text = tip.inner_text()
    assert re.search(r"[\d.]+ at [\d.]+", text)
    assert re.search(r"95 % interval of the mean [\d.]+ to [\d.]+, n 3", text)
    assert re.search(r"single runs [\d.]+ to [\d.]+", text)
    assert re.search(r"\w+-1-0-\d", text)  # a run's folder
    page.mouse.move(2, 2)
    expect(tip).to_be_hidden()


def test_a_click_on_a_point_lists_its_runs(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    drawn(page)
    page.locator(f"{MAIN} .mark-symbol path").nth(2).click(force=True)
    dialog = page.locator("dialog#runs")
    expect(dialog).to_be_visible()
    rows = dialog.locator("tbody tr")
    assert rows.count() == 3
    text = rows.first.inner_text()
    for part in ("winnow show ", "init 1, order 1", "30", "dense"):
        assert part in text
    heads = dialog.locator("thead").inner_text()
    assert all(name in heads for name in ("run", "seeds", "engine", "seconds", "command"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_runs_are_listed_by_keyboard(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    button = page.locator("table[data-runs]:visible .list-runs").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog#runs")).to_be_visible()
    assert page.locator("dialog#runs tbody tr").count() == 3  # dense networks
    page.locator("dialog#runs button[value=close]").click()
    expect(page.locator("dialog#runs")).to_be_hidden()


def test_diverged_and_censored_runs_are_named_where_they_are(
    watched: Watched, rounds_page: Path
) -> None:
    page = watched.open(rounds_page)
    drawn(page)
    rings = page.locator(f'{MAIN} .mark-symbol path[fill="transparent"]')
    rings_or_none = rings.count() or page.locator(f'{MAIN} .mark-symbol path[fill="none"]').count()
    assert rings_or_none == 2
    table = page.locator("table[data-runs]:visible")
    assert "1 diverged" in table.inner_text()
    page.locator(".metrics select").select_option(label="Early-stopping iteration")
    assert "≥" in page.locator("table[data-runs]:visible").inner_text()
    assert "diverged" in page.locator(".warnings").inner_text()


def test_tables_sort_and_filter(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    table = page.locator("table[data-runs]:visible")
    first = lambda: float(table.locator("tbody tr:visible th").first.inner_text().split()[0])  # noqa: E731
    assert first() == 100
    head = table.locator("thead th").first
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    smallest = first()
    assert smallest < 6
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert first() == 100
    weights = table.locator("tbody tr").nth(2).locator("td").first.inner_text()
    page.locator("section[id$=-tables] [data-filter]").fill(weights)
    assert visible_rows(page, "table[data-runs]:visible") == 1


def test_a_metric_at_a_time(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    select = page.locator(".metrics select")
    for label in select.locator("option").all_inner_texts():
        select.select_option(label=label)
        assert page.locator(".metrics h3:visible").all_inner_texts() == [label]


def test_a_slider_goes_through_the_rounds(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    section = page.locator("section.rounds")
    section.scroll_into_view_if_needed()
    for kind in ("curves", "layers", "histogram", "overlaps"):
        expect(page.locator(f'.explorer[data-of="{kind}"]')).to_have_attribute("data-drawn", "1")
    slider = section.locator("[data-stop]")
    before = section.locator("output").inner_text()
    bars = page.locator('.explorer[data-of="layers"] .mark-rect path')
    height = bars.first.bounding_box()
    matrix = page.locator('.explorer[data-of="overlaps"]').inner_text()
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(section.locator("output")).not_to_have_text(before)
    for kind in ("curves", "layers", "histogram", "overlaps"):
        expect(page.locator(f'.explorer[data-of="{kind}"]')).to_have_attribute("data-drawn", "3")
    assert bars.first.bounding_box() != height
    assert page.locator('.explorer[data-of="overlaps"]').inner_text() != matrix


def test_learning_curves_have_metrics_and_single_runs(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    figure = page.locator('.explorer[data-of="curves"]')
    figure.scroll_into_view_if_needed()
    expect(figure).to_have_attribute("data-drawn", "1")
    lines = figure.locator(".mark-line path")
    assert lines.count() == 2 * (1 + 3)  # dense and one-shot: a mean and three single runs each
    labels = figure.locator(".role-axis-label").last.text_content() or ""
    figure.locator("select").select_option(label="Validation loss")
    expect(figure.locator(".role-axis-label").last).not_to_have_text(labels)


def test_the_line_of_the_rounds_is_chosen(watched: Watched, lines_page: Path) -> None:
    page = watched.open(lines_page)
    page.locator("section.rounds").scroll_into_view_if_needed()
    figure = page.locator('.explorer[data-of="curves"]')
    expect(figure).to_have_attribute("data-drawn", "1")
    labels = figure.locator(".role-axis-label").last
    before = labels.text_content() or ""
    page.locator("[data-line-of-rounds]").select_option("slow")
    expect(labels).not_to_have_text(before)  # a point less accurate, so that the axis moves


def test_all_runs_are_listed_when_they_are_asked_for(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    assert page.locator(".all-runs tr").count() == 0
    page.get_by_text("All runs on this page").click()
    made = page.evaluate("winnow.data.experiments['lth-made-up'].runs.length")
    expect(page.locator(".all-runs tbody tr")).to_have_count(made)


def test_paper_and_ours_are_in_one_chart(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    chart = page.locator(".printed li")
    assert chart.count() == 1
    assert chart.locator("g.paper line").count() == chart.locator("g.ours line").count() == 2
    assert "paper 0.62" in chart.inner_text()


def test_an_index_leads_to_one_experiment_at_a_time(watched: Watched, index_page: Path) -> None:
    page = watched.open(index_page)
    cards = page.locator(".gallery > li")
    assert cards.count() == 3
    assert page.locator("article:visible").count() == 0
    assert all(svg.locator("path").count() for svg in cards.locator("svg.thumbnail").all())
    page.locator("#search").fill("methods")
    expect(page.locator("#found")).to_have_text("1 of 3")
    assert page.locator(".gallery > li:visible").count() == 1
    page.locator(".gallery > li:visible a").first.click()
    expect(page.locator("article:visible")).to_have_count(1)
    expect(page.locator("article:visible h1")).to_have_text("Made-up methods")
    drawn(page, "article:visible figure.chart.main")
    page.locator("a.brand").click()
    expect(page.locator("section.index")).to_be_visible()
    expect(page.locator("article:visible")).to_have_count(0)


def test_a_comparison_has_its_methods_first(watched: Watched, index_page: Path) -> None:
    page = watched.open(index_page, "#compare-made-up")
    table = page.locator("article:visible section[id$=-tables] table").first
    assert table.locator("tbody th").all_inner_texts() == ["random", "magnitude", "imp", "mine"]
    head = table.locator("thead th").nth(2)
    head.get_by_role("button").click()
    head.get_by_role("button").click()
    assert table.locator("tbody th").first.inner_text() == "imp"
