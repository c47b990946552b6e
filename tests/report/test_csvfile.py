from __future__ import annotations

import csv
import dataclasses
import io

import synthetic_report as made

from winnow.report.csvfile import as_csv
from winnow.report.results import Row


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


def test_every_column_holds_the_field_of_its_name() -> None:
    """Each value is another; the name of the column says which field it is."""
    row = made.row(
        arm="reinit", replicate=21, draw=22, round=23, density=0.24, density_total=0.25,
        weights_kept=26, run="the run", status="diverged", diverged_at=27, iterations=28,
        stop_iteration=29, stop_censored=False, stop_validation_loss=0.30,
        stop_validation_accuracy=0.31, stop_test_accuracy=0.32, stop_train_accuracy=0.33,
        final_validation_accuracy=0.34, final_test_accuracy=0.35, final_train_accuracy=0.36,
        accuracy_at={5: 0.37, 40: 0.38}, seconds=39.5, cost=40.5, collapsed=("one", "two"),
        validation_at={6: 0.42}, stop_test_loss=0.43, stop_train_loss=0.44,
        final_validation_loss=0.45, final_test_loss=0.46, final_train_loss=0.47,
        stop_train_sample_accuracy=0.48, final_train_sample_accuracy=0.49,
        stop_train_sample_loss=0.50, final_train_sample_loss=0.51,
    )  # fmt: skip
    other = made.row(accuracy_at={9: 0.41})
    first, line = read(as_csv([made.results([row, other])]))
    fields = dataclasses.asdict(row)
    for name in ("accuracy_at", "validation_at", "collapsed", "stop_censored", "line"):
        del fields[name]
    expected = {name: str(value) for name, value in fields.items()}
    expected |= {"stop_censored": "false", "collapsed": "one two"}
    expected |= {"accuracy_at_5": "0.37", "accuracy_at_9": "", "accuracy_at_40": "0.38"}
    expected |= {"validation_accuracy_at_6": "0.42"}
    assert line == expected
    assert list(line)[-15:] == [
        "cost", "collapsed", "accuracy_at_5", "accuracy_at_9", "accuracy_at_40",
        "validation_accuracy_at_6", "stop_test_loss", "stop_train_loss", "final_validation_loss",
        "final_test_loss", "final_train_loss", "stop_train_sample_accuracy",
        "final_train_sample_accuracy", "stop_train_sample_loss", "final_train_sample_loss",
    ]  # fmt: skip
    assert first["final_test_loss"] == first["validation_accuracy_at_6"] == ""
    assert (first["accuracy_at_9"], first["cost"], first["collapsed"]) == ("0.41", "", "")


def test_what_no_run_has_recorded_has_no_column() -> None:
    (line,) = read(as_csv([made.results([made.row(final_test_loss=0.5, line="a")])]))
    assert list(line)[-2:] == ["final_test_loss", "line"]
    assert not [name for name in line if name in ("stop_test_loss", "final_train_loss")]
    (older,) = read(as_csv([made.results([made.row()])]))
    assert not [name for name in older if name.endswith("_loss") and "stop_validation" not in name]


def test_lines_have_the_last_column_and_others_none() -> None:
    rows = [made.row(line="warm-up", accuracy_at={5: 0.3}), made.row(line="0.1")]
    lines = read(as_csv([made.results(rows)]))
    assert list(lines[0])[-2:] == ["accuracy_at_5", "line"]
    assert {line["line"] for line in lines} == {"warm-up", "0.1"}
    assert "line" not in read(as_csv([made.results([made.row()])]))[0]


def test_lines_are_by_replicate_then_arm_then_draw_then_round() -> None:
    def place(replicate: int, arm: str, draw: int, number: int) -> Row:
        return made.row(replicate=replicate, arm=arm, draw=draw, round=number)

    ordered = [
        place(1, "ticket", 0, 2),
        place(1, "random", 1, 3),
        place(1, "random", 2, 1),
        place(1, "random", 2, 2),
        place(1, "one-shot", 0, 1),
        place(2, "ticket", 0, 1),
        place(2, "random-reinit", 1, 1),
    ]
    shuffled = made.results(ordered[::-1])
    assert [line["run"] for line in read(as_csv([shuffled]))] == [row.run for row in ordered]
    both = read(as_csv([made.results(ordered[:1]), made.results(ordered[1:2])]))
    assert [line["arm"] for line in both] == ["ticket", "random"]
