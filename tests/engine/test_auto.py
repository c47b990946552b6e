"""The choice of auto: a function of calibration and counts, sensible and monotone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conformance import lenet, make_job, training_data
from hypothesis import given
from hypothesis import strategies as st
from synthetic_calibration import LAYERS, calibration

from winnow.engine.auto import (
    LONG,
    MARGIN,
    Auto,
    Choice,
    density_of_work,
    engine_of,
    explicit,
    honoured,
    stacks_pay,
)
from winnow.engine.auto import seconds as predicted
from winnow.engine.calibration import Cost, Layer, Other, Rung
from winnow.errors import UserError
from winnow.kernels.simd import W

LINE = calibration((1.0, 2.0), (0.5, 1.1), (0.1, 0.38), (0.02, 0.236))  # 0.2 + 1.8 density
SHARES = st.lists(st.floats(0.01, 4.0), min_size=4, max_size=4)
COUNTS = st.tuples(st.integers(0, 800), st.integers(0, 200))


def counts(a, b):
    return {"a.weight": a, "b.weight": b}


def uniform(density):
    return {name: density * layer.weights for name, layer in LAYERS.items()}


@pytest.mark.parametrize(
    ("density", "engine"), [(1.0, "dense"), (0.45, "dense"), (0.4, "sparse"), (0.001, "sparse")]
)
def test_sparse_from_where_it_is_five_percent_faster(density, engine):
    assert abs((0.2 + 1.8 * 0.42) * MARGIN - 1) < 0.01  # break-even lies between the cases
    assert Auto(LINE).choose(uniform(density)).engine == engine


def test_a_dense_network_and_layers_without_mask_count_as_full():
    assert density_of_work(LINE, {}) == 1.0
    assert density_of_work(LINE, {"a.weight": 0}) == 0.5  # b's weights are used four times
    assert Auto(LINE).choose({}) == Auto(LINE).choose(counts(800, 200))


def test_the_choice_says_where_it_comes_from():
    choice = Auto(LINE).choose(uniform(0.1))
    assert choice == Choice("sparse", (), 8, LINE.hash)
    assert Choice.load(choice.dump()) == choice
    assert Auto(LINE).choose({}) == Choice("dense", calibration=LINE.hash)
    assert Auto.load(Auto(LINE).dump()) == Auto(LINE)
    assert Auto.load(Auto(reason="no").dump()).choose({}) == Choice("dense", note="no")
    assert explicit("dense") == Choice("dense")
    assert explicit("sparse") == Choice("sparse", lanes=W)
    assert explicit("stacked") == Choice("stacked", width=1, place=0)
    assert explicit("stacked", 5, 3) == Choice("stacked", width=5, place=3)
    assert Choice.load(explicit("stacked", 5, 3).dump()) == explicit("stacked", 5, 3)
    assert "width" not in explicit("dense").dump()


@given(SHARES, COUNTS, COUNTS, st.floats(0, 500))
def test_a_sparser_mask_never_goes_back_to_dense(shares, one, other, images):
    """Whatever the noise of a calibration."""
    auto = Auto(calibration(*zip((1.0, 0.5, 0.1, 0.02), shares, strict=True)))
    fewer = counts(*map(min, zip(one, other, strict=True)))
    more = counts(*map(max, zip(one, other, strict=True)))
    if auto.choose(more, images).engine == "sparse":
        assert auto.choose(fewer, images).engine == "sparse"


@given(SHARES, COUNTS)
def test_sparse_is_taken_only_where_it_is_predicted_faster(shares, kept):
    found = calibration(*zip((1.0, 0.5, 0.1, 0.02), shares, strict=True))
    choice = Auto(found).choose(counts(*kept))
    times = {name: predicted(found, name, counts(*kept)) for name in ("dense", "sparse")}
    assert (choice.engine == "sparse") == (times["sparse"] * MARGIN <= times["dense"])


def test_evaluation_counts_in_its_share():
    """Steps for which sparse is faster, with an evaluation for which it is slower."""
    slow = calibration((1.0, 0.5), (0.02, 0.1), images=(1e-6, 3e-6))
    assert Auto(slow).choose({}).engine == "sparse"
    assert Auto(slow).choose({}, images=100).engine == "sparse"  # (0.5 + 0.3) / (1 + 0.1)
    assert Auto(slow).choose({}, images=300).engine == "dense"  # (0.5 + 0.9) / (1 + 0.3)


# Engines whose cost is the same at every density


def knowing(opening, step, **others):
    """`LINE`, in steps of 100 ms, with a compiled engine."""
    rungs = tuple(
        replace(r, dense=Cost(0.1, 0.0), sparse=Cost(100 * r.sparse.step, 0.0)) for r in LINE.rungs
    )
    compiled = Other(opening, Cost(step, 0.0))
    return replace(LINE, rungs=rungs, others={"compiled": compiled, **others})


def chosen(costs, density, iterations):
    return Auto(costs).choose(uniform(density), iterations=iterations).engine


def test_compiled_is_taken_where_it_saves_more_than_its_compiler_takes():
    costs = knowing(40.0, 0.06)
    assert chosen(costs, 1.0, 30_000) == "compiled"
    assert chosen(costs, 0.1, 30_000) == "sparse"  # 38 ms a step
    assert chosen(costs, 1.0, 500) == "dense"
    assert chosen(costs, 1.0, 0) == "dense"  # a mask that changes compiles anew each time
    assert chosen(costs, 1.0, 2999) == "dense"  # 299.9 s: no compiler is tried for so little
    assert chosen(costs, 1.0, 3000) == "compiled"
    assert chosen(knowing(200.0, 0.06), 1.0, 3000) == "dense"
    assert chosen(knowing(200.0, 0.06), 1.0, 6000) == "compiled"
    assert chosen(knowing(0.0, 0.097), 1.0, 30_000) == "dense"  # within the margin
    slow = knowing(0.0, 0.06)
    slow = replace(slow, rungs=tuple(replace(r, dense=Cost(1.0, 0.0)) for r in slow.rungs))
    assert chosen(slow, 1.0, 999) == "sparse"  # 0.2 s a step, of too few


def test_its_choice_says_so_and_what_rounds_more_coarsely_is_never_taken():
    costs = knowing(40.0, 0.06)
    choice = Auto(costs).choose({}, iterations=30_000)
    assert choice == Choice("compiled", calibration=costs.hash)
    assert engine_of(choice).name == "compiled"
    assert honoured(choice, job()) == choice
    assert costs.hash != LINE.hash
    assert Auto.load(Auto(costs).dump()) == Auto(costs)
    others = {"compiled-bf16": Other(0.0, Cost(1e-6, 0.0))}
    coarse = replace(costs, others=others)
    assert chosen(coarse, 1.0, 10**6) == "dense"


@given(SHARES, COUNTS, COUNTS, st.floats(1e-3, 1.0), st.integers(0, 10**5))
def test_a_sparser_mask_leaves_compiled_for_sparse_alone(shares, one, other, step, iterations):
    rungs = calibration(*zip((1.0, 0.5, 0.1, 0.02), shares, strict=True)).rungs
    rungs = tuple(
        replace(r, dense=Cost(1.0, 0.0), sparse=Cost(1e3 * r.sparse.step, 0.0)) for r in rungs
    )
    auto = Auto(replace(knowing(40.0, step), rungs=rungs))
    fewer = counts(*map(min, zip(one, other, strict=True)))
    more = counts(*map(max, zip(one, other, strict=True)))
    engines = [auto.choose(kept, iterations=iterations).engine for kept in (more, fewer)]
    assert engines[0] == engines[1] or engines[1] == "sparse" or engines == ["compiled", "dense"]
    if engines == ["compiled", "dense"]:  # as then so little is trained that no compiler is tried
        assert iterations * min(predicted(auto.calibration, n, fewer) for n in BOTH) < LONG


BOTH = ("dense", "sparse")


def test_without_a_sparse_engine_dense_trains_and_says_why():
    alone = Rung(1.0, Cost(0.1, 0.0), None)
    costs = replace(knowing(40.0, 0.06), rungs=(alone,), cannot={"sparse": "no kernel"})
    assert Auto(costs).choose(uniform(0.01)) == Choice(
        "dense", calibration=costs.hash, note="no kernel"
    )
    assert chosen(costs, 0.01, 30_000) == "compiled"


def test_stacks_pay_where_they_take_less_than_each_run_by_itself():
    costs = knowing(0.0, 1.0, stacked=Other(0.0, Cost(0.01, 0.0), 8))  # 80 ms for eight
    assert stacks_pay(costs, 100, 8 * 100 * 0.038)
    assert not stacks_pay(costs, 100, 2 * 100 * 0.038)
    assert not stacks_pay(LINE, 100, 1e9)


# Layers in torch inside the sparse engine


FOUR = {name: Layer(100, 1.0) for name in ("a", "b", "c", "d")}
COSTS = dict.fromkeys(FOUR, (0.5, 0.3))  # sparse: 0.5 by density; torch: 0.3
MIXED = calibration((1.0, 2.0), (0.0, 0.0), layers=FOUR, costs=COSTS)


def test_a_dense_layer_among_sparse_ones_goes_to_torch():
    kept = {"a": 100, "b": 5, "c": 5, "d": 5}
    choice = Auto(MIXED).choose(kept)
    assert choice == Choice("sparse", ("a",), 8, MIXED.hash)
    assert predicted(MIXED, "sparse", kept) == pytest.approx(1e-3 * (0.3 + 3 * 0.05 * 0.5))
    even = Auto(MIXED).choose(dict.fromkeys(FOUR, 20))
    assert (even.engine, even.torch) == ("sparse", ())
    assert Auto(MIXED).choose({}).engine == "dense"  # all in torch: 4 x 0.3, more than dense


def test_a_layer_that_saves_next_to_nothing_stays():
    costs = COSTS | {"a": (0.5, 0.47)}
    small = calibration((1.0, 2.0), (0.0, 0.0), layers=FOUR, costs=costs)
    assert Auto(small).choose({"a": 100, "b": 5, "c": 5, "d": 5}).torch == ()


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(-0.2, 2)), min_size=4, max_size=4),
    st.lists(st.integers(0, 100), min_size=4, max_size=4),
    SHARES,
)
def test_layers_in_torch_are_never_predicted_to_cost_more_than_none(costs, kept, shares):
    plain = calibration(*zip((1.0, 0.5, 0.1, 0.02), shares, strict=True), layers=FOUR)
    mixed = replace(plain, costs=calibration(costs=dict(zip(FOUR, costs, strict=True))).costs)
    left = dict(zip(FOUR, kept, strict=True))
    assert predicted(mixed, "sparse", left) <= predicted(plain, "sparse", left)
    assert predicted(mixed, "sparse", left) > 0


# What a run was begun with


def job(**changes):
    return make_job(lenet(), training_data((1, 4, 4)), **changes)


def test_a_choice_that_this_machine_can_keep_stays():
    for choice in (Choice("dense"), Choice("sparse", lanes=W), explicit("sparse")):
        assert honoured(choice, job()) == choice
        assert engine_of(choice).name == choice.engine


def test_other_vectors_go_on_with_those_of_this_machine_and_say_so():
    kept = honoured(Choice("sparse", lanes=2 * W, calibration="c"), job())
    assert (kept.engine, kept.lanes, kept.calibration) == ("sparse", W, "c")
    assert kept.note == f"begun with vectors of {2 * W} numbers, continued with {W}"


def test_a_job_that_sparse_refuses_here_goes_on_dense_and_says_why():
    spec = {"name": "unheard of", "lr": 0.1}
    kept = honoured(Choice("sparse", lanes=W), job(optimizer=spec))
    assert kept.engine == "dense"
    assert "continued with dense" in kept.note
    assert "unheard of" in kept.note


def test_an_unknown_engine_is_refused():
    with pytest.raises(UserError, match="unknown engine 'warp'"):
        engine_of(Choice("warp"))
