"""Finished runs without their states: compact tables that a repository can keep.

FOLDER/NAME.parquet            one row a run: identity, record, result, thinned curve, provenance
FOLDER/NAME.analyses.parquet   one row an analysis: identity and rows
FOLDER/sources/DATASET.json    which images the runs were trained on

Reports and claims read them as they read a store, and what stands in them is not trained again
unless its states are needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from winnow.digest import read_json
from winnow.errors import UserError
from winnow.experiment.analyses import Analysis
from winnow.experiment.runs import Record, load_run, plain_fields
from winnow.experiment.store.store import Found, Result
from winnow.files import write_whole
from winnow.tablefile import sealed_table, unsealed_table

_EVEN = 60  # evaluations of a curve that are kept whatever they are
_CURVE = (
    "validation_loss",
    "validation_accuracy",
    "test_accuracy",
    "test_loss",
    "training_loss",
)
_ANALYSES = ".analyses"


@dataclass(frozen=True)
class MadeAnalysis:
    """An analysis and what it found."""

    analysis: Analysis
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Exported:
    """What the tables of a folder hold: identity → run; identity → analysis."""

    runs: Mapping[str, Found]
    analyses: Mapping[str, MadeAnalysis]


def read_exported(folder: Path) -> Exported:
    """All tables of a folder; empty without any. A run that stands in several counts once.

    Raises UserError: a table cannot be read, or a row does not hash to the identity that it states.
    """
    runs: dict[str, Found] = {}
    analyses: dict[str, MadeAnalysis] = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            if path.stem.endswith(_ANALYSES):
                analyses |= {made.analysis.id: made for made in map(_analysis, _rows(path))}
            else:
                for found in (_found(path, row) for row in _rows(path)):
                    if _adds(found, runs.get(found.run.id)):
                        runs[found.run.id] = found
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"the table {path} cannot be read: {error}. Restore it, or export it again"
            ) from None
    return Exported(runs, analyses)


def write_exported(folder: Path, name: str, runs: Iterable[Found]) -> Path:
    """Write runs into the table ``name``, beside those that stand there; the file.

    A run that stands there with as much recorded stays as it is. Raises UserError as
    `read_exported` does; OSError.
    """
    path = folder / f"{name}.parquet"
    kept = (
        {f.run.id: f for f in (_found(path, row) for row in _rows(path))} if path.exists() else {}
    )
    for found in runs:
        if _adds(found, kept.get(found.run.id)):
            kept[found.run.id] = replace(found, result=thinned(found.result))
    _write(path, [_row(found) for _, found in sorted(kept.items())])
    return path


def write_exported_analyses(folder: Path, name: str, made: Iterable[MadeAnalysis]) -> Path:
    """Write analyses into the table ``name``, beside those that stand there; the file."""
    path = folder / f"{name}{_ANALYSES}.parquet"
    kept = {m.analysis.id: m for m in map(_analysis, _rows(path))} if path.exists() else {}
    kept = {one.analysis.id: one for one in made} | kept
    _write(path, [_analysis_row(one) for _, one in sorted(kept.items())])
    return path


def thinned(result: Result) -> Result:
    """A result with a part of its curve: evenly spaced evaluations, the last, and each at which the
    validation accuracy is higher, or the loss lower, than ever before. Where an accuracy is first
    reached, and the stop, stay exact.
    """
    curve = result.curve
    count = len(curve["steps"])
    even = {round(k * (count - 1) / (_EVEN - 1)) for k in range(_EVEN)} if count > 1 else {0}
    best = {*_records(curve["validation_accuracy"], 1), *_records(curve["validation_loss"], -1)}
    kept = sorted(index for index in even | best if index < count)
    parts = {
        name: [values[index] for index in kept] if values else [] for name, values in curve.items()
    }
    return replace(result, curve=parts, files={})


def _records(values: Sequence[float | None], sign: int) -> Iterator[int]:
    """The indices at which a value is better than all before it."""
    best = None
    for index, value in enumerate(values):
        if value is not None and (best is None or sign * value > best):
            best = sign * value
            yield index


def _adds(found: Found, other: Found | None) -> bool:
    """Whether a run records what another copy of it does not."""
    return other is None or not _without_states(other.record).covers(_without_states(found.record))


def _without_states(record: Record) -> Record:
    return replace(record, states=frozenset())


def _row(found: Found) -> dict[str, Any]:
    result = asdict(found.result)
    curve = result.pop("curve")
    del result["files"]
    return {
        "id": found.run.id,
        "folder": found.folder.name,
        "run": _json(plain_fields(found.run)),
        "record": _json(_without_states(found.record).dump()),
        "result": _json(result),
        "steps": list(curve["steps"]),
        **{name: list(curve.get(name, ())) for name in _CURVE},
        "provenance": _json({k: v for k, v in found.provenance.items() if k != "recipe"}),
    }


def _found(path: Path, row: Mapping[str, Any]) -> Found:
    run = load_run(read_json(row["run"]))
    if run.id != row["id"]:
        raise ValueError(f"the row {row['id'][:12]} does not hash to its identity")
    curve = {name: row[name] for name in ("steps", *_CURVE)}
    result = Result(curve=curve, **read_json(row["result"]))
    record = Record.load(read_json(row["record"]))
    provenance = read_json(row["provenance"])
    return Found(path.parent / row["folder"], run, record, result, provenance)


def _analysis_row(made: MadeAnalysis) -> dict[str, Any]:
    rows = _json(list(made.rows))
    return {
        "id": made.analysis.id,
        "analysis": _json(asdict(made.analysis)),
        "rows": rows,
        "rows_sha256": hashlib.sha256(rows.encode()).hexdigest(),
    }


def _analysis(row: Mapping[str, Any]) -> MadeAnalysis:
    analysis = Analysis.load(read_json(row["analysis"]))
    same = hashlib.sha256(row["rows"].encode()).hexdigest() == row["rows_sha256"]
    if analysis.id != row["id"] or not same:
        raise ValueError(f"the row {row['id'][:12]} is not what was written")
    return MadeAnalysis(analysis, read_json(row["rows"]))


def _rows(path: Path) -> list[dict[str, Any]]:
    _check_pyarrow()
    table, _ = unsealed_table(path.read_bytes())
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    _check_pyarrow()
    import pyarrow

    write_whole(path, sealed_table(pyarrow.Table.from_pylist(rows)))


def _check_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(
            "tables of exported runs need pyarrow: pip install 'winnow[data]'"
        ) from None


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
