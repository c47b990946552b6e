"""The site, built once: nothing in it is fetched, its links lead somewhere, all names are in it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from documents import ROOT
from making.api import HANDED_OUT, MODULES, public
from making.gallery import LIVE, RESULTS, write
from playwright.sync_api import Browser
from watched import Watched

import winnow as wn

DOCS = ROOT / "docs"
(SMALLEST,) = [live for live in LIVE if live.recipe == "grasp/2"]
NAVIGATION = {"author", "canonical", "copyright", "index", "next", "prev", "search", "top"}
FETCHING = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


@dataclass
class Page(HTMLParser):
    """What a page has: ids, links, what it loads, and its text outside of code."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    code: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if FETCHING.get(tag) in given and given.get("rel") not in NAVIGATION:
            self.loads.append(given[FETCHING[tag]])
        self.code += tag in ("code", "pre", "script", "style")

    def handle_endtag(self, tag):
        self.code -= tag in ("code", "pre", "script", "style")

    def handle_data(self, data):
        self.prose += [] if self.code else [data]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site with one of its reports; the slow test writes the others."""
    folder = tmp_path_factory.mktemp("site")
    for live in LIVE:
        page = folder / "gallery" / live.path
        page.parent.mkdir(parents=True)
        page.write_text(f"<title>{live.recipe}</title>")
    write(SMALLEST, folder / "gallery")
    build(folder, DOCS)
    return folder / "site"


def build(folder: Path, source: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
         "-d", folder / "doctrees", "-D", f"html_extra_path={folder / 'gallery'}",
         source, folder / "site"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: read(path) for path in sorted(site.rglob("*.html"))}


def is_inside(url: str) -> bool:
    return not urlsplit(url).scheme and not url.startswith("//")


def test_no_page_loads_anything_from_a_host(pages):
    for path, page in pages.items():
        for url in page.loads:
            assert is_inside(url) or url.startswith("data:"), (path.name, url)


def styles(site: Path) -> Iterator[tuple[str, str]]:
    """The text of every style sheet, in a file or in a page."""
    for path in site.rglob("*.css"):
        yield path.name, path.read_text("utf-8")
    for path in site.rglob("*.html"):
        for style in re.findall(r"<style.*?>(.*?)</style>", path.read_text("utf-8"), re.S):
            yield path.name, style


def test_no_style_loads_anything_from_a_host(site):
    for name, text in styles(site):
        loaded = re.findall(r"url\(\s*['\"]?([^)'\"]+)", text)
        loaded += re.findall(r"@import\s+['\"]([^'\"]+)", text)
        assert all(is_inside(url) or url.startswith("data:") for url in loaded), name
        assert "@font-face" not in text, name


def test_what_is_loaded_is_there(pages):
    for path, page in pages.items():
        for url in page.loads:
            if is_inside(url):
                assert (path.parent / unquote(urlsplit(url).path)).is_file(), (path.name, url)


def target(path: Path, link: str) -> Path:
    inside = unquote(urlsplit(link).path)
    return (path.parent / inside).resolve() if inside else path


def test_links_within_the_site_lead_somewhere(pages):
    count = 0
    for path, page in pages.items():
        for link in filter(is_inside, page.links):
            found = target(path, link)
            assert found.is_file(), (path.name, link)
            anchor = unquote(urlsplit(link).fragment)
            if anchor != "top" and anchor and found in pages:  # the top is in every page
                count += 1
                assert anchor in pages[found].ids, (path.name, link)
    assert count > 300


def test_links_to_the_source_are_to_what_is_there(pages):
    found = set()
    for page in pages.values():
        found |= {link for link in page.links if "/winnow/tree/main/" in link}
    assert {link.rpartition("/")[2] for link in found} >= {"CONTRIBUTING.md"}
    for link in found:
        assert (ROOT / urlsplit(link).path.partition("/tree/main/")[2]).exists(), link


def test_every_page_is_reached_from_the_first(site, pages):
    seen, waiting = set(), [site / "index.html"]
    while waiting:
        path = waiting.pop()
        if path in seen or path not in pages:
            continue
        seen.add(path)
        page = pages[path]
        waiting += [target(path, link) for link in [*page.links, *page.loads] if is_inside(link)]
    assert {path.name for path in pages.keys() - seen} <= {"search.html"}  # a form leads there
    names = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.glob("*.md")}
    assert {site / name for name in names} <= seen


def test_every_public_name_is_documented_once(pages):
    names = [name for module in MODULES for name in public(module)] + [*HANDED_OUT]
    assert {f"winnow.{name}" for name in wn.__all__} - {"winnow.__version__"} <= set(names)
    count = Counter(one for page in pages.values() for one in page.ids)
    assert not {name: count[name] for name in names if count[name] != 1}


def test_docstrings_are_shown_as_they_are_meant(site):
    page = read(site / "api.html")
    assert "`" not in "".join(page.prose)
    text = " ".join("".join(page.prose).split())
    for name in ("prune", "Mask", "sparsify"):
        first = (inspect.getdoc(getattr(wn, name)) or "").partition("\n\n")[0]
        for prose in re.split("``.*?``", " ".join(first.split())):
            assert prose.strip() in text


def test_reports_are_framed_and_linked(site):
    page = read(site / "gallery.html")
    for live in LIVE:
        assert live.path in page.links
        assert live.path in page.loads


def test_a_broken_link_ends_the_build(tmp_path):
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text("utf-8"))
    (source / "making").symlink_to(DOCS / "making")
    (source / "static").symlink_to(DOCS / "static")
    (tmp_path / "gallery").mkdir()
    (source / "index.md").write_text("# Here\n[there](#here)\n")
    build(tmp_path, source)
    for link in ("#nowhere", "nowhere.md", "index.md#nowhere"):
        (source / "index.md").write_text(f"# Here\n[there]({link})\n")
        with pytest.raises(AssertionError, match="nowhere"):
            build(tmp_path, source)


# ---- the reports


def test_reports_have_results():
    for live in LIVE:
        assert (RESULTS / f"{live.name}.parquet").is_file(), live.name


@pytest.mark.slow
def test_reports_can_be_written(tmp_path):
    for live in LIVE:
        page = read(write(live, tmp_path))
        assert all(not is_inside(url) and url.startswith("data:") for url in page.loads), live.name


def test_a_browser_shows_it_without_a_network(site: Path, browser: Browser) -> None:
    """Scripts included: no font, no search index, no report comes from any host."""
    pages = ("index.html", "start.html", "api.html", "gallery.html", "results.html")
    for name in pages:
        seen = Watched(browser.new_page())
        page = seen.open(site / name)
        page.wait_for_load_state("networkidle")
        assert page.locator("h1").first.is_visible()
        seen.check()
        page.close()
