"""Iterative pruning in rows, N:M and blocks: every round's counts, and nothing that returns."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import winnow as wn
from winnow.errors import UserError


def make_model() -> nn.Module:
    return nn.Sequential(
        nn.ConvTranspose1d(4, 8, 2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 12), nn.Linear(12, 4)
    )


def train(model: nn.Module, attach: Any) -> None:
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    attach(opt)
    x = torch.randn(20, 4, 3)
    for _ in range(3):
        opt.zero_grad()
        F.cross_entropy(model(x), x[:, :, 0].argmax(1)).backward()  # type: ignore[no-untyped-call]
        opt.step()


def rounds(**how: Any) -> list[wn.Mask]:
    """The masks of all rounds, with what never returns checked."""
    masks: list[wn.Mask] = []
    wn.imp(make_model, train, on_round=lambda ticket: masks.append(ticket.mask), **how)
    for before, after in itertools.pairwise(masks):
        assert (before & after) == after
    return masks


def units(mask: wn.Mask) -> list[torch.Tensor]:
    """(outputs, inputs) of each layer; the first is stored (inputs, outputs, taps)."""
    return [mask["0.weight"].transpose(0, 1).reshape(8, 8), mask["3.weight"], mask["4.weight"]]


def test_rows_lose_the_rate_of_what_they_have() -> None:
    masks = rounds(scope="row", rate=0.4, rounds=3)
    kept = [8, 32, 12]
    for mask in masks:
        for matrix, count in zip(units(mask), kept, strict=True):
            assert (matrix.sum(1) == count).all()
        kept = [n - round(0.4 * n) for n in kept]
    assert len(masks) == 4
    other = rounds(scope="row", rate=0.4, rounds=1, rates={"output": 0.25})
    assert [int(m.sum(1)[0]) for m in units(other[1])] == [5, 19, 9]


def test_patterns_are_reached_step_by_step() -> None:
    masks = rounds(pattern="1:4", rate=0.3)
    counts = [{int(n) for m in units(mask) for n in m.reshape(-1, 4).sum(1)} for mask in masks]
    assert counts == [{4}, {3}, {2}, {1}]  # 4 − round(1.2), 3 − round(0.9), 2 − one at least
    assert len(rounds(pattern="2:4", rate=0.9)) == 2
    assert len(rounds(pattern="1:4", rate=0.3, rounds=2)) == 3


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_blocks_go_together(scope: str) -> None:
    masks = rounds(block=(2, 4), scope=scope, rate=0.25, rounds=2, least=9)
    left = 8 + 48 + 6
    for mask in masks:
        whole = []
        for matrix in units(mask):
            parts = matrix.reshape(len(matrix) // 2, 2, -1, 4)
            assert torch.equal(parts.all(3).all(1), parts.any(3).any(1))
            whole.append(int(parts.all(3).all(1).sum()))
        assert min(whole) >= 2, "9 weights are two blocks of 8"
        if scope == "global":
            assert sum(whole) == left
        left -= round(0.25 * left)


def test_scores_decide_within_each_group() -> None:
    masks: list[wn.Mask] = []
    trained: dict[str, torch.Tensor] = {}

    def seen(ticket: wn.Ticket) -> None:
        masks.append(ticket.mask)
        if len(masks) == 1:
            trained.update(ticket.final or {})

    wn.imp(make_model, train, pattern="2:4", rate=0.5, on_round=seen)
    weight = trained["3.weight"].abs().reshape(-1, 4)
    best = weight.topk(2, dim=1).indices.sort(dim=1).values
    kept = masks[1]["3.weight"].reshape(-1, 4).nonzero()[:, 1].reshape(-1, 2)
    assert torch.equal(kept, best)


def test_a_criterions_own_scope() -> None:
    x = torch.randn(20, 4, 3)
    masks = rounds(criterion="wanda", batch=(x, None), rate=0.5, rounds=1)
    assert [m.sum(1).unique().tolist() for m in units(masks[1])] == [[4], [16], [6]]


def test_a_ticket_says_how_it_was_found() -> None:
    ticket = wn.imp(make_model, train, pattern="2:4", rate=0.5)
    assert ticket.provenance["pattern"] == "2:4"
    assert "block" not in ticket.provenance
    assert wn.imp(make_model, train, block=(2, 2), rounds=1).provenance["block"] == [2, 2]
    assert "pattern" not in wn.imp(make_model, train, rounds=1).provenance


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"pattern": "2:5"}, "no multiple of 5"),
        ({"pattern": "2:4", "rates": {"output": 0.1}}, "leave rates out"),
        ({"pattern": "2:4", "rounds": -1}, "rounds is -1"),
        ({"pattern": "2:4", "rate": 1.5}, "rate is 1"),
        ({"block": (3, 1)}, "do not fill"),
        ({"scope": "row", "rate": 0.9, "rounds": 3, "least": 20}, "least is 20"),
        ({"scope": "erk"}, "unknown scope 'erk'"),
    ],
)
def test_bad_arguments(how: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        wn.imp(make_model, train, **how)
