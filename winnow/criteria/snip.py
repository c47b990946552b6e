"""SNIP: score = |w·∂L/∂w|."""

from __future__ import annotations

from torch import Tensor

from winnow.criteria.balanced import rebalanced
from winnow.criteria.base import Subject
from winnow.criteria.gradient import add_to, differentiate_only, gradients_by
from winnow.criteria.traits import traits
from winnow.errors import UserError
from winnow.models.initialise import initialise


@traits(examples="balanced", training=True)
def snip(
    subject: Subject,
    *,
    per_class: int | None = None,
    classes: int | None = None,
    init: str | None = None,
    init_seed: int | None = None,
) -> dict[str, Tensor]:
    """|w·∂L/∂w|. Lee et al. 2019, "SNIP: Single-shot Network Pruning based on Connection
    Sensitivity", equations 4 to 6 (not divided by their sum, which changes no ranking).

    The authors take one training batch of 100 or 128; the papers that compare with them take
    ``per_class`` = 10 (see ``balanced.collect``; ``classes``: how many there are). Gradients of
    several batches are summed: each batch weighs the same.

    By default the weights that will be trained are scored. The authors score another draw:
    ``init``, a scheme of ``models.initialise``, and ``init_seed``, which must not be the seed of
    the network itself, do that. Their code scores biases too, which are all 0 at first, and so
    all removed: name them with params=. It adds weight decay, 0.00025 Σw², to the loss: leave it
    to ``loss_fn``. It scores in training mode without dropout; here the model's mode decides.
    """
    if (init is None) != (init_seed is None):
        raise UserError(
            f"criterion 'snip' got init={init!r} and init_seed={init_seed!r}: give both, e.g. "
            "init='glorot-normal', init_seed=1, to score another initialisation, or neither"
        )
    if init is not None and init_seed is not None:
        subject.separate()
        initialise(subject.model, init, init_seed)
        subject.remove()
    weights = differentiate_only(subject.model, subject.weights.values())
    network = subject.network()
    total: list[Tensor] | None = None
    for x, y in rebalanced(subject, per_class, classes).batches():
        total = add_to(total, gradients_by(subject.loss(network(x), y), weights))
    if total is None:
        raise UserError("criterion 'snip' got no batch: the loader is empty")
    named = zip(subject.weights.items(), total, strict=True)
    return {name: gradient.mul_(weight.detach()).abs_() for (name, weight), gradient in named}
