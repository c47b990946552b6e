"""The part of a recipe that names the network and what its weights are at first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from winnow.errors import repeated
from winnow.experiment.recipe.values import RecipePart, by_name
from winnow.models import is_own_network


class Init(RecipePart):
    """The distribution of the initial weights; ``std`` is the standard deviation of ``normal``.

    ``kept``: the fraction of its inputs that a unit will keep, for the variance of kaiming's.
    ``head``: the output layer's own standard deviation, of a normal distribution
    (``{name: kaiming-fan-out, head: 0.01}`` as in the code of GraSP). ``own``: what the network's
    modules start with, drawn from the seed; the default of a network of your own.
    """

    name: Literal[
        "glorot-normal",
        "glorot-uniform",
        "kaiming-normal",
        "kaiming-uniform",
        "kaiming-fan-out",
        "normal",
        "signed-glorot",
        "signed-kaiming",
        "own",
    ] = "glorot-normal"
    std: float | None = Field(None, gt=0, le=1e6, examples=[0.1])
    kept: float = Field(1.0, gt=0, le=1, examples=[0.5])
    head: float | None = Field(None, gt=0, le=1e6, examples=[0.01])

    @model_validator(mode="after")
    def _std_goes_with_normal(self) -> Init:
        if (self.name == "normal") != (self.std is not None):
            raise ValueError("std goes with normal, and only there: {name: normal, std: 0.1}")
        return self

    @model_validator(mode="after")
    def _kept_goes_with_kaiming(self) -> Init:
        if self.kept != 1 and not self.counts_fan_in:
            raise ValueError(
                "kept goes with kaiming and its fan in: {name: signed-kaiming, kept: 0.5}"
            )
        return self

    @model_validator(mode="after")
    def _own_stands_alone(self) -> Init:
        if self.name == "own" and self.head is not None:
            raise ValueError("head goes with the other initialisations: the network sets its own")
        return self

    @property
    def counts_fan_in(self) -> bool:
        """Whether the variance goes by the fan in alone, of which ``kept`` is a part."""
        return "kaiming" in self.name and self.name != "kaiming-fan-out"


class Model(RecipePart):
    """The network and its initialisation.

    ``norm_init``: the weights of batch normalisation start at 1, or are drawn from U(0, 1).
    ``conv_bias``: VGG's convolutions have biases; both as in openLTH. ``shortcut``: where the shape
    changes in a ResNet, a 1x1 convolution, or zeros (lottery jackpots).

    A network of your own is ``module:function`` or ``path/to/file.py:function``
    ([docs](own-model-and-data.md)). ``options``: what the function is called with, beside
    ``inputs`` and ``classes``.
    """

    name: str = Field(examples=["lenet-300-100", "my_net.py:build"])
    init: Annotated[Init, BeforeValidator(by_name)] = Init()
    hidden: (
        Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(strict=False, min_length=1, max_length=1000),
        ]
        | None
    ) = Field(None, examples=[[300, 100]])
    width: float = Field(1.0, gt=0, examples=[2])
    dropout: float = Field(0.0, ge=0, lt=1, examples=[0.5])
    norm_init: Literal["ones", "uniform"] = "ones"
    conv_bias: bool = False
    shortcut: Literal["projection", "padded"] = "projection"
    options: dict[str, Any] = Field({}, examples=[{"depth": 3}])

    @model_validator(mode="before")
    @classmethod
    def _own_networks_start_as_they_do(cls, written: Any) -> Any:
        if isinstance(written, Mapping) and "init" not in written:
            name = written.get("name")
            if isinstance(name, str) and is_own_network(name):
                return {**written, "init": {"name": "own"}}
        return written

    @model_validator(mode="after")
    def _options_suit_the_network(self) -> Model:
        own = is_own_network(self.name)
        if self.options and not own:
            raise ValueError(
                f"options is {repeated(self.options)}, for a network of your own; {self.name} has "
                "hidden, width, dropout, conv_bias and shortcut"
            )
        usual = {"hidden": None, "width": 1.0, "dropout": 0.0, "conv_bias": False}
        for option, value in (usual | {"shortcut": "projection"}).items():
            if own and getattr(self, option) != value:
                raise ValueError(
                    f"{option} is {getattr(self, option)!r}, for networks of Winnow: what "
                    f"{self.name} takes stands in options"
                )
        if self.init.name == "own" and self.norm_init != "ones":
            raise ValueError("norm_init goes with the other initialisations, not with init: own")
        _check_plain(self.options)
        return self


def _check_plain(value: Any, place: str = "options") -> None:
    """ValueError for what JSON does not hold as it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{place} has the key {key!r}: write names")
            _check_plain(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, place)
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise ValueError(f"{place} holds a {type(value).__name__}: write numbers, texts, lists")
