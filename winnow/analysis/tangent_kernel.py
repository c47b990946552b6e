"""The neural tangent kernel of a small network, and what it says of the gradient's norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winnow.analysis.gradients import ImageBatches, NormMode, loss_gradient, masked_copy, set_norms
from winnow.errors import UserError
from winnow.mask import Mask
from winnow.selection import parameters

KERNEL_ROWS = 2_000  # images times classes: the kernel is a square of that side
JACOBIAN_ENTRIES = 20_000_000  # of the Jacobian, in float64: 160 MB


@dataclass(frozen=True)
class KernelIdentity:
    """Both sides of gᵀg = Σ λᵢ (uᵢᵀ ∂L/∂Z)², for N images and K classes.

    ``squared``: gᵀg, the gradient taken of the loss directly. ``eigenvalues`` λ (NK,), largest
    first, of the kernel Θ = J Jᵀ, J = ∂Z/∂w (NK, kept weights); ``vectors`` u, as columns
    (NK, NK); ``derivative`` ∂L/∂Z (NK,). Z: the logits, image by image. All float64.
    """

    loss: float
    squared: float
    eigenvalues: Tensor
    vectors: Tensor
    derivative: Tensor

    @property
    def parts(self) -> Tensor:
        """λᵢ (uᵢᵀ ∂L/∂Z)²: what each eigenvector contributes to gᵀg, in the order of λ."""
        return self.eigenvalues * (self.vectors.T @ self.derivative).square()

    @property
    def by_kernel(self) -> float:
        """The right side."""
        return float(self.parts.sum())

    @property
    def error(self) -> float:
        """|left − right| relative to the left side; 0 where both are 0."""
        difference = abs(self.squared - self.by_kernel)
        return difference / self.squared if self.squared else difference


def kernel_identity(
    model: nn.Module, batches: ImageBatches, mask: Mask, *, norms: NormMode = "auto"
) -> KernelIdentity:
    """The tangent kernel of the kept weights over a few images, and gᵀg from it.

    Wang et al. 2020 (GraSP), section 3, decompose the gradient's norm by the eigenvectors of the
    kernel Θ. By the chain rule g = Jᵀ ∂L/∂Z, so gᵀg = Σ λᵢ (uᵢᵀ ∂L/∂Z)² for any loss. Deviation:
    the paper writes Y, the targets, for ∂L/∂Z. That holds only for the squared error at outputs of
    0 (there ∂L/∂Z = −Y); for the cross-entropy it does not. L is the mean cross-entropy here.

    Everything is computed in float64, on a copy. ``norms`` as in `loss_gradient`, with running
    statistics: with those of a batch a row of J would depend on all images.

    Raises UserError for ``norms`` = ``batch``, for no images, and for more than
    ``KERNEL_ROWS`` logits or ``JACOBIAN_ENTRIES`` entries of J; ValueError for a mask of another
    network.
    """
    if norms == "batch":
        raise UserError(
            "the tangent kernel needs batch norm with running statistics: write norms: auto, "
            "running or data instead of batch"
        )
    pruned = masked_copy(model, mask).double()
    data = _few(pruned, batches, mask)
    set_norms(pruned, data, norms)
    x, y = torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])
    jacobian, logits = _jacobian(pruned, x, mask)
    logits.requires_grad_()
    loss = F.cross_entropy(logits, y)
    (derivative,) = torch.autograd.grad(loss, logits)
    values, vectors = torch.linalg.eigh(jacobian @ jacobian.T)
    gradients = loss_gradient(pruned, data, list(mask), norms="running").gradients
    squared = sum(float(g[mask[name]].square().sum()) for name, g in gradients.items())
    return KernelIdentity(
        loss.item(), squared, values.flip(0), vectors.flip(1), derivative.flatten()
    )


def _few(model: nn.Module, batches: ImageBatches, mask: Mask) -> Sequence[tuple[Tensor, Tensor]]:
    """The batches in float64; UserError as soon as there are too many images."""
    taken: list[tuple[Tensor, Tensor]] = []
    count = classes = 0
    for x, y in batches:
        taken.append((x.double(), y))
        if not classes:
            with torch.no_grad():
                classes = model.eval()(taken[0][0][:1]).shape[1]
        count += len(y)
        _check_size(count, classes, mask)
    if not count:
        raise UserError("there are no images for a tangent kernel: the data has no batch")
    return taken


def _jacobian(model: nn.Module, x: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
    """J (NK, kept weights) and the logits (N, K), one image and one logit at a time."""
    model.requires_grad_(False)
    weights = [parameters(model)[name].requires_grad_() for name in mask]
    kept = list(mask.values())
    rows: list[Tensor] = []
    outputs: list[Tensor] = []
    for image in torch.split(x, 1):
        logits = model(image)
        for logit in logits[0]:
            slopes = torch.autograd.grad(logit, weights, retain_graph=True, materialize_grads=True)
            rows.append(torch.cat([s[keep] for s, keep in zip(slopes, kept, strict=True)]))
        outputs.append(logits.detach())
    return torch.stack(rows), torch.cat(outputs)


def _check_size(images: int, classes: int, mask: Mask) -> None:
    rows = images * classes
    if rows > KERNEL_ROWS or rows * mask.kept > JACOBIAN_ENTRIES:
        few = min(KERNEL_ROWS // classes, JACOBIAN_ENTRIES // (classes * max(1, mask.kept)))
        fix = f"write examples: {few} or fewer" if few else "take a smaller or sparser network"
        raise UserError(
            f"a tangent kernel of at least {rows} logits ({images} images) by {mask.kept} kept "
            f"weights is too large: the limits are {KERNEL_ROWS} logits and "
            f"{JACOBIAN_ENTRIES} entries of the Jacobian; {fix}"
        )
