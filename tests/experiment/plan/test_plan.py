"""Plans: their order, what is shared, parts of them, and how they are told."""

from __future__ import annotations

import pytest
from sample_plans import points_of, small

from winnow.errors import UserError
from winnow.experiment.plan.plan import expand
from winnow.experiment.recipe.load import load_recipe
from winnow.experiment.store.images import Source

MNIST = Source(60_000, "mnist")


@pytest.fixture(scope="module")
def lenet():
    return expand("lth/4", load_recipe("lth/4"), MNIST)


@pytest.mark.parametrize("rewind", ["init", "20it", "lr", "none"])
def test_parents_come_first(rewind):
    plan = small(
        prune={"rewind": rewind},
        controls={"reinit": 1, "random": 1, "random-reinit": 1, "one-shot": "rounds"},
    )
    seen: set[str] = set()
    for identity, run in plan.runs.items():
        assert seen.issuperset(run.parents)
        seen.add(identity)


def test_recipes_that_need_the_same_training_share_it(lenet):
    continued = expand("lth/9", load_recipe("lth/9").by_line()["continued"], MNIST)
    for replicate in range(5):
        one, other = (
            points_of(lenet, "ticket", replicate),
            points_of(continued, "ticket", replicate),
        )
        shared = [a.run.id == b.run.id for a, b in zip(one, other, strict=False)]
        assert shared == [True, True, *[False] * 26]  # the first mask is the same, too
    other_images = expand("x", load_recipe("lth/4"), Source(60_000, "others"))
    assert not other_images.runs.keys() & lenet.runs.keys()


def test_only_some_arms_and_all_that_they_need(lenet):
    reinit = lenet.only(["reinit"])
    assert reinit.arm_names == ["ticket", "reinit"]
    assert [n.round for n in points_of(reinit, "ticket")] == list(
        range(28)
    )  # the last gives no mask
    assert len(reinit.runs) == 5 * (28 + 3 * 28)
    once = lenet.only(["one-shot"])
    assert [n.round for n in points_of(once, "ticket")] == [
        0,
        1,
    ]  # round 1: the same run as the eighth
    assert len(once.runs) == 5 * (1 + 39)
    for part in (reinit, once):
        assert all(parent in part.runs for run in part.runs.values() for parent in run.parents)
    continued = small(prune={"rewind": "none"}).only(["ticket"])
    assert continued.arm_names == ["ticket", "continued"]
    with pytest.raises(UserError, match=r"'tiket'. Did you mean 'ticket'\? This recipe has ticket"):
        lenet.only(["tiket"])
