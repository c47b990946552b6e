"""Pages in a real browser: Debian's chromium, driven by Playwright; skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import made_pages
import pytest
from playwright.sync_api import Browser
from watched import Watched


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


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    seen = Watched(context.new_page())
    yield seen
    seen.check()
    context.close()
