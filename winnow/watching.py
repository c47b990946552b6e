"""Notices what others do to the weights of a model: write to them, or put others in their place.

``load_state_dict`` writes; with ``assign=True`` it replaces, as conversions do where torch's
``set_overwrite_module_params_on_conversion`` is set; with ``set_swap_module_params_on_conversion``
they swap what is inside, hooks included.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.sharding import is_sharded

_Mark = tuple[int, int, torch.dtype, torch.device] | None
_Place = tuple[nn.Module, str]


class Watch:
    """The places of some weights in their model, and what was in them when they were last noted."""

    def __init__(self, model: nn.Module, weights: Mapping[str, nn.Parameter]) -> None:
        self._weights = weights  # of whoever holds them, and changes them as they are replaced
        names = {id(weight): name for name, weight in weights.items()}
        self._places: dict[str, list[_Place]] = {name: [] for name in weights}
        for module in model.modules():
            for key, parameter in module._parameters.items():
                if parameter is not None and id(parameter) in names:
                    self._places[names[id(parameter)]].append((module, key))
        self._marks: dict[str, _Mark] = {}
        self.note(weights)

    @property
    def owners(self) -> dict[nn.Module, list[str]]:
        """The modules that have the weights as their own, and which."""
        found: dict[nn.Module, list[str]] = {}
        for name, places in self._places.items():
            for module, _ in places:
                found.setdefault(module, []).append(name)
        return found

    def note(self, names: Iterable[str]) -> None:
        """What these weights are now is what they are meant to be."""
        for name in names:
            self._marks[name] = _mark(self._weights[name])

    def written(self) -> list[str]:
        """The weights whose memory is another, or has been written to, since they were noted."""
        return [n for n, mark in self._marks.items() if mark != _mark(self._weights[n])]

    def replaced(self) -> dict[str, nn.Parameter]:
        """Other parameters that stand where the weights were.

        UserError where nothing does any more, and where a weight of several places has become
        several. Tensors that ``torch.func.functional_call`` puts there for a while do not count.
        """
        found = {}
        for name, places in self._places.items():
            if is_sharded(self._weights[name]):  # FSDP2 puts whole ones there for a forward pass
                continue
            now = [module._parameters.get(key) for module, key in places]
            if all(one is self._weights[name] for one in now):
                continue
            if not _is_lent(now):
                found[name] = _only(name, now)
        return found


def _mark(weight: Tensor) -> _Mark:
    if is_sharded(weight):  # FSDP2 moves what a rank has to and fro
        return None
    try:
        return weight._version, weight.data_ptr(), weight.dtype, weight.device
    except RuntimeError:  # an inference tensor, or one that wraps others
        return None


def _is_lent(now: list[Any]) -> bool:
    if any(isinstance(one, Tensor) and not isinstance(one, nn.Parameter) for one in now):
        return True
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "torch.nn.utils.stateless":
            return True
        frame = frame.f_back
    return False


def _only(name: str, now: list[Any]) -> nn.Parameter:
    if any(one is None for one in now):
        raise UserError(
            f"the masked {name!r} is no parameter of the model any more (pruned, parametrised or "
            "replaced): close the mask's hold before, and hold the model anew"
        )
    if len({id(one) for one in now}) > 1:
        raise UserError(
            f"the masked {name!r} was one weight in {len(now)} places (tied), and now they differ, "
            "as after load_state_dict(assign=True): tie them again, or load without assign"
        )
    found: nn.Parameter = now[0]
    return found


class WatchHook:
    """A hook of a module that stays behind when the module is copied or saved."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.paused = False
        self.compiled = False  # the module has run compiled, where the function is left out

    def __call__(self, *_: Any) -> None:
        if torch.compiler.is_compiling():
            self.compiled = True
        elif not self.paused:
            self.function()

    def __deepcopy__(self, memo: Any) -> NoHook:
        return NoHook()

    def __reduce__(self) -> tuple[type[NoHook], tuple[()]]:
        return NoHook, ()


class NoHook:
    """What is left of a `WatchHook` in a copy of its module."""

    def __call__(self, *_: Any) -> None:
        return None


def watch_hooks(model: nn.Module) -> list[WatchHook]:
    """Those that run before the forward pass of a model."""
    return [hook for hook in model._forward_pre_hooks.values() if isinstance(hook, WatchHook)]
