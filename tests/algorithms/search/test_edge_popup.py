"""Where edge-popup starts: as Kaiming uniform, each layer with its density."""

from __future__ import annotations

import math

import pytest
import torch
from search_jobs import ALL, begun

from winnow.reparametrisation import SCORES


def test_edge_popup_starts_as_kaiming_uniform_and_keeps_each_layers_density() -> None:
    job, state = begun("edge-popup", density=0.3)
    assert job.search is not None
    assert job.search.absolute
    assert job.search.keep == {name: round(0.3 * state.weights[name].numel()) for name in ALL}
    for name in ALL:
        scores, fan_in = state.extras[SCORES][name], state.weights[name].shape[1]
        theirs = torch.empty_like(scores)
        torch.nn.init.kaiming_uniform_(
            theirs, a=math.sqrt(5), generator=torch.Generator().manual_seed(0)
        )
        bound = 1 / math.sqrt(fan_in)
        assert 0.9 * bound < scores.abs().max() <= bound
        assert scores.std().item() == pytest.approx(theirs.std().item(), rel=0.25)
