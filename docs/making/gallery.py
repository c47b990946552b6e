"""The live reports of the site, from the results that ``docs/results`` keeps. Trains nothing.

python -m making.gallery build/gallery    in docs/, as make docs does
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import winnow
from winnow.errors import UserError
from winnow.experiment.store.store import Store
from winnow.experiments import ask, experiments_offline
from winnow.report import read_results, write_report

RESULTS = Path(__file__).parents[1] / "results"
PACKAGE = Path(winnow.__file__).parent


@dataclass(frozen=True)
class Live:
    """A report that the site shows. ``about``: what there is to see in it, a sentence."""

    recipe: str
    scale: str
    about: str

    @property
    def name(self) -> str:
        """Its folder in the site."""
        return self.recipe.replace("/", "-") + ("" if self.scale == "full" else f"-{self.scale}")

    @property
    def path(self) -> str:
        """The page, seen from the top of the site."""
        return f"pages/{self.name}/index.html"

    @property
    def command(self) -> str:
        """What writes the same report into a folder ``report``."""
        scale = "" if self.scale == "full" else f" --scale {self.scale}"
        return f"winnow report {self.recipe}{scale} --store docs/results --out report"


LIVE = (
    Live("lth/digits", "full", "The demo: tickets, their controls and a verdict, on digits."),
    Live("compare/digits", "full", "All methods side by side, with what each one costs."),
    Live("lth/4", "small", "LeNet on MNIST, iterative and one-shot, beside the paper's claims."),
    Live("lth/15", "small", "What weights tickets keep, how far they move, how units connect."),
    Live("lth/input-scaling", "full", "What the scale of the images does to early stopping."),
    Live(
        "stabilizing/3",
        "small",
        "Rewinding to four steps of training, and how far apart networks end.",
    ),
    Live("data-dependent/1", "small", "Scores of single examples' gradients, and their exponent."),
    Live("grasp/2", "small", "GraSP, SNIP and random masks: gradient norms and layer densities."),
    Live("jackpots/table-4", "small", "Masks searched in trained networks, weights frozen."),
)
"""All of them, in the order of the page."""


def gallery() -> str:
    """The part of docs/gallery.md: each report with its command, framed."""
    return "\n\n".join(_framed(live) for live in LIVE)


def _framed(live: Live) -> str:
    scale = "" if live.scale == "full" else f", scale {live.scale}"
    frame = f'<iframe class="live" src="{live.path}" title="{live.recipe}" loading="lazy"></iframe>'
    opened = f'<a href="{live.path}">Open it on a page of its own</a>'
    return (
        f"## {live.recipe}{scale}\n{live.about} `{live.command}` writes it.\n\n"
        f"<p>{opened}</p>\n{frame}"
    )


def write(live: Live, out: Path) -> Path:
    """The report in a folder below ``out``, which becomes the top of the site; its page.

    Raises UserError where nothing of it is stored.
    """
    store = Store(RESULTS)
    experiments, _ = experiments_offline(ask(live.recipe, scale=live.scale), store)
    results = [read_results(experiment, store) for experiment in experiments]
    if not any(part.rows for part in results):
        raise UserError(f"docs/results has nothing of {live.recipe} at scale {live.scale}")
    return write_report(results, (out / live.path).parent, command=live.command).page


def is_fresh(live: Live, out: Path) -> bool:
    """Whether its page is younger than the package and all results."""
    page = out / live.path
    package = (path for path in PACKAGE.rglob("*.*") if "__pycache__" not in path.parts)
    made_from = [*package, *RESULTS.iterdir()]
    return page.is_file() and page.stat().st_mtime > max(p.stat().st_mtime for p in made_from)


if __name__ == "__main__":
    for each in LIVE:
        folder = Path(sys.argv[1])
        made = "unchanged" if is_fresh(each, folder) else write(each, folder)
        print(f"report of {each.recipe}: {made}")
