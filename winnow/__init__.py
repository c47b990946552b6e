"""Winnow finds sparse sub-networks (lottery tickets), trains them, explains them and ships them.

The public names load on first use (PEP 562), so that ``import winnow`` imports no torch.
No module of the package has the name of a public function: importing it would replace the name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from winnow.algorithms.at_init import prune_at_init
    from winnow.algorithms.dynamic.loop import dynamic
    from winnow.algorithms.imp import imp
    from winnow.algorithms.search.loop import search
    from winnow.algorithms.surgeon import operate
    from winnow.algorithms.trained import prune_trained
    from winnow.coverage import LowCoverage
    from winnow.deployment.folder import deploy
    from winnow.deployment.loading import load_deployed
    from winnow.deployment.runtime.module import SparseModule
    from winnow.errors import UserError
    from winnow.experiments import run
    from winnow.importing import import_ticket
    from winnow.mask import Mask
    from winnow.pruning import LayerCollapse, prune
    from winnow.scoring import Scores, score
    from winnow.sparsifying import sparsify
    from winnow.ticket import Ticket, load
    from winnow.ties import TiedScores

    __version__: str

__all__ = [
    "LayerCollapse",
    "LowCoverage",
    "Mask",
    "Scores",
    "SparseModule",
    "Ticket",
    "TiedScores",
    "UserError",
    "__version__",
    "deploy",
    "dynamic",
    "imp",
    "import_ticket",
    "load",
    "load_deployed",
    "operate",
    "prune",
    "prune_at_init",
    "prune_trained",
    "run",
    "score",
    "search",
    "sparsify",
]

_MODULES = {
    "LayerCollapse": "winnow.pruning",
    "LowCoverage": "winnow.coverage",
    "Mask": "winnow.mask",
    "Scores": "winnow.scoring",
    "SparseModule": "winnow.deployment.runtime.module",
    "Ticket": "winnow.ticket",
    "TiedScores": "winnow.ties",
    "UserError": "winnow.errors",
    "deploy": "winnow.deployment.folder",
    "dynamic": "winnow.algorithms.dynamic.loop",
    "imp": "winnow.algorithms.imp",
    "import_ticket": "winnow.importing",
    "load": "winnow.ticket",
    "load_deployed": "winnow.deployment.loading",
    "operate": "winnow.algorithms.surgeon",
    "prune": "winnow.pruning",
    "prune_at_init": "winnow.algorithms.at_init",
    "prune_trained": "winnow.algorithms.trained",
    "run": "winnow.experiments",
    "score": "winnow.scoring",
    "search": "winnow.algorithms.search.loop",
    "sparsify": "winnow.sparsifying",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("winnow")
    if name not in _MODULES:
        raise AttributeError(f"module 'winnow' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
