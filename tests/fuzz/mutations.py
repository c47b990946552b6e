"""Mutations of inputs without coverage: for the tests, and where atheris is not installed."""

from __future__ import annotations

import random
import re

_ODD = (
    b"1e999", b"-1", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b"0", b"4294967296",
    b"9" * 30, b"9" * 5000, b"[" * 5000, b'{"a":' * 3000, b'"\\ud800"', b"1.5", b"\xff\xfe",
    b"9223372036854775807", b"&a [*a]", b"!!python/object:os.system", b"18446744073709551615",
)  # fmt: skip
_VALUES = re.compile(rb'-?\d+(?:\.\d+)?|"[^"]*"|null|true|false|\[[^\[\]]*\]')


def mutated(data: bytes, chosen: random.Random) -> bytes:
    """One to three mutations of an input."""
    for _ in range(chosen.randint(1, 3)):
        data = chosen.choice((_bit, _byte, _cut, _copied, _value, _value, _value))(data, chosen)
    return data


def _bit(data: bytes, chosen: random.Random) -> bytes:
    if not data:
        return data
    at = chosen.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chosen.randrange(8)]) + data[at + 1 :]


def _byte(data: bytes, chosen: random.Random) -> bytes:
    at = chosen.randrange(len(data) + 1)
    return data[:at] + bytes([chosen.randrange(256)]) + data[at + chosen.randint(0, 1) :]


def _cut(data: bytes, chosen: random.Random) -> bytes:
    begin, end = sorted(chosen.randrange(len(data) + 1) for _ in range(2))
    return data[:begin] + data[end:]


def _copied(data: bytes, chosen: random.Random) -> bytes:
    begin, end = sorted(chosen.randrange(len(data) + 1) for _ in range(2))
    at = chosen.randrange(len(data) + 1)
    return data[:at] + data[begin : min(end, begin + 200)] + data[at:]


def _value(data: bytes, chosen: random.Random) -> bytes:
    """A number, text or list of a JSON or YAML text becomes an odd one, or another of it."""
    found = list(_VALUES.finditer(data))
    if not found:
        return _byte(data, chosen)
    one, other = chosen.choice(found), chosen.choice(found)
    new = other.group() if chosen.random() < 0.4 else chosen.choice(_ODD)
    return data[: one.start()] + new + data[one.end() :]
