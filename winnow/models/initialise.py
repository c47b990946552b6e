"""Initialisation of a network from named seeds: each parameter draws from its own stream.

Glorot & Bengio 2010, equations 12 and 16; He et al. 2015, equation 10. With the fans
f_in = inputs of a unit and f_out = outputs of a channel, each times the size of the kernel:

    glorot   variance 2 / (f_in + f_out)
    kaiming  variance 2 / f_in      (the gain of ReLU)
    kaiming-fan-out  N(0, 2 / f_out), which keeps the variance of gradients (equation 14)
    normal   N(0, std^2)
    signed   ± the standard deviation of glorot or kaiming, with the signs of their normal draw

The signed constants are Zhou et al. 2019, section 4 (glorot), and Ramanujan et al. 2020, section
3.3 (kaiming), for mask search. For that, ``kept`` < 1 counts only so much of each fan in, as a
network of which so much is kept has (the latter's scaling by 1/√k; their code takes 1 − k).

Normal distributions are not truncated (TensorFlow truncates at two standard deviations).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from winnow import rng
from winnow.errors import UserError, unknown

SCHEMES = (
    "glorot-normal",
    "glorot-uniform",
    "kaiming-normal",
    "kaiming-uniform",
    "kaiming-fan-out",
    "normal",
    "signed-glorot",
    "signed-kaiming",
)
NORM_INITS = ("ones", "uniform")
"""What the weights of batch normalisation start as: 1, or drawn from U(0, 1)."""

_Weighted = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_Normalised = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def initialise(
    model: nn.Module,
    scheme: str,
    seed: int,
    *,
    std: float | None = None,
    draw: int = 0,
    kept: float = 1.0,
    head: float | None = None,
    norm: str = "ones",
) -> None:
    """Set every parameter and running statistic of ``model`` in place.

    Kernels and matrices follow ``scheme`` (see ``SCHEMES``); biases are 0; batch normalisation
    has weight 1, bias 0 and fresh running statistics. ``std``: the standard deviation that
    "normal" needs and the others refuse. ``draw`` 0 is the original initialisation, 1 and up
    are re-initialisations. ``kept``: the fraction of its inputs that a unit will keep, for the
    kaiming schemes; their variance is 2 / (kept · f_in). ``head``: the output layer (the last
    Linear) is N(0, head²) whatever the scheme. ``norm``: ``uniform`` draws the weights of batch
    normalisation from U(0, 1), as openLTH does. A parameter gets the same numbers whatever else
    the network holds.
    Raises UserError for an unknown scheme, a wrong ``std``, a ``head`` or ``norm`` of what the
    network does not have, or a parameter of another kind of layer; the model is untouched then.
    """
    _check(scheme, std, kept)
    check_parts(model, head, norm)
    kinds, output = list(_kinds(model)), None if head is None else _last_linear(model)
    with torch.no_grad():
        for name, parameter, kind in kinds:
            generator = rng.torch_generator(seed, "init", draw, name)
            if parameter is output:
                _draw(parameter, "normal", head, 1.0, generator)
            elif kind == "weight":
                _draw(parameter, scheme, std, kept, generator)
            elif kind == "one" and norm == "uniform":
                parameter.copy_(torch.rand(parameter.shape, generator=generator))
            else:
                parameter.fill_(1.0 if kind == "one" else 0.0)
    for module in model.modules():
        if isinstance(module, _Normalised):
            module.reset_running_stats()


def _counts_fan_in(scheme: str) -> bool:
    """Whether a scheme goes by the fan in alone, of which ``kept`` is a part."""
    return "kaiming" in scheme and scheme != "kaiming-fan-out"


def check_parts(model: nn.Module, head: float | None, norm: str) -> None:
    """UserError for an output layer or batch normalisation of its own that there is not."""
    if head is not None and not (math.isfinite(head) and head > 0):
        raise UserError(f"head={head!r} must be a standard deviation above 0, e.g. 0.01")
    if head is not None and _last_linear(model) is None:
        raise UserError(f"head={head!r} is for a Linear output layer, and there is none")
    if norm not in NORM_INITS:
        raise unknown("norm", norm, NORM_INITS, f"They are {', '.join(NORM_INITS)}")
    scaled = any(isinstance(m, _Normalised) and m.affine for m in model.modules())
    if norm != "ones" and not scaled:
        raise UserError(
            f"the weights of batch normalisation cannot be {norm}: the network has none"
        )


def check_scheme(model: nn.Module, scheme: str) -> None:
    """UserError for a parameter of a layer that no scheme knows; see `initialise`."""
    try:
        list(_kinds(model))
    except UserError as error:
        raise UserError(
            f"init {scheme}: {error} In a recipe, write model.init: own, which takes what the "
            "network's modules start with"
        ) from None


def _last_linear(model: nn.Module) -> torch.Tensor | None:
    """The weight of the output layer."""
    linear = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    return linear[-1] if linear else None


def _check(scheme: str, std: float | None, kept: float) -> None:
    if scheme not in SCHEMES:
        raise unknown("initialisation", scheme, SCHEMES, f"They are {', '.join(SCHEMES)}")
    if not 0 < kept <= 1 or (kept != 1 and not _counts_fan_in(scheme)):
        raise UserError(
            f"kept={kept!r} with the initialisation {scheme}: it is a fraction above 0, up to 1, "
            "and goes with kaiming-normal, kaiming-uniform and signed-kaiming"
        )
    if scheme == "normal":
        if std is None or not (math.isfinite(std) and std > 0):
            raise UserError(
                f"the initialisation normal needs std > 0, the standard deviation "
                f"(given: {std!r}), e.g. 0.1"
            )
    elif std is not None:
        raise UserError(f"the initialisation {scheme} sets its own scale; leave out std={std!r}")


def _kinds(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, str]]:
    """Each parameter once, under its first name, with what it becomes: weight, one or zero."""
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        for key, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                name = f"{prefix}.{key}" if prefix else key
                yield name, parameter, _kind(module, key, name)


def _kind(module: nn.Module, key: str, name: str) -> str:
    if key == "bias" and isinstance(module, _Weighted + _Normalised):
        return "zero"
    if key == "weight" and isinstance(module, _Weighted):
        return "weight"
    if key == "weight" and isinstance(module, _Normalised):
        return "one"
    raise UserError(
        f"no initialisation is defined for the parameter {name!r} of a {type(module).__name__}; "
        "Linear, Conv and BatchNorm layers are known. Initialise the network yourself."
    )


def _draw(
    weight: nn.Parameter,
    scheme: str,
    std: float | None,
    kept: float,
    generator: torch.Generator,
) -> None:
    """Fill a weight (out, in, kernel...); drawn in float32 on the CPU, then cast and copied."""
    deviation = standard_deviation(weight.shape, scheme, std=std, kept=kept)
    values = torch.empty(weight.shape, device="cpu")
    if scheme.endswith("uniform"):
        bound = math.sqrt(3) * deviation
        values.uniform_(-bound, bound, generator=generator)
    else:
        values.normal_(0.0, deviation, generator=generator)
    if scheme.startswith("signed"):
        values = torch.where(values < 0, -deviation, deviation)
    weight.copy_(values)


def standard_deviation(
    shape: torch.Size, scheme: str, *, std: float | None = None, kept: float = 1.0
) -> float:
    """That of the initial weights of a tensor (out, in, kernel...), as `initialise` draws them."""
    if std is not None:
        return std
    kernel = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * kernel, shape[0] * kernel
    if scheme.endswith("glorot") or scheme.startswith("glorot"):
        return math.sqrt(2 / (fan_in + fan_out))
    if scheme == "kaiming-fan-out":
        return math.sqrt(2 / fan_out)
    return math.sqrt(2 / (kept * fan_in))
