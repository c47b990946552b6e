"""The blocks of a deep network, one behind the other: what one has made need not be made again.

Layer after layer is calibrated, and the model runs up to each. Where it is a list of blocks of
which each reads what the one before has made (as transformers are), the run begins at the block
that holds the layer: those before answer with what the last of them has made of the same batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from winnow.criteria.base import Subject

_CLOSE = 1e-3  # how far outputs may be off, in parts of the largest


class EnoughError(Exception):
    """Raised inside of a forward pass where what is wanted has been seen."""


class Stages:
    """The blocks of a model, and what the last of those that are done made of each batch.

    That is checked on one batch whenever a block is done: the model must answer as without it. If
    it does not, as with connections that skip blocks, every run begins at the inputs.
    """

    def __init__(self, subject: Subject, order: Mapping[str, int]) -> None:
        """``order``: the weights in the order of their calibration."""
        self.subject = subject
        self.blocks, self._block_of = _blocks(subject.model, list(order))
        self._done = 0  # blocks that need not run
        self._made: list[Any] = []  # by the last of them, for each batch

    def enter(self, name: str) -> None:
        """The next runs are up to this weight: let the blocks before it be done."""
        done = self._block_of.get(name, 0)
        if done <= self._done:
            return
        for batch, (inputs, _) in enumerate(self.subject.batches()):
            made = self._output_of(self.blocks[done - 1], batch, inputs)
            self._made[batch : batch + 1] = [made]
        self._done = done
        if done > 1 and not self._is_the_same():
            self.blocks, self._block_of, self._done, self._made = [], {}, 0, []

    def _output_of(self, block: nn.Module, batch: int, inputs: Any) -> Any:
        found: list[Any] = []

        def keep(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
            found.append(output)
            raise EnoughError

        handle = block.register_forward_hook(keep)
        try:
            with torch.no_grad(), self.skipping(batch), suppress(EnoughError):
                self.subject.outputs(inputs)
        finally:
            handle.remove()
        return found[0]

    def _is_the_same(self) -> bool:
        inputs, _ = next(self.subject.batches())
        with torch.no_grad():
            plain = _answer(self.subject.outputs(inputs))
            with self.skipping(0):
                skipped = _answer(self.subject.outputs(inputs))
        return len(plain) == len(skipped) and all(
            a.shape == b.shape and float((a - b).abs().max()) <= _CLOSE * float(a.abs().max())
            for a, b in zip(plain, skipped, strict=True)
        )

    @contextmanager
    def skipping(self, batch: int) -> Iterator[None]:
        """Runs of this batch leave out the blocks that are done."""
        blocks = self.blocks[: self._done]
        before = [block.__dict__.get("forward") for block in blocks]
        try:
            for block in blocks:
                block.forward = lambda *_, **__: _copied(self._made[batch])
            yield
        finally:
            for block, own in zip(blocks, before, strict=True):
                if own is None:
                    block.__dict__.pop("forward", None)
                else:
                    block.forward = own


def _copied(made: Any) -> Any:
    """A copy, as who reads it may write to it."""
    return tree_map(lambda t: t.clone() if isinstance(t, Tensor) else t, made)


def _answer(outputs: Any) -> list[Tensor]:
    """The numbers that a model answers with."""
    for name in ("logits", "last_hidden_state"):
        if isinstance(found := getattr(outputs, name, None), Tensor):
            outputs = found
            break
    return [t for t in tree_leaves(outputs) if isinstance(t, Tensor) and t.is_floating_point()]


def _blocks(model: nn.Module, names: list[str]) -> tuple[list[nn.Module], dict[str, int]]:
    """The longest list of blocks with such weights, and by weight how many blocks come before it.

    None where the weights do not come block after block. A weight behind all blocks comes after
    all of them; one in front of or between them after none.
    """
    best: list[tuple[str, nn.Module]] = []
    for path, layer in model.named_modules():
        if isinstance(layer, nn.ModuleList | nn.Sequential):
            prefix = f"{path}." if path else ""
            own = [(f"{prefix}{key}.", block) for key, block in layer.named_children()]
            used = [one for one in own if any(name.startswith(one[0]) for name in names)]
            if len(used) > len(best):
                best = used
    if len(best) < 2:
        return [], {}
    places = {n: i for n in names for i, (path, _) in enumerate(best) if n.startswith(path)}
    inside = [places[name] for name in names if name in places]
    if inside != sorted(inside) or len({id(block) for _, block in best}) < len(best):
        return [], {}
    last = max(names.index(name) for name in places)
    behind = {name: len(best) for name in names[last + 1 :]}
    return [block for _, block in best], {**places, **behind}
