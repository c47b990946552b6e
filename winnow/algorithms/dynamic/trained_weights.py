"""The weights that a loop of one's own trains, as a dynamic method sees them: always in whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.algorithms.dynamic.driven import momentum
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.sharding import is_sharded, joined, local, part_like, whole
from winnow.slots import slot_values, weight_slots
from winnow.state import Tensors
from winnow.wrapped import hookable


class TrainedWeights:
    """Weights by name and the optimizers that hold them. Sharded ones are gathered where they are
    read, which is a collective, and written each rank's part.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], optimizers: Sequence[Optimizer]) -> None:
        self.named = named
        self._optimizers = [inner for one in optimizers for inner in hookable(one)]

    def rate(self) -> float:
        """The learning rate of the first group that holds one of the weights."""
        return float(self._groups()[0]["lr"])

    def have_momentum(self) -> bool:
        """Whether every group that holds one of the weights has a momentum."""
        return all(group.get("momentum") or "betas" in group for group in self._groups())

    def _groups(self) -> list[dict[str, Any]]:
        """Those that hold one of the weights, read each time: a loaded state replaces them."""
        held = {id(weight) for weight in self.named.values()}
        groups = [group for one in self._optimizers for group in one.param_groups]
        return [group for group in groups if any(id(p) in held for p in group["params"])]

    def values(self) -> dict[str, Tensor]:
        """The weights, not to be written to."""
        return {name: whole(weight.detach()) for name, weight in self.named.items()}

    def kept(self, mask: Mask) -> Tensors:
        """What the mask keeps of each, 1-d, row-major."""
        return {name: w[mask[name].to(w.device)] for name, w in self.values().items()}

    def gradient(self, reader: str) -> Tensors:
        """The gradients. UserError, with who reads them, where there is none."""
        found = {name: weight.grad for name, weight in self.named.items()}
        if missing := [name for name, gradient in found.items() if gradient is None]:
            raise UserError(
                f"{missing[0]!r} has no gradient for {reader}: call .step() after backward(), "
                "before zero_grad()"
            )
        return {name: whole(g.detach()) for name, g in found.items() if g is not None}

    def momentum(self) -> Tensors:
        """Dense momenta; 0 before any step."""
        slots: dict[str, dict[str, Tensor]] = {}
        for name, weight in self.named.items():
            for optimizer in self._optimizers:
                for slot, value in weight_slots(optimizer, weight).items():
                    slots.setdefault(slot, {})[name] = joined(slot_values(value), weight)
        return momentum(slots, self.values())

    def perturb(self, mask: Mask, change: Callable[[str, Tensor], Tensor]) -> None:
        """Move the kept weights to ``change(name, values)``, values as `kept` has them."""
        for name, values in self.kept(mask).items():
            self.write(name, mask[name], change(name, values))

    def write(self, name: str, where: Tensor, values: Tensor) -> None:
        """Set entries (bool, of the whole weight) to values, 1-d, row-major."""
        weight = self.named[name]
        places = where.to(weight.device)
        if not is_sharded(weight):
            weight[places] = values.to(weight)
            return
        everything = whole(weight.detach()).clone()
        everything[places] = values.to(everything)
        local(weight).copy_(part_like(everything, weight))
