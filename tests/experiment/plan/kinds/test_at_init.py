"""Methods at initialisation: what they see, their controls, and how these differ from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_plans import AT_INIT, comparison, points_of

from winnow.errors import UserError
from winnow.experiment.recipe.load import check_recipe
from winnow.experiment.run_parts import AnyExamples, BalancedExamples, PartedExamples

ALL = {"shuffled": 2, "reinit": 1, "inverted": True}


def compared(methods, controls, densities=(0.5, 0.1), **changes):
    about = {"methods": methods, "densities": list(densities), "controls": controls}
    return comparison(methods, densities, compare=about, **changes)


def test_examples_that_criteria_see():
    every = comparison([*AT_INIT, "obd", "imp"], [0.5])
    spec = {arm: points_of(every, arm)[0].run.pruning.scoring for arm in (*AT_INIT, "obd", "imp")}
    assert spec["snip"] == spec["grasp"] == BalancedExamples(per_class=10, batches=1)
    assert spec["data-dependent"] == spec["obd"] == AnyExamples("all")
    assert spec["magnitude"] is spec["random"] is spec["synflow"] is spec["imp"] is None
    some = comparison([{"name": "snip", "examples": 40}], [0.5])
    (run,) = [n.run for n in points_of(some, "snip")]
    assert run.pruning.scoring == AnyExamples(40)
    parted = comparison([{"name": "snip", "examples": 40, "batches": 3}], [0.5])
    (run,) = [n.run for n in points_of(parted, "snip")]
    assert run.pruning.scoring == PartedExamples(40, 3)
    one = comparison([{"name": "snip", "examples": 40, "batches": 1}], [0.5])
    assert points_of(one, "snip")[0].run.pruning.scoring == AnyExamples(40)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"examples": 40, "per_class": 2}, "write examples, or per_class, not both"),
        ({"examples": 40, "batches": 41}, "41 batches of 40 examples"),
        ({"examples": "all", "batches": 2}, "leave out batches"),
    ],
)
def test_examples_that_do_not_fit_together_are_refused(options, text):
    with pytest.raises(UserError, match=text):
        comparison([{"name": "grasp", **options}], [0.5])


def test_each_method_at_initialisation_is_followed_by_its_controls():
    made = compared(["imp", "snip", "random", "set", {"name": "grasp", "label": "g"}], ALL)
    assert made.arm_names == [
        "ticket",
        "imp",
        *("snip", "snip-inverted", "snip-reinit", "snip-shuffled"),
        "random",
        "set",
        *("g", "g-inverted", "g-reinit", "g-shuffled"),
    ]
    assert [n.draw for n in points_of(made, "g-shuffled")] == [1, 2, 1, 2]
    assert [n.draw for n in points_of(made, "g-inverted", 1)] == [0, 0]


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(AT_INIT),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["global", "layer", "erk"]),
)
def test_a_control_differs_in_one_thing_alone(method, shuffled, reinit, inverted, scope):
    own = {"shuffled": shuffled, "reinit": reinit, "inverted": inverted}
    made = comparison([{"name": method, "controls": own}], compare={
        "methods": [{"name": method, "controls": own}], "densities": [0.5, 0.1], "scope": scope,
    })  # fmt: skip
    count = 0
    for replicate in (0, 1):
        for point in points_of(made, method, replicate):
            run = point.run
            expected = {
                **{("shuffled", k): replace(run, pruning=replace(run.pruning, shuffle=k))
                   for k in range(1, shuffled + 1)},
                **{("reinit", k): replace(run, draw=k) for k in range(1, reinit + 1)},
            }  # fmt: skip
            if inverted:
                expected["inverted", 0] = replace(run, pruning=replace(run.pruning, invert=True))
            for (name, draw), control in expected.items():
                (found,) = [
                    n
                    for n in points_of(made, f"{method}-{name}", replicate)
                    if (n.round, n.draw) == (point.round, draw)
                ]
                assert found.run == control
                assert found.run.id != run.id
                assert found.cost == point.cost
                assert found.weights_kept == point.weights_kept
            count += 1 + len(expected)
    assert len(made.nodes) == 2 + count


def test_a_method_may_have_controls_of_its_own_or_none():
    methods = [{"name": "snip", "controls": {"inverted": True}}, {"name": "grasp", "controls": {}}]
    random = {"name": "random", "controls": {"reinit": 1}}
    made = compared([*methods, "synflow", random], {"reinit": 1})
    arms = [
        "snip",
        "snip-inverted",
        "grasp",
        "synflow",
        "synflow-reinit",
        "random",
        "random-reinit",
    ]
    assert made.arm_names == ["ticket", *arms]
    assert check_recipe(made.recipe.dump(), "dumped") == made.recipe


def test_methods_are_the_same_with_and_without_controls():
    bare, more = comparison(["snip", "imp"]), compared(["snip", "imp"], ALL)
    for arm in ("ticket", "snip", "imp"):
        assert [n.run for n in points_of(bare, arm)] == [n.run for n in points_of(more, arm)]


def test_only_some_controls():
    made = compared(["snip", "grasp"], ALL).only(["snip", "snip-shuffled"])
    assert made.arm_names == ["ticket", "snip", "snip-shuffled"]
    with pytest.raises(UserError, match="Did you mean 'snip-reinit'"):
        compared(["snip"], ALL).only(["snip-reinti"])


@pytest.mark.parametrize(
    ("methods", "controls", "said"),
    [
        (["imp", "random"], ALL, "compare.controls are those of methods at initialisation, and"),
        ([{"name": "set", "controls": {"reinit": 1}}], {}, "controls of set: .* leave them out"),
        (["set", {"name": "imp", "controls": {"reinit": 1}}], ALL, "compare.controls are those of"),
        ([{"name": "imp", "controls": ALL}], {}, "controls of imp: inverted checks"),
        (["snip", {"name": "set", "label": "snip-reinit"}], ALL, "snip-reinit is a method's label"),
        (["snip"], {"shufled": 1}, "shuffled"),
        (["snip"], {"shuffled": -1}, "compare.controls.shuffled is -1"),
    ],
)
def test_controls_that_make_no_sense_are_refused(methods, controls, said):
    with pytest.raises(UserError, match=said):
        compared(methods, controls)
