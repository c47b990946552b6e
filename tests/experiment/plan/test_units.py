"""Rounds of whole units: counts by hand, controls of the same widths, masks that hold units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import winnow as wn
from winnow.errors import OptionWarning, UserError
from winnow.experiment.plan.lines import expand_lines
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import find_sources
from winnow.experiment.store.store import Store
from winnow.models import build
from winnow.report.results import Row
from winnow.structure import random_units, structure_of, weights_kept

RECIPE = """
data: {name: digits, validation: 200, train: 300}
model: {name: lenet-300-100, hidden: [20, 10], init: glorot-normal}
train: {steps: 20it, batch: 60, optimizer: {name: adam, lr: 1.2e-3}, evaluate: 10it}
prune: {structure: unit, rate: 0.5, rounds: 9, rewind: init}
controls: {reinit: 1, random: 2}
replicates: 1
engine: dense
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("units")


@pytest.fixture(scope="module")
def rows(folder: Path) -> Sequence[Row]:
    (folder / "units.yaml").write_text(RECIPE)
    with pytest.warns(OptionWarning, match="rounds is 9, and after 4 .* is the last round"):
        return wn.run(str(folder / "units.yaml"), store=folder / "runs", jobs=1).results.rows


def test_each_set_loses_its_rate_and_keeps_one(rows: Sequence[Row]) -> None:
    """20 and 10 units halve, halves to the even number; weights are those between what is left."""
    kept = {row.round: row.weights_kept for row in rows if row.arm == "ticket"}
    widths = [(20, 10), (10, 5), (5, 3), (3, 1), (1, 1)]
    assert kept == {k: 64 * a + a * b + b * 10 for k, (a, b) in enumerate(widths)}


def test_controls_have_the_widths_of_their_ticket(rows: Sequence[Row]) -> None:
    second = [row for row in rows if row.round == 2]
    assert sorted({row.arm for row in second}) == ["random", "reinit", "ticket"]
    assert len(second) == 4
    assert len({row.weights_kept for row in second}) == 1


def test_masks_are_of_whole_units_and_random_ones_of_others(
    rows: Sequence[Row], folder: Path
) -> None:
    arms = {row.run: (row.arm, row.draw) for row in rows if row.round == 2}
    masks = {
        arms[found.folder.name]: found.state("final").mask
        for found in Store(folder / "runs").open().all()
        if found.folder.name in arms
    }
    for mask in masks.values():
        assert mask is not None
        for bits in mask.values():
            units, inputs = bits.any(1), bits.any(0)
            assert torch.equal(bits, units[:, None] & inputs[None])
        before = mask["hidden.0.weight"].any(1)
        assert torch.equal(before, mask["hidden.1.weight"].any(0))
        assert int(before.sum()) == 5
    assert masks["ticket", 0] == masks["reinit", 1]
    assert masks["random", 1] not in (masks["random", 2], masks["ticket", 0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("prune.scope=global", "Leave out scope: global"),
        ("prune.rates={output: 0.1}", "Leave out rates"),
        ("controls.one-shot=rounds", "controls one-shot and at-init prune single weights"),
        ("prune.criterion=mlprune", "mlprune moves the weights around single ones"),
        ("model={name: resnet-20, width: 0.25}", None),
    ],
)
def test_what_does_not_go_with_whole_units(change: str, words: str | None, folder: Path) -> None:
    (folder / "bad.yaml").write_text(RECIPE)

    def planned() -> None:
        recipe = load_recipe(str(folder / "bad.yaml"), [change])
        expand_lines("bad", recipe, find_sources(recipe))

    if words is None:
        planned()
    else:
        with pytest.raises(UserError, match=words):
            planned()


def test_weights_are_counted_through_residual_streams_and_flattening() -> None:
    """Which units stay does not matter: the counts are those of any mask of so many."""
    for name, how in (("resnet-20", {"width": 0.25}), ("conv-2", {"width": 0.25})):
        model = build(name, inputs=(1, 8, 8), classes=10, **how)
        structure = structure_of(model, torch.zeros(1, 1, 8, 8))
        counts = {of: len(units) // 2 for of, units in structure.by_name.items()}
        mask = random_units(structure, counts, torch.Generator().manual_seed(0))
        assert weights_kept(structure, counts) == mask.kept_per_layer
