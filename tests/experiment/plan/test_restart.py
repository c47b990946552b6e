"""Training before and after a pruning: where runs begin and end, their costs, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_plans import EPOCH, comparison, points_of

from winnow.errors import UserError
from winnow.experiment.runs import Start

STEPS = 96


def one(name="one-shot", densities=(0.5, 0.1), **options):
    """The plan of one method, and its points in the first replicate, dense first."""
    made = comparison([{"name": name, **options}], densities)
    return made, [points_of(made, "ticket")[0], *points_of(made, name)]


def test_rewinding_by_method_is_that_of_the_recipe():
    both = comparison(["imp", "one-shot"], prune={"rewind": "1ep"})
    for name in ("imp", "one-shot"):
        made, (dense, *points) = one(name, rewind="1ep")
        assert [n.run for n in points] == [n.run for n in points_of(both, name)]
        assert [n.cost for n in points] == [n.cost for n in points_of(both, name)]
        assert made.records[dense.run.id].states == {EPOCH}
    left_out = {"rewind": None, "train": None, "fine_tune": None, "optimizer": None}
    assert [n.run for n in one("obd", **left_out)[1]] == [n.run for n in one("obd")[1]]
    mixed = comparison(["imp", {"name": "one-shot", "rewind": "20it"}], prune={"rewind": "1ep"})
    assert mixed.records[points_of(mixed, "ticket")[0].run.id].states == {20, EPOCH}
    assert mixed.only(["imp"]).records == {
        i: r for i, r in mixed.records.items() if i in mixed.only(["imp"]).runs
    }


def test_pruning_on_the_way_needs_no_more_of_the_dense_training():
    made, (dense, *points) = one(train="1ep")
    for node in points:
        run = node.run
        assert (run.pruning.of, run.pruning.step, run.start) == (dense.run.id, 24, Start("init"))
        assert (run.begin, run.end) == (0, STEPS)
        assert node.cost == 1 + 4  # epochs: 24 iterations of the dense network, all of this one
    assert made.records[dense.run.id].states == {24}
    again, (_, *scored) = one(train="1ep", criterion="data-dependent")
    assert [n.cost for n in scored] == [1 + 1 + 4] * 2  # and a pass over all examples
    assert again.records[dense.run.id].states == {24}


def test_rounds_of_partly_trained_networks():
    made, (dense, first, second) = one("imp", train="36it", rewind="12it", optimizer="rewound")
    for node, parent in ((first, dense), (second, first)):
        run = node.run
        assert (run.pruning.of, run.pruning.step) == (parent.run.id, 36)
        assert run.start == Start("state", dense.run.id, 12, "rewound")
        assert (run.begin, run.end) == (12, STEPS)
    assert made.records[dense.run.id].states == {12, 36}
    assert made.records[first.run.id].states == {36}
    assert made.records[second.run.id].states == set()
    # Dense up to 36; 12 to 36 of the first ticket; 12 to the end of the second.
    assert first.cost == pytest.approx((36 + 84) / EPOCH)
    assert second.cost == pytest.approx((36 + 24 + 84) / EPOCH)


@pytest.mark.parametrize("name", ["imp", "one-shot", "obd", "mlprune"])
@pytest.mark.parametrize(
    ("options", "begins", "ends"),
    [
        ({"rewind": "none"}, (96, 192), (192, 288)),
        ({"rewind": "none", "fine_tune": "1ep"}, (96, 120), (120, 144)),
        ({"rewind": "lr"}, (0, 0), (96, 96)),
        ({"rewind": "lr", "fine_tune": "1ep"}, (72, 72), (96, 96)),
        ({"rewind": "none", "train": "20it", "fine_tune": "30it"}, (20, 40), (50, 70)),
        ({"rewind": "lr", "train": "20it", "fine_tune": "30it"}, (66, 66), (96, 96)),
    ],
)
def test_fine_tuning_goes_on_where_the_parent_was_pruned(name, options, begins, ends):
    _, (dense, *points) = one(name, **options)
    chained = name == "imp"
    parents = [dense, points[0]] if chained else [dense, dense]
    for place, (node, parent) in enumerate(zip(points, parents, strict=True)):
        run = node.run
        at = None
        if "train" in options:
            at = parent.run.begin + 20
        assert run.pruning.step == at
        kind = "final" if at is None else "state"
        assert run.start == Start("operated" if name == "mlprune" else kind, parent.run.id, at)
        place = place if chained else 0
        assert (run.begin, run.end) == (begins[place], ends[place])
        assert run.steps == STEPS


def test_the_optimizer_at_the_end_is_recorded_where_it_is_wanted():
    made, (dense, *points) = one("obd", optimizer="rewound", fine_tune="10it")
    for node in points:
        assert node.run.start == Start("state", dense.run.id, STEPS, "rewound")
        assert node.cost == 4 + 10 / EPOCH + 1
    assert made.records[dense.run.id].states == {STEPS}
    made, (dense, *points) = one("mlprune", optimizer="rewound", train="10it")
    for node in points:
        assert node.run.start == Start("operated", dense.run.id, 10, "rewound")
    assert made.records[dense.run.id].states == {10}


amounts = st.integers(0, 110).map(lambda k: f"{k}it")


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(["imp", "one-shot", "obd", "mlprune"]),
    st.fixed_dictionaries(
        {},
        optional={
            "rewind": st.sampled_from(["init", "none", "lr"]) | amounts,
            "train": amounts,
            "fine_tune": amounts,
            "optimizer": st.sampled_from(["fresh", "rewound"]),
        },
    ),
)
def test_what_is_not_refused_can_be_trained(name, options):
    """Every state that a run begins from is on its parent's way and recorded; costs add up."""
    try:
        made = comparison([{"name": name, **options}], (0.5, 0.2, 0.1))
    except UserError:
        return
    for node in made.nodes:
        run = node.run
        untrained = options.get("fine_tune") == "0it" and node.arm == name
        assert run.begin >= 0
        assert run.begin == run.end if untrained else run.begin < run.end
        assert run.begin < run.steps or run.end > run.steps or untrained
        for identity, step in run.needs:
            parent = made.runs[identity]
            assert list(made.runs).index(identity) < list(made.runs).index(run.id)
            if step is not None:
                assert parent.begin <= step <= parent.end
                assert step in made.records[identity].states
        if run.start.optimizer == "rewound":
            assert run.start.step is not None
        assert node.cost == pytest.approx(cost(made.runs, run))


def cost(runs, run):
    """By walking all ways to the dense run, and counting each iteration once."""
    counted: set[tuple[str, int]] = set()
    scored: dict[str, float] = {}

    def walk(one, end):
        counted.update((one.id, step) for step in range(one.begin, end))
        if one.pruning is not None:
            passes = {"magnitude": 0, "obd": 1, "mlprune": 1}[one.pruning.criterion]
            scored[one.id] = passes + (one.start.kind == "operated")
        for identity, step in one.needs:
            walk(runs[identity], runs[identity].end if step is None else step)

    walk(run, run.end)
    return len(counted) / EPOCH + sum(scored.values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rewind": "5"}, "rewind of imp is '5': write iterations .*; or init, none, lr"),
        ({"rewind": 5}, "rewind of imp is 5: write iterations"),
        ({"train": 5}, "train of imp is 5: write iterations"),
        ({"train": "96it"}, "train of imp is 96it, iteration 96, and training ends at 96"),
        ({"train": "10it", "rewind": "1ep"}, "before rewind of imp 1ep"),
        ({"train": "1ep", "rewind": "24it"}, "before they have trained"),
        ({"train": "0it"}, "before they have trained"),
        ({"fine_tune": "10it"}, "fine_tune of imp is 10it, but rewind of imp init"),
        ({"fine_tune": "10it", "rewind": "10it"}, "leave fine_tune out, or write rewind: none"),
        ({"fine_tune": "0it", "rewind": "lr"}, "fine_tune of imp is 0it: networks would be pruned"),
        ({"fine_tune": "97it", "rewind": "lr"}, "repeats the end of a schedule of 96"),
        (
            {"fine_tune": "10it", "rewind": "none", "train": "20it"},
            "fine_tune of imp ends later rounds after 10",
        ),
        ({"optimizer": "kept"}, "optimizer of imp is 'kept': write fresh or rewound"),
        ({"optimizer": "rewound"}, "at rewind of imp init no optimizer has stepped yet"),
        ({"least": -1}, "least of imp is -1"),
        ({"least": 60}, "least of imp is 60, which takes 180 weights in 3 layers, but 158"),
    ],
)
def test_options_that_do_not_go_together(options, said):
    with pytest.raises(UserError, match=said):
        one("imp", **options)


def test_an_optimizer_without_memory_is_not_rewound():
    train = {"steps": "96it", "batch": 50, "optimizer": {"name": "sgd", "lr": 0.1}}
    with pytest.raises(UserError, match=r"optimizer of obd is rewound, but train\.optimizer sgd"):
        comparison([{"name": "obd", "optimizer": "rewound"}], train=train)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_to_0_goes_on_only_where_it_has_not_ended(schedule):
    optimizer = {"name": "momentum", "lr": 0.1}
    train = {"steps": "96it", "batch": 50, "optimizer": optimizer, "schedule": schedule}
    made = comparison([{"name": "obd", "train": "40it", "fine_tune": "56it"}], train=train)
    assert {n.run.end for n in points_of(made, "obd")} == {96}
    imp = {"name": "imp", "rewind": "none", "train": "30it", "fine_tune": "36it"}
    assert max(n.run.end for n in points_of(comparison([imp], train=train), "imp")) == 96
    for more in ({"fine_tune": "57it"}, {"train": "41it"}):
        written = {"name": "obd", "train": "40it", "fine_tune": "56it", **more}
        with pytest.raises(UserError, match=f"{schedule} ends at 0: write rewind: lr"):
            comparison([written], train=train)


def tickets(**prune):
    """Tickets of a recipe without a comparison, and all its points."""
    about = {"rounds": 2, "rate": 0.5, **prune}
    made = comparison([], prune=about, compare=None, controls={"random": 1, "one-shot": "rounds"})
    return made, points_of(made, "ticket")


def test_the_recipes_own_pruning_takes_the_same():
    made, (dense, first, second) = tickets(train="36it", rewind="12it", optimizer="rewound")
    assert (first.run.pruning.of, second.run.pruning.of) == (dense.run.id, first.run.id)
    assert {n.run.pruning.step for n in (first, second)} == {36}
    assert {n.run.start for n in (first, second)} == {Start("state", dense.run.id, 12, "rewound")}
    assert made.records[dense.run.id].states == {12, 36}
    assert {n.run.start for n in points_of(made, "random")} == {first.run.start}
    assert {n.run.pruning.of for n in points_of(made, "one-shot")} == {dense.run.id}
    made, (dense, first, second) = tickets(rewind="lr", fine_tune="24it", least=3)
    assert [(n.run.begin, n.run.end) for n in (first, second)] == [(72, 96)] * 2
    assert first.run.pruning.least == 3


def test_one_shot_controls_of_continued_training_start_from_the_initialisation():
    made, _ = tickets(rewind="none", train="30it", fine_tune="40it")
    for node in points_of(made, "one-shot"):
        assert (node.run.start, node.run.begin, node.run.end) == (Start("init"), 0, 96)
        assert node.run.pruning.step == 30
    assert [(n.run.begin, n.run.end) for n in points_of(made, "continued")] == [(30, 70), (60, 100)]


@pytest.mark.parametrize(
    ("prune", "said"),
    [
        ({"train": "96it"}, "prune.train is 96it, iteration 96"),
        ({"fine_tune": "9it"}, "prune.fine_tune is 9it, but prune.rewind init"),
        ({"optimizer": "rewound"}, "prune.optimizer is rewound, but at prune.rewind init"),
        ({"optimizer": "kept"}, "prune.optimizer is 'kept'"),
        ({"least": 400}, "prune.least is 400, but hidden.1.weight is to keep 100"),
    ],
)
def test_and_refuses_the_same(prune, said):
    with pytest.raises(UserError, match=said):
        tickets(**prune)
