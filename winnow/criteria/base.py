"""What a criterion sees: a model, its weights, data, a loss and a generator. Nothing else.

A criterion is a function ``f(subject, *, option=default, …) -> mapping name -> scores``. Larger
score = keep. It has no schedule, no store and no engine. Whatever it changes in the model
(weights, buffers, gradients, modes) is put back by ``winnow.score``. Parameters are large, and a
criterion of the table is run without a copy of them: it replaces what it changes
(``parameter.data = …``, or ``Subject.separate`` first), it does not write to the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.selection import parameters


@dataclass(frozen=True)
class Subject:
    """The scored network. A part that a criterion does not ask for may be missing."""

    criterion: str
    model: nn.Module
    weights: Mapping[str, nn.Parameter]
    data: Iterable[Any] | None = None
    loss_fn: Loss | None = None
    mask: Mask | None = None
    generator: torch.Generator | None = None

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """(inputs, targets), on the device of the weights. UserError if there is no data."""
        if self.data is None:
            raise self._missing("data", "pass batch=(x, y) or loader=")
        device = next(iter(self.weights.values())).device
        for batch in self.data:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise UserError(f"a batch must be a pair (inputs, targets), got {_kind(batch)}")
            yield _moved(batch[0], device), _moved(batch[1], device)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """loss_fn(outputs, targets). UserError if there is no loss_fn."""
        if self.loss_fn is None:
            raise self._missing("a loss", "pass loss_fn=, e.g. torch.nn.functional.cross_entropy")
        return self.loss_fn(outputs, targets)

    def random(self) -> torch.Generator:
        """The generator to draw from. UserError if there is none: nothing is drawn unseen."""
        if self.generator is None:
            raise self._missing("a generator", "pass generator=torch.Generator().manual_seed(0)")
        return self.generator

    def separate(self) -> None:
        """Give the parameters memory of their own, to write to: the caller's stays as it is."""
        for parameter in self.model.parameters():
            parameter.data = parameter.detach().clone()

    def remove(self) -> None:
        """Replace the weights of the mask by ones that are zero where it does not keep them.

        UserError unless it fits.
        """
        if self.mask is None:
            return
        named = parameters(self.model)
        try:
            self.mask.check_fits(named)
        except ValueError as error:
            raise UserError(str(error)) from None
        for name in self.mask:
            weight = named[name].detach()
            named[name].data = weight.masked_fill(~self.mask[name].to(weight.device), 0)

    def _missing(self, what: str, fix: str) -> UserError:
        return UserError(f"criterion {self.criterion!r} needs {what}: {fix}")


Criterion = Callable[..., Mapping[str, Tensor]]
"""A function of a `Subject`, with options by name: parameter name -> scores, larger = keep."""


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _kind(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"a {type(value).__name__}{size}"
