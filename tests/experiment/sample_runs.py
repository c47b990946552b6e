"""A dense run and a pruning, for tests that need any."""

from __future__ import annotations

from winnow.experiment.run_parts import RunData, RunInit, RunModel, RunSchedule
from winnow.experiment.runs import Pruning, Run, Start

RUN = Run(
    data=RunData("digits", "c", validation=200, augment="none"),
    model=RunModel("lenet-300-100", RunInit("glorot-normal", None), None, 1.0, 0.0),
    begin=0,
    end=500,
    steps=500,
    batch=60,
    last_batch="keep",
    optimizer={"name": "adam", "lr": 1.2e-3, "betas": [0.9, 0.999]},
    schedule=RunSchedule("constant", (), None, 0),
    clip=None,
    evaluate=20,
    seeds={"init": 0, "order": 0},
    draw=0,
    start=Start("init"),
    pruning=None,
    engine="auto",
)
PRUNING = Pruning("a" * 64, "magnitude", {}, ("w",), {"w": 3}, 0)
