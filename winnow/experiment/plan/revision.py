"""Which revision of an engine a run's numbers depend on."""

from __future__ import annotations

import math

from torch import nn

from winnow.engine import SPARSE_CPU
from winnow.experiment.runs import SPARSE_GRAPHS


def revision_of(engine: str, network: nn.Module, inputs: tuple[int, int, int], augment: str) -> int:
    """The revision of what trains a network on images of these sizes; 1 where it was never raised.

    With ``engine: auto`` the machine decides what trains a run, and so its last bits: what it was
    is kept with the run as provenance, and is no part of its identity.
    """
    if engine not in SPARSE_CPU:
        return 1
    from winnow.engine.sparse_cpu.chain.layers import is_chain

    chain = augment == "none" and is_chain(network, math.prod(inputs))
    return 1 if chain else SPARSE_GRAPHS
