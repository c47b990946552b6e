"""What the axes of views are called, and where runs and keys stand on them."""

from __future__ import annotations

from typing import Any

import pytest
import synthetic_report as made

from winnow.errors import UserError
from winnow.experiment.recipe.views import OF_A_FINDING, OF_A_RUN, View
from winnow.report.samples import column_samples
from winnow.report.view_axes import (
    AXIS_WORDS,
    as_number,
    at_dotted,
    metric_label,
    per_epoch_of,
    place_of,
)


@pytest.mark.parametrize(
    ("of", "label"),
    [
        ("stop_test_accuracy", "Test accuracy at early stopping (%)"),
        ("final_test_accuracy", "Test accuracy at the end (%)"),
        ("final_train_accuracy", "Train accuracy at the end (%)"),
        ("stop_validation_loss", "Validation loss at early stopping"),
        ("final_test_loss", "Test loss at the end"),
        ("stop_iteration", "Early-stopping iteration"),
        ("iterations_to_97.5", "Iterations to 97.5 % validation accuracy"),
        ("accuracy_at_30000", "Test accuracy at iteration 30000 (%)"),
        ("validation_accuracy_at_500", "Validation accuracy at iteration 500 (%)"),
        ("validation_loss", "Validation loss"),
        ("test_accuracy", "Test accuracy (%)"),
        ("training_loss", "Training loss"),
        ("weights_kept", "Weights kept"),
        ("overlap.agreement", "Overlap: agreement"),
        ("layer_densities.kept:blocks.4.1.0.weight",
         "Layer densities: kept, blocks.4.1.0.weight"),
        ("histogram.near_zero:output.weight", "Histogram: near zero, output.weight"),
    ],
)  # fmt: skip
def test_metrics_in_words(of: str, label: str) -> None:
    assert metric_label(of) == label


def test_every_axis_that_is_no_key_has_words() -> None:
    assert {*OF_A_RUN, *OF_A_FINDING, "iteration", "epoch"} == set(AXIS_WORDS)


def test_places_of_a_run() -> None:
    row = made.row(density=0.2, density_total=0.25, weights_kept=123)
    (sample,) = column_samples(made.results([row]), "final_test_accuracy")
    places = {axis: place_of(sample, axis) for axis in OF_A_RUN}
    assert places == {"density": 25, "density_prunable": 20, "sparsity": 75, "weights": 123}


RECIPE: dict[str, Any] = {
    "data": {"name": "digits", "validation": 237},
    "train": {"batch": 50, "drops": ["1ep", "2ep"], "flag": True},
}


def test_keys_are_found_by_their_path() -> None:
    assert at_dotted(RECIPE, "train.batch") == 50
    assert at_dotted(RECIPE, "train.drops.1") == "2ep"
    for key in ("train.lr", "train.drops.2", "train.batch.0", "train.drops.-1"):
        with pytest.raises(UserError, match="no such key"):
            at_dotted(RECIPE, key)


def test_values_of_keys_as_numbers() -> None:
    results = made.results([], recipe=RECIPE)
    view = View(title="t", of="final_test_accuracy", against="train.batch", densities=(50,))
    written = (3, 0.5, "init", "7it", "2ep")
    assert [as_number(one, view, results) for one in written] == [3, 0.5, 0, 7, 48]
    for one in (True, "constant", None, [1]):
        with pytest.raises(UserError, match=r"train\.batch"):
            as_number(one, view, results)


@pytest.mark.parametrize(
    ("data", "batch", "iterations"),
    [
        ({"name": "digits", "validation": 237}, 50, 24),  # 1,437 images, 1,200 to train on
        ({"name": "digits", "validation": 237}, 49, 25),
        ({"name": "digits", "train": 100}, 50, 2),
        ({"name": "digits", "train": 10}, 50, 1),
    ],
)
def test_iterations_of_an_epoch(data: dict[str, Any], batch: int, iterations: int) -> None:
    results = made.results([], recipe={"data": data, "train": {"batch": batch}})
    assert per_epoch_of(results) == iterations
