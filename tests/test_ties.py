"""Ties on the edge of a mask are told: how many, how many stay; nothing else is."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import winnow as wn
from winnow import TiedScores
from winnow.mask import Mask
from winnow.ties import tied


def told(scores: dict[str, Tensor], **how: object) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        wn.prune(scores, **how)  # type: ignore[arg-type]
    return [str(one.message) for one in found if one.category is TiedScores]


def zeros_and(ranked: int, zeros: int) -> Tensor:
    return torch.cat([torch.arange(1.0, ranked + 1), torch.zeros(zeros)])


def test_the_counts_are_those_of_the_edge() -> None:
    scores = {"a": zeros_and(10, 30), "b": zeros_and(0, 60)}
    (said,) = told(scores, density=0.25)
    assert said.startswith("90 of 100 scores are equal (0), and 15 of these weights stay")
    assert "batch norm whose weight starts at 0" in said


def test_a_mask_that_removes_no_more_than_the_ties_says_nothing() -> None:
    assert told({"a": zeros_and(10, 90)}, density=0.1) == []
    assert told({"a": zeros_and(10, 90)}, density=1.0) == []


def test_few_ties_and_ties_away_from_the_edge_say_nothing() -> None:
    scores = torch.arange(1000.0)
    scores[499] = scores[500]  # one pair of a thousand
    assert told({"a": scores}, density=0.5) == []
    scores[:400] = 0  # all of them go
    assert told({"a": scores}, density=0.5) == []


def test_each_layer_is_a_competition_of_its_own() -> None:
    scores = {"a": zeros_and(50, 50), "b": torch.ones(100)}
    (said,) = told(scores, density=0.5, scope="layer")  # of a none is cut, of b all
    assert said.startswith("100 of 200 scores are equal, and 50 of these weights stay")
    assert "batch norm" not in said


def test_what_went_before_does_not_compete() -> None:
    before = Mask({"a": zeros_and(10, 90) > 0})
    after = Mask({"a": zeros_and(10, 90) > 5})
    assert tied({"a": zeros_and(10, 90) * 0}, before, after, together=True).startswith("10 of 10 ")  # type: ignore[union-attr]
    assert tied({"a": zeros_and(10, 90)}, before, after, together=True) is None


class Block(nn.Module):
    """A residual block whose last batch norm starts at 0, as timm's and torchvision's may."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.last(self.second(F.relu(self.norm(self.first(x))))))


@pytest.mark.filterwarnings("ignore::winnow.LayerCollapse")
@pytest.mark.parametrize("criterion", ["snip", "grasp", "data-dependent", "obd"])
def test_zero_initialised_batch_norms_are_told(criterion: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Block(), Block(), nn.Flatten(), nn.Linear(144, 3))
    batch = torch.randn(12, 1, 8, 8), torch.randint(0, 3, (12,))
    given = {"batch": batch, "loss_fn": F.cross_entropy, "density": 0.6}
    with pytest.warns(TiedScores, match=r"576 of 1,044 scores are equal \(-?0\)"):
        mask = wn.prune_at_init(model, criterion, **given)  # type: ignore[arg-type]
    assert mask.kept == round(0.6 * mask.size)
    for block in (model[1], model[2]):
        nn.init.ones_(block.last.weight)  # the way out that the message names
    with warnings.catch_warnings():
        warnings.simplefilter("error", TiedScores)
        wn.prune_at_init(model, criterion, **given)  # type: ignore[arg-type]
