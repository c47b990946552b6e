"""Blocks that are done are left out of later runs, and nothing comes out otherwise for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import ClassVar
from unittest import mock

import pytest
import torch
from scored_networks import data, seeded
from torch import Tensor, nn

import winnow as wn
from winnow.criteria import stages


class Block(nn.Module):
    """Two layers and a residual sum, in place; ``calls`` counts its runs."""

    calls: ClassVar[Counter[int]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        Block.calls[id(self)] += 1
        change = self.b(torch.tanh(self.a(x)))
        x += change
        return x


class Deep(nn.Module):
    """An entry, blocks, a head; ``skips``: whether the head reads the first block's output, too."""

    def __init__(self, blocks: int = 6, skips: bool = False) -> None:
        super().__init__()
        self.entry, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.blocks = nn.ModuleList(Block() for _ in range(blocks))
        self.skips = skips

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        first = None
        for block in self.blocks:
            x = block(x) * 1.0
            first = x if first is None else first
        x += 1
        return self.head(x + 3 * first if self.skips else x)  # type: ignore[no-any-return]


class Reversed(Deep):
    """Runs its blocks from the last to the first."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        for block in reversed(self.blocks):
            x = block(x)
        return self.head(x)  # type: ignore[no-any-return]


def pruned(make: Callable[[], nn.Module], criterion: str) -> tuple[wn.Mask, nn.Module, int]:
    model = seeded(make)
    batches = [(x, None) for x in data(30, 4)[0].split(10)]
    Block.calls.clear()
    mask = wn.prune_trained(model, criterion, pattern="2:4", loader=batches)
    return mask, model, Block.calls.total()


NETWORKS: list[tuple[Callable[[], nn.Module], bool]] = [
    (Deep, True),
    (
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), *[Block() for _ in range(5)]),
        True,
    ),
    (lambda: Deep(skips=True), False),
    (Reversed, False),
    (lambda: Deep(blocks=1), False),
]


@pytest.mark.parametrize("criterion", ["wanda", "sparsegpt"])
@pytest.mark.parametrize(("make", "shortened"), NETWORKS)
def test_masks_and_weights_are_those_of_runs_from_the_inputs(
    make: Callable[[], nn.Module], shortened: bool, criterion: str
) -> None:
    mask, model, calls = pruned(make, criterion)
    with mock.patch.object(stages, "_blocks", return_value=([], {})):
        expected, other, whole = pruned(make, criterion)
    assert mask == expected
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert (calls < 0.9 * whole) == shortened


def test_the_model_is_left_as_it_was() -> None:
    """Even by a loop that ends in the middle, and where a module has a forward of its own."""
    model = seeded(Deep)
    model.blocks[1].forward = own = model.blocks[1].forward  # type: ignore[union-attr,index]

    class Stop(Exception):  # noqa: N818
        pass

    seen = []

    def listen(layer: nn.Module, *_: object) -> None:
        seen.append(layer)
        if len(seen) > 60:
            raise Stop

    model.head.register_forward_pre_hook(listen)  # type: ignore[union-attr]
    model.blocks[5].register_forward_pre_hook(listen)  # type: ignore[union-attr,index]
    with pytest.raises(Stop):
        wn.prune_trained(model, "sparsegpt", pattern="2:4", loader=[data(10, 4)] * 30)
    for i, block in enumerate(model.blocks):  # type: ignore[arg-type]
        assert block.__dict__.get("forward") == (own if i == 1 else None)
        assert not block._forward_hooks
