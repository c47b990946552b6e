"""What holds for every dynamic method: names, options, declarations, extreme layers."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from dynamic_jobs import ALL, SHAPES, masks, moment, tensors, under

from winnow.algorithms.dynamic import DYNAMIC_METHODS, dynamic_defaults, make_dynamic
from winnow.errors import UserError
from winnow.experiment.runs import LEGACY
from winnow.mask import Mask


@pytest.mark.parametrize("name", [name for name in ALL if name != "gradual"])
def test_full_and_empty_layers(name):
    weights = tensors(0, SHAPES) | {"none": torch.zeros(0, 3)}
    shapes = {n: tuple(w.shape) for n, w in weights.items()}
    mask = masks(0, shapes, 0.5)
    mask["a"][:], mask["c"][:] = True, False
    method = make_dynamic(name, 0.5)
    memory = method.memory(weights, Mask(mask), 0)
    weights = under(mask, weights)
    more = {"gradient": lambda: tensors(1, shapes), "momentum": lambda: tensors(1, shapes)}
    change = method.update(moment(weights, mask, memory=memory, **more))
    if change is None:
        return
    counts = {n: int(k.sum()) for n, k in mask.items()}
    new = {n: int(k.sum()) for n, k in change.mask.items()}
    if name in ("set", "rigl", "deep-r"):
        assert new == counts
    else:
        assert sum(new.values()) == sum(counts.values())


def test_names_and_options():
    assert list(DYNAMIC_METHODS) == ["gradual", "set", "deep-r", "dsr", "snfs", "rigl"]
    with pytest.raises(UserError, match=r"unknown dynamic method 'rig1'\. Did you mean 'rigl'"):
        make_dynamic("rig1", 0.1)
    with pytest.raises(UserError, match=r"unknown option of rigl: 'evry'\. Did you mean 'every'"):
        make_dynamic("rigl", 0.1, evry="1it")
    with pytest.raises(UserError, match=r"rigl: drop is 1\.5"):
        make_dynamic("rigl", 0.1, drop=1.5)
    with pytest.raises(UserError, match="set: unknown decay 'cosin'"):
        make_dynamic("set", 0.1, decay="cosin")
    with pytest.raises(UserError, match="dsr: threshold is 0"):
        make_dynamic("dsr", 0.1, threshold=0)
    with pytest.raises(UserError, match="deep-r: l1 is -1"):
        make_dynamic("deep-r", 0.1, l1=-1)
    with pytest.raises(UserError, match="scope is 'row'"):
        make_dynamic("deep-r", 0.1, scope="row")
    assert replace(make_dynamic("rigl", 0.1), distribution="uniform").protects == ("first",)


USUAL = {"begin": "0it", "end": None}
RECORDED = {  # names and defaults are part of the identity of runs
    "gradual": {"every": "100it", "initial": 1.0, "scope": "uniform"},
    "set": {"every": "1ep", "drop": 0.3, "decay": "constant", "distribution": "er"},
    "deep-r": {"every": "1it", "l1": 1e-5, "noise": 1e-5, "temperature": None, "scope": "layer",
               "distribution": "er", "epsilon": 1e-12},
    "dsr": {"every": "100it", "threshold": 1e-3, "replaced": 0.1, "distribution": "uniform"},
    "snfs": {"every": "1ep", "drop": 0.5, "decay": "cosine", "distribution": "uniform"},
    "rigl": {"every": "100it", "drop": 0.3, "decay": "cosine", "distribution": "erk"},
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_the_options_that_runs_record(name):
    recorded = asdict(make_dynamic(name, 0.3))
    assert recorded.pop("density") == 0.3
    later = dict.fromkeys(("pattern", "block")) if name in ("gradual", "set", "rigl") else {}
    assert recorded == dynamic_defaults(name) == {**USUAL, **RECORDED[name], **later}
    assert all(LEGACY[f"dynamic.options.{option}"] is None for option in later)


def declared(trait):
    return {name: getattr(method, trait) for name, method in DYNAMIC_METHODS.items()}


def test_what_each_method_declares():
    assert {n for n, when in declared("when").items() if when == "instead"} == {"rigl"}
    assert {n for n, dense in declared("dense_slots").items() if dense} == {"snfs"}
    assert {n for n, dense in declared("starts_dense").items() if dense} == {"gradual"}
    assert {n for n, scoped in declared("scoped").items() if scoped} == {"gradual"}
    protects = {name: make_dynamic(name, 0.1).protects for name in ALL}
    assert {n: p for n, p in protects.items() if p} == {
        "set": ("output",),
        "dsr": ("first", "output"),
    }


@pytest.mark.parametrize("name", ALL)
def test_updates_end_where_the_original_ends_them(name):
    ends = {"gradual": 750, "set": 1000, "deep-r": 1001, "dsr": 950, "snfs": 1000, "rigl": 750}
    assert make_dynamic(name, 0.1).timing(1000, 10).end == ends[name]
    assert make_dynamic(name, 0.1, end="300it").timing(1000, 10).end == 300


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("density", [0.11, 0.5, 1.0])
def test_what_a_method_keeps_is_known_from_shapes(name, density):
    weights = tensors(0, SHAPES)
    method = make_dynamic(name, density)
    whole = sum(weight.numel() for weight in weights.values())
    assert method.keeps(SHAPES) == round(density * whole)
    if name != "gradual":
        assert method.start(weights, 0).kept == round(density * whole)


def test_gradual_pruning_keeps_what_its_scope_keeps():
    shapes = {"a": (5, 5), "b": (5, 3)}
    assert make_dynamic("gradual", 0.3, scope="global").keeps(shapes) == 12
    assert make_dynamic("gradual", 0.3, scope="layer").keeps(shapes) == 8 + 4
    assert make_dynamic("gradual", 0.1, scope="layer").keeps(shapes) == 2 + 2  # halves to even


def test_densities_out_of_reach_are_known_from_shapes():
    with pytest.raises(UserError, match="needs 1 in each layer"):
        make_dynamic("dsr", 0.02).keeps({"a": (30, 10), "b": (3, 3)})
    assert make_dynamic("snfs", 0.02).keeps({"a": (30, 10), "b": (3, 3)}) == 6
    with pytest.raises(UserError, match="keeps none of 30 weights"):
        make_dynamic("set", 0.01).keeps({"a": (3, 10)})


@pytest.mark.parametrize("name", [name for name in ALL if name != "gradual"])
def test_every_method_that_rewires_knows_its_distributions(name):
    with pytest.raises(UserError, match=rf"{name}: unknown distribution 'erkk'"):
        make_dynamic(name, 0.1, distribution="erkk")


@pytest.mark.parametrize(
    ("name", "option"), [("set", "drop"), ("snfs", "drop"), ("dsr", "replaced")]
)
def test_fractions_are_numbers_from_0_to_1(name, option):
    for fraction in (0, 1, 0.5):
        assert asdict(make_dynamic(name, 0.1, **{option: fraction}))[option] == fraction
    for fraction in (-0.1, 1.1, True, "0.3", None):
        with pytest.raises(UserError, match=f"{name}: {option} is {fraction!r}: give a number"):
            make_dynamic(name, 0.1, **{option: fraction})
