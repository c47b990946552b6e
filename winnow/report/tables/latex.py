"""Tables as LaTeX, in the style of the package booktabs."""

from __future__ import annotations

from winnow.report.tables.plain import PlainTable
from winnow.report.tables.text import read_aloud

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "−": r"$-$",
    "×": r"$\times$",
    "→": r"$\to$",
    "∞": r"$\infty$",
    "–": "--",
}
_SENTENCES = r"p{0.4\linewidth}"


def as_latex(table: PlainTable, label: str) -> str:
    """A floating table with caption and label, to be input where booktabs is loaded.

    Text is escaped; ± and ≥ are set in mathematics, ranges with an en dash.
    """
    columns = "".join(_column(table, place) for place in range(len(table.head)))
    body = [f"    {_row(list(map(read_aloud, row)))}" for row in table.body]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{escaped(table.sentence)}}}",
            rf"  \label{{tab:{label}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            f"    {_row(table.head)}",
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """A text as LaTeX sets it."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _column(table: PlainTable, place: int) -> str:
    if place in table.long:
        return _SENTENCES
    return "l" if place < table.left else "r"


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"
