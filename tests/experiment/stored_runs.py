"""A finished run with a state, and how it is put into a store."""

from __future__ import annotations

import torch
from sample_runs import RUN

from winnow.experiment.runs import Record
from winnow.experiment.store.store import Result
from winnow.mask import Mask, to_bytes
from winnow.state import State, masked
from winnow.statefile import pack_state

RESULT = Result(
    status="done",
    diverged_at=None,
    curve={"steps": [0, 20], "validation_loss": [2.5, 1 / 3], "validation_accuracy": [0.1, 0.9]},
    stop_iteration=20,
    stop_censored=True,
    stop_validation_loss=1 / 3,
    stop={"test": 0.9},
    final={"test": 0.91},
    accuracy_at={"10": 0.5},
    kept={"w": 3},
    seconds=1.25,
)


def state(seed=0, slots=True):
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(4, 5, generator=generator)
    mask = Mask({"a.w": torch.rand(4, 5, generator=generator) < 0.4})
    inner = {"exp_avg": {"a.w": w * 2, "b": torch.ones(3)}} if slots else {}
    return masked(
        State(7, {"a.w": w, "b": torch.arange(3.0)}, {"n": torch.tensor(5)}, mask, inner, 7)
    )


def put(store, run=RUN, record=Record(), result=RESULT):  # noqa: B008 - frozen
    files = {"final.safetensors": to_bytes("state", *pack_state(state()))}
    store.write(run, record, result, files, {"recipe_name": "x"})
