"""The page on analyses: a section for each function, with its options and its fields."""

from __future__ import annotations

import re

import pytest
from documents import ROOT

from winnow.experiment.measures import MEASURES

PAGE = (ROOT / "docs/analyses.md").read_text("utf-8")
SECTIONS = {
    name: text
    for heading, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.M)
    for name in heading.split(", ")
}
OF_SINGLE_RUNS = (
    "gradient_norm", "gradient_norm_ratio", "histograms", "effective_density", "connectivity",
    "ntk_identity",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_SINGLE_RUNS)
def test_every_option_is_documented(name):
    for option in MEASURES[name].options or {}:
        assert f"`{option}`" in SECTIONS[name], option


def test_what_the_page_describes_there_is():
    assert {name for name in SECTIONS if "_" in name} <= MEASURES.keys()
