"""Rows as a data frame and as Parquet: the cells of rows.csv, with types."""

from __future__ import annotations

import csv
import io
import sys

import pandas
import pytest
from pyarrow import parquet
from synthetic_report import paper_like, results, row

from winnow.report.csvfile import as_csv
from winnow.report.frame import as_frame, as_parquet
from winnow.report.results import Results

SOME = results(
    [
        row(accuracy_at={500: 0.5, 1000: 0.75}),
        row(replicate=2, status="diverged", diverged_at=7, stop_iteration=None, stop_censored=None,
            stop_test_accuracy=None, collapsed=("a", "b")),
    ]
)  # fmt: skip


@pytest.mark.parametrize("found", [SOME, paper_like(2, 3)], ids=["some", "paper"])
def test_a_frame_has_the_cells_of_rows_csv(found: Results) -> None:
    frame = as_frame([found])
    assert frame is not None
    lines = list(csv.DictReader(io.StringIO(as_csv([found]))))
    assert list(frame.columns) == list(lines[0])
    for line, (_, series) in zip(lines, frame.iterrows(), strict=True):
        for name, text in line.items():
            cell = series[name]
            if text == "":
                assert pandas.isna(cell) or cell == ""
            elif text in ("true", "false"):
                assert cell == (text == "true")
            elif isinstance(cell, str):
                assert cell == text
            else:
                assert float(cell) == float(text)


def test_types_do_not_depend_on_what_is_known() -> None:
    frame, whole = as_frame([SOME]), as_frame([paper_like(1, 1)])
    assert frame is not None
    assert whole is not None
    types = {"replicate": "int64", "stop_iteration": "Int64", "stop_censored": "boolean"}
    for name, kind in {**types, "stop_test_accuracy": "float64"}.items():
        assert frame[name].dtype == kind
        assert whole[name].dtype == kind
    assert frame.stop_test_accuracy.isna().tolist() == [False, True]
    assert frame.accuracy_at_1000[0] == 0.75


def test_parquet_reads_back_with_types_and_the_same_bytes(tmp_path) -> None:
    written = as_parquet([SOME])
    assert written is not None
    assert as_parquet([SOME]) == written
    file = tmp_path / "rows.parquet"
    file.write_bytes(written)
    table = parquet.read_table(file)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["stop_censored"] == "bool"
    assert kinds["stop_iteration"] == "int64"
    assert kinds["arm"] == "string"
    assert kinds["accuracy_at_500"] == "double"
    frame = as_frame([SOME])
    assert frame is not None
    assert table.column_names == list(frame.columns)
    assert table["diverged_at"].to_pylist() == [None, 7]
    assert table["collapsed"].to_pylist() == ["", "a b"]


def test_without_the_packages_there_is_neither(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert as_frame([SOME]) is None
    assert as_parquet([SOME]) is None
