"""How many weights stay, and where: from densities or rates to exact counts.

A count is one int (all weights compete globally) or an int for each name (each tensor competes
within itself). Rounding is Python's ``round``: halves go to the even neighbour. Densities and rates
are numbers of any type, see ``shares``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from winnow.errors import UserError, unknown
from winnow.shares import number_of, share_of

Keep = int | dict[str, int]

SCOPES = ("global", "layer", "uniform", "er", "erk", "row")


def keep_for_density(
    shapes: Mapping[str, Sequence[int]],
    alive: Mapping[str, int],
    density: float | Mapping[str, float],
    scope: str = "global",
    together: int = 1,
) -> Keep:
    """Counts for a target density of the ORIGINAL sizes (product of each shape).

    ``alive``: what an earlier mask has left of each tensor; the counts never exceed it.
    ``density``: a number in [0, 1], shared out by ``scope``:

    - "global": round(density · N), one competition;
    - "layer": round(density · n) in each tensor;
    - "uniform": the same density in each tensor, in total exactly round(density · N);
    - "er" and "erk": Erdős–Rényi(-kernel) densities, in total exactly round(density · N);
    - "row": round(density · inputs) in each output, the first axis of a shape.

    or exact names -> densities: those tensors get round(density · n), others keep what is alive.
    ``together``: how many weights stay or go together; all counts are then of such blocks.
    Raises UserError for a density outside [0, 1] or above what is alive, and an unknown scope.
    """
    check_scope(scope)
    sizes = {name: math.prod(shape) // together for name, shape in shapes.items()}
    if isinstance(density, Mapping):
        for name, own in density.items():
            check_density(own, name)
        wanted = {name: share_of(own, sizes[name]) for name, own in density.items()}
        return _within(alive, {**alive, **wanted}, sizes)
    plain = check_density(density)
    total = share_of(density, sum(sizes.values()))
    if scope == "global":
        return _within_total(alive, total, sizes)
    if scope == "layer":
        return _within(alive, {name: share_of(density, n) for name, n in sizes.items()}, sizes)
    if scope == "row":
        return _within(
            alive, {n: _rows(s) * share_of(density, _row(s)) for n, s in shapes.items()}, sizes
        )
    quotas = {n: plain * sizes[n] for n in sizes}
    if scope in ("er", "erk"):
        weights = erk(shapes, plain) if scope == "erk" else er(shapes, plain)
        quotas = {name: quota / together for name, quota in weights.items()}
    _within_total(alive, total, sizes)
    _within(alive, {name: _floor(quota) for name, quota in quotas.items()}, sizes)
    return apportion(quotas, total, alive)


def keep_for_rates(
    alive: Mapping[str, int], rates: float | Mapping[str, float], scope: str = "global"
) -> Keep:
    """Counts after removing a fraction of the SURVIVING weights: round(rate · alive) go.

    A number with scope "global" gives one count, with "layer" one count a tensor. Exact names ->
    rates give one count a tensor whatever the scope; tensors without a rate keep what is alive.
    Raises UserError for a rate outside [0, 1) and for the scopes "uniform", "er" and "erk".
    """
    check_scope(scope)
    if isinstance(rates, Mapping):
        for name in alive:
            check_rate(rates.get(name, 0), name)
        return {name: _after(rates.get(name, 0), alive[name]) for name in alive}
    check_rate(rates)
    if scope == "global":
        return _after(rates, sum(alive.values()))
    if scope == "layer":
        return {name: _after(rates, count) for name, count in alive.items()}
    raise UserError(f"scope {scope!r} needs a density; a rate goes with 'global' or 'layer'")


def _rows(shape: Sequence[int]) -> int:
    return shape[0] if shape else 1


def _row(shape: Sequence[int]) -> int:
    return math.prod(shape[1:])


def erk(shapes: Mapping[str, Sequence[int]], density: float) -> dict[str, float]:
    """Erdős–Rényi-kernel: the (fractional) number of weights that each tensor keeps.

    Evci et al. 2020, "Rigging the Lottery" (RigL), section 3: the density of a tensor is
    proportional to sum(shape) / prod(shape). Tensors that would exceed density 1 are dense, and
    the factor is solved again for the others.
    """
    return _erdos_renyi(shapes, density, {name: sum(shape) for name, shape in shapes.items()})


def er(shapes: Mapping[str, Sequence[int]], density: float) -> dict[str, float]:
    """Erdős–Rényi: as `erk`, densities proportional to (inputs + outputs) / (inputs · outputs).

    Mocanu et al. 2018 (SET), equation 3. Inputs and outputs of a convolution are its channels:
    the first two sizes of the shape. Tensors of fewer dimensions count as in `erk`.
    """
    mass = {name: sum(shape[:2]) * math.prod(shape[2:]) for name, shape in shapes.items()}
    return _erdos_renyi(shapes, density, mass)


def _erdos_renyi(
    shapes: Mapping[str, Sequence[int]], density: float, mass: Mapping[str, int]
) -> dict[str, float]:
    """Counts proportional to ``mass``, none above the size of its tensor, in total density · N."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    budget = density * sum(sizes.values())
    dense: set[str] = set()
    while True:
        free = [name for name in shapes if name not in dense and sizes[name]]
        whole = sum(mass[name] for name in free)
        factor = (budget - sum(sizes[name] for name in dense)) / whole if whole else 0.0
        full = {name for name in free if factor * mass[name] > sizes[name]}
        if not full:
            break
        dense |= full
    return {
        name: float(sizes[name]) if name in dense else (factor * mass[name] if sizes[name] else 0.0)
        for name in shapes
    }


def check_density(density: object, name: str | None = None) -> float:
    """The density as a float; UserError unless it is a number in [0, 1].

    Counts are taken of the density itself, by `shares.share_of`.
    """
    found = number_of(density)
    if found is None or not 0 <= found <= 1:
        of = f" of {name!r}" if name else ""
        raise UserError(f"density{of} is {density!r}: give a number from 0 to 1, e.g. 0.05")
    return float(found)


def check_rate(rate: object, name: str | None = None) -> float:
    """The rate as a float; UserError unless it is a number in [0, 1)."""
    found = number_of(rate)
    if found is None or not 0 <= found < 1:
        of = f" of {name!r}" if name else ""
        raise UserError(
            f"rate{of} is {rate!r}: give the fraction of the surviving weights that a round "
            "removes, from 0 to below 1, e.g. 0.2"
        )
    return float(found)


def check_scope(scope: str) -> None:
    """UserError unless the scope exists."""
    if scope not in SCOPES:
        raise unknown("scope", str(scope), SCOPES, f"Scopes are {', '.join(SCOPES)}")


def _after(rate: float, alive: int) -> int:
    return alive - share_of(rate, alive)


def _within_total(alive: Mapping[str, int], total: int, sizes: Mapping[str, int]) -> int:
    left, size = sum(alive.values()), sum(sizes.values())
    if total > left:
        raise UserError(
            f"cannot keep {total} of {size} weights: the mask has {left} left, and a removed "
            f"weight never returns. Reachable densities are 0 to {left / size:.6g}."
        )
    return total


def _within(
    alive: Mapping[str, int], wanted: dict[str, int], sizes: Mapping[str, int]
) -> dict[str, int]:
    for name, count in wanted.items():
        if count > alive[name]:
            raise UserError(
                f"cannot keep {count} of {sizes[name]} weights of {name!r}: the mask has "
                f"{alive[name]} left, and a removed weight never returns. Reachable densities of "
                f"this tensor are 0 to {alive[name] / sizes[name]:.6g}."
            )
    return wanted


def _floor(quota: float) -> int:
    # 0.29 · 100 is 28.999999999999996 and means 29.
    return math.floor(quota + 1e-6)


def apportion(quotas: Mapping[str, float], total: int, caps: Mapping[str, int]) -> dict[str, int]:
    """Whole counts next to the quotas, in total exactly ``total``: the largest remainders round up.

    Equal remainders: the earlier name wins. A tensor at its cap passes its turn to the next. The
    quotas sum to ``total``, and the caps have room for it.
    """
    counts = {name: min(_floor(quota), caps[name]) for name, quota in quotas.items()}
    order = sorted(quotas, key=lambda name: counts[name] - quotas[name])  # stable
    missing = total - sum(counts.values())
    for name in _rounds(order, missing):
        if missing == 0:
            break
        if counts[name] < caps[name]:
            counts[name] += 1
            missing -= 1
    assert missing == 0, (quotas, total, caps)
    return counts


def _rounds(names: Sequence[str], missing: int) -> Iterable[str]:
    # Each lap places one weight at least, as the caps have room for all of them.
    return (name for _ in range(missing) for name in names)


def check_least(keep: Keep, sizes: Mapping[str, int], least: int, name: str = "least") -> None:
    """UserError unless counts leave every tensor ``least`` weights (all, if it has fewer)."""
    if isinstance(least, bool) or not isinstance(least, int) or least < 0:
        raise UserError(f"{name} is {least!r}: give the number of weights that every layer keeps")
    reserved = {tensor: min(least, size) for tensor, size in sizes.items()}
    needed = sum(reserved.values())
    if isinstance(keep, int):
        if keep < needed:
            raise UserError(
                f"{name} is {least}, which takes {needed} weights in {len(sizes)} layers, but "
                f"{keep} are to stay: protect fewer, or keep more"
            )
        return
    for tensor, count in keep.items():
        if count < reserved[tensor]:
            raise UserError(
                f"{name} is {least}, but {tensor} is to keep {count} weights: protect fewer, or "
                "take scope global, where layers lend each other weights"
            )
