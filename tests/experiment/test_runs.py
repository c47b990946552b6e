"""Identity: what shapes a run changes its hash, what does not leaves it."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_plans import comparison, small
from sample_runs import PRUNING, RUN

from winnow.data.facts import facts
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.run_parts import (
    AnyExamples,
    BalancedExamples,
    OwnData,
    PartedExamples,
    RunDynamic,
    RunInit,
    RunSearch,
)
from winnow.experiment.runs import (
    ALL_IMAGES,
    LEGACY,
    PLACES,
    Pruning,
    Record,
    Run,
    Start,
    identity,
    load_run,
    plain_fields,
)
from winnow.experiment.store.images import Source

OTHERS = {
    "data": replace(RUN.data, content="d"),
    "model": replace(RUN.model, width=2.0),
    "begin": 1,
    "end": 501,
    "steps": 501,
    "batch": 61,
    "last_batch": "drop",
    "optimizer": RUN.optimizer | {"betas": [0.9, 0.99]},
    "schedule": replace(RUN.schedule, drops=(5,), factor=0.1),
    "clip": 1.0,
    "evaluate": 21,
    "seeds": RUN.seeds | {"order": 1},
    "draw": 1,
    "start": Start("final", "b" * 64),
    "pruning": PRUNING,
    "engine": "dense",
    "semantics": RUN.semantics + 1,
    "revision": 2,
    "dynamic": RunDynamic("set", {}, ("w",), keep=3, seed=0),
    "search": RunSearch("jackpot", {}, ("w",), keep=3, seed=0),
}
PRUNED = replace(RUN, pruning=PRUNING, start=Start("state", "b" * 64, 100))
SEARCHED = replace(RUN, search=OTHERS["search"])


@pytest.mark.parametrize("field", [f.name for f in fields(Run)])
def test_every_field_shapes_the_identity(field):
    assert replace(RUN, **{field: OTHERS[field]}).id != RUN.id


@pytest.mark.parametrize("field", [f.name for f in fields(Pruning)])
def test_every_field_of_a_pruning_does(field):
    others = {
        "of": "b" * 64,
        "criterion": "random",
        "options": {"x": 1},
        "prunable": ("w", "v"),
        "keep": 3,
        "seed": 1,
        "shuffle": 1,
        "rounds": 2,
        "scoring": AnyExamples("all"),
        "step": 50,
        "invert": True,
        "least": 1,
        "reinit": "xavier",
        "augmented": True,
        "source": "c" * 64,
        "given": "d" * 64,
        "structure": "unit",
        "units": {"w": 2},
        "grain": "row",
    }
    one = replace(RUN, pruning=PRUNING)
    assert replace(RUN, pruning=replace(PRUNING, **{field: others[field]})).id != one.id


@pytest.mark.parametrize("field", [f.name for f in fields(Start)])
def test_every_field_of_a_start_does(field):
    others = {"kind": "operated", "run": "c" * 64, "step": 101, "optimizer": "rewound"}
    others |= {"noise": 0.0, "redrawn": "permuted", "draw": 1, "given": "d" * 64}
    start = Start("state", "b" * 64, 100)
    one = replace(RUN, start=start)
    assert replace(RUN, start=replace(start, **{field: others[field]})).id != one.id


def test_a_run_names_the_states_that_it_is_made_from():
    pruned = replace(PRUNING, step=50)
    run = replace(RUN, pruning=pruned, start=Start("final", "b" * 64))
    assert run.needs == (("a" * 64, 50), ("b" * 64, None))
    same = replace(RUN, pruning=pruned, start=Start("state", "a" * 64, 20))
    assert same.needs == (("a" * 64, 50), ("a" * 64, 20))
    assert same.parents == ("a" * 64,)
    assert replace(RUN, pruning=replace(PRUNING, of=None)).needs == ()


@pytest.mark.parametrize("part", ["data", "model", "schedule", "dynamic", "search"])
def test_every_field_of_a_part_shapes_the_identity(part):
    run = replace(RUN, dynamic=OTHERS["dynamic"], search=OTHERS["search"])
    value = getattr(run, part)
    for field in fields(value):
        now = getattr(value, field.name)
        other = {"x": 1} if isinstance(now, Mapping) else RunInit("normal", 0.1)
        if not isinstance(now, Mapping | RunInit):
            other = ("v",) if isinstance(now, tuple) else f"{now}!" if isinstance(now, str) else 7
        changed = replace(run, **{part: replace(value, **{field.name: other})})
        is_place = f"{part}.{field.name}" in PLACES
        assert (changed.id == run.id) == is_place, field.name


@pytest.mark.parametrize(
    ("seen", "plain"),
    [
        (AnyExamples("all"), {"examples": "all"}),
        (AnyExamples(40), {"examples": 40}),
        (PartedExamples(40, 3), {"examples": 40, "batches": 3}),
        (BalancedExamples(10, 2), {"per_class": 10, "batches": 2}),
    ],
)
def test_examples_are_stored_in_the_words_of_a_recipe(seen, plain):
    run = replace(RUN, pruning=replace(PRUNING, scoring=seen))
    assert asdict(run)["pruning"]["scoring"] == plain
    assert load_run(json.loads(json.dumps(asdict(run)))) == run


@pytest.mark.parametrize("field", OTHERS)
def test_a_run_survives_json(field):
    start = Start("state", "b" * 64, 100, "rewound")
    run = replace(RUN, pruning=replace(PRUNING, step=50, least=1), start=start)
    run = replace(run, **{field: OTHERS[field]})
    again = load_run(json.loads(json.dumps(asdict(run))))
    assert again == run
    assert again.id == run.id
    assert again.parents == run.parents
    assert again.folder == run.folder


@pytest.mark.parametrize("run", [PRUNED, SEARCHED], ids=["pruned", "searched"])
def test_a_run_stored_before_fields_were_added_is_the_same_run(run):
    plain, left_out = asdict(run), 0
    for field, value in LEGACY.items():
        *inside, last = field.split(".")
        holder = functools.reduce(lambda part, key: (part or {}).get(key), inside, plain)
        if holder is not None and last in holder and holder[last] == value:
            del holder[last]
            left_out += 1
    assert left_out > 3
    assert load_run(json.loads(json.dumps(plain))) == run
    assert identity(plain, {}) == run.id


def test_the_hash_is_the_same_in_every_process():
    code = (
        "from winnow.experiment.runs import identity;"
        "print(identity({'b': 1e-3, 'a': {'d': None, 'c': [1, 2]}}, {}))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().strip() == identity({"a": {"c": [1, 2], "d": None}, "b": 1e-3}, {})


def test_a_later_field_is_silent_only_at_its_frozen_legacy_value():
    old = {"a": 1, "in": {"b": 2}}
    legacy = {"in.new": "as ever"}
    silent = {"a": 1, "in": {"b": 2, "new": "as ever"}}
    changed = {"a": 1, "in": {"b": 2, "new": "another default"}}
    assert identity(silent, legacy) == identity(old, {})
    assert identity(changed, legacy) != identity(old, {})


AUTO = "engine=auto"
"""What lth/digits said of the engine when these hashes were computed; today it names sparse, so
that its verdict is the same on all machines with vectors of one width."""

PINNED = [  # a recipe, its line, what has been added to it since, and the hash
    ("lth/digits", "", (), "eb5e419bffb8e94e"),
    ("lth/4", "", ("controls.one-shot-reinit=0", "data.scaling=standard"), "8dcdabe76e628ab7"),
    ("lth/9", "continued", ("data.scaling=standard",), "d7ac61114e1a5368"),
    ("lth/7", "warm-up", (), "e6e435dc2fd3dca6"),
]


METHODS = (  # whose runs are what they were; MLPrune and Deep-R have other defaults since
    "compare.methods=[random, magnitude, snip, grasp, synflow, data-dependent, obd, imp, one-shot, "
    "{name: gradual, every: 20it}, set, {name: dsr, every: 20it}, snfs, {name: rigl, every: 20it}]"
)
CHANGED = [  # the same, computed before networks could be pruned on the way, of these changes
    ("compare/digits", (METHODS,), "881016abf8f0433a"),
    ("compare/digits", (METHODS, "prune.rewind=20it"), "afd759574ef88d6e"),
    ("compare/digits", (METHODS, "prune.rewind=lr"), "a376db22dbdc75f1"),
    ("compare/digits", (METHODS, "prune.rewind=none"), "01234ef52d268983"),
    ("lth/digits", (AUTO, "prune.rewind=20it", "controls.one-shot-reinit=1"), "591c27fa87de9dbd"),
    ("lth/digits", (AUTO, "prune.rewind=lr"), "7221f3c429852784"),
    ("lth/digits", (AUTO, "prune.rewind=none"), "f70a009e4fa4c1d6"),
    (
        "compare/digits",
        ("compare.methods=[{name: obd, rewind: lr}, {name: imp, criterion: obd}]",),
        "54a5ebafe0c410ce",
    ),
]


@pytest.mark.parametrize(("name", "changes", "pinned"), CHANGED)
def test_so_do_those_of_recipes_with_lines_changed(name, changes, pinned):
    recipe = load_recipe(name, changes)
    plan = expand(name, recipe, Source(facts(recipe.data.name).train_size, recipe.data.name))
    assert hashlib.sha256("".join(plan.runs).encode()).hexdigest()[:16] == pinned


@pytest.mark.parametrize(("name", "line", "without", "pinned"), PINNED)
def test_runs_of_recipes_that_exist_keep_their_identity(name, line, without, pinned):
    """Computed before runs had fields for methods: what is stored stays found."""
    recipe = load_recipe(name, [AUTO, *without]).by_line()[line]
    plan = expand(name, recipe, Source(facts(recipe.data.name).train_size, recipe.data.name))
    assert hashlib.sha256("".join(plan.runs).encode()).hexdigest()[:16] == pinned


def test_the_demo_names_its_engine():
    assert load_recipe("lth/digits").engine == "sparse"


def test_runs_of_methods_keep_their_identity():
    """Computed before criteria had traits and sources, and data a part to train on."""
    methods = "compare.methods=[random, snip, grasp, synflow, obd, imp, rigl]"
    plan = expand("x", load_recipe("compare/digits", [methods]), Source(1437, "digits"))
    assert hashlib.sha256("".join(plan.runs).encode()).hexdigest()[:16] == "e81b522f638c35a2"


def test_what_json_cannot_hold_is_an_error():
    with pytest.raises(ValueError, match="not JSON compliant"):
        identity({"a": float("nan")}, {})


@given(
    st.frozensets(st.integers(1, 9)),
    st.frozensets(st.integers(1, 9)),
    st.booleans(),
    st.booleans(),
)
def test_a_superset_covers(one, other, curve_one, curve_other):
    left, right = Record(one, other, curve_one), Record(other, one, curve_other)
    both = left | right
    assert both.covers(left)
    assert both.covers(right)
    assert left.covers(right) == (other <= one and one <= other and curve_one >= curve_other)
    assert Record.load(json.loads(json.dumps(both.dump()))) == both


def test_more_measured_images_cover_fewer_and_all_are_what_was_always_recorded():
    few, more, every = (Record(measured=count) for count in (100, 2000, ALL_IMAGES))
    assert [(a | b).measured for a, b in ((few, more), (every, more))] == [2000, ALL_IMAGES]
    assert every.covers(more)
    assert more.covers(few)
    assert not few.covers(more)
    assert not more.covers(every)
    for record in (few, more, every, Record()):
        assert Record.load(json.loads(json.dumps(record.dump()))) == record
    early = {"accuracy_at": [], "states": [], "test_curve": False}  # as stores of old have it
    assert every.dump() == early
    assert Record.load(early) == every


def test_plain_fields_are_those_of_asdict():
    """By the text that is hashed, of runs with every kind of part."""
    plans = [small(prune={"rewind": "20it"}, controls={"random": 1, "noise": [1]}),
             comparison(["snip", {"name": "set"}, {"name": "edge-popup"}, "obd"])]  # fmt: skip
    runs = [run for plan in plans for run in plan.runs.values()]
    parts = ("pruning", "dynamic", "search")
    assert all(any(getattr(run, part) is not None for run in runs) for part in parts)
    for run in runs:
        assert plain_fields(run) == asdict(run)
        assert run.id == identity(asdict(run), LEGACY)


OWN = OwnData((3, 1, 1), 4, 70, 30, "float32")


def test_one_s_own_network_and_data_are_hashed_without_their_places_and_loaded_again():
    data = replace(RUN.data, own=OWN, place="a.py:f")
    model = replace(RUN.model, source="0" * 64, options={"depth": 3}, place="b.py:g")
    run = replace(RUN, data=data, model=model)
    again = load_run(json.loads(json.dumps(asdict(run))))
    assert again == run
    assert again.data.place == "a.py:f"
    moved = replace(run, data=replace(data, place="c.py:f"), model=replace(model, place=None))
    assert moved.id == run.id
    assert moved == run
    others = [
        replace(run, data=replace(data, own=replace(OWN, train=71))),
        replace(run, model=replace(model, source="1" * 64)),
        replace(run, model=replace(model, options={"depth": 4})),
    ]
    assert len({one.id for one in [run, RUN, *others]}) == 5


def test_the_facts_of_a_run_s_data():
    about = replace(RUN.data, own=OWN).about
    assert (about.shape, about.classes, about.pixels) == ((3, 1, 1), 4, "float32")
    assert (about.train_size, about.test_size, about.in_files) == (70, 30, False)
    assert replace(RUN.data, own=OWN, size=8).about.in_files
    assert RUN.data.about.name == "digits"
