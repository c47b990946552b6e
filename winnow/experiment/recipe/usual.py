"""The recipe of one ticket where little is said: which network, which data, how dense."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from winnow.algorithms.catalogue import find_method
from winnow.amounts import checked_steps, iterations
from winnow.data.own import known_data
from winnow.data.own_names import FILES
from winnow.errors import UserError
from winnow.experiment.recipe.load import with_overrides
from winnow.experiment.recipe.strict_yaml import parse_yaml

_RATE = 0.2
_EPOCHS, _LEAST = 20, 2000  # epochs of a training, and iterations of it at least
_BATCH = 64
_SHARE, _MOST_HELD_OUT = 10, 5000
_PARTS = 20  # of a training: evaluations, and rewinding to the end of the first


def usual_recipe(
    model: str,
    data: str,
    density: float,
    *,
    method: str = "imp",
    steps: str | None = None,
    scope: str = "global",
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """The keys of a recipe that finds one ticket, as YAML has them; unchecked.

    ``model``, ``data``: as in recipes, one's own too. ``method``: a name of ``winnow methods``, or
    ``{name: …, option: …}``. ``overrides``: ``key=value`` texts, which come last. What is not said:

    - iterative magnitude pruning, a fifth of the survivors a round (Frankle & Carbin 2019,
      appendix B), all layers competing (their appendix I.1: it is layers of different sizes that
      pruning each at one rate fails in);
    - rewinding to a twentieth of training: between 0.1 and 7 % Frankle et al. 2019
      ("Stabilizing the Lottery Ticket Hypothesis") find tickets of deep networks, where resetting
      to the initial weights finds none;
    - 20 epochs, or 2,000 iterations where that is longer, in batches of 64;
    - Adam at 1e-3 (Kingma & Ba 2015), which falls linearly to a tenth of that: no rate fits all
      networks, and Adam's depends least on how they are scaled;
    - a tenth of the training examples, 5,000 at most, held out for validation (5,000 of MNIST and
      CIFAR-10 in Frankle & Carbin 2019), so that settings can be chosen without the test set;
    - one replicate. Networks of one's own start as their modules do.

    Raises UserError: unknown data or method; a density, an amount of training or an override that
    is none.
    """
    if not 0 < density < 1:
        raise UserError(
            f"--density {density:g}: write the share of the weights that stays, between 0 and 1, "
            "e.g. 0.05"
        )
    written: dict[str, Any] = {
        "title": f"A ticket of {model} on {data} at {100 * density:.4g} %",
        "data": {"name": data},
        "model": {"name": model},
    }
    spec = _method(method)
    kind = find_method(spec["name"]).kind
    if kind == "iterative":
        spec.setdefault("rate", _RATE)
    if steps is not None:
        _check_steps(steps)
    size = _train_size(with_overrides(written, overrides)["data"])
    written["data"]["validation"] = min(_MOST_HELD_OUT, size // _SHARE)
    per_epoch = math.ceil((size - written["data"]["validation"]) / _BATCH)
    length = steps or (f"{_EPOCHS}ep" if _EPOCHS * per_epoch >= _LEAST else f"{_LEAST}it")
    part = _part(length, per_epoch)
    written["train"] = _training(length, part)
    if kind in ("iterative", "one-shot") and "rewind" not in spec:
        written["prune"] = {"rewind": part}
    short = spec["name"] if len(spec) == 1 else spec
    written["compare"] = {"methods": [short], "densities": [density], "scope": scope}
    written["replicates"] = 1
    if seed:
        kinds = ("init", "order", "split", "augment", "dropout", "mask")
        written["seeds"] = dict.fromkeys(kinds, seed)
    return with_overrides(written, overrides)


def _method(written: str) -> dict[str, Any]:
    """A method's name and options. UserError for anything else."""
    plain = parse_yaml(written, f"--method {written}") if written.startswith("{") else written
    if isinstance(plain, str):
        return {"name": plain}
    if not isinstance(plain, dict) or not isinstance(plain.get("name"), str):
        raise UserError(
            f"--method {written!r} names no method: write e.g. imp, or with options "
            '"{name: imp, rate: 0.5}"'
        )
    return plain


def _check_steps(steps: str) -> None:
    try:
        checked_steps(steps)
    except UserError as error:
        raise UserError(f"--steps {error}") from None


def _train_size(data: Any) -> int:
    """How many training examples there are, those held out included; 0 where no data is named."""
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        return 0  # what is checked next says what is wrong
    size = data.get("size")
    return known_data(f"{data['name']}{FILES}{size}" if size else data["name"]).train_size


def _part(steps: str, per_epoch: int) -> str:
    """A twentieth of an amount of training, one iteration at least."""
    unit = steps[-2:]
    part = float(steps[:-2]) / _PARTS
    text = f"{part:g}ep" if unit == "ep" else f"{max(1, round(part))}it"
    return text if iterations(text, per_epoch) else "1it"


def _training(length: str, part: str) -> dict[str, Any]:
    return {
        "steps": length,
        "batch": _BATCH,
        "optimizer": {"name": "adam", "lr": 1e-3},
        "schedule": {"name": "linear", "to": 1e-4},
        "evaluate": part,
        "early_stopping": False,
    }
