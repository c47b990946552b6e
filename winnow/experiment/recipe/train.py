"""The part of a recipe that says how one network is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from winnow.errors import repeated
from winnow.experiment.recipe.values import RecipePart, Steps, by_name


class Optimizer(RecipePart):
    """The update rule; what is left out takes the rule's usual value: ``momentum`` 0.9, ``betas``
    [0.9, 0.999], ``eps`` 1e-8; of rmsprop, as in torch, ``momentum`` 0 and ``decay`` (torch's
    alpha, of the mean of squares) 0.99, with ``eps`` added to the root (TensorFlow: under it).
    """

    name: Literal["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop"] = Field(
        examples=["adam"]
    )
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
    decay: float | None = Field(None, ge=0, lt=1, examples=[0.9])
    weight_decay: float = Field(0.0, ge=0, examples=[1e-4])

    @model_validator(mode="after")
    def _options_apply(self) -> Optimizer:
        takes = _OPTIMIZER_OPTIONS[self.name]
        for option in ("momentum", "betas", "eps", "decay"):
            if getattr(self, option) is not None and option not in takes:
                raise ValueError(f"{option} does not apply to {self.name}, which takes {takes}")
        if self.name == "nesterov" and self.momentum == 0:
            raise ValueError("momentum is 0, and nesterov looks ahead by it: write sgd, or 0.9")
        return self

    @property
    def has_momentum(self) -> bool:
        """Whether it remembers past gradients, which dynamic methods can grow by."""
        options = self.resolved()
        return bool(options.get("momentum")) or "betas" in options

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
    "rmsprop": {"decay": 0.99, "eps": 1e-8, "momentum": 0.0},
}


class Schedule(RecipePart):
    """The learning rate's course: a factor at each of ``drops``, a cosine or a line to 0, a factor
    after each ``every`` (exponential: a staircase; ``every: 1it`` for a smooth one), or constant.

    ``to``: the rate at which the line ends, in place of 0. ``warmup``: the rate rises linearly from
    0 over so many steps first.
    """

    name: Literal["constant", "steps", "cosine", "linear", "exponential"] = "constant"
    drops: Annotated[tuple[Steps, ...], Field(strict=False)] = Field(
        (), examples=[["80ep", "120ep"]]
    )
    factor: float = Field(0.1, gt=0, lt=1)
    every: Steps | None = Field(None, examples=["2ep"])
    to: float = Field(0.0, ge=0, examples=[0.005])
    warmup: Steps = "0it"

    @model_validator(mode="after")
    def _drops_go_with_steps(self) -> Schedule:
        if (self.name == "steps") != bool(self.drops):
            raise ValueError("drops go with steps, and only there: {name: steps, drops: [80ep]}")
        return self

    @model_validator(mode="after")
    def _factor_goes_with_drops(self) -> Schedule:
        if self.factor != 0.1 and self.name not in ("steps", "exponential"):
            raise ValueError(
                f"factor is {self.factor:g}, and goes with steps and exponential: "
                "{name: steps, drops: [80ep], factor: 0.1}"
            )
        if len(set(self.drops)) < len(self.drops):
            raise ValueError(f"drops is {repeated(list(self.drops))}: one stands twice")
        return self

    @model_validator(mode="after")
    def _every_goes_with_exponential(self) -> Schedule:
        if (self.name == "exponential") != (self.every is not None):
            raise ValueError(
                "every goes with exponential, and only there: "
                "{name: exponential, factor: 0.94, every: 2ep}"
            )
        return self

    @model_validator(mode="after")
    def _to_goes_with_linear(self) -> Schedule:
        if self.to and self.name != "linear":
            raise ValueError("to goes with linear, and only there: {name: linear, to: 0.005}")
        return self

    @property
    def ends_at_zero(self) -> bool:
        """Whether nothing trains after its end, where the rate stays what it was last."""
        return self.name in ("cosine", "linear") and self.to == 0


class Train(RecipePart):
    """How one network is trained and when it is evaluated.

    ``accuracy_at``: steps whose test accuracy is recorded; ``validation_at``: whose validation
    accuracy is. ``test_curve``: test accuracy and loss at every evaluation, for learning curves (it
    chooses nothing). ``clip``: the largest gradient norm. ``measure``: of how many training images,
    always the same, the accuracy at the stop and at the end is measured; where these are not all,
    it stands in columns of its own (``*_train_sample_*``).
    """

    steps: Steps
    batch: int = Field(ge=1, le=1_000_000_000, examples=[60])
    last_batch: Literal["keep", "drop"] = "keep"
    optimizer: Annotated[Optimizer, BeforeValidator(by_name)]
    schedule: Annotated[Schedule, BeforeValidator(by_name)] = Schedule()
    clip: float | None = Field(None, gt=0, examples=[1.0])
    evaluate: Steps = "100it"
    accuracy_at: Annotated[tuple[Steps, ...], Field(strict=False)] = Field((), examples=[["10ep"]])
    validation_at: Annotated[tuple[Steps, ...], Field(strict=False)] = Field(
        (), examples=[["10000it"]]
    )
    early_stopping: bool = True
    test_curve: bool = False
    measure: Literal["all"] | Annotated[int, Field(ge=1)] = Field(10_000, examples=["all"])
