"""The smallest step of each kind of column."""

from __future__ import annotations

import pytest
import synthetic_report as made

from winnow.report.claims.resolution import resolution


def step(column: str, data: object = None, **train: object) -> float | None:
    recipe = {"data": data or {"name": "mnist", "validation": 5000}, "train": train}
    return resolution(made.results([], recipe=recipe), column)


@pytest.mark.parametrize(
    ("column", "images"),
    [
        ("stop_test_accuracy", 10_000),
        ("accuracy_at_500", 10_000),
        ("stop_validation_accuracy", 5_000),
        ("validation_accuracy_at_500", 5_000),
        ("final_train_accuracy", 55_000),
    ],
)
def test_accuracies_are_counts_of_their_images(column, images) -> None:
    assert step(column) == 1 / images


def test_a_part_of_the_training_images_and_no_validation() -> None:
    data = {"name": "mnist", "validation": 0, "train": 1000}
    assert step("final_train_accuracy", data) == 1 / 1000
    assert step("stop_validation_accuracy", data) is None
    assert step("final_test_accuracy", {"name": "my-own"}) is None


def test_early_stopping_is_known_to_an_evaluation() -> None:
    assert step("stop_iteration", evaluate="100it") == 100
    assert step("iterations_to_97.5", evaluate="100it") == 100
    assert step("stop_iteration", evaluate="0.5ep", batch=60) == round(0.5 * 917)  # of 55,000
    assert step("stop_iteration", evaluate="1ep") is None
    assert step("stop_iteration") is None


def test_what_the_plan_says_is_exact_and_others_are_unknown() -> None:
    assert step("weights_kept") == step("density_total") == 0
    assert step("seconds") is None
    assert step("stability.accuracy") is None
