"""Dynamic sparsity in a training loop of the user's own: ``wn.dynamic``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.algorithms.dynamic import make_dynamic
from winnow.algorithms.dynamic.driven import check_given, momentum
from winnow.algorithms.dynamic.method import Change, DynamicMethod, Memory, Moment
from winnow.algorithms.dynamic.turned import turned_for
from winnow.amounts import option_iterations
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.patterns.grains import parse_pattern
from winnow.selection import Params, parameters, prunable, resolve_names
from winnow.sparsifying import Sparsified
from winnow.state import Tensors


def dynamic(
    model: nn.Module,
    method: str,
    *,
    optimizer: Optimizer,
    density: float | None = None,
    steps: str,
    per_epoch: int | None = None,
    params: Params | None = None,
    ignore: str | Iterable[str] | None = None,
    mask: Mask | None = None,
    seed: int = 0,
    **options: Any,
) -> Dynamic:
    """Train a model sparsely in one's own loop, with a mask that changes: RigL and its relatives.

    ``method``: gradual, set, deep-r, dsr, snfs or rigl; ``options`` are those of its class in
    ``winnow.algorithms.dynamic``, the originals' by default. ``density``: kept fraction of the
    weights that compete (at the end, for gradual); exact after every update. ``pattern="2:4"`` (any
    N:M, in place of a density), ``block=(r, c)`` and ``distribution="row"`` (gradual: ``scope``)
    hold after every update of set, rigl and gradual. ``steps``: length of the training, "30000it",
    or "90ep" with ``per_epoch`` iterations (``len(loader)``). ``params``: what competes, as in
    ``wn.score``; ``ignore``: names, patterns and group words of what stays dense (default what the
    original leaves dense; [] for nothing). ``mask``: where to start from, in place of the method's
    first mask.

    The model is pruned at once. Then call ``.step()`` wherever the loop called
    ``optimizer.step()``, once an iteration, with the gradients in ``.grad``::

        sparse = wn.dynamic(model, "rigl", density=0.1, optimizer=opt, steps="30000it")
        for x, y in loader:
            opt.zero_grad()
            loss_fn(model(x), y).backward()
            sparse.step()

    RigL's updates (Algorithm 1) take the place of the optimizer's step: in those iterations
    ``.step()`` reads the dense gradient and changes the mask, and the optimizer does not move. All
    other gradients are masked as they are accumulated, before any clipping (not for snfs, which
    trains densely). Removed weights are exactly 0 after every ``.step()``.

    Raises UserError for an unknown method or option, a density out of reach, and an optimizer that
    is not this model's or lacks the momentum that snfs needs.
    """
    chosen = make_dynamic(method, _density(method, density, options), **options)
    competing = _competing(model, chosen, params, ignore)
    chosen = turned_for(chosen, model, competing)
    total = option_iterations(method, "steps", steps, per_epoch)
    return Dynamic(model, chosen, optimizer, list(competing), total, per_epoch, mask, seed)


class Dynamic:
    """A model in dynamic sparse training: ``mask`` is the mask now, ``made`` counts iterations.

    A context manager; ``close()`` ends it, and the zeros stay where they are.
    """

    def __init__(
        self,
        model: nn.Module,
        method: DynamicMethod,
        optimizer: Optimizer,
        names: list[str],
        steps: int,
        per_epoch: int | None,
        mask: Mask | None,
        seed: int,
    ) -> None:
        named = parameters(model)
        self.method, self.optimizer, self.seed, self.made = method, optimizer, seed, 0
        self.timing = method.timing(steps, per_epoch)
        self._weights = {name: named[name] for name in names}
        if method.dense_slots and not _has_momentum(optimizer):
            raise UserError(f"{method.name} grows by momentum: give the optimizer one, e.g. 0.9")
        values = {name: weight.detach() for name, weight in self._weights.items()}
        first = method.start(values, seed)
        if mask is not None:
            check_given(method, mask, first)
            first = mask
        self.memory = method.memory(values, first, seed)
        self._held = Sparsified(model, first, optimizer)
        self._held.dense_slots = method.dense_slots
        self._foresee()

    @property
    def mask(self) -> Mask:
        """The mask now."""
        return self._held.mask

    def step(self, optimizer_step: Callable[[], object] | None = None) -> None:
        """One iteration: the optimizer's step and the update of the mask, as far as they are due.

        ``optimizer_step``: what to call for the step, default ``optimizer.step``; e.g.
        ``lambda: scaler.step(optimizer)``.
        """
        instead = self.method.when == "instead" and self.timing.due(self.made)
        if instead:
            self._update(self.made)
            # No step was made, and a learning rate scheduler would warn of that.
            self.optimizer._opt_called = True  # type: ignore[attr-defined]
        else:
            (optimizer_step or self.optimizer.step)()
        self.made += 1
        if self.method.when == "after" and self.timing.due(self.made):
            self._update(self.made)
        self._foresee()

    def close(self) -> None:
        """Remove the hooks."""
        self._held.close()

    def __enter__(self) -> Dynamic:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def state_dict(self) -> dict[str, Any]:
        """All that the model and the optimizer do not hold: to be saved beside theirs."""
        return {
            "made": self.made,
            "mask": dict(self.mask),
            "scalars": dict(self.memory.scalars),
            "tensors": {kind: dict(values) for kind, values in self.memory.tensors.items()},
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken, after the model and the optimizer were loaded.

        The training then goes on bit-identically.
        """
        self.made = int(saved["made"])
        self.memory = Memory(
            saved["scalars"], {kind: self._placed(t) for kind, t in saved["tensors"].items()}
        )
        self._held.remask(Mask(self._placed(saved["mask"])))
        self._foresee()

    def _placed(self, tensors: Tensors) -> dict[str, Tensor]:
        """The tensors beside their weights."""
        return {name: t.to(self._weights[name].device) for name, t in tensors.items()}

    def _foresee(self) -> None:
        """Decide before the backward pass whether the coming iteration's gradients stay dense."""
        instead = self.method.when == "instead" and self.timing.due(self.made)
        self._held.dense_gradients = instead or self.method.dense_slots

    @torch.no_grad()
    def _update(self, step: int) -> None:
        change = self.method.update(
            Moment(
                step=step,
                timing=self.timing,
                mask=dict(self.mask),
                memory=self.memory,
                seed=self.seed,
                rate=self._rate(),
                kept=self._kept,
                gradient=self._gradient,
                momentum=self._momentum,
                perturb=self._perturb,
            )
        )
        if change is not None:
            self._carry_out(change)

    def _carry_out(self, change: Change) -> None:
        grown = change.grown
        if grown is None:
            before = self.mask
            grown = {name: keep & ~before[name] for name, keep in change.mask.items()}
        self._held.dense_gradients = False  # of a gradient that was read, only what is kept is left
        self._held.remask(Mask(change.mask), grown)
        for name, values in (change.values or {}).items():
            weight, new = self._weights[name], grown[name].to(self._weights[name].device)
            weight[new] = values.to(weight)
        if change.memory is not None:
            self.memory = change.memory

    def _rate(self) -> float:
        held = {id(weight) for weight in self._weights.values()}
        groups = self.optimizer.param_groups
        return float(next(g["lr"] for g in groups if any(id(p) in held for p in g["params"])))

    def _kept(self) -> Tensors:
        mask = self.mask
        return {name: w.detach()[mask[name].to(w.device)] for name, w in self._weights.items()}

    def _gradient(self) -> Tensors:
        missing = [name for name, weight in self._weights.items() if weight.grad is None]
        if missing:
            raise UserError(
                f"{missing[0]!r} has no gradient at iteration {self.made}, where "
                f"{self.method.name} reads it: call .step() after backward(), before zero_grad()"
            )
        return {n: w.grad.detach() for n, w in self._weights.items() if w.grad is not None}

    def _momentum(self) -> Tensors:
        slots: dict[str, dict[str, Tensor]] = {}
        for name, weight in self._weights.items():
            for slot, value in self.optimizer.state.get(weight, {}).items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    slots.setdefault(slot, {})[name] = value
        return momentum(slots, self._weights)

    def _perturb(self, change: Callable[[str, Tensor], Tensor]) -> None:
        for name, weight in self._weights.items():
            keep = self.mask[name].to(weight.device)
            weight[keep] = change(name, weight[keep])


def _density(method: str, density: float | None, options: Mapping[str, Any]) -> float:
    """The density, or that of a pattern. UserError for neither."""
    if density is None and options.get("pattern") is None:
        raise UserError(f"{method} needs a density, e.g. density=0.1, or a pattern='2:4'")
    return parse_pattern(options["pattern"]).density if density is None else density


def _competing(
    model: nn.Module,
    method: DynamicMethod,
    params: Params | None,
    ignore: str | Iterable[str] | None,
) -> dict[str, nn.Parameter]:
    """The weights under the mask."""
    weights = prunable(model, params)
    left_out = method.protects if ignore is None else ignore
    ignored = set(resolve_names(model, left_out, params))
    competing = {name: weight for name, weight in weights.items() if name not in ignored}
    if not competing:
        raise UserError(
            f"{', '.join(weights)} would stay dense, and nothing is left to {method.name}: "
            "pass ignore=[]"
        )
    return competing


def _has_momentum(optimizer: Optimizer) -> bool:
    return any(group.get("momentum") or "betas" in group for group in optimizer.param_groups)
