"""The page as text: templates filled, styles and scripts inlined."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.files import cache_folder, write_whole
from winnow.report.charts.by_round import by_round
from winnow.report.charts.of_runs import charts_of
from winnow.report.claims.score import scoreboard
from winnow.report.page.contents import contents_of
from winnow.report.page.costs import layer_sizes, saved
from winnow.report.page.payload import experiment_payload, payload
from winnow.report.page.run_list import run_lists
from winnow.report.page.section import Section

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = (
    "theme",
    "looks",
    "runs",
    "tooltip",
    "charts",
    "legend",
    "density",
    "tables",
    "rounds",
    "index",
    "main",
)
"""The page's own scripts, in the order in which they run."""


def page_html(
    sections: Sequence[Section], *, command: str, version: str, beside: Sequence[str] = ()
) -> str:
    """The page: what came out of each recipe, charts, tables, claims, costs, provenance.

    ``command``: what made it, empty where nobody says. ``beside``: files in the same folder that it
    links, beside rows.csv and the figures. One file: styles, scripts and data are in
    it, and nothing is asked of any host.
    """
    lists = run_lists([section.results for section in sections])
    contents, data = [], {}
    for section, runs in zip(sections, lists, strict=True):
        charts = charts_of(section.results, section.slug)
        rounds = by_round(section.results, layer_sizes(section.results))
        contents.append(contents_of(section, charts, rounds, runs))
        data[section.slug] = experiment_payload(section.results, charts, rounds, runs)
    board = scoreboard([one for section in sections for one in section.judged])
    return fill(
        "page.html.j2",
        experiments=contents,
        board=[(paper.paper, paper.counts) for paper in board.papers],
        total=saved([section.results for section in sections]),
        command=command,
        version=version,
        beside=beside,
        data=payload(data),
        vega=vega_script(),
        scripts=[static(f"{name}.js") for name in SCRIPTS],
    )


def fill(name: str, **values: Any) -> str:
    """A template of ``winnow/report/templates`` with its values; all of them are escaped."""
    return _environment().get_template(name).render(styles=static("page.css"), **values)


@lru_cache
def static(name: str) -> str:
    """A file of ``winnow/report/static``."""
    return (resources.files("winnow.report") / "static" / name).read_text("utf-8")


@lru_cache
def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, which sets ``winnowVega``.

    From the copy inside of vl-convert: no network is needed. Bundling takes seconds, so that a copy
    is kept for each version of vl-convert; one that is not what was written is made anew.
    """
    import vl_convert

    kept = cache_folder() / "vega" / f"{metadata.version('vl-convert-python')}.js"
    if (text := _read_whole(kept)) is None:
        bundled = str(vl_convert.javascript_bundle("window.winnowVega = vegaEmbed;"))
        text = bundled.replace("</script", "<\\/script")
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time alone
            write_whole(kept, f"{_hash(text)}\n{text}")
    return text


def _read_whole(kept: Path) -> str | None:
    try:
        expected, _, text = kept.read_text("utf-8").partition("\n")
    except (OSError, ValueError):
        return None
    return text if _hash(text) == expected else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("winnow.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["inlined"] = Markup  # for the project's own styles and scripts, and the JSON
    made.filters["thousands"] = lambda value: f"{value:,}"
    return made
