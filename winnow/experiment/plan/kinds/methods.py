"""The runs of a comparison: each method at each density, from one recipe.

Counts are those of the recipe's densities over all prunable weights for every method, so that
equal densities are equal numbers of weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from winnow import criteria
from winnow.algorithms import at_init, catalogue, dynamic
from winnow.algorithms.dynamic.method import Method as Dynamic
from winnow.algorithms.dynamic.start import first_counts
from winnow.allocation import check_least, keep_for_density
from winnow.errors import UserError
from winnow.experiment.plan import criterion as scoring
from winnow.experiment.plan.kinds import init_controls
from winnow.experiment.plan.kinds import search as searching
from winnow.experiment.plan.kinds.compared import Compared
from winnow.experiment.plan.replicate import Node, Replicate
from winnow.experiment.plan.resolve import iterations_per_epoch, resolved_names
from winnow.experiment.plan.restart import WORDS, Restart, restart
from winnow.experiment.recipe.compare import Method
from winnow.experiment.recipe.recipe import Recipe
from winnow.experiment.runs import Pruning, Run
from winnow.experiment.store.images import Source

TRAINED = ("fine-tuned", "iterative", "one-shot")
"""The kinds of methods that prune trained networks."""


def compared(
    recipe: Recipe, shapes: Mapping[str, tuple[int, ...]], source: Source, steps: int
) -> list[Compared]:
    """The methods of a recipe in their order. UserError: an unknown method or layer to ignore, and
    what does not go together in training before and after pruning.
    """
    assert recipe.compare is not None
    found = []
    for method in recipe.compare.methods:
        options = dict(method.options)
        ignored = resolved_names(recipe, options.pop("ignore", ()), f"ignore of {method.arm}")
        own = {name: shape for name, shape in shapes.items() if name not in ignored}
        protected = sum(math.prod(shapes[name]) for name in shapes if name in ignored)
        entry, how = catalogue.get(method.name), None
        if entry.kind in TRAINED:
            how = _restart(recipe, method, options, source, steps)
        scored = entry.kind in (*TRAINED, "at initialisation")
        least = options.pop("least", 0) if scored else 0
        one = Compared(method, entry, own, options, protected, recipe.compare, how, least)
        if entry.kind == "mask search":
            one = replace(one, weights=searching.weights_of(recipe, method))
        found.append(one)
    return found


def _restart(
    recipe: Recipe, method: Method, options: dict[str, Any], source: Source, steps: int
) -> Restart:
    """What stands beside the method's name of training around its pruning, taken from there."""
    assert recipe.compare is not None
    kind = catalogue.get(method.name).kind
    usual = "none" if kind == "fine-tuned" else recipe.prune.rewind
    written = {word: options.pop(word, None) for word in WORDS}
    written = {word: value for word, value in written.items() if value is not None}
    rounds = len(recipe.compare.densities) if kind == "iterative" else 1
    return restart({"rewind": usual, **written}, recipe, source, steps, rounds, method.arm)


def options_of(entry: catalogue.Entry) -> dict[str, object]:
    """Every option of a method → its default in a comparison."""
    name = entry.name
    more: dict[str, object] = {"ignore": []}
    if entry.kind == "dynamic":
        own = {f.name: f.default for f in fields(dynamic.METHODS[name]) if f.name != "density"}  # type: ignore[arg-type]
        return {**own, **more}
    if entry.kind == "mask search":
        return {**searching.options(name), **more}
    more = {"least": 0, **more}
    if entry.kind in TRAINED:
        more = {"train": "train.steps", "fine_tune": "train.steps", "optimizer": "fresh", **more}
    if entry.kind in ("iterative", "one-shot"):
        return {"criterion": "magnitude", "rewind": "prune.rewind", **more}
    own, examples = scoring.resolved(name, {})
    if entry.kind == "fine-tuned":
        return {**own, **(examples or {}), "rewind": "none", "rounds": 1, **more}
    more |= {"controls": {} if name == "random" else "compare.controls"}
    return {**own, **(examples or {}), "rounds": at_init.usual_rounds(name), **more}


def check(recipe: Recipe, source: Source, steps: int, methods: list[Compared]) -> None:
    """UserError for what a method cannot do in this recipe: before anything is trained."""
    per_epoch = iterations_per_epoch(recipe, source)
    for one in methods:
        for density in one.compare.densities:
            if one.entry.kind == "dynamic":
                _check_dynamic(recipe, one, density, steps, per_epoch)
            elif one.entry.kind == "mask search":
                searching.check(recipe, one, density, per_epoch)
            else:
                keep = one.keep(density)
                check_least(keep, one.sizes, one.least, f"least of {one.method.arm}")


def nodes(ex: Replicate, methods: list[Compared]) -> Iterator[Node]:
    """Every point of one replicate but its dense network, which comes first."""
    for one in methods:
        plan = _PLANS[one.entry.kind]
        chain = [ex.dense]
        densities = sorted(one.compare.densities, reverse=True)
        for index, density in enumerate(densities, 1):
            chain.append(plan(ex, one, density, chain))
            yield ex.point(one.method.arm, index, chain[-1])
            if one.entry.kind == "mask search":
                yield from _fine_tuned(ex, one, density, index, chain[-1])
            yield from init_controls.nodes(ex, one.method, index, chain[-1])


def _at_init(ex: Replicate, one: Compared, density: float, _: list[Run]) -> Run:
    options = dict(one.options)
    rounds = _rounds(one, options, at_init.usual_rounds(one.method.name))
    pruning = _pruning(ex, one, density, one.method.name, options)
    return replace(ex.dense, pruning=replace(pruning, rounds=rounds))


def _rounds(one: Compared, options: dict[str, Any], usual: int) -> int:
    """How many rounds of scoring the options ask for; they are left without them."""
    rounds = options.pop("rounds", usual)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise UserError(f"rounds of {one.method.arm} is {rounds!r}: give a number from 1 on")
    return rounds


def _trained(ex: Replicate, one: Compared, density: float, chain: list[Run]) -> Run:
    """Pruned by a criterion after training: once, or from density to density."""
    how, options = one.restart, dict(one.options)
    assert how is not None
    named = one.entry.kind == "fine-tuned"
    rounds = _rounds(one, options, 1) if named else 1
    criterion = one.method.name if named else options.pop("criterion", "magnitude")
    parent = chain[-1] if one.entry.kind == "iterative" else ex.dense
    pruning = _pruning(ex, one, density, criterion, options)
    pruning = replace(pruning, of=parent.id, step=how.pruned_at(parent), rounds=rounds)
    run = how.run(ex.dense, parent, pruning)
    if one.method.name == "mlprune" and how.goes_on:
        return replace(run, start=replace(run.start, kind="operated"))
    return run


def _pruning(
    ex: Replicate,
    one: Compared,
    density: float,
    criterion: str,
    options: Mapping[str, Any],
) -> Pruning:
    own, examples = scoring.resolved(criterion, options)
    return Pruning(
        of=None,
        criterion=criterion,
        options=own,
        prunable=tuple(one.shapes),
        keep=one.keep(density),
        seed=ex.mask_seed,
        scoring=examples,
        source=criteria.source_of(criterion),
        least=one.least,
    )


def _dynamic(ex: Replicate, one: Compared, density: float, _: list[Run]) -> Run:
    made = make(one, density)
    keep = round(made.density * sum(one.sizes.values()))
    if one.method.name == "gradual":
        counts = keep_for_density(one.shapes, one.sizes, made.density, asdict(made)["scope"])  # type: ignore[call-overload]
        keep = counts if isinstance(counts, int) else sum(counts.values())
    about = {
        "name": one.method.name,
        "options": asdict(made),  # type: ignore[call-overload]
        "prunable": list(one.shapes),
        "keep": keep,
        "seed": ex.mask_seed,
    }
    return replace(ex.dense, dynamic=about)


def _search(ex: Replicate, one: Compared, density: float, _: list[Run]) -> Run:
    return searching.plan(ex, one, density)


def _fine_tuned(
    ex: Replicate, one: Compared, density: float, index: int, found: Run
) -> Iterator[Node]:
    run = searching.fine_tuned(ex, one, found, density)
    if run is not None:
        yield ex.point(searching.arms(one.method)[1].name, index, run)


def make(one: Compared, density: float) -> Dynamic:
    """The dynamic method with its options. UserError for options that it has not."""
    scope = {"scope": one.compare.scope} if one.method.name == "gradual" else {}
    if "density" in one.options:
        raise UserError(f"{one.method.arm}: densities stand in compare.densities, not in density")
    return dynamic.make(one.method.name, one.share(density), **{**scope, **one.options})


def _check_dynamic(
    recipe: Recipe, one: Compared, density: float, steps: int, per_epoch: int
) -> None:
    method = make(one, density)
    method.timing(steps, per_epoch)
    if method.dense_slots and recipe.train.optimizer.name == "sgd":
        raise UserError(
            f"{one.method.arm} grows by momentum, and train.optimizer sgd has none: take momentum, "
            "nesterov or adam, or leave it out of compare.methods"
        )
    if method.dense_slots and recipe.engine not in ("auto", "dense"):
        raise UserError(
            f"{one.method.arm} trains with dense gradients, which the engine {recipe.engine} does "
            "not: write engine: auto, or leave it out of compare.methods"
        )
    distribution = getattr(method, "distribution", None)
    if distribution is not None:
        least = 1 if one.method.name == "dsr" else 0
        try:
            first_counts(one.shapes, method.density, distribution, least)
        except UserError as error:
            raise UserError(f"{one.method.arm}: {error}") from None


_PLANS = {
    "at initialisation": _at_init,
    "fine-tuned": _trained,
    "iterative": _trained,
    "one-shot": _trained,
    "dynamic": _dynamic,
    "mask search": _search,
}
