"""What a pickle will make, found by going over it without making anything.

``torch.load(weights_only=True)`` runs no code that a file brings, but trusts its numbers: a tensor
of any size over one stored value, a storage longer than what is stored for it, bytearray(10**10),
tuples in tuples whose hash takes 2^depth steps. Here the operations are followed on placeholders,
with the same stack as torch's, before torch sees the file.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

# what may be called of all that torch lets a file call; what it does not let it refuses by itself
_CALLED = (
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
)
_GREEDY = ("bytearray", "Counter")  # outside torch, and let by it: these take what they are told
_STRIDED = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_qtensor")  # storage, offset, size, …
_LARGEST_TUPLE = 10_000  # what it holds, with what is in that; a hash visits all of it
_BYTES = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2}
_BYTES |= {"Char": 1, "Byte": 1, "Bool": 1, "ComplexFloat": 8, "ComplexDouble": 16, "Untyped": 1}
_BYTES |= {"QInt8": 1, "QUInt8": 1, "QInt32": 4, "QUInt4x2": 1, "QUInt2x4": 1}
_PLAIN = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING")

Room = Callable[[str, int], bool]
"""Whether a storage of this key has so many bytes in the file."""


class PickleFault(Exception):  # noqa: N818  says what it is of the file
    """What is wrong with a pickle, in words that go on a sentence about its file."""


@dataclass(frozen=True)
class _Tuple:
    items: tuple[Any, ...]
    size: int


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Made:
    """The result of a call."""

    by: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Storage:
    numel: int


class _Container:
    """A list, a dictionary or a set."""


_CONTAINER = _Container()
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_CONSTANTS |= dict.fromkeys(("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"), _CONTAINER)
_CONSTANTS["EMPTY_TUPLE"] = _Tuple((), 1)


def check_pickle(file: IO[bytes], room: Room) -> None:
    """Go over the next pickle in a file.

    Raises PickleFault: it is damaged, or what it makes is not bounded by the file's length.
    """
    walk = _Walk(room)
    try:
        for operation, argument, _ in pickletools.genops(file):
            walk.step(operation.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PickleFault("is damaged or no torch file of tensors") from error


class _Walk:
    """The stack, the stacks below its marks, and what was noted for later."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.noted: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _PLAIN:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.noted[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.noted[argument] = stack[-1]
        elif name == "GLOBAL":
            stack.append(_Global(argument.replace(" ", ".")))
        elif name == "MARK":
            self.below.append(stack)
            self.stack = []
        elif name in ("TUPLE", "APPENDS", "SETITEMS"):
            items, self.stack = stack, self.below.pop()
            if name == "TUPLE":
                self.stack.append(_tuple(items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [_tuple(stack[-count:])]
        elif name in ("APPEND", "SETITEM"):
            del stack[-1 if name == "APPEND" else -2 :]
        elif name in ("REDUCE", "NEWOBJ"):
            arguments = stack.pop()
            stack.append(self._made(stack.pop(), arguments))
        elif name == "BUILD":
            stack.pop()
            if isinstance(stack[-1], _Made) and "._rebuild" in stack[-1].by:
                raise PickleFault("changes a tensor after it was made, as no torch of today does")
        elif name == "BINPERSID":
            stack.append(self._stored(stack.pop()))
        elif name not in ("PROTO", "STOP"):
            raise ValueError(name)

    def _made(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, _Global):
            return _Made("", ())  # torch refuses to call it
        of, _, name = function.name.rpartition(".")
        is_torchs = f"{of}.".startswith("torch.") and not of.startswith("torch.nn.modules")
        if (is_torchs and function.name not in _CALLED) or name in _GREEDY:
            raise PickleFault(
                f"holds a {function.name} that takes what it is told to, as no file of these "
                "projects does"
            )
        if of == "torch._utils" and name in _STRIDED:
            _check_strided(*arguments.items[:3])
        return _Made(function.name, arguments.items if isinstance(arguments, _Tuple) else ())

    def _stored(self, about: Any) -> Any:
        """A storage that the file has, told by ``("storage", type, key, where, numel, …)``."""
        if not isinstance(about, _Tuple) or about.items[:1] != ("storage",):
            return _Made("", ())  # torch refuses it
        _, of, key, _, numel = about.items[:5]
        kind = of.name.rpartition(".")[2].removesuffix("Storage")
        if type(numel) is not int or numel < 0 or not self.room(key, numel * _BYTES[kind]):
            raise PickleFault(
                f"is damaged: it has less than the {numel} numbers that its storage {key!r} has"
            )
        return _Storage(numel)


def _tuple(items: list[Any]) -> _Tuple:
    size = 1 + sum(item.size if isinstance(item, _Tuple) else 1 for item in items)
    if size > _LARGEST_TUPLE:
        raise PickleFault(f"has tuples in tuples, more than {_LARGEST_TUPLE} in one")
    return _Tuple(tuple(items), size)


def _check_strided(storage: _Storage, _: Any, size: Any) -> None:
    """PickleFault for a tensor of more elements than are stored for it (an expanded one)."""
    if isinstance(size, _Made) and size.by == "torch.Size":
        size = size.arguments[0]
    count = math.prod(size.items)
    if count > storage.numel:
        raise PickleFault(
            f"holds a tensor of {count:,} elements, copies of {storage.numel:,} stored ones (an "
            "expanded one, whose size no file bounds): save tensor.contiguous() in its place"
        )
