"""What methods at initialisation score in place of the network that trains, and on which images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from winnow.errors import UserError, unknown
from winnow.experiment.plan.criterion import Scoring
from winnow.experiment.plan.kinds.compared import ComparedMethod
from winnow.experiment.runs import Pruning

REINITS = ("none", "xavier", "same-distribution")
COPY_WORDS = ("reinit", "augmented")


@dataclass(frozen=True)
class ScoredCopy:
    """Which initial weights are scored, and whether the images that a criterion sees are augmented.

    ``reinit``: ``none``, the weights that will be trained; ``same-distribution``, other ones of the
    same initialisation, as the code of SNIP does (Lee et al. 2019: two independent sets of
    variables); ``xavier``, kernels and matrices of N(0, 2 / (f_in + f_out)), all else as in the
    network that trains, as the port of SNIP does that GraSP is compared with (its loss, nll_loss
    of what the network gives, is left out: cross entropy here). One draw for each mask seed; with
    ``augmented`` so are flips and crops. The code of GraSP draws the output layer alone: that is
    its option ``reinit_head``.
    """

    reinit: str = "none"
    augmented: bool = False

    def of(self, pruning: Pruning) -> Pruning:
        """The pruning that scores such a copy."""
        return replace(pruning, reinit=self.reinit, augmented=self.augmented)


def scored_copy_of(method: ComparedMethod, scoring: Scoring) -> ScoredCopy:
    """What stands beside a method's name. UserError for what its scores do not depend on."""
    arm, options = method.arm.name, method.options
    copy = ScoredCopy(options.get("reinit", "none"), options.get("augmented", False))
    if copy.reinit not in REINITS:
        raise unknown(f"reinit of {arm}:", copy.reinit, REINITS, f"Write {', '.join(REINITS)}")
    if not isinstance(copy.augmented, bool):
        raise UserError(f"augmented of {arm} is {copy.augmented!r}: write true or false")
    if copy.reinit != "none" and method.entry.is_control:
        raise UserError(f"reinit of {arm} changes nothing, as no weight is scored: leave it out")
    if copy.reinit != "none" and scoring.options.get("init") is not None:
        raise UserError(
            f"{arm} scores other weights by reinit: {copy.reinit}, and others again by init: "
            f"{scoring.options['init']}: write one of the two"
        )
    if copy.augmented and scoring.examples is None:
        raise UserError(f"augmented of {arm} changes nothing, as it sees no examples: leave it out")
    if copy.augmented and method.setting.recipe.data.augment == "none":
        raise UserError(
            f"augmented of {arm} draws as training does, and data.augment is none: write "
            "data.augment, or leave augmented out"
        )
    return copy
