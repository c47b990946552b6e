"""index.html: the whole report on one page that needs no network and no scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from winnow.report import wording
from winnow.report.claims.judge import Judged
from winnow.report.claims.render import claims_html
from winnow.report.density_table import by_density, plain_html, table_html
from winnow.report.figures.drawing import Drawing
from winnow.report.method_table import by_method, methods_html
from winnow.report.results import Results, compares
from winnow.report.statement import Statement

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #666; --line: #ddd;
  --shade: #f6f6f4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181b; --soft: #a0a0a0; --line: #3a3d42; --shade: #202327; }
}
body { margin: 0 auto; padding: 1.5rem; max-width: 76rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.25; }
section { border-top: 1px solid var(--line); margin-top: 2.5rem; }
.soft, figcaption { color: var(--soft); }
ul { padding-left: 1.2rem; }
.figures { display: grid; gap: 1.5rem; margin: 1.5rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; }
figure.wide { grid-column: 1 / -1; }
figure img { width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { font-size: .875rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th[colspan] { text-align: center; border-left: 1px solid var(--line); }
.matrix th:first-child { text-align: left; }
.matrix td { padding: .2rem .9rem; }
pre, code { background: var(--shade); border-radius: 4px; }
pre { padding: .8rem; overflow-x: auto; font-size: .85rem; }
code { padding: .1rem .3rem; overflow-wrap: anywhere; }
summary { cursor: pointer; }
"""


@dataclass(frozen=True)
class Section:
    """One recipe on the page: its results, its words, its figures under their file names, and the
    claims of its paper.

    ``lines``: the sections of its lines, which have verdict, figures and table of their own.
    """

    slug: str
    results: Results
    statements: Sequence[Statement]
    drawings: Mapping[str, Drawing]
    lines: Sequence[Section] = ()
    judged: Sequence[Judged] = ()


def page_html(sections: Sequence[Section], *, command: str, version: str) -> str:
    """The page: title, command, one section for each recipe, provenance. All text is escaped."""
    names = ", ".join(section.results.name for section in sections)
    made = f"<p>Made by <code>{escape(command)}</code></p>" if command else ""
    body = "\n".join(_section(section) for section in sections)
    contents = _contents(sections) if len(sections) > 1 else ""
    return document(f"Winnow: {names}", f"{made}\n{contents}", body, _provenance(sections, version))


def document(title: str, head: str, body: str, foot: str = "") -> str:
    """A page in the report's style; ``title`` is plain text, the others are HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n{head}</header>\n"
        f"<main>\n{body}\n</main>\n<footer>\n{foot}\n</footer>\n"
        "</body>\n</html>\n"
    )


def _contents(sections: Sequence[Section]) -> str:
    links = "".join(
        f'<li><a href="#{escape(section.slug)}">{escape(section.results.name)}</a></li>'
        for section in sections
    )
    return f"<nav><ul>{links}</ul></nav>\n"


def _section(section: Section) -> str:
    results = section.results
    parts = [
        f'<section id="{escape(section.slug)}">',
        f"<h2>{escape(results.name)}</h2>",
        f'<p class="soft">{escape(_size(results))}</p>',
        *_body(section),
        *([claims_html(section.judged)] if section.judged else []),
        *_notes(results.notes),
        "<details>\n<summary>Recipe</summary>",
        f"<pre>{escape(_yaml(results.recipe))}</pre>\n</details>",
        "</section>",
    ]
    return "\n".join(parts)


def _body(section: Section) -> list[str]:
    """Verdict, figures, table; of compared methods, the short table and the figures first."""
    if section.lines:
        return _of_lines(section)
    results = section.results
    verdict = ["<h3>Verdict</h3>", *map(_statement, section.statements)]
    figures = ["<h3>Figures</h3>", f'<div class="figures">\n{_figures(section)}\n</div>']
    legend = f'<p class="soft">{escape(_legend(results))}</p>'
    whole = f'<div class="scroll">\n{table_html(by_density(results))}\n</div>'
    if not compares(results):
        return [*verdict, *figures, "<h3>Table</h3>", legend, whole]
    every = f"<details>\n<summary>Every number</summary>\n{legend}\n{whole}\n</details>"
    short = ["<h3>Methods</h3>", methods_html(by_method(results)), _cost(results)]
    return [*short, every, *figures, *verdict]


def _of_lines(section: Section) -> list[str]:
    """The figures of all lines together; then each line, folded away."""
    figures = [f'<div class="figures">\n{_figures(section)}\n</div>'] if section.drawings else []
    lines = [
        f'<details id="{escape(line.slug)}">\n<summary>Line {escape(line.results.line)}</summary>\n'
        + "\n".join(_body(line))
        + "\n</details>"
        for line in section.lines
    ]
    return [*figures, "<h3>Lines</h3>", *lines]


def _statement(statement: Statement) -> str:
    sentences = "".join(f"<li>{escape(said)}</li>" for said in statement.sentences)
    text = f"<h4>{escape(statement.heading)}</h4>\n<ul>{sentences}</ul>"
    if not statement.numbers:
        return text
    numbers = f'<div class="scroll">\n{plain_html(statement.numbers)}\n</div>'
    return f"{text}\n<details>\n<summary>Every number</summary>\n{numbers}\n</details>"


def _figures(section: Section) -> str:
    if not section.drawings:
        return "<p>No finished run has anything to draw yet.</p>"
    return "\n".join(figure_html(name, drawing) for name, drawing in section.drawings.items())


def figure_html(name: str, drawing: Drawing) -> str:
    """The SVG as an image: names inside several SVGs of one page would collide otherwise."""
    data = base64.b64encode(drawing.svg).decode("ascii")
    wide = ' class="wide"' if drawing.wide else ""
    return (
        f'<figure{wide}>\n<img src="data:image/svg+xml;base64,{data}" '
        f'alt="{escape(drawing.caption)}">\n<figcaption>{escape(drawing.caption)} '
        f'Files: <a href="{escape(name)}.svg">SVG</a>, <a href="{escape(name)}.png">PNG</a>.'
        "</figcaption>\n</figure>"
    )


def _size(results: Results) -> str:
    done = [row for row in results.rows if row.status != "unreachable"]
    replicates = len({row.replicate for row in done})
    iterations = sum(row.iterations for row in done)
    hours = sum(row.seconds for row in done) / 3600
    missing = f"; {wording.plural(results.missing, 'run')} missing" if results.missing else ""
    return (
        f"{wording.plural(len(done), 'run')} in {wording.plural(replicates, 'replicate')}, "
        f"{iterations:,} training iterations, {hours:,.2f} hours of training{missing}."
    )


def _legend(results: Results) -> str:
    text = (
        "Mean over replicates [lowest–highest single run]; n counts replicates. density_total is "
        "of all weights, density of the prunable ones."
    )
    if any(row.stop_censored for row in results.rows):
        text += " ≥: in at least one run the validation loss was lowest at the last evaluation."
    return text


def _cost(results: Results) -> str:
    if all(row.cost is None for row in results.rows):
        return ""
    return (
        '<p class="soft">Cost: epochs of training and passes over the training examples for '
        "scores, with all that a network derives from (the dense training, earlier rounds); an "
        "epoch counts the same at every density.</p>"
    )


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return ["<h3>Source, deviations, caveats</h3>", f"<ul>{items}</ul>"]


def _provenance(sections: Sequence[Section], version: str) -> str:
    runs = len({row.run for part in sections for row in part.results.rows if row.run})
    return (
        f'<p class="soft">Winnow {escape(version)}, from {wording.plural(runs, "stored run")}. '
        'Every run, with the folder that holds it: <a href="rows.csv">rows.csv</a>.</p>'
    )


def _yaml(recipe: Mapping[str, Any]) -> str:
    import yaml

    text = io.StringIO()
    yaml.safe_dump(_plain(recipe), text, sort_keys=False, allow_unicode=True, width=100)
    return text.getvalue()


def _plain(value: Any) -> Any:
    """Only what YAML knows: mappings, lists and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inside) for inside in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
