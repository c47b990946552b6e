"""Pages in a real browser: Debian's chromium, driven by Playwright; skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import made_pages
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser's program: ``$WINNOW_CHROMIUM``, else the first that is installed."""
    return os.environ.get("WINNOW_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def rounds_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tickets with controls, curves, an analysis, claims, a diverged and a censored run."""
    return made_pages.write([made_pages.rounds()], tmp_path_factory.mktemp("rounds"))


@pytest.fixture(scope="session")
def lines_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with two lines."""
    return made_pages.write([made_pages.lines()], tmp_path_factory.mktemp("lines"))


@pytest.fixture(scope="session")
def index_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three experiments, one of them a comparison."""
    every = [made_pages.rounds(), made_pages.comparison(), made_pages.lines()]
    return made_pages.write(every, tmp_path_factory.mktemp("index"))


class Watched:
    """A page of the browser that notes what it asks of hosts and what it complains about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def open(self, path: Path, anchor: str = "") -> Page:
        self.page.goto(f"{path.as_uri()}{anchor}")
        return self.page

    def check(self) -> None:
        """No complaint, and nothing asked but the file itself and what is inside of it."""
        assert self.complaints == []
        assert [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    seen = Watched(context.new_page())
    yield seen
    seen.check()
    context.close()
