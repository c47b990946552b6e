"""SparseGPT as the paper states it, in loops over rows and columns with explicit inverses.

Frantar & Alistarh 2023, section 3 and algorithm 1; the step of one weight is Hassibi & Stork's
(1993, equation 5) with the Hessian of the columns that have not been passed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Choose = Callable[[int, int, Tensor], Tensor]
"""(first column, last column, scores (rows, columns)) → what stays."""


def hessian(x: Tensor, damping: float) -> Tensor:
    """Of inputs (positions, n)."""
    total = x.T @ x
    return total + damping * total.diagonal().mean() * torch.eye(len(total)).to(total)


def slowly(weight: Tensor, h: Tensor, choose: Choose, step: int) -> tuple[Tensor, Tensor]:
    """What stays, and the weights, of (rows, n); every ``step`` columns are chosen anew."""
    w, n = weight.clone(), weight.shape[1]
    keep = torch.ones(w.shape, dtype=torch.bool)
    inverses = [torch.linalg.inv(h[j:, j:]) for j in range(n)]
    for j in range(n):
        if j % step == 0:
            last = min(j + step, n)
            costs = torch.stack([w[:, i] ** 2 / inverses[i][0, 0] for i in range(j, last)], 1)
            keep[:, j:last] = choose(j, last, costs)
        for row in range(len(w)):
            if not keep[row, j]:
                inverse = inverses[j]
                w[row, j:] -= w[row, j].clone() / inverse[0, 0] * inverse[0]
                w[row, j] = 0
    return keep, w


def best_of_rows(scores: Tensor, count: int) -> Tensor:
    """The ``count`` largest of each row, the first of equal ones."""
    rows = []
    for row in scores.tolist():
        order = sorted(range(len(row)), key=lambda i: -row[i])[:count]
        rows.append([i in order for i in range(len(row))])
    return torch.tensor(rows)


def best(scores: Tensor, count: int) -> Tensor:
    """The ``count`` largest of all, the first of equal ones."""
    return best_of_rows(scores.reshape(1, -1), count).reshape(scores.shape)
