"""The answer: what came out of an experiment, in one sentence, with its number and its doubt.

The same sentence stands first in the terminal, in a notebook and on the page. It rests on the
contrasts of the verdict: differences are paired by replicate, and intervals (95 %, in brackets) are
corrected for all densities of a contrast. The paper's rule is in the verdict.

- **Keep** (`keeping`): the sparsest density down to which no density is judged worse than dense and
  none has a mean more than 0.5 points below it. Larger densities count: a sweep that falls and
  rises again keeps only what lies before the fall.
- **Control** (`of_rounds`): of the first control in `CONTROL_ORDER` that has rows, the largest
  difference among those whose interval leaves out zero; where none does, the largest of all, and
  that this may be chance.
- **Methods** (`of_methods`): who is the most accurate at the smallest density where any method is
  better than chance, by how much over random masks and over IMP (over dense where IMP is the best
  or is not there), and how many others cannot be told apart from it.
- **Lines** (`of_lines`): the same of each line, side by side, without brackets; then in how many of
  them the difference is clear.
- **Doubt** (`doubt`), in parentheses: replicates; runs that diverged, could not start or are still
  to come; runs that were still improving at their last evaluation, if these are a tenth or more.
"""

from __future__ import annotations

from winnow.report.answer.doubt import of_the_runs
from winnow.report.answer.of_lines import line_answer
from winnow.report.answer.of_methods import method_answer
from winnow.report.answer.of_rounds import round_answer
from winnow.report.results import Results, by_line, compares


def answer(results: Results) -> str:
    """One sentence: what came out, its number, its doubt; what is missing where nothing did.

    The order of rows and the numbering of replicates change nothing.
    """
    parts = by_line(results)
    said = _of_part(parts[0]) if len(parts) == 1 else line_answer(results)
    sentence, doubts = said or (_without_result(results), ())
    if len(parts) == 1 and parts[0].line and not results.line:  # which of the recipe's lines it is
        sentence = f"{parts[0].line}: {sentence[:1].lower()}{sentence[1:]}"
    told = "; ".join([*doubts, *of_the_runs(results)])
    return f"{sentence} ({told})." if told else f"{sentence}."


def _of_part(part: Results) -> tuple[str, tuple[str, ...]] | None:
    return method_answer(part) if compares(part) else round_answer(part)


def _without_result(results: Results) -> str:
    """Nothing is pruned and finished: whether there are analyses at least."""
    found = list(dict.fromkeys(finding.key for finding in results.findings))
    if not found:
        return "Nothing to compare is finished yet"
    return f"Nothing to compare is trained; finished are the analyses {', '.join(found)}"
