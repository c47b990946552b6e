"""Your own criterion: one function, used wherever the name of a criterion is.

    python examples/own_criterion.py

LAMP (Lee et al. 2021, "Layer-adaptive sparsity for the magnitude-based pruning", equation 5): a
weight's square, divided by the sum of all squares in its tensor that are not smaller. Scores of one
tensor rank as magnitudes do, but weights of all tensors can compete with each other. Expect: at 5 %
of the weights a trained network that is pruned by LAMP, and trained on for a while, is better than
one that is pruned by magnitude over all layers, which takes too many weights from large ones.

In recipes it is ``own_criterion:lamp``, started in this folder:

    winnow run compare/digits -o "compare.methods=[random, magnitude, own_criterion:lamp]"
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

import winnow as wn
from winnow.criteria import Subject, traits


@traits(examples="none", passes=0)  # it looks at weights alone
def lamp(subject: Subject) -> dict[str, Tensor]:
    """w² / Σ u², over the u of the same tensor that are at least as large (Lee et al. 2021)."""
    scores = {}
    for name, w in subject.weights.items():
        squares, order = w.detach().flatten().square().sort(descending=True)
        flat = torch.empty_like(squares)
        flat[order] = squares / squares.cumsum(0)
        scores[name] = flat.view_as(w)
    return scores


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    (x, x_test), (y, y_test) = images.split([1400, 397]), labels.split([1400, 397])

    def fit(model: nn.Module, opt: torch.optim.Optimizer, steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        for _ in range(steps):
            batch = torch.randint(len(x), (60,), generator=generator)
            opt.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            opt.step()

    def accuracy(model: nn.Module) -> float:
        with torch.no_grad():
            return 100 * float((model(x_test).argmax(1) == y_test).float().mean())

    dense = nn.Sequential(
        nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )
    fit(dense, torch.optim.Adam(dense.parameters(), lr=1.2e-3), 500)
    print(f"dense      {accuracy(dense):5.1f} %")

    for criterion in ("magnitude", lamp):
        model = copy.deepcopy(dense)
        opt = torch.optim.Adam(model.parameters(), lr=1.2e-3)
        mask = wn.prune(wn.score(model, criterion), density=0.05, scope="global")
        with wn.sparsify(model, mask, optimizer=opt):
            fit(model, opt, 150)
        name = criterion if isinstance(criterion, str) else criterion.__name__
        kept = ", ".join(str(count) for count in mask.kept_per_layer.values())
        print(f"{name:<9}  {accuracy(model):5.1f} %   weights kept by layer: {kept}")


if __name__ == "__main__":
    main()
