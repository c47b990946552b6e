"""The page as a whole: widths, themes, print, no scripts, accessibility, nothing from any host."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from watched import Watched

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")


def scroll_through(page: Page) -> None:
    """Until all charts are drawn, which are when they come near the screen."""
    page.evaluate(
        """async () => {
          for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
            scrollTo(0, y);
            await new Promise((done) => setTimeout(done, 30));
          }
          scrollTo(0, 0);
        }"""
    )
    page.wait_for_function(
        """() => [...document.querySelectorAll('figure.chart, .explorer')]
          .every((figure) => !figure.checkVisibility() || figure.dataset.drawn !== undefined)"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 768, 390])
def test_nothing_overflows_and_nothing_is_blank(
    watched: Watched, rounds_page: Path, width: int, scheme: str
) -> None:
    page = watched.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    watched.open(rounds_page)
    scroll_through(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility()
          && !e.closest('.scroll, pre, svg, .unseen') && e.scrollWidth > e.clientWidth + 1
          && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline').map((e) =>
          `${e.tagName}.${e.className}`)"""
    )
    assert wide == []
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("L")
    assert sum(count > 0 for count in shot.resize((200, 400)).histogram()) > 20
    corner = shot.crop((0, shot.height - 4, 4, shot.height)).getextrema()
    assert (corner[1] < 128) == (scheme == "dark")


def test_phones_get_cards(watched: Watched, rounds_page: Path) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 800})
    page = watched.open(rounds_page)
    cell = page.locator("table[data-runs]:visible tbody tr").nth(0).locator("td").nth(1)
    assert cell.evaluate("e => getComputedStyle(e).display") == "block"
    label = cell.evaluate("e => getComputedStyle(e, '::before').content")
    assert "ticket" in label
    assert (
        page.locator("table[data-runs]:visible thead").evaluate("e => getComputedStyle(e).display")
        == "none"
    )


def test_the_first_column_and_the_head_stay(watched: Watched, rounds_page: Path) -> None:
    watched.page.set_viewport_size({"width": 620, "height": 800})
    page = watched.open(rounds_page)
    box = page.locator(".scroll:has(> table[data-runs]):visible").first
    box.scroll_into_view_if_needed()
    first = box.locator("tbody th").first
    before = first.bounding_box()
    box.evaluate("e => e.scrollBy(200, 0)")
    assert box.evaluate("e => e.scrollLeft") > 0
    after = first.bounding_box()
    assert before
    assert after
    assert abs(before["x"] - after["x"]) < 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["rounds_page", "lines_page", "index_page"])
def test_axe_finds_no_serious_fault(
    watched: Watched, request: pytest.FixtureRequest, name: str, scheme: str
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci")
    watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page = watched.open(request.getfixturevalue(name))
    scroll_through(page)
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    serious = [
        (fault["id"], [node["target"] for node in fault["nodes"]][:3])
        for fault in found
        if fault["impact"] in SERIOUS
    ]
    assert serious == []


def test_without_scripts_the_tables_are_there(browser: Browser, rounds_page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(rounds_page.as_uri())
    assert page.locator("noscript p").is_visible()
    assert page.locator("table[data-runs]:visible").count() == 3
    assert not page.locator(".tools:visible, .filter:visible, .pick:visible").count()
    context.close()


def test_print_is_light_and_without_controls(watched: Watched, rounds_page: Path) -> None:
    watched.page.emulate_media(media="print", color_scheme="dark")
    page = watched.open(rounds_page)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".legend:visible, .tools:visible, .bar:visible").count() == 0


def test_motion_is_reduced_where_readers_ask_for_it(watched: Watched, rounds_page: Path) -> None:
    page = watched.open(rounds_page)
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    assert page.evaluate(behaviour) == "auto"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(behaviour) == "smooth"


def test_the_keyboard_reaches_the_controls_in_their_order(
    watched: Watched, rounds_page: Path
) -> None:
    page = watched.open(rounds_page)
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.className || document.activeElement.id")
        )
    assert reached[0] == "skip"
    assert reached.count("toggle") >= 4
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
