"""Tables as files: the same numbers in CSV, Markdown and LaTeX, by hand on made-up rows."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from made_claims import CLAIMED
from made_comparison import made_comparison
from synthetic_report import RECIPE, paper_like, results, row, sweep

from winnow.report.claims.judge import judge_all
from winnow.report.results import Results
from winnow.report.tables import PlainTable, as_csv_table, as_latex, as_markdown, tables_of
from winnow.report.tables.latex import escaped
from winnow.report.tables.plain import Measured
from winnow.report.tables.text import read_aloud

TWO = {  # replicates → dense, 50 %, 25 %
    "ticket": [[0.96, 0.97, 0.92], [0.97, 0.982, 0.93]],
    "reinit": [[0.95, 0.88], [0.96, 0.89]],
}
STRANGE = PlainTable(
    "strange",
    "50 % of {all} & more_",
    ("a|b", "c_d (%)"),
    (("x & y", Measured(1234.5, 3, 1.0, 2.0, of=3)), ("\\", Measured(0.5, 2, half=0.25, of=3))),
)


def named(found: Results, name: str) -> PlainTable:
    return next(table for table in tables_of(found, judge_all(found)) if table.name == name)


def records(table: PlainTable) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv_table(table))))


def test_there_is_a_table_for_each_metric_named_like_its_figure() -> None:
    found = results(sweep(TWO))
    names = [table.name for table in tables_of(found)]
    assert names == ["accuracy-at-stop", "early-stopping", "final-accuracy"]
    without = results(sweep(TWO), recipe={"train": {"early_stopping": False}})
    assert [table.name for table in tables_of(without)] == ["final-accuracy"]
    assert tables_of(results([])) == ()


def test_csv_has_numbers_in_columns_of_their_own() -> None:
    dense, half, quarter = records(named(results(sweep(TWO)), "accuracy-at-stop"))
    assert (dense["dense (%)"], dense["dense (%) low"], dense["dense (%) high"]) == (
        *("96.50", "96.00", "97.00"),
    )
    assert (half["ticket (%)"], half["ticket (%) n"], half["reinit (%)"]) == ("97.60", "2", "95.50")
    assert quarter["weights left (%)"] == "25.0"
    assert quarter["weights"] == "66550"
    assert quarter["dense (%)"] == ""


def test_markdown_reads_well() -> None:
    caption, _, head, rule, *body = as_markdown(
        named(results(sweep(TWO)), "accuracy-at-stop")
    ).splitlines()
    assert caption == (
        "Test accuracy at early stopping: mean over 2 replicates, [lowest–highest run]."
    )
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *body)]
    assert cells[0] == ["weights left (%)", "weights", "dense (%)", "ticket (%)", "reinit (%)"]
    assert cells[1][2] == "96.50 [96.00–97.00]"
    assert cells[2][3:] == ["97.60 [97.00–98.20]", "95.50 [95.00–96.00]"]
    assert {len(line) for line in (head, rule, *body)} == {len(head)}


def test_what_weakens_a_number_stands_beside_it() -> None:
    rows = [replace(one, stop_censored=one.round == 2) for one in sweep(TWO)]
    rows.append(row(replicate=3, round=0, density=1.0, stop_test_accuracy=0.965))
    found = results(rows)
    stops = named(found, "early-stopping")
    assert stops.caption.endswith("; ≥: may come later")
    assert "≥ 8,000 (n = 2)" in as_markdown(stops)
    *_, quarter = records(stops)
    assert (quarter["ticket (iterations)"], quarter["ticket (iterations) at least"]) == (
        *("8000", "true"),
    )
    assert "fewer where n stands" in named(found, "accuracy-at-stop").caption


def test_methods_have_one_table_with_intervals_and_costs() -> None:
    tables = tables_of(made_comparison())
    assert [table.name for table in tables] == ["methods"]
    imp = next(one for one in records(tables[0]) if one["method"] == "imp")
    assert imp["accuracy (%) at 50.0 % n"] == "5"
    assert float(imp["accuracy (%) at 10.0 % half"]) > 0
    assert imp["cost at the smallest (epochs)"] == "42.0"
    assert " ± " in as_markdown(tables[0])


def test_lines_stand_under_each_other() -> None:
    made = [replace(one, line=line) for line in ("a", "b") for one in sweep(TWO)]
    found = results(made, recipe={**RECIPE, "lines": {"a": {}, "b": {}}})
    lines = records(named(found, "accuracy-at-stop"))
    assert [(one["line"], one["weights left (%)"]) for one in lines] == [
        (line, density) for line in ("a", "b") for density in ("100", "50.0", "25.0")
    ]


def test_claims_have_a_table() -> None:
    table = named(CLAIMED, "claims")
    assert len(table.body) == len(judge_all(CLAIMED))
    assert len(records(table)) == len(table.body)


# LaTeX


def structure(text: str) -> tuple[str, list[list[str]]]:
    """The columns of a tabular and its rows, checked on the way."""
    commands = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    opened: list[str] = []
    for what, name in commands:
        if what == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    columns = re.search(r"\\begin\{tabular\}\{(.*)\}\n", text)
    assert columns
    inside = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in inside.splitlines() if line.endswith(r"\\")]
    return columns[1], [re.split(r"(?<!\\)&", row[: -len(r" \\")]) for row in rows]


@pytest.mark.parametrize(
    "table",
    [*tables_of(paper_like()), *tables_of(made_comparison()), STRANGE, named(CLAIMED, "claims")],
    ids=lambda table: table.name,
)
def test_latex_is_well_formed(table: PlainTable) -> None:
    text = as_latex(table, "lth-4")
    columns, rows = structure(text)
    count = len(re.sub(r"\{[^{}]*\}", "", columns))
    assert count == len(table.head)
    assert {len(row) for row in rows} == {count}
    assert len(rows) == 1 + len(table.body)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert r"\label{tab:lth-4}" in text
    bare = re.sub(r"\\[%&$#_{}]|\$[^$]*\$", "", text.partition("\n")[2])
    assert not set("%#_$") & set(bare)


def test_latex_escapes_and_sets_signs() -> None:
    assert escaped("50 % & a_b {c} #1 $x \\ ~ ^") == (
        r"50 \% \& a\_b \{c\} \#1 \$x \textbackslash{} \textasciitilde{} \textasciicircum{}"
    )
    assert escaped("98 ± 1, ≥ 2, 3–4") == r"98 $\pm$ 1, $\geq$ 2, 3--4"
    text = as_latex(STRANGE, "x")
    assert r"1,234.50 [1.00--2.00] \\" in text
    assert r"0.50 $\pm$ 0.25 (n = 2) \\" in text
    assert text.startswith("% needs \\usepackage{booktabs}\n")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    tables = [*tables_of(paper_like()), *tables_of(made_comparison()), STRANGE]
    body = "\n".join(as_latex(table, f"t{k}") for k, table in enumerate(tables))
    preamble = "\\documentclass{article}\\usepackage[utf8]{inputenc}\\usepackage{booktabs}"
    whole = f"{preamble}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "a.tex").write_text(whole, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_pipes_are_escaped_in_markdown() -> None:
    assert r"a\|b" in as_markdown(STRANGE)


def test_a_cell_is_read_as_one_would_say_it() -> None:
    assert read_aloud(Measured(98.166, 5, 97.2, 98.9, of=5)) == "98.17 [97.20–98.90]"
    assert read_aloud(Measured(276, 4, digits=0, at_least=True, of=5)) == "≥ 276 (n = 4)"
    assert read_aloud("x") == "x"
