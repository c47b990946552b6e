"""How functions become kernels: what numba is asked for, and what Python may call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(function: _F) -> _F:
    """Let numba compile a function: IEEE arithmetic as written, no bounds checks, no GIL."""
    compiled = numba.njit(error_model="numpy", boundscheck=False, nogil=True)(function)
    return cast(_F, compiled)


def named_kernel(name: str) -> Callable[[_F], _F]:
    """`kernel` for a function that a factory makes several times: gives it a name of its own."""

    def compiled(function: _F) -> _F:
        function.__name__ = function.__qualname__ = name
        return kernel(function)

    return compiled


def inlined(function: _F) -> _F:
    """Let numba compile a function into each kernel that calls it, as `kernel` does otherwise.

    It may not allocate, so that it need not count references to the arrays it is given either.
    """
    njit: Any = numba.njit  # whose types do not know of _nrt
    options = {"error_model": "numpy", "boundscheck": False, "nogil": True}
    return cast(_F, njit(**options, forceinline=True, _nrt=False)(function))


@dataclass(frozen=True)
class EntryPoint:
    """A kernel that Python calls, with the argument types it is compiled for, as numba's types."""

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]
    kind: str = ""
    """What sets apart one of several lists of types for the same kernel."""

    @property
    def name(self) -> str:
        """The name of the kernel's function, and its kind."""
        return f"{self.kernel.__name__}_{self.kind}" if self.kind else self.kernel.__name__
