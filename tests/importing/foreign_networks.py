"""The networks of open_lth, GraSP and Synaptic-Flow, small, with their parameter names."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]


class Fc(nn.Module):
    """open_lth's LeNet."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        pairs = itertools.pairwise(sizes[:-1])
        self.fc_layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.fc = nn.Linear(*sizes[-2:])

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.fc_layers:
            x = F.relu(layer(x))
        return self.fc(x)


class Factor(nn.Module):
    """Synaptic-Flow's identity shortcut: one fixed factor for each filter."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(filters, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class BasicBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int, grasp: bool, factors: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = Factor(before) if factors else nn.Sequential()
        self.downsample = self.bn3 = None
        if stride != 1:
            conv = nn.Conv2d(before, after, 1, stride=stride, bias=False)
            if grasp:
                self.downsample, self.bn3 = nn.Sequential(conv), nn.BatchNorm2d(after)
            else:
                self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        side = self.bn3(self.downsample(x)) if self.bn3 and self.downsample else self.shortcut(x)
        return F.relu(y + side)


class ResNet(nn.Module):
    def __init__(self, depth: int, width: int, grasp: bool = False, factors: bool = False) -> None:
        super().__init__()
        count = (depth - 2) // 6
        first = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.add_module("conv1" if grasp else "conv", first)
        self.bn = nn.BatchNorm2d(width)
        stages, before = [], width
        for stage in range(3):
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(BasicBlock(before, width * 2**stage, stride, grasp, factors))
                before = width * 2**stage
            stages.append(blocks)
        if grasp:
            for stage, blocks in enumerate(stages, 1):
                self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        else:
            self.blocks = nn.Sequential(*(block for stage in stages for block in stage))
        self.add_module("linear" if grasp else "fc", nn.Linear(before, 10))

    def forward(self, x: Tensor) -> Tensor:
        *layers, output = (module for name, module in self.named_children() if name != "bn")
        x = layers[0](x)
        x = F.relu(self.bn(x))
        for layer in layers[1:]:
            x = layer(x)
        return output(F.avg_pool2d(x, x.shape[3]).flatten(1))


PLAN_11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512)


class ConvModule(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)  # with a bias
        self.bn = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class VGG(nn.Module):
    """VGG-11 with an eighth of the filters, so that tests are quick."""

    def __init__(self, grasp: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for filters in (filters // 8 for filters in PLAN_11):
            if not filters:
                layers.append(nn.MaxPool2d(2, 2))
            elif grasp:
                conv = nn.Conv2d(before, filters, 3, padding=1, bias=False)
                layers += [conv, nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
            else:
                layers.append(ConvModule(before, filters))
            before = filters or before
        self.add_module("feature" if grasp else "layers", nn.Sequential(*layers))
        self.add_module("classifier" if grasp else "fc", nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        layers, output = self.children()
        return output(F.avg_pool2d(layers(x), 2).flatten(1))


def grown(model: nn.Module, seed: int = 0) -> nn.Module:
    """With every parameter and statistic away from its default; factors of identities stay 1."""
    draw = torch.Generator().manual_seed(seed)
    fixed = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, Factor)}
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name in fixed or not tensor.is_floating_point():
                continue
            if tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=draw)
            else:
                tensor.uniform_(0.5, 1.5, generator=draw)
    return model.eval()


def masked_names(model: nn.Module) -> list[str]:
    kinds = nn.Linear | nn.Conv2d
    return [f"{name}.weight" for name, m in model.named_modules() if isinstance(m, kinds)]


def random_masks(model: nn.Module, density: float = 0.4, seed: int = 1) -> State:
    draw = torch.Generator().manual_seed(seed)
    shapes = {name: model.get_parameter(name).shape for name in masked_names(model)}
    return {n: (torch.rand(s, generator=draw) < density).float() for n, s in shapes.items()}


def pruned(model: nn.Module, masks: State) -> State:
    return {n: t * masks[n] if n in masks else t.clone() for n, t in model.state_dict().items()}
