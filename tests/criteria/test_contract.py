"""One contract for all criteria: what batches may be, how networks are called, what losses get."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow.criteria import CRITERIA
from winnow.errors import UserError

WITH_DATA = [name for name in CRITERIA if name not in ("magnitude", "random", "synflow")]


@dataclass
class Output:
    """As the outputs of transformers: logits, and the loss if there were labels."""

    logits: Tensor
    loss: Tensor | None = None


class Keywords(nn.Module):
    """A network of named inputs that computes its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))

    def forward(self, x: Tensor, scale: Tensor, labels: Tensor | None = None) -> Output:
        logits = self.body(x * scale)
        return Output(logits, None if labels is None else F.cross_entropy(logits, labels))


class Pair(nn.Module):
    """The same network of one input."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def examples() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    x, labels = torch.randn(12, 5, generator=g), torch.randint(0, 3, (12,), generator=g)
    return x, torch.rand(12, 1, generator=g) + 0.5, labels


def close(a: wn.Scores, b: wn.Scores) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-9)
        assert a[name].any()


def both(criterion: str, **given: object) -> wn.Scores:
    torch.manual_seed(1)
    model = Keywords()
    generator = torch.Generator().manual_seed(3)
    return wn.score(model, criterion, generator=generator, **given)  # type: ignore[arg-type]


def expected(criterion: str, **options: object) -> wn.Scores:
    """By the network of one input, on pairs."""
    torch.manual_seed(1)
    model, (x, scale, labels) = Pair(Keywords().body), examples()
    generator = torch.Generator().manual_seed(3)
    return wn.score(
        model, criterion, batch=(x * scale, labels), loss_fn=F.cross_entropy,
        generator=generator, **options,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize("criterion", WITH_DATA)
def test_a_mapping_is_passed_by_keyword_and_the_loss_gets_the_logits(criterion: str) -> None:
    x, scale, labels = examples()
    batch = {"x": x, "scale": scale, "labels": labels}
    want = expected(criterion)
    close(both(criterion, batch=batch, loss_fn=F.cross_entropy), want)
    close(both(criterion, loader=[UserDict(batch)], loss_fn=F.cross_entropy), want)


@pytest.mark.parametrize("criterion", WITH_DATA)
def test_without_a_loss_the_models_own_is_taken(criterion: str) -> None:
    x, scale, labels = examples()
    options = {"temperature": 1} if criterion == "grasp" else {}
    batch = {"x": x, "scale": scale, "labels": labels}
    close(both(criterion, batch=batch, **options), expected(criterion, **options))


@pytest.mark.parametrize("criterion", WITH_DATA)
def test_forward_calls_what_takes_more_than_one_input(criterion: str) -> None:
    x, scale, labels = examples()
    found = both(
        criterion,
        batch=((x, scale), labels),
        loss_fn=F.cross_entropy,
        forward=lambda model, inputs: model(*inputs).logits,
    )
    close(found, expected(criterion))


def test_grasp_cannot_divide_logits_that_the_model_keeps() -> None:
    x, scale, labels = examples()
    with pytest.raises(UserError, match=r"divides the logits by 200.*returns a Output.*temperatur"):
        both("grasp", batch={"x": x, "scale": scale, "labels": labels})


def test_without_any_loss_it_is_asked_for() -> None:
    x, scale, _ = examples()
    with pytest.raises(UserError, match=r"criterion 'snip' needs a loss: pass loss_fn="):
        both("snip", batch={"x": x, "scale": scale})


def test_neither_pair_nor_mapping() -> None:
    with pytest.raises(UserError, match=r"or a mapping whose keys are the model's arguments"):
        both("snip", batch=examples(), loss_fn=F.cross_entropy)


class Tokens(nn.Module):
    """A network of token ids, or of what their embedding gives."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 2, bias=False)

    def forward(self, ids: Tensor | None = None, embedded: Tensor | None = None) -> Tensor:
        hidden = self.embedding(ids) if embedded is None else embedded
        return self.head(hidden).sum(1)


@pytest.mark.filterwarnings("ignore::winnow.LowCoverage")
def test_synflow_of_tokens_is_fed_behind_the_embedding() -> None:
    model = Tokens()
    with pytest.raises(UserError, match=r"its inputs are torch.int64.*inputs_embeds=ones"):
        wn.score(model, "synflow", batch=(torch.zeros(2, 3, dtype=torch.long), None))
    scores = wn.score(
        model,
        "synflow",
        input_shape=(3, 4),
        forward=lambda network, ones: network(embedded=ones),
    )
    torch.testing.assert_close(scores["head.weight"], 3 * model.head.weight.detach().abs())


def test_rounds_and_replays_take_mappings() -> None:
    """GraSP goes over several batches twice; rounds score again."""
    x, scale, labels = examples()
    loader = [
        {"x": x[part], "scale": scale[part], "labels": labels[part]}
        for part in (slice(0, 6), slice(6, 12))
    ]
    torch.manual_seed(1)
    model = Keywords()
    mask = wn.prune_at_init(
        model, "grasp", density=0.5, rounds=2, loader=loader, loss_fn=F.cross_entropy
    )
    assert mask.kept == round(0.5 * 48)
