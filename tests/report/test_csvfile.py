from __future__ import annotations

import csv
import io

import synthetic_report as made

from winnow.report.csvfile import as_csv


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_are_the_fields_and_the_steps() -> None:
    rows = [made.row(accuracy_at={20000: 0.9, 3000: 0.8}), made.row(replicate=2)]
    header = as_csv([made.results(rows)]).splitlines()[0].split(",")
    assert header[:8] == [
        "recipe", "arm", "replicate", "draw", "round", "density", "density_total", "weights_kept"
    ]  # fmt: skip
    assert header[-3:] == ["seconds", "accuracy_at_3000", "accuracy_at_20000"]
    assert "accuracy_at" not in header
    assert "stop_test_accuracy" in header


def test_values_read_back_exactly() -> None:
    density, accuracy = 0.8**7, 0.1 + 0.2
    row = made.row(
        recipe='a "quoted", name', density=density, stop_test_accuracy=accuracy, stop_censored=True
    )
    (line,) = read(as_csv([made.results([row])]))
    assert line["recipe"] == 'a "quoted", name'
    assert float(line["density"]) == density
    assert float(line["stop_test_accuracy"]) == accuracy
    assert line["stop_censored"] == "true"
    assert line["diverged_at"] == ""


def test_every_run_has_its_line_in_a_fixed_order() -> None:
    results = made.paper_like(replicates=2, rounds=3)
    lines = read(as_csv([results, results]))
    assert len(lines) == 2 * len(results.rows)
    keys = [(line["replicate"], line["arm"], line["draw"], line["round"]) for line in lines]
    half = keys[: len(results.rows)]
    assert len(set(half)) == len(half)
    shuffled = made.results(list(reversed(results.rows)))
    assert as_csv([shuffled]) == as_csv([results])
