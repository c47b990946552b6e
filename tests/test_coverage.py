"""Coverage: shares by hand, reasons by name, a warning under one half, nothing on a choice."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from scored_networks import Tied
from torch import nn

import winnow as wn
from winnow import LowCoverage, Mask
from winnow.coverage import coverage, coverage_of


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.Parameter(torch.randn(3, 4, 5))
        self.scale = nn.Parameter(torch.ones(9))


def test_shares_and_reasons() -> None:
    model = nn.ModuleDict({"own": Own(), "fc": nn.Linear(4, 5), "norm": nn.BatchNorm1d(4)})
    found = coverage(model)
    assert (found.competing, found.weights, found.share) == (20, 80, 0.25)
    (left,) = found.left_out
    assert (left.name, left.size) == ("own.experts", 60)
    assert left.why == "parameter of Own, a layer of its own"
    assert str(found).splitlines() == [
        "20 of the model's 80 weights compete (25 %)",
        "  left out: own.experts (60, parameter of Own, a layer of its own)",
    ]


def test_a_tied_embedding_counts_once_and_is_named_so() -> None:
    found = coverage(Tied())
    assert (found.competing, found.weights) == (16, 44)
    assert [(one.name, one.why) for one in found.left_out] == [
        ("embedding.weight", "embedding and its tied output layer")
    ]
    assert coverage(Tied(), "head.weight").competing == 28


def test_what_was_left_out_by_choice_says_so_and_biases_count_where_they_compete() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    found = coverage_of(model, ["0.weight", "0.bias"])
    assert (found.competing, found.weights) == (16, 24)
    assert [(one.name, one.why) for one in found.left_out] == [("1.weight", "chosen so")]


def test_a_model_without_weights_is_covered() -> None:
    assert coverage_of(nn.BatchNorm1d(3), []).share == 1


def low(model: nn.Module, **given: object) -> list[str]:
    """What is said while a model is scored."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        wn.score(model, "magnitude", **given)  # type: ignore[arg-type]
    return [str(one.message) for one in told if one.category is LowCoverage]


def test_under_one_half_warns_with_names_unless_it_was_chosen() -> None:
    (said,) = low(Tied())
    assert said.startswith("only 36.4 % of the model's 44 weights compete. Left out: embedding.wei")
    assert low(Tied(), params="inner.weight") == []
    assert low(nn.Linear(3, 3)) == []


@pytest.mark.filterwarnings("error")
def test_rounds_warn_once() -> None:
    with pytest.warns(LowCoverage) as told:
        wn.prune_at_init(Tied(), "magnitude", density=0.5, rounds=3)
    assert len(told) == 1
    assert told[0].filename == __file__


@pytest.mark.filterwarnings("ignore::winnow.LowCoverage")
def test_scores_know_their_coverage_also_when_they_are_copied() -> None:
    scores = wn.score(Tied(), "magnitude")
    assert scores.coverage == coverage(Tied())
    assert pickle.loads(pickle.dumps(scores)).coverage == scores.coverage


def test_a_mask_reports_its_layers_and_what_it_is_not_of() -> None:
    mask = Mask({"inner.weight": torch.eye(4).bool()})
    assert mask.report(Tied()).splitlines() == [
        "4 of 16 weights kept (density 0.25); the mask is of 36.4 % of the model's 44 weights",
        "  inner.weight               4x4             4 kept      25 %",
        "  embedding.weight           7x4            28 not in the mask (Embedding)",
    ]
    with pytest.raises(ValueError, match="the mask is for another network"):
        mask.report(nn.Linear(4, 4))


def test_a_search_warns_too() -> None:
    batch = (torch.randint(0, 7, (4, 3)), torch.randint(0, 7, (4,)))
    with pytest.warns(LowCoverage, match="only 36.4 %"):
        wn.search(
            Tied(), "edge-popup", density=0.5, loader=[batch], loss_fn=F.cross_entropy, steps="1it"
        )


@pytest.mark.filterwarnings("error")
def test_rounds_and_methods_that_change_masks_warn_and_know_their_coverage() -> None:
    def train(model: nn.Module, attach: Callable[[torch.optim.Optimizer], object]) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        attach(optimizer)
        model(torch.zeros(1, 3, dtype=torch.long)).sum().backward()
        optimizer.step()

    with pytest.warns(LowCoverage, match="only 36.4 %") as told:
        ticket = wn.imp(Tied, train, rate=0.5, rounds=1)
    assert (len(told), told[0].filename) == (1, __file__)
    assert ticket.provenance["coverage"] == 16 / 44
    model = Tied()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(LowCoverage, match="only 36.4 %") as told:
        sparse = wn.dynamic(
            model, "set", optimizer=optimizer, density=0.5, steps="10it", every="1it", ignore=[]
        )
    assert (len(told), told[0].filename) == (1, __file__)
    assert (sparse.coverage.competing, sparse.coverage.weights) == (16, 44)
