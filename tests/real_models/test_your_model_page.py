"""The blocks of ``docs/your-model.md`` that need transformers, run as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs/your-model.md"

transformers = pytest.importorskip(
    "transformers", reason="needs transformers, of the extra real-models"
)


def test_a_gpt2_at_two_of_four() -> None:
    text = PAGE.read_text("utf-8")
    blocks = text.split("```py\n")[1:]
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        for block in blocks:
            code, _, _ = block.partition("```")
            exec(compile(code, str(PAGE), "exec"), names)
    model, mask = names["gpt2"], names["mask"]
    assert len(mask) == 8
    assert set(mask.densities.values()) == {0.5}
    for name in mask:
        kept = mask[name].T.reshape(mask[name].shape[1], -1, 4)
        assert (kept.sum(2) == 2).all()

    def loss(state: Any) -> float:
        model.load_state_dict(state)
        with torch.no_grad():
            losses = [model.eval()(**b, labels=b["input_ids"]).loss for b in names["batches"]]
        return float(torch.stack(losses).mean())

    after, before = loss(model.state_dict()), loss(names["dense"])
    assert before < 3, "it has learnt something: ln(100) is 4.6"
    assert after < before + 0.5
