"""Networks of one's own: a function outside Winnow that builds a module.

    def build(inputs: tuple[int, int, int], classes: int, **options) -> nn.Module

``module:function`` or ``path/to/file.py:function``; a class that is a module will do. ``inputs``
(C, H, W) and ``classes`` are passed to a function that has parameters of these names, options by
name. The module takes images float32 (B, C, H, W) and returns logits (B, ``classes``).
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from winnow import rng
from winnow.errors import UserError, unknown
from winnow.outside import failed, folder_of, load_outside, own_imports

OWN_INIT = "own"
"""In place of an initialisation: what the network's own modules start with."""

_SAID = "model.name"


def own_network(
    written: str,
    inputs: tuple[int, int, int],
    classes: int,
    options: Mapping[str, Any],
    source: str | None = None,
) -> nn.Module:
    """The network of ``module:function`` or ``file.py:function``.

    ``source``: the hash that the file must have (see `outside.load_outside`). Numbers that the
    function draws from torch, numpy or random come from whatever these are at: see `drawn_from`.
    UserError: no such function, options that it does not take, an error in it, or no module.
    """
    function = load_outside(written, _SAID, source)
    arguments = _arguments(written, function, {"inputs": inputs, "classes": classes}, options)
    try:
        with own_imports(folder_of(written)):
            model = function(**arguments)
    except UserError:
        raise
    except Exception as error:  # whatever the function raises
        raise failed(f"{_SAID} {written!r}", "building the network", error) from error
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{_SAID} {written!r} returned {_kind(model)}: return the network, an nn.Module"
        )
    return model


def without_values(build: Callable[[], nn.Module]) -> nn.Module:
    """A network's layers on the meta device; built there, or first here where that fails."""
    try:
        with torch.device("meta"):
            model = build()
        _check_parameters(model)
        return model.to("meta")
    except Exception:  # what a builder does to values that are not there: the true error comes next
        model = build()
        _check_parameters(model)
        return model.to("meta")


@contextlib.contextmanager
def drawn_from(seed: int, *names: str | int) -> Iterator[None]:
    """What torch (on the CPU), numpy and random draw meanwhile comes from a named stream.

    On one thread, so that it does not depend on the cores. Afterwards all are as they were.
    """
    drawn = rng.torch_seed(seed, *names)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        torch.default_generator.manual_seed(drawn)
        random.seed(drawn)
        np.random.seed(drawn % 2**32)
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])
        torch.set_num_threads(threads)


def rehearse(written: str, model: nn.Module, x: torch.Tensor, classes: int) -> None:
    """One step of a network that is thrown away, on a few images (B, C, H, W).

    UserError, by name, for what cannot be trained: no logits (B, ``classes``), an error in its
    forward pass, parameters that are frozen, not float32, or not in the loss.
    """
    said = f"{_SAID} {written!r}"
    _check_parameters(model, said)
    try:
        logits = model.train()(x)
    except Exception as error:  # whatever the network raises
        raise failed(said, f"its forward pass on images {tuple(x.shape)}", error) from error
    if not isinstance(logits, torch.Tensor):
        raise UserError(f"{said} returns {_kind(logits)}: return logits, a tensor (B, {classes})")
    if tuple(logits.shape) != (len(x), classes):
        raise UserError(
            f"{said} returns a tensor {tuple(logits.shape)} for {len(x)} images: return logits "
            f"({len(x)}, {classes}), one for each class"
        )
    named = dict(model.named_parameters())
    try:
        found = torch.autograd.grad(logits.sum(), list(named.values()), allow_unused=True)
    except RuntimeError as error:
        raise failed(said, "its gradient", error) from error
    unused = [name for name, gradient in zip(named, found, strict=True) if gradient is None]
    if unused:
        raise UserError(
            f"{said}: {_some(unused)} takes no part in the logits: leave such layers out of the "
            "network"
        )


def _arguments(
    written: str,
    function: Callable[..., Any],
    known: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What a builder is called with. UserError for what it does not take, or lacks."""
    said = f"{_SAID} {written!r}"
    taken = inspect.signature(function).parameters
    keywords = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    for option in options:
        if option in known:
            raise UserError(f"model.options: {option} follows from the data; leave it out")
        if option not in taken and not keywords:
            names = [name for name in taken if name not in known]
            hint = f"{written} takes {', '.join(names) or 'none'}"
            raise unknown("option in model.options:", option, names, hint)
    given: dict[str, Any] = {
        **{name: value for name, value in known.items() if name in taken or keywords},
        **options,
    }
    for name, parameter in taken.items():
        by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise UserError(f"{said}: its parameter {name} takes no name: leave out the slash")
        if by_name and parameter.default is parameter.empty and name not in given:
            raise UserError(
                f"{said} needs {name}: write model.options: {{{name}: …}}, or give it a default "
                "(inputs and classes are passed to parameters of these names)"
            )
    return given


def _check_parameters(model: nn.Module, said: str = _SAID) -> None:
    """UserError for parameters that have no shape yet, or cannot be trained."""
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise UserError(
                f"{said}: {name} is lazy, it has no shape before data comes: build the layer with "
                "its sizes"
            )
        if parameter.dtype != torch.float32:
            raise UserError(f"{said}: {name} is {parameter.dtype}; networks train in float32")
        if not parameter.requires_grad:
            raise UserError(
                f"{said}: {name} is frozen (requires_grad is False): register it as a buffer"
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
