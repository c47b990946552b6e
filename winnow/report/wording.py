"""How the report writes densities, accuracies and lists of densities."""

from __future__ import annotations

from collections.abc import Sequence


def percent(density: float) -> str:
    """A density as the papers print it: 0.513 → "51.3", 0.0031 → "0.31", 1 → "100"."""
    value = 100 * density
    if value >= 99.95:
        return "100"
    return f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"


def accuracy(fraction: float) -> str:
    """An accuracy in percent with two decimals."""
    return f"{100 * fraction:.2f}"


def signed_points(difference: float) -> str:
    """A difference of accuracies in percentage points, with its sign."""
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # + 0.0: no "-0.00"


def rounded(count: float) -> str:
    """A mean number of iterations: 13,120."""
    return f"{count:,.0f}"


def signed_count(count: float) -> str:
    """A difference in iterations, with its sign."""
    return f"{round(count) + 0:+,d}"


def plural(count: int, noun: str) -> str:
    """A count and its noun: 1 run, 3 runs."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def spans(indices: Sequence[int], labels: Sequence[str]) -> str:
    """Some of ``labels``, by index; three or more neighbours become "51.3 to 3.6"."""
    groups: list[list[int]] = []
    for index in indices:
        if groups and index == groups[-1][-1] + 1:
            groups[-1].append(index)
        else:
            groups.append([index])
    return ", ".join(_span([labels[index] for index in group]) for group in groups)


def _span(labels: Sequence[str]) -> str:
    return f"{labels[0]} to {labels[-1]}" if len(labels) > 2 else ", ".join(labels)
