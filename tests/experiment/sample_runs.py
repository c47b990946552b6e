"""A dense run and a pruning, for tests that need any."""

from __future__ import annotations

from winnow.experiment.runs import Pruning, Run, Start

RUN = Run(
    data={"name": "digits", "content": "c", "validation": 200, "augment": "none"},
    model={"name": "lenet-300-100", "init": {"name": "glorot-normal", "std": None}},
    begin=0,
    end=500,
    steps=500,
    batch=60,
    last_batch="keep",
    optimizer={"name": "adam", "lr": 1.2e-3, "betas": [0.9, 0.999]},
    schedule={"name": "constant", "drops": [], "factor": None, "warmup": 0},
    clip=None,
    evaluate=20,
    seeds={"init": 0, "order": 0},
    draw=0,
    start=Start("init"),
    pruning=None,
    engine="auto",
)
PRUNING = Pruning("a" * 64, "magnitude", {}, ("w",), {"w": 3}, 0)
