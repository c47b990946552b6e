"""The family of this machine's processor: results of different families are kept side by side.

Clouds hide a processor's model, or show that of another one, so what it can do decides: a family is
the oldest one with the same instructions for vectors and matrices.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

_INTEL = (  # the newest first: the instruction that came with it
    ("amx_fp16", "Granite Rapids"),
    ("amx_tile", "Sapphire Rapids"),
    ("avx512_bf16", "Cooper Lake"),
    ("avx512_vbmi2", "Ice Lake"),
    ("avx512_vnni", "Cascade Lake"),
    ("avx512f", "Skylake"),
    ("avx2", "Haswell"),
)
_AMD = {26: "Zen 5", 25: "Zen 3", 23: "Zen 2"}  # by cpu family; 25 with AVX-512 is Zen 4


def family(about: Mapping[str, str] | None = None) -> str:
    """E.g. ``Intel, Sapphire Rapids (AVX-512)``. ``about``: one processor of /proc/cpuinfo."""
    about = _processor() if about is None else about
    flags = set(about.get("flags", about.get("Features", "")).split())
    width = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else platform.machine()
    return f"{_name(about, flags)} ({width})"


def _name(about: Mapping[str, str], flags: set[str]) -> str:
    vendor = about.get("vendor_id", "")
    if vendor == "GenuineIntel":
        for flag, name in _INTEL:
            if flag in flags:
                return f"Intel, {name}"
        return "Intel"
    if vendor == "AuthenticAMD":
        number = int(about.get("cpu family", 0))
        if number == 25 and "avx512f" in flags:
            return "AMD, Zen 4"
        return f"AMD, {_AMD.get(number, f'family {number}')}"
    return about.get("model name") or platform.processor() or platform.machine()


def _processor() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is no such file."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().split("\n\n")[0].splitlines() if file.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
