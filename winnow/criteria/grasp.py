"""GraSP: score = w·(Hg)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from winnow.criteria.balanced import rebalanced
from winnow.criteria.base import Subject
from winnow.criteria.gradient import add_to, differentiate_only, gradients_by
from winnow.criteria.replay import Replay
from winnow.criteria.second import differentiated_twice
from winnow.criteria.traits import traits
from winnow.errors import UserError
from winnow.moments.examples import examples_of, size


@traits(examples="balanced", passes=3, training=True)
def grasp(
    subject: Subject,
    *,
    temperature: float = 200.0,
    per_class: int | None = None,
    classes: int | None = None,
    batches: int = 1,
    reinit_head: bool = False,
    keep_graph: bool = True,
) -> dict[str, Tensor]:
    """w·(Hg): the largest are kept. Wang et al. 2020, "Picking Winning Tickets Before Training by
    Preserving Gradient Flow", algorithms 1 and 2, equation 8. Their score to *remove* by is
    −w·(Hg), of which algorithm 1 removes the largest.

    As in the authors' code, the logits are divided by ``temperature``; each batch is split in two
    halves in its given order (an odd one: the second half has one example more; one example: no
    second half); g and Hg are the sums over halves and batches of what each half's mean loss
    gives; batch normalisation follows the model's mode, which is train in their code.
    ``per_class``, ``classes``, ``batches``: class-balanced batches from a loader, see
    ``balanced.collect``; the authors take 10 a class, for CIFAR-100 and ResNet-32 5 in 2 batches.
    ``reinit_head``: score with Linear weights drawn anew, Xavier normal, from the generator, as
    in their code, where the trained head is another one; off unless asked for. Their division of
    all scores by |their sum| changes no ranking and is left out.

    Memory does not grow with the number of batches: several are gone over twice (a second pass
    that differs is an error). A single batch is not: the graph of its gradient is kept, which
    saves about one pass. ``keep_graph`` = False spends that pass on a lower peak: by a twentieth
    for VGG-19, by a third for ResNet-32.
    """
    if reinit_head:
        _reinitialise_linear(subject)
    weights = differentiate_only(subject.model, subject.weights.values())
    network = subject.network()
    replay = Replay(rebalanced(subject, per_class, classes, batches))

    def gradient(x: Any, y: Any, create_graph: bool) -> tuple[Tensor, ...]:
        loss = subject.loss(_cooled(network(x), temperature), y)
        return gradients_by(loss, weights, create_graph=create_graph)

    with differentiated_twice():
        g, graphs = _first_pass(replay, gradient, keep_graph)
        hessian_times = _Product(g, weights)
        while graphs:
            hessian_times.add(graphs.pop())
        if replay.passes_over_several or not keep_graph:
            for x, y in replay.batches():
                for half in _halves(x, y):
                    hessian_times.add(_roots(gradient(*half, True)))
    products = hessian_times.total()
    named = zip(subject.weights.items(), products, strict=True)
    return {name: product.mul_(weight.detach()) for (name, weight), product in named}


Roots = list[GradientEdge | None]  # of the graph of a gradient; None: it is constant


def _first_pass(
    replay: Replay, gradient: Callable[[Any, Any, bool], tuple[Tensor, ...]], keep_graph: bool
) -> tuple[list[Tensor], list[Roots]]:
    """The sum of the gradients; the graphs of the halves if there is a single batch."""
    total: list[Tensor] | None = None
    graphs: list[Roots] = []
    for index, (x, y) in enumerate(replay.batches()):
        keeps = keep_graph and index == 0
        if index == 1:
            graphs.clear()
        for half in _halves(x, y):
            terms = gradient(*half, keeps)
            if keeps:
                graphs.append(_roots(terms))
            total = add_to(total, terms)
            del terms
    if total is None:
        raise UserError("criterion 'grasp' got no batch: the loader is empty")
    return total, graphs


class _Product:
    """Sums H·g over parts, in the weights' ``grad``, which takes no second copy of all weights."""

    def __init__(self, g: list[Tensor], weights: list[nn.Parameter]) -> None:
        self._g = [t.to(weight.dtype) for t, weight in zip(g, weights, strict=True)]
        self._weights = weights
        self._total: list[Tensor] | None = None
        self._is_wide = all(t.dtype == w.dtype for t, w in zip(g, weights, strict=True))

    def add(self, roots: Roots) -> None:
        """∂<g, ∂L/∂w>/∂w for the loss whose gradient has these roots, which are used up."""
        pairs = [(root, g) for root, g in zip(roots, self._g, strict=True) if root is not None]
        if pairs:
            edges, factors = zip(*pairs, strict=True)
            torch.autograd.backward(edges, factors, inputs=self._weights)
        if not self._is_wide:
            self._total = add_to(self._total, self._taken())

    def total(self) -> list[Tensor]:
        return self._taken() if self._total is None else self._total

    def _taken(self) -> list[Tensor]:
        taken = [torch.zeros_like(w) if w.grad is None else w.grad for w in self._weights]
        for weight in self._weights:
            weight.grad = None
        return [tensor.detach() for tensor in taken]


def _roots(gradient: tuple[Tensor, ...]) -> Roots:
    return [get_gradient_edge(part) if part.requires_grad else None for part in gradient]


def _cooled(outputs: Any, temperature: float) -> Any:
    """The logits over the temperature. UserError where there are none to divide."""
    if isinstance(outputs, Tensor):
        return outputs / temperature
    if temperature == 1:
        return outputs
    raise UserError(
        f"criterion 'grasp' divides the logits by {temperature:g}, but the model returns a "
        f"{type(outputs).__name__}: pass loss_fn=, which gets its logits, or temperature=1 for the "
        "loss that the model computes itself"
    )


def _halves(x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    count = size(x)
    if isinstance(y, Tensor) and len(y) != count:
        raise UserError(
            f"criterion 'grasp' splits each batch in two halves, but {count} inputs have "
            f"{len(y)} targets"
        )
    middle = count // 2
    if middle:
        first = slice(0, middle)
        yield examples_of(x, first), examples_of(y, first)
    second = slice(middle, count)
    yield examples_of(x, second), examples_of(y, second)


@torch.no_grad()
def _reinitialise_linear(subject: Subject) -> None:
    generator = subject.random()
    weights = (m.weight for m in subject.model.modules() if isinstance(m, nn.Linear))
    for weight in dict.fromkeys(weights):
        drawn = torch.empty(weight.shape, device=generator.device)
        weight.data = nn.init.xavier_normal_(drawn, generator=generator).to(weight)
    subject.remove()
