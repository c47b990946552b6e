"""Wanda and SparseGPT in comparisons, and comparisons in which the inputs of a unit compete."""

from __future__ import annotations

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy

import winnow as wn
from winnow.errors import UserError
from winnow.experiment.run_parts import AnyExamples
from winnow.experiment.runs import LEGACY, identity, load_run, plain_fields
from winnow.experiment.store.store import Store
from winnow.experiment.train.examples import examples
from winnow.experiment.train.job import make_job, make_network
from winnow.experiment.train.start import starting_state
from winnow.mask import Mask
from winnow.state import load_weights

SMALL = {
    "title": "small",
    "data": {"name": "digits", "validation": 100},
    "model": {"name": "lenet-300-100", "hidden": [12, 8]},
    "train": {
        "steps": "20it",
        "batch": 50,
        "optimizer": {"name": "momentum", "lr": 0.05},
        "evaluate": "10it",
    },
    "replicates": 1,
    "engine": "dense",
}
SIZES = {"hidden.0.weight": 768, "hidden.1.weight": 96, "output.weight": 80}


@pytest.fixture(scope="module", params=["global", "row"])
def compared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    gradual = {"name": "gradual", "every": "5it"}
    methods = ["random", "snip", "wanda", "sparsegpt", gradual, "imp"]
    compare = {"methods": methods, "densities": [0.5, 0.25], "scope": request.param}
    (folder / "some.yaml").write_text(yaml.safe_dump(SMALL | {"compare": compare}))
    outcome = wn.run(str(folder / "some.yaml"), store=folder / "runs", jobs=1)
    arms = [one if isinstance(one, str) else one["name"] for one in methods]
    stored = {one.folder.name: one for one in Store(folder / "runs").all()}
    return request.param, {(r.arm, r.round): stored[r.run] for r in outcome.results.rows}, arms


def test_counts_are_exact_and_rows_hold(compared):
    scope, found, methods = compared
    for arm in methods:
        for number, density in ((1, 0.5), (2, 0.25)):
            mask = found[arm, number].state("final").mask
            if scope == "row":
                for name, keep in mask.items():
                    row = SIZES[name] // len(keep)
                    assert (keep.sum(1) == round(density * row)).all(), (arm, name)
            else:
                assert mask.kept == round(density * 944), arm
                if arm in ("wanda", "sparsegpt"):
                    kept = mask.kept_per_layer
                    assert all(abs(kept[n] - density * size) < 1 for n, size in SIZES.items())


@pytest.mark.parametrize("arm", ["wanda", "sparsegpt"])
def test_they_start_from_the_dense_network_as_they_have_left_it(compared, arm):
    """By the public functions, from the stored weights of the dense network and its data."""
    scope, found, _ = compared
    dense = found["ticket", 0]
    run, mask = found[arm, 2].run, found[arm, 2].state("final").mask
    model = make_network(run)
    load_weights(model, dense.state("final"))
    seen = {"loader": examples(make_job(run), AnyExamples("all"), 0), "loss_fn": cross_entropy}
    how = {"density": 0.25, "scope": scope if scope == "row" else "uniform"}
    slow = wn.prune_trained(
        model.eval(), arm, **how, **seen, sequential=arm == "sparsegpt",
        seed=run.pruning.seed,
    )  # fmt: skip
    assert mask == slow
    begun = starting_state(run, lambda _: dense).weights
    for name, value in model.state_dict().items():
        kept = mask[name] if name in mask else torch.ones_like(value, dtype=torch.bool)
        assert torch.equal(begun[name] * kept, value)
    kept = mask["output.weight"]
    before = dense.state("final").weights["output.weight"][kept]
    moved = not torch.equal(begun["output.weight"][kept], before)
    assert moved == (arm == "sparsegpt")


def test_a_run_says_where_weights_compete_only_where_that_is_new(compared):
    scope, found, _ = compared
    run = found["snip", 1].run
    assert run.pruning.grain == ("row" if scope == "row" else None)
    assert LEGACY["pruning.grain"] is None
    plain = plain_fields(run)
    assert load_run(plain) == run
    del plain["pruning"]["grain"]
    assert (identity(plain, LEGACY) == run.id) == (scope == "global")


def test_patterns_in_comparisons_are_at_their_density(tmp_path):
    rigl = {"name": "rigl", "pattern": "1:4", "every": "5it", "ignore": ["output"]}
    compare = {"methods": [rigl, "snip"], "densities": [0.5]}
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"compare": compare}))
    with pytest.raises(UserError, match=r"rigl: density is .*, and pattern 1:4 keeps 0\.25"):
        wn.run(str(path), store=tmp_path / "runs", jobs=1)
    rigl = {"name": "rigl", "pattern": "2:4", "every": "5it", "ignore": []}
    path.write_text(yaml.safe_dump(SMALL | {"compare": compare | {"methods": [rigl]}}))
    wn.run(str(path), store=tmp_path / "runs", jobs=1)
    (one,) = [one for one in Store(tmp_path / "runs").all() if one.run.dynamic]
    mask = one.state("final").mask
    assert isinstance(mask, Mask)
    assert all((keep.reshape(-1, 4).sum(1) == 2).all() for keep in mask.values())
