"""The recipe: what a whole experiment is, as strictly checked values.

Every field of a YAML recipe stands here, with its default and its range. Values are what the user
wrote; `plan` turns them into runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from winnow.amounts import checked_steps
from winnow.experiment.recipe.compare import Compare
from winnow.experiment.recipe.values import Density, Value

Steps = Annotated[str, BeforeValidator(checked_steps), Field(examples=["500it", "5ep"])]
Fraction = Annotated[float, Field(ge=0, lt=1, examples=[0.2])]  # of what survives, removed
Seed = Annotated[Literal["replicate"] | Annotated[int, Field(ge=0)], Field(examples=["replicate"])]
Count = Annotated[int, Field(ge=0, examples=[3])]


def named(value: Any) -> Any:
    """``adam`` is short for ``{name: adam}``."""
    return {"name": value} if isinstance(value, str) else value


class Data(Value):
    """Which images; how many are held out for validation; how batches are augmented.

    ``train``: a random part of what is not held out, of so many images; left out, all of it. Both
    are drawn by ``seeds.split``.
    """

    name: str = Field(examples=["mnist"])
    validation: int = Field(0, ge=0, examples=[5000])
    train: int | None = Field(None, ge=1, examples=[10_000])
    augment: Literal["none", "flip-crop"] = "none"


class Init(Value):
    """The distribution of the initial weights; ``std`` is the standard deviation of ``normal``.

    ``kept``: the fraction of its inputs that a unit will keep, for the variance of kaiming's.
    """

    name: Literal[
        "glorot-normal",
        "glorot-uniform",
        "kaiming-normal",
        "kaiming-uniform",
        "normal",
        "signed-glorot",
        "signed-kaiming",
    ] = "glorot-normal"
    std: float | None = Field(None, gt=0, examples=[0.1])
    kept: float = Field(1.0, gt=0, le=1, examples=[0.5])

    @model_validator(mode="after")
    def _std_goes_with_normal(self) -> Init:
        if (self.name == "normal") != (self.std is not None):
            raise ValueError("std goes with normal, and only there: {name: normal, std: 0.1}")
        return self

    @model_validator(mode="after")
    def _kept_goes_with_kaiming(self) -> Init:
        if self.kept != 1 and "kaiming" not in self.name:
            raise ValueError("kept goes with kaiming: {name: signed-kaiming, kept: 0.5}")
        return self


class Model(Value):
    """The network and its initialisation."""

    name: str = Field(examples=["lenet-300-100"])
    init: Annotated[Init, BeforeValidator(named)] = Init()
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)] | None = Field(
        None, examples=[[300, 100]]
    )
    width: float = Field(1.0, gt=0, examples=[2])
    dropout: float = Field(0.0, ge=0, lt=1, examples=[0.5])


class Optimizer(Value):
    """The update rule; what is left out takes the rule's usual value (see `resolved`)."""

    name: Literal["sgd", "momentum", "nesterov", "adam", "adamw"] = Field(examples=["adam"])
    lr: float = Field(gt=0, examples=[1.2e-3])
    momentum: float | None = Field(None, ge=0, lt=1, examples=[0.9])
    betas: (
        Annotated[
            tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
            Field(strict=False),
        ]
        | None
    ) = Field(None, examples=[[0.9, 0.999]])
    eps: float | None = Field(None, gt=0, examples=[1e-8])
    weight_decay: float = Field(0.0, ge=0, examples=[1e-4])

    @model_validator(mode="after")
    def _options_apply(self) -> Optimizer:
        takes = _OPTIMIZER_OPTIONS[self.name]
        for option in ("momentum", "betas", "eps"):
            if getattr(self, option) is not None and option not in takes:
                raise ValueError(f"{option} does not apply to {self.name}, which takes {takes}")
        return self

    def resolved(self) -> dict[str, Any]:
        """All that shapes the trajectory, defaults included."""
        chosen = {"name": self.name, "lr": self.lr, "weight_decay": self.weight_decay}
        for option, default in _OPTIMIZER_OPTIONS[self.name].items():
            written = getattr(self, option)
            chosen[option] = default if written is None else written
        return chosen


_ADAM: dict[str, Any] = {"betas": (0.9, 0.999), "eps": 1e-8}
_OPTIMIZER_OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "adam": _ADAM,
    "adamw": _ADAM,
}


class Schedule(Value):
    """The learning rate's course: a factor at each of ``drops``, a cosine to 0, or constant.

    ``warmup``: the rate rises linearly from 0 over so many steps first.
    """

    name: Literal["constant", "steps", "cosine"] = "constant"
    drops: Annotated[tuple[Steps, ...], Field(strict=False)] = Field(
        (), examples=[["80ep", "120ep"]]
    )
    factor: float = Field(0.1, gt=0, lt=1)
    warmup: Steps = "0it"

    @model_validator(mode="after")
    def _drops_go_with_steps(self) -> Schedule:
        if (self.name == "steps") != bool(self.drops):
            raise ValueError("drops go with steps, and only there: {name: steps, drops: [80ep]}")
        return self


class Train(Value):
    """How one network is trained and when it is evaluated.

    ``accuracy_at``: steps whose test accuracy is recorded. ``test_curve``: test accuracy at every
    evaluation, for learning curves (it chooses nothing). ``clip``: the largest gradient norm.
    """

    steps: Steps
    batch: int = Field(ge=1, examples=[60])
    last_batch: Literal["keep", "drop"] = "keep"
    optimizer: Annotated[Optimizer, BeforeValidator(named)]
    schedule: Annotated[Schedule, BeforeValidator(named)] = Schedule()
    clip: float | None = Field(None, gt=0, examples=[1.0])
    evaluate: Steps = "100it"
    accuracy_at: Annotated[tuple[Steps, ...], Field(strict=False)] = Field((), examples=[["10ep"]])
    early_stopping: bool = True
    test_curve: bool = False


class Prune(Value):
    """How tickets are found.

    ``train``: how long networks train before they are pruned, where not to the end; ``fine_tune``:
    and afterwards, with rewind ``none`` or ``lr``; ``optimizer``: see `restart.Restart`.
    ``least``: weights that each layer keeps at least.
    ``rates``: layers that are pruned at a rate of their own (names, globs, or the words ``conv``,
    ``linear``, ``output``, ``first``). ``ignore``: layers that are never pruned.
    """

    algorithm: Literal["imp", "one-shot"] = "imp"
    criterion: str = "magnitude"
    options: dict[str, Any] = Field({})
    scope: Literal["layer", "global"] = "layer"
    rate: Fraction = 0.2
    rates: dict[str, Fraction] = Field({}, examples=[{"output": 0.1}])
    rounds: int = Field(15, ge=0, examples=[15])
    rewind: Literal["init", "none", "lr"] | Steps = Field("init", examples=["init", "500it"])
    train: Steps | None = Field(None, examples=["500it"])
    fine_tune: Steps | None = Field(None, examples=["500it"])
    optimizer: Literal["fresh", "rewound"] = "fresh"
    least: int = Field(0, ge=0, examples=[1])
    ignore: Annotated[tuple[str, ...], Field(strict=False)] = Field((), examples=[["output"]])
    densities: Annotated[tuple[Density, ...], Field(strict=False)] | Literal["paper", "rounds"] = (
        Field("rounds", examples=["paper", "rounds", [0.5, 0.2]])
    )

    @model_validator(mode="after")
    def _scope_and_rates(self) -> Prune:
        if self.scope == "global" and self.rates:
            raise ValueError("rates of single layers go with scope: layer (global has one rate)")
        if self.rate == 0 and not self.rates:
            raise ValueError("rate 0 removes nothing: choose one above 0, e.g. 0.2")
        return self


class Controls(Value):
    """What tickets are compared with, each a number of draws for each ticket and replicate.

    ``reinit``: the mask, other initial weights. ``random``: a mask of the same layer densities,
    the ticket's weights. ``random-reinit``: both. ``one-shot``: pruned once, from the dense
    network, on the densities named (``paper``: figure 4c's grid; ``rounds``: the ticket's own).
    """

    reinit: Count = 0
    random: Count = 0
    random_reinit: Count = Field(0, alias="random-reinit")
    one_shot: (
        Literal["none", "paper", "rounds"] | Annotated[tuple[Density, ...], Field(strict=False)]
    ) = Field("none", alias="one-shot", examples=["paper", "rounds", [0.5, 0.2]])
    one_shot_reinit: Count = Field(0, alias="one-shot-reinit")


class Seeds(Value):
    """What a replicate changes: ``replicate`` gives each its own seed, a number fixes it."""

    init: Seed = "replicate"
    order: Seed = "replicate"
    split: Seed = "replicate"
    augment: Seed = "replicate"
    dropout: Seed = "replicate"
    mask: Seed = "replicate"

    def of(self, replicate: int) -> dict[str, int]:
        """The seeds of one replicate, by name."""
        written: dict[str, int | str] = self.model_dump()
        return {k: replicate if v == "replicate" else int(v) for k, v in written.items()}


class Report(Value):
    """How figures draw the spread over replicates."""

    bars: Literal["min-max", "interval"] = "min-max"


class Recipe(Value):
    """A whole experiment."""

    title: str = ""
    source: str = ""
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    data: Data
    model: Model
    train: Train
    prune: Prune = Prune()
    controls: Controls = Controls()
    compare: Compare | None = None
    replicates: int = Field(5, ge=1, examples=[5])
    engine: Literal["auto", "dense", "sparse", "stacked", "compiled", "compiled-bf16"] = "auto"
    seeds: Seeds = Seeds()
    report: Report = Report()

    @model_validator(mode="after")
    def _one_kind_of_experiment(self) -> Recipe:
        if self.compare is not None:
            prune = self.prune.model_copy(update={"ignore": (), "rewind": "init"})
            if prune != Prune() or self.controls != Controls():
                raise ValueError(
                    "compare goes with prune.ignore and prune.rewind only, and without controls: "
                    "write criteria, rounds and other options beside the method's name in "
                    "compare.methods"
                )
        return self

    def dump(self) -> dict[str, Any]:
        """The recipe in full, defaults included, as plain values that load to an equal one."""
        plain: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        if plain["compare"] is None:
            del plain["compare"]
        return plain
