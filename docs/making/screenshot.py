"""The README's picture: the top of a report's page, as a browser shows it.

python -m making.screenshot build/gallery/lth-digits/index.html figures/page.png    in docs/

It needs chromium (``apt-get install chromium``); letters look as the machine's fonts do, so that no
test compares the picture.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from winnow.files import write_whole

WIDTH, HEIGHT = 1280, 900


def screenshot(page: Path) -> bytes:
    """A PNG of the page's first screen, once its main chart is drawn.

    Raises SystemExit where no chromium is installed.
    """
    from PIL import Image
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        opened.goto(page.resolve().as_uri())
        opened.wait_for_selector("figure.chart.main[data-drawn]")
        shot = opened.screenshot()
        browser.close()
    small = Image.open(io.BytesIO(shot)).convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
    text = io.BytesIO()
    small.save(text, "PNG", optimize=True)
    return text.getvalue()


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    write_whole(target, screenshot(source))
