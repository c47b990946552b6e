"""Models that torchao has quantised are refused by name."""

from __future__ import annotations

import pytest
from torch import nn

import winnow as wn
from winnow.errors import UserError

pytest.importorskip("torchao", reason="needs winnow[real-models]")


@pytest.mark.filterwarnings("ignore")
def test_weights_that_torchao_has_quantised_are_refused() -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    quantize_(model, Int8WeightOnlyConfig(), lambda _, name: name == "0")
    with pytest.raises(UserError, match=r"0.weight is quantised \(\w+\): prune the model before"):
        wn.score(model, "magnitude")
    assert list(wn.score(model, "magnitude", params="2.weight")) == ["2.weight"]
