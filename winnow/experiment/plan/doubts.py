"""Options that a recipe sets without effect, or with one that nobody can mean: what happens there.

Not refused, as a change of one value (``-o train.steps=100it``) may leave others behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from winnow.algorithms.catalogue import find_method
from winnow.amounts import checked_steps, iterations
from winnow.errors import UserError
from winnow.experiment.plan.replicate import Node
from winnow.experiment.plan.setting import Setting, with_seeds
from winnow.experiment.recipe.scales import SMOKE
from winnow.experiment.recipe.train import Train

_DEFAULTS = Train.model_fields
_MADE_FOR = {"resnet-20": 16, "resnet-32": 16, "resnet-50": 64}
"""Pixels of a side below which the last stage of a network sees next to nothing."""


def doubts_of(setting: Setting, points: Sequence[Node]) -> tuple[str, ...]:
    """What a reader of the recipe would not expect, a sentence each."""
    checks: tuple[Callable[[Setting], Iterator[str]], ...] = (
        _schedule,
        _optimizer,
        _evaluations,
        _images,
        _seeds,
        _amounts,
        _compared,
        _updates,
    )
    found = [said for check in checks for said in check(setting)]
    return tuple(dict.fromkeys([*found, *_rounds(setting, points), *_same_runs(points)]))


def _schedule(setting: Setting) -> Iterator[str]:
    written, planned, end = setting.recipe.train.schedule, setting.dense.schedule, _end(setting)
    for said, drop in zip(written.drops, planned.drops, strict=True):
        if drop >= end:
            yield (
                f"train.schedule drops at {said}, iteration {drop}, and training ends at {end}: "
                "the rate never drops there"
            )
        elif drop == 0:
            yield f"train.schedule drops at {said}, before training begins: no step has the lr"
    if planned.warmup >= end:
        yield (
            f"train.schedule.warmup is {written.warmup}, and training ends at iteration {end}: the "
            "rate rises all the time, and never is lr"
        )
    if planned.every is not None and planned.every >= end:
        yield (
            f"train.schedule.every is {written.every}, and training ends at iteration {end}: the "
            "rate never falls"
        )
    lr = setting.recipe.train.optimizer.lr
    if written.name == "linear" and written.to >= lr:
        how = "stays the same" if written.to == lr else "rises"
        yield f"train.schedule.to is {written.to:g}, and lr is {lr:g}: the rate {how}"


def _optimizer(setting: Setting) -> Iterator[str]:
    rule = setting.recipe.train.optimizer
    if rule.momentum == 0 and rule.name == "momentum":
        yield "train.optimizer momentum has momentum 0: that is sgd"
    if rule.name not in ("adam", "rmsprop") and rule.lr * rule.weight_decay >= 1:
        yield (
            f"train.optimizer: lr {rule.lr:g} times weight_decay {rule.weight_decay:g} is 1 or "
            "more: each step takes away all of the weights"
        )
    if not 1e-12 < rule.lr < 1e4:
        what = "no float32 weight moves by so little" if rule.lr < 1 else "no network trains at it"
        yield f"train.optimizer.lr is {rule.lr:g}: {what}"
    if rule.eps is not None and rule.eps >= 1e3:
        yield f"train.optimizer.eps is {rule.eps:g}, which outweighs all gradients: nothing trains"


def _evaluations(setting: Setting) -> Iterator[str]:
    train, end = setting.recipe.train, _end(setting)
    said = _is_said(setting, "evaluate")
    if said and setting.dense.evaluate > end:
        yield (
            f"train.evaluate is {train.evaluate}, and training ends at iteration {end}: it is "
            "evaluated at its end alone, which is its early stopping, too"
        )
    measured = train.measure if _is_said(setting, "measure") else "all"
    if measured != "all" and measured > setting.examples:
        yield (
            f"train.measure is {measured}, and there are {setting.examples} training images: all "
            "are measured"
        )
    for name in ("accuracy_at", "validation_at"):
        steps: tuple[str, ...] = getattr(train, name)
        if len({iterations(step, setting.per_epoch) for step in steps}) < len(steps):
            yield f"train.{name} names an iteration twice: it is measured once"


def _is_said(setting: Setting, field: str) -> bool:
    """Whether ``train`` has another value than the default; the default may be nobody's choice."""
    return bool(getattr(setting.recipe.train, field) != _DEFAULTS[field].default)


def _images(setting: Setting) -> Iterator[str]:
    recipe = setting.recipe
    if recipe.train.batch > setting.examples:
        yield (
            f"train.batch is {recipe.train.batch}, and there are {setting.examples} training "
            "images: every step sees all of them"
        )
    _, *sides = setting.inputs
    least = _MADE_FOR.get(recipe.model.name, 0)
    if min(sides) < least and recipe.scale != SMOKE:
        yield (
            f"model.name is {recipe.model.name}, made for images of {2 * least} pixels a side, and "
            f"those of {recipe.data.name} have {min(sides)}: its last stage sees next to nothing"
        )


def _seeds(setting: Setting) -> Iterator[str]:
    recipe = setting.recipe
    fixed = {k: v for k, v in recipe.seeds.model_dump().items() if v != "replicate"}
    drawn = with_seeds(setting, 0).seeds
    if len(fixed) < len(recipe.seeds.of(0)):  # all of them: whoever says so need not choose
        for name in fixed:
            if name != "mask" and name not in drawn:
                yield f"seeds.{name} is {fixed[name]}, and nothing is drawn by it in this recipe"
    if recipe.replicates > 1 and drawn == with_seeds(setting, 1).seeds:
        yield (
            f"replicates is {recipe.replicates}, and seeds fixes all that a training draws: they "
            "are one and the same run, and differences between them mean nothing"
        )


def _amounts(setting: Setting) -> Iterator[str]:
    """Words that are so small a part of an epoch that they are no iteration."""
    prune = setting.recipe.prune
    for name in ("rewind", "train"):
        said = getattr(prune, name)
        if said is None or said in ("init", "none", "lr", "0it", "0ep"):
            continue
        if iterations(said, setting.per_epoch) == 0:
            yield f"prune.{name} is {said}, which is iteration 0"
    if prune.rate == 0 and setting.recipe.compare is None:
        pruned = [name for name, rate in setting.layers.rates.items() if rate > 0]
        if pruned:
            yield f"prune.rate is 0: only {', '.join(pruned)} is pruned, by its own of prune.rates"


def _compared(setting: Setting) -> Iterator[str]:
    recipe = setting.recipe
    if recipe.compare is None:
        return
    methods = [(spec, find_method(spec.name).kind) for spec in recipe.compare.methods]
    going_back = [s for s, kind in methods if kind in ("iterative", "one-shot")]
    if recipe.prune.rewind != "init" and all("rewind" in s.options for s in going_back):
        yield (
            f"prune.rewind is {recipe.prune.rewind}, and no method goes by it: it is for imp and "
            "one-shot that say no rewind of their own"
        )
    if recipe.compare.scope != "global" and all(kind == "mask search" for _, kind in methods):
        yield f"compare.scope is {recipe.compare.scope}, and searches go by their own rates"
    if 1.0 in recipe.compare.densities:
        yield "compare.densities has 1, at which every method keeps all weights"


def _updates(setting: Setting) -> Iterator[str]:
    """Dynamic methods whose updates are said to come after the end."""
    compare = setting.recipe.compare
    for spec in compare.methods if compare else ():
        if find_method(spec.name).kind != "dynamic":
            continue
        for option in ("every", "begin"):
            step = _step(spec.options.get(option), setting)
            if step is not None and step >= _end(setting):
                yield (
                    f"{option} of {spec.arm_name} is {spec.options[option]}, and training ends at "
                    f"iteration {_end(setting)}: its mask does not change on the way"
                )


def _step(said: object, setting: Setting) -> int | None:
    try:
        return None if said is None else iterations(checked_steps(said), setting.per_epoch)
    except UserError:  # which the method's own check has let pass: no amount of training
        return None


def _rounds(setting: Setting, points: Sequence[Node]) -> Iterator[str]:
    """A walk that ends before the rounds that are asked for, and controls of no ticket."""
    recipe = setting.recipe
    if recipe.compare is not None or recipe.ticket is not None:
        return
    last = max((point.round for point in points if point.arm == "ticket"), default=0)
    asked, prune = recipe.controls, recipe.prune
    if not prune.is_one_shot and last < prune.rounds:
        rates = f"rate {prune.rate:g} removes nothing more"
        yield f"prune.rounds is {prune.rounds}, and after {last} {rates}: that is the last round"
    if last == 0 and asked != type(asked)():
        yield "controls check tickets, and nothing is pruned here: none of them is trained"
    usual = type(prune).model_fields["rounds"].default
    listed = "rounds" not in (prune.densities, asked.one_shot)
    if prune.densities != "rounds" and not prune.is_one_shot:
        yield "prune.densities is for algorithm: one-shot; imp goes by rate and rounds"
    if prune.is_one_shot and listed and prune.rounds != usual:
        yield f"prune.rounds is {prune.rounds}, and one-shot pruning goes by prune.densities alone"
    densities = () if isinstance(prune.densities, str) else prune.densities
    once = () if isinstance(asked.one_shot, str) else asked.one_shot
    if 1.0 in (*densities, *once):
        yield "a density of 1 keeps all weights: nothing is pruned there"


def _same_runs(points: Sequence[Node]) -> Iterator[str]:
    """Densities of an arm that are so near to one another that they keep the same weights."""
    seen: defaultdict[str, dict[str, Node]] = defaultdict(dict)
    for point in points:
        other = seen[point.arm].setdefault(point.run.id, point)
        if other.round != point.round:
            yield (
                f"rounds {other.round} and {point.round} of {point.arm} both keep "
                f"{point.weights_kept} weights: they are one run"
            )


def _end(setting: Setting) -> int:
    return setting.dense.steps
