"""The gradient by the output of layers, as backward passes them by. No weight gradient is computed.

A tap stands behind a layer. Backward runs towards one anchor that all taps hang on, so that
autograd takes the way through the layers and leaves the parameters out; a tap sees its layer's
gradient and lets it go, and memory is that of an ordinary step.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.moments.graph import is_reentrant, leaf_uses, nodes

Sink = Callable[[nn.Module, Tensor, Tensor], None]  # (layer, its input, the gradient by its output)


class _Tap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, _anchor: Tensor, x: Tensor, found: Any) -> Tensor:
        ctx.mark_dirty(output)  # it stays the layer's own output: a view could not be written to
        ctx.save_for_backward(x)  # which notices when x is overwritten later
        ctx.found = found
        return output

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        ctx.found(x, delta)
        return delta, None, None, None


class Taps:
    """The taps of one forward pass. ``calls``: how often each layer was used with gradients."""

    def __init__(self) -> None:
        self.anchor = torch.zeros((), requires_grad=True)
        self.calls: Counter[nn.Module] = Counter()
        self._sink: Sink | None = None

    def attach(self, layer: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """A forward hook: a tap behind the layer's output."""
        if not torch.is_grad_enabled() or not output.requires_grad:
            return output
        self.calls[layer] += 1
        x = args[0] if args else kwargs["input"]
        found = functools.partial(self._found, layer)
        return _Tap.apply(output, self.anchor, x.detach(), found)  # type: ignore[no-untyped-call]

    def _found(self, layer: nn.Module, x: Tensor, delta: Tensor) -> None:
        assert self._sink is not None, "backward of a loss that nobody asked for"
        self._sink(layer, x, delta)

    def backward(self, loss: Tensor, sink: Sink, retain_graph: bool = False) -> None:
        """Show ``sink`` the gradient of a loss by the output of every tapped layer, last first."""
        self._sink = sink
        torch.autograd.grad(loss, self.anchor, retain_graph=retain_graph, allow_unused=True)


@contextlib.contextmanager
def tapped(layers: Sequence[nn.Module]) -> Iterator[Taps]:
    """Taps behind these layers, for one forward pass and its backward passes."""
    taps = Taps()
    hooks = [  # the first to see an output: hooks of the user's may replace it
        layer.register_forward_hook(taps.attach, prepend=True, with_kwargs=True) for layer in layers
    ]
    try:
        yield taps
    finally:
        for hook in hooks:
            hook.remove()


def uses(loss: Tensor) -> Counter[int]:
    """How often each parameter, by its id, enters the graph of a loss."""
    if any(is_reentrant(node) for node in nodes(loss)):
        raise UserError(
            "per-example gradients do not reach into reentrant checkpoints: pass "
            "use_reentrant=False to torch.utils.checkpoint.checkpoint"
        )
    return leaf_uses(loss)
