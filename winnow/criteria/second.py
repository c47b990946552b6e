"""Convolutions and batch normalisations that are cheap to differentiate twice.

Gradients of gradients (``grasp``) through torch's own convolution cost several convolutions that
its CPU library is slow at, and through its batch normalisation some forty elementwise passes with
a temporary each. Inside ``differentiated_twice()`` both give the same numbers from the usual
first-order kernels, and keep two activations less for each layer: one is that between
normalisation and rectification, the other see ``rectified``. Layers of other kinds, and those whose
biases, scales or shifts are themselves differentiated, take torch's way.

Notation: δ = ∂L/∂output, u = adjoint of a backward's result (∂z/∂(∂L/∂x)), z the scalar that is
differentiated a second time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from winnow.criteria.rectified import RELUS, Affine, Rectified, ReluSource, kept_as, per_channel
from winnow.errors import UserError

_NO_SECOND = re.compile(r"derivative for '?(?:aten::)?(\w+?)(?:_backward)?'? is not implemented")
_CONVOLUTIONS = {F.conv1d: 1, F.conv2d: 2, F.conv3d: 3}


@contextmanager
def differentiated_twice() -> Iterator[None]:
    """A context: forward passes inside it are made for two differentiations in reverse mode.

    Attention takes the backend of plain products, the only one that has a second derivative;
    ``hardsigmoid`` is written as relu6(x + 3) / 6. UserError, with its name, for an operation that
    torch cannot differentiate twice.
    """
    try:
        with _Mode(), sdpa_kernel(SDPBackend.MATH):
            yield
    except RuntimeError as error:
        if not (found := _NO_SECOND.search(str(error))):
            raise
        raise UserError(
            f"the gradient is differentiated here, which torch cannot do through {found[1]}: "
            "replace that operation while scoring, or take a criterion of one derivative, e.g. "
            "'snip'"
        ) from error


class _Mode(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self._rectified = Rectified()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            y, affine = _batch_norm(*args, **kwargs)
            if affine is not None:
                self._rectified.normalised(y, affine)
            return y
        if func in RELUS and len(args) == 1 and not kwargs.get("inplace"):
            z = self._rectified.relu(args[0])
            return func(*args, **kwargs) if z is None else z
        if func is F.hardsigmoid and not _in_place(args, kwargs):
            return F.relu6(args[0] + 3) / 6
        x = args[0] if args else None
        source = self._rectified.source(x)
        if func in _CONVOLUTIONS:
            return _convolution(func, source, *args, **kwargs)
        with kept_as(source, x):
            return func(*args, **kwargs)


def _in_place(args: Any, kwargs: dict[str, Any]) -> bool:
    return bool(kwargs.get("inplace") or (len(args) > 1 and args[1]))


# ---- convolution


def _convolution(
    func: Callable[..., Tensor],
    source: ReluSource | None,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    dims = _CONVOLUTIONS[func]
    batched = x.dim() == dims + 2
    if not batched or isinstance(padding, str) or (bias is not None and bias.requires_grad):
        with kept_as(source, x):
            return func(x, weight, bias, stride, padding, dilation, groups)
    shape = (_each(stride, dims), _each(padding, dims), _each(dilation, dims), groups)
    with kept_as(source, x):
        convolved: Tensor = _Convolution.apply(x, weight, bias, shape, source)  # type: ignore[no-untyped-call]
    return convolved


def _each(value: Any, dims: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * dims if len(values) == 1 else values


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None, shape: Any) -> Tensor:
    stride, padding, dilation, groups = shape
    return torch.convolution(
        x, weight, bias, stride, padding, dilation, False, [0] * len(stride), groups
    )


def _backward(
    delta: Tensor, x: Tensor, weight: Tensor, shape: Any, to_x: bool, to_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """∂/∂x and ∂/∂weight of <δ, x * weight>, where asked for."""
    if not (to_x or to_weight):
        return None, None
    stride, padding, dilation, groups = shape
    zeros, asked = [0] * len(stride), [to_x, to_weight, False]
    found = torch.ops.aten.convolution_backward(
        delta, x, weight, None, stride, padding, dilation, False, zeros, groups, asked
    )
    return found[0], found[1]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        shape: Any,
        source: ReluSource | None,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.shape, ctx.source = shape, source
        return _forward(x, weight, bias, shape)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> Any:
        (x, weight), asked = ctx.saved_tensors, ctx.needs_input_grad[:2]
        with kept_as(ctx.source, x):
            found = _ConvolutionBackward.apply(delta, x, weight, ctx.shape, asked)  # type: ignore[no-untyped-call]
        return *found, None, None, None


class _ConvolutionBackward(torch.autograd.Function):
    """(δ, x, w) -> (∂L/∂x, ∂L/∂w), bilinear in (δ, w) and in (δ, x)."""

    @staticmethod
    def forward(ctx: Any, delta: Tensor, x: Tensor, weight: Tensor, shape: Any, asked: Any) -> Any:
        ctx.save_for_backward(delta, x, weight)
        ctx.shape = shape
        ctx.set_materialize_grads(False)
        return _backward(delta, x, weight, shape, *asked)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor | None, v: Tensor | None) -> Any:
        """z = <u, ∂L/∂x> + <v, ∂L/∂w> = <δ, u * w> + <δ, x * v>, where * convolves."""
        delta, x, weight = ctx.saved_tensors
        to_delta, to_x, to_weight = ctx.needs_input_grad[:3]
        gradients: list[Tensor | None] = [None, None, None]
        if v is not None:
            gradients[1] = _backward(delta, x, v, ctx.shape, to_x, False)[0]
            if to_delta:
                gradients[0] = _forward(x, v, None, ctx.shape)
        if u is not None:
            gradients[2] = _backward(delta, u, weight, ctx.shape, False, to_weight)[1]
            if to_delta:
                through = _forward(u, weight, None, ctx.shape)
                gradients[0] = through if gradients[0] is None else through.add_(gradients[0])
        return *gradients, None, None


# ---- batch normalisation


def _batch_norm(
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Affine | None]:
    """The normalised x, and how it came from x where that is a given scale and shift."""
    differentiated = any(p is not None and p.requires_grad for p in (weight, bias))
    if differentiated or x.dtype in (torch.float16, torch.bfloat16):
        return F.batch_norm(x, mean, variance, weight, bias, training, momentum, eps), None
    if training:
        # torch's own checks of the input, e.g. for a batch of one value a channel
        y, mu, r = _BatchNorm.apply(x, mean, variance, weight, bias, momentum, eps)  # type: ignore[no-untyped-call]
        return y, _affine(x, mu, r, weight, bias)
    assert mean is not None, "BatchNorm in eval mode has running statistics"
    assert variance is not None
    affine = _affine(x, mean, (variance + eps).rsqrt(), weight, bias)
    return affine.y(x), affine


def _affine(
    x: Tensor, mean: Tensor, r: Tensor, weight: Tensor | None, bias: Tensor | None
) -> Affine:
    scale = r if weight is None else r * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return Affine(x.detach(), scale, shift)


class _BatchNorm(torch.autograd.Function):
    """x -> γ (x − μ) r + β with the mean μ and r = 1/√(variance + ε) of the batch."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mean: Tensor | None,
        variance: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        momentum: float,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, mu, r = torch.native_batch_norm(x, weight, bias, mean, variance, True, momentum, eps)
        ctx.save_for_backward(x, weight, mu, r)
        ctx.eps = eps
        ctx.mark_non_differentiable(mu, r)
        return y, mu, r

    @staticmethod
    def backward(ctx: Any, delta: Tensor, *_: Any) -> Any:
        dx = _BatchNormBackward.apply(delta, *ctx.saved_tensors, ctx.eps)  # type: ignore[no-untyped-call]
        return dx, None, None, None, None, None, None


def _normal_backward(
    delta: Tensor, x: Tensor, weight: Tensor | None, mu: Tensor, r: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """γ r P δ with P = I − 11ᵀ/n − x̂x̂ᵀ/n, and <δ, x̂> for each channel; x̂ = (x − μ) r."""
    dx, along, _ = torch.ops.aten.native_batch_norm_backward(
        delta, x, weight, None, None, mu, r, True, eps, [True, True, False]
    )
    return dx, along


class _BatchNormBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, delta: Tensor, x: Tensor, weight: Tensor | None, mu: Tensor, r: Tensor, eps: float
    ) -> Tensor:
        dx, along = _normal_backward(delta, x, weight, mu, r, eps)
        ctx.save_for_backward(dx, along, x, weight, mu, r)
        ctx.eps = eps
        return dx

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor) -> Any:
        """z = <u, γ r P δ>. P is symmetric, so ∂z/∂δ = γ r P u; and with ∂x̂/∂x = r P,

        ∂z/∂x = −(r/n) (<δ, x̂> γ r P u + <u, x̂> γ r P δ + <u, γ r P δ> x̂)
        """
        dx, along_delta, x, weight, mu, r = ctx.saved_tensors
        to_delta, along_u = _normal_backward(u, x, weight, mu, r, ctx.eps)
        over = [d for d in range(x.dim()) if d != 1]
        scale = -r / (x.numel() // x.shape[1])
        product = (u * dx).sum(over) * scale * r  # the factor of x − μ
        to_x = to_delta * per_channel(along_delta * scale, x)
        to_x.addcmul_(dx, per_channel(along_u * scale, x))
        to_x.addcmul_(x, per_channel(product, x)).sub_(per_channel(mu * product, x))
        return to_delta, to_x, None, None, None, None
