"""What a criterion sees: a model, its weights, data, a loss and a generator. Nothing else.

What batches may be, how the network is called and what the loss gets is one contract for all
criteria: see ``Subject.batches``, ``Subject.outputs`` and ``Subject.loss``.

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
from torch.utils import _pytree as pytree

from winnow.errors import UserError
from winnow.mask import Mask
from winnow.moments.kinds import Loss
from winnow.selection import parameters

Forward = Callable[[nn.Module, Any], Any]
"""How a network is called: a function of the model and the inputs of a batch."""


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
    forward: Forward | None = None

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """(inputs, targets), on the device of the weights. UserError if there is no data.

        A batch is a pair, or a mapping as tokenizers and collators of transformers give: then it
        is the inputs, and what stands under "labels" the targets (None without).
        """
        if self.data is None:
            raise self._missing("data", "pass batch=(x, y) or loader=")
        device = next(iter(self.weights.values())).device
        for batch in self.data:
            if isinstance(batch, Mapping):
                inputs = _moved(batch, device)
                yield inputs, inputs.get("labels")
            elif isinstance(batch, tuple | list) and len(batch) == 2:
                yield _moved(batch[0], device), _moved(batch[1], device)
            else:
                raise UserError(
                    "a batch must be a pair (inputs, targets), or a mapping whose keys are the "
                    f"model's arguments, got {_kind(batch)}"
                )

    def outputs(self, inputs: Any) -> Any:
        """What the loss gets of a batch's inputs: that of ``network()``."""
        return self.network()(inputs)

    def network(self) -> nn.Module:
        """The model as a module of one argument, the inputs of a batch.

        ``forward(model, inputs)`` calls it, where given; else a mapping is passed by keyword, and
        all else as it is. Of an output with ``logits`` (a ``ModelOutput``) the loss gets these; the
        whole output only where the model's own loss is taken, as there is no loss_fn.
        """
        return _Network(self.model, self.forward, self.loss_fn is not None)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """loss_fn(outputs, targets); without one the loss that the model has computed itself.

        UserError if there is neither.
        """
        if self.loss_fn is not None:
            return self.loss_fn(outputs, targets)
        own = getattr(outputs, "loss", None)
        if isinstance(own, Tensor):
            return own
        raise self._missing("a loss", "pass loss_fn=, e.g. torch.nn.functional.cross_entropy")

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


class _Network(nn.Module):
    """A model that is called with the inputs of a batch, whatever they are."""

    def __init__(self, model: nn.Module, forward: Forward | None, to_logits: bool) -> None:
        super().__init__()
        self.training = model.training
        self.model = model
        self._call, self._to_logits = forward, to_logits

    def forward(self, inputs: Any) -> Any:
        if self._call is not None:
            outputs = self._call(self.model, inputs)
        elif isinstance(inputs, Mapping):
            outputs = self.model(**inputs)
        else:
            outputs = self.model(inputs)
        logits = getattr(outputs, "logits", None)
        return logits if self._to_logits and isinstance(logits, Tensor) else outputs


PREFIX = "model."
"""What stands before the names of the model's parameters in ``Subject.network()``."""

Criterion = Callable[..., Mapping[str, Tensor]]
"""A function of a `Subject`, with options by name: parameter name -> scores, larger = keep."""


def _moved(value: Any, device: torch.device) -> Any:
    known = dict(value) if isinstance(value, Mapping) else value  # whatever a tokenizer's class is
    return pytree.tree_map(lambda t: t.to(device) if isinstance(t, Tensor) else t, known)


def _kind(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"a {type(value).__name__}{size}"
