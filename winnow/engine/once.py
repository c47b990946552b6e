"""What is found out about a network once in a process: tracing it takes longer than a short run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from torch import nn

Build = Callable[[], nn.Module]
Options = ParamSpec("Options")
Learnt = TypeVar("Learnt")

_MOST = 64  # networks; what is kept of each is small


def once(
    find: Callable[Concatenate[Build, Options], Learnt],
) -> Callable[Concatenate[Build, Options], Learnt]:
    """``find`` of a build and hashable options, made once where the build is a frozen dataclass.

    Equal ones build the same network. Of any other callable nobody knows what it builds next time,
    so ``find`` is called each time.
    """
    known = functools.lru_cache(maxsize=_MOST)(find)

    @functools.wraps(find)
    def found(build: Build, /, *args: Options.args, **options: Options.kwargs) -> Learnt:
        remembered: Any = known if _is_value(build) else find
        result: Learnt = remembered(build, *args, **options)
        return result

    return cast("Callable[Concatenate[Build, Options], Learnt]", found)


def _is_value(build: object) -> bool:
    """Whether builds that are equal are so for good."""
    about: Any = getattr(type(build), "__dataclass_params__", None)
    return about is not None and bool(about.frozen)
