"""A browser for tests: Debian's chromium, and a page of it that notes what it does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser's program: ``$WINNOW_CHROMIUM``, else the first that is installed."""
    return os.environ.get("WINNOW_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Without a chromium, what asks for one is skipped by name."""
    program = chromium()
    if program is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


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
