"""Losses that no weight has a part in are refused; weights that have none score 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow.errors import UserError

GRADIENTS = ("snip", "grasp", "mlprune", "obd", "data-dependent", "synflow")


class Body(nn.Module):
    def __init__(self, recurrent: bool = False) -> None:
        super().__init__()
        self.body = nn.GRU(4, 5, batch_first=True) if recurrent else nn.Linear(4, 5)
        self.head = nn.Linear(5, 3)

    def whole(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        if isinstance(self.body, nn.GRU):
            return self.body(x[:, None])[0][:, -1]
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x)


class NoGrad(Body):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x)


class Inference(Body):
    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            out = self.whole(x)
        return out.clone()


class Detached(Body):
    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x).detach()


class OtherParts(Body):
    """The loss depends on a scale that nobody scores, and on none of the weights."""

    def __init__(self, recurrent: bool = False) -> None:
        super().__init__(recurrent)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(x).detach() * self.scale


@pytest.mark.parametrize("criterion", GRADIENTS)
@pytest.mark.parametrize("recurrent", [False, True], ids=["linear", "recurrent"])
@pytest.mark.parametrize("kind", [NoGrad, Inference, Detached, OtherParts])
def test_no_gradient_at_all(kind: type[Body], recurrent: bool, criterion: str) -> None:
    if recurrent and criterion == "mlprune":
        return
    batch = torch.randn(6, 4), torch.arange(6) % 3
    with pytest.raises(UserError, match=r"does not depend on any parameter.*no_grad"):
        wn.score(kind(recurrent), criterion, batch=batch, loss_fn=F.cross_entropy)


@pytest.mark.parametrize("criterion", GRADIENTS[:-1])
@pytest.mark.parametrize(
    "loss_fn",
    [
        lambda out, y: F.cross_entropy(out.detach(), y),
        lambda out, y: F.cross_entropy(out.detach() * nn.Parameter(torch.ones(())), y),
    ],
    ids=["detached", "of another parameter"],
)
def test_a_loss_without_gradient(loss_fn: Callable[..., Tensor], criterion: str) -> None:
    batch = torch.randn(6, 4), torch.arange(6) % 3
    with pytest.raises(UserError, match="does not depend on any parameter"):
        wn.score(Body(), criterion, batch=batch, loss_fn=loss_fn)


class Spare(Body):
    """A layer that nothing uses, and one whose output is cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.spare, self.cut = nn.Linear(2, 2), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x) + self.cut(x).detach()))


@pytest.mark.parametrize("criterion", GRADIENTS)
def test_some_without_gradient_score_0(criterion: str) -> None:
    torch.manual_seed(0)
    model, given = Spare(), {"batch": (torch.randn(6, 4), torch.arange(6) % 3)}
    more: dict[str, Any] = {} if criterion == "synflow" else {"loss_fn": F.cross_entropy}
    scores = wn.score(model, criterion, **given, **more)  # type: ignore[arg-type]
    assert {n for n, s in scores.items() if s.any()} == {"body.weight", "head.weight"}
    with pytest.raises(UserError, match="does not depend on any parameter"):
        wn.score(model, criterion, params=["cut.weight", "spare.weight"], **given, **more)  # type: ignore[arg-type]


def test_parameters_of_a_loss_keep_their_gradients() -> None:
    """Only the model's are put back by wn.score: others must not be written to."""
    scale = nn.Parameter(torch.ones(()))
    scale.grad = torch.ones(())
    for criterion in GRADIENTS[:-1]:
        batch = torch.randn(6, 4), torch.arange(6) % 3
        wn.score(Body(), criterion, batch=batch, loss_fn=lambda o, y: F.cross_entropy(o * scale, y))
        assert scale.grad is not None
        assert scale.grad.item() == 1
