"""The graph of a loss: its nodes, the leaves it depends on, reentrant checkpoints in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from winnow.errors import UserError


def no_gradient() -> UserError:
    """What to say of a loss that depends on none of the parameters that count."""
    return UserError(
        "the loss does not depend on any parameter that was asked for, so that there is no "
        "gradient: look for torch.no_grad, inference_mode or .detach() in the model's forward pass "
        "and in the loss, or name the parameters that it depends on with params="
    )


def nodes(loss: Tensor) -> Iterator[Any]:
    """Every node of the graph once, from the loss on."""
    waiting: list[Any] = [loss.grad_fn] if loss.grad_fn is not None else []
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)


def leaf_of(node: Any) -> Tensor | None:
    """The leaf whose gradient a node accumulates."""
    leaf: Tensor | None = getattr(node, "variable", None)
    return leaf


def leaf_uses(loss: Tensor) -> Counter[int]:
    """How often each leaf, by its id, enters the graph."""
    counts: Counter[int] = Counter()
    for node in nodes(loss):
        for following, _ in node.next_functions:
            if (leaf := leaf_of(following)) is not None:
                counts[id(leaf)] += 1
    if (own := leaf_of(loss.grad_fn)) is not None:
        counts[id(own)] += 1
    return counts


def is_reentrant(node: Any) -> bool:
    """Whether this is a checkpoint that runs a backward pass within the backward pass."""
    return "CheckpointFunctionBackward" in node.name()
