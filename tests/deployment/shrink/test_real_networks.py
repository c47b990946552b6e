"""Winnow's networks: masks of whole units, masks of single weights, and Torch-Pruning beside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from winnow.deployment.capture import capture
from winnow.deployment.shrink import checked, shrunk, sizes_of_layers
from winnow.deployment.simplify import simplified
from winnow.models import build
from winnow.structure import prune_units, structure_of

pytestmark = pytest.mark.slow


def _own(name: str, side: int, marks: Any = (), **options: Any) -> Any:
    channels = 1 if "lenet" in name else 3
    return pytest.param(name, (channels, side, side), options, marks=marks)


NETWORKS = [
    _own("lenet-300-100", 28),
    _own("conv-4", 8, width=0.25),
    _own("vgg-19", 32, pytest.mark.slow, width=0.125),
    _own("resnet-20", 8, pytest.mark.slow),
    _own("resnet-20", 8, shortcut="padded"),
]
IDS = ["lenet", "conv-4", "vgg-19", "resnet-20", "resnet-20-padded"]


def network(name: str, inputs: tuple[int, int, int], options: dict[str, Any]) -> nn.Module:
    """In evaluation, with biases and statistics as training leaves them."""
    generator = torch.Generator().manual_seed(0)
    model = build(name, inputs=inputs, classes=10, **options)
    with torch.no_grad():
        for part, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.dim() == 1 and "var" not in part:
                value.add_(torch.randn(len(value), generator=generator) * 0.3)
    return model.eval()


def masked(model: nn.Module, mask: Any) -> None:
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in mask:
                weight.mul_(mask[name])


def some(bits: Tensor, axis: int) -> int:
    """How many rows (0) or columns (1) of a weight have a weight left."""
    return int(bits.transpose(0, axis).flatten(1).any(1).sum())


@pytest.mark.parametrize(("name", "inputs", "options"), NETWORKS, ids=IDS)
def test_masks_of_whole_units_leave_exactly_those(
    name: str, inputs: tuple[int, int, int], options: dict[str, Any]
) -> None:
    model = network(name, inputs, options)
    example = torch.randn(2, *inputs)
    structure = structure_of(model, example)
    weights = {n: w.detach() for n, w in model.named_parameters() if n in structure.axes}
    mask = prune_units({n: w.abs() for n, w in weights.items()}, structure, 0.3, least=1)
    masked(model, mask)
    after = shrunk(simplified(capture(model, example)))
    sizes, first = sizes_of_layers(after), next(iter(mask))
    assert sizes.keys() == mask.keys()
    for layer, bits in mask.items():
        outputs = bits.shape[0] if layer == "output.weight" else some(bits, 0)
        reads = bits.shape[1] if layer == first else some(bits, 1)
        assert (sizes[layer].outputs, sizes[layer].inputs) == (outputs, reads)
    checked(after, model, example)


class Joined(nn.Module):
    """Two branches beside each other, a sum, and neurons behind a flattened image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = (nn.Conv2d(a, 6, 3, padding=1) for a in (3, 6, 6))
        self.norm, self.three = nn.BatchNorm2d(6), nn.Conv2d(12, 8, 3)
        self.hidden, self.head = nn.Linear(8 * 36, 10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.cat([torch.relu(self.one(x)) + x, torch.relu(self.two(x))], 1)
        return self.head(torch.relu(self.hidden(torch.relu(self.three(x)).flatten(1))))


def test_sizes_are_those_of_torch_pruning() -> None:
    """It takes whole units out of modules, with what reads them; no constants, no zeros."""
    pruning = pytest.importorskip("torch_pruning", reason="a check of sizes that users need not")
    torch.manual_seed(0)
    model, example = Joined().eval(), torch.randn(2, 3, 8, 8)
    structure = structure_of(model, example)
    weights = {n: w.detach() for n, w in model.named_parameters() if n in structure.axes}
    mask = prune_units({n: w.abs() for n, w in weights.items()}, structure, 0.5, least=1)
    theirs = pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    layers = dict(model.named_modules())
    gone = {
        name: (~mask[f"{name}.weight"].flatten(1).any(1)).nonzero().flatten().tolist()
        for name in ("one", "two", "three", "hidden")  # the stem goes with the sum
    }
    masked(model, mask)
    ours = shrunk(simplified(capture(model, example)))
    for name, units in gone.items():
        linear = isinstance(layers[name], nn.Linear)
        take = pruning.prune_linear_out_channels if linear else pruning.prune_conv_out_channels
        theirs.get_pruning_group(layers[name], take, idxs=units).prune()
    assert {n: (size.outputs, size.inputs) for n, size in sizes_of_layers(ours).items()} == {
        f"{name}.weight": tuple(layer.weight.shape[:2])
        for name, layer in layers.items()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
