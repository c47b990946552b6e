"""What criteria declare, so that nobody has to ask for their names."""

from __future__ import annotations

import inspect

from winnow.criteria import CRITERIA, traits, traits_of
from winnow.criteria.mlprune import surgeon
from winnow.criteria.sparsegpt import column_surgeon, sparsegpt_layers
from winnow.criteria.wanda import wanda_layers


def declared(trait: str) -> dict[str, object]:
    return {name: getattr(traits_of(f), trait) for name, f in CRITERIA.items()}


def who(trait: str) -> set[str]:
    return {name for name, value in declared(trait).items() if value}


def test_what_each_criterion_declares() -> None:
    assert {n: r for n, r in declared("rounds").items() if r != 1} == {"synflow": 100}
    assert who("takes_input_shape") == {"synflow"}
    assert who("is_control") == {"random"}
    assert {n: s for n, s in declared("surgeon").items() if s} == {
        "mlprune": surgeon,
        "sparsegpt": column_surgeon,
    }
    assert {n: s for n, s in declared("layerwise").items() if s} == {
        "wanda": wanda_layers,
        "sparsegpt": sparsegpt_layers,
    }
    assert {n: s for n, s in declared("scope").items() if s != "global"} == {
        "wanda": "row",
        "sparsegpt": "layer",
    }
    without = {name for name, seen in declared("examples").items() if seen == "none"}
    assert without == {"magnitude", "random", "synflow"}
    assert who("training") == {"snip", "grasp"}


def test_a_surgeon_takes_the_options_of_its_criterion() -> None:
    for function in CRITERIA.values():
        for trait in ("surgeon", "layerwise"):
            if (operates := getattr(traits_of(function), trait)) is not None:
                own = set(inspect.signature(function).parameters)
                assert own <= set(inspect.signature(operates).parameters)


def test_an_input_shape_is_an_option_where_it_is_taken() -> None:
    for function in CRITERIA.values():
        takes = "input_shape" in inspect.signature(function).parameters
        assert traits_of(function).takes_input_shape == takes


def test_a_criterion_of_ones_own_declares_as_much() -> None:
    @traits(surgeon=surgeon, takes_input_shape=True, is_control=True)
    def own(subject: object) -> None: ...

    mine = traits_of(own)
    assert (mine.surgeon, mine.takes_input_shape, mine.is_control) == (surgeon, True, True)
