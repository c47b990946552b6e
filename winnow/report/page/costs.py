"""What training cost: iterations, time, multiply-adds at the density that a network has, and what
runs that several points share saved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from winnow.errors import UserError
from winnow.experiment.arms import DENSE
from winnow.experiment.run_parts import RunData, RunModel
from winnow.report.results import Details, Results, Row, is_dense


@dataclass(frozen=True)
class LayerCounts:
    """Of each layer that has weights: how many, and how often one image uses each of them."""

    sizes: Mapping[str, int]
    uses: Mapping[str, int]

    def multiply_adds(self, kept: Mapping[str, int]) -> int:
        """Of one image, where layers keep so many weights; of those not named, all."""
        return sum(kept.get(name, self.sizes[name]) * used for name, used in self.uses.items())


@dataclass(frozen=True)
class CostLine:
    """Means over the finished runs of one arm at one density. ``speed``: iterations in a second
    over those of dense runs on the page; ``share``: multiply-adds over the dense network's. None
    where it is not known.
    """

    line: str
    arm: str
    density_total: float
    engines: tuple[str, ...]
    runs: int
    iterations: float
    seconds: float
    speed: float | None
    multiply_adds: float | None
    share: float | None


@dataclass(frozen=True)
class Saved:
    """``points`` of experiments that stand on ``runs``; hours of training, and those that runs
    which several points share saved.
    """

    points: int
    runs: int
    hours: float
    saved_hours: float


def network_of(details: Details) -> LayerCounts | None:
    """The layers of a run's network; None for one that this Winnow cannot build."""
    return _network(details.model, details.data)


@lru_cache(maxsize=256)
def _network(model: RunModel, data: RunData) -> LayerCounts | None:
    import torch

    from winnow.experiment.recipe.network import network_of_run
    from winnow.models.operations import uses_of_weights

    try:
        inputs = data.about.inputs(data.size)
        if model.source is not None:  # a network of one's own holds what it likes
            network = network_of_run(data, model)
        else:
            with torch.device("meta"):
                network = network_of_run(data, model)
            # With memory that nobody filled, as the numbers do not matter: torch's arithmetic on
            # the meta device takes seconds to load, and sympy for `to_empty` alone.
            state = network.state_dict()
            memory = {k: torch.empty(v.shape, dtype=v.dtype) for k, v in state.items()}
            network.load_state_dict(memory, assign=True)
    except UserError:
        return None
    try:
        uses = uses_of_weights(network, inputs)
    except Exception:  # whatever a network of one's own raises on an image
        if model.source is None:
            raise
        return None
    sizes = {name: value.numel() for name, value in network.named_parameters() if name in uses}
    return LayerCounts(sizes, uses)


def layer_sizes(results: Results) -> dict[str, Mapping[str, int]]:
    """Run folder → weights of each of its layers, of the networks that are known."""
    networks = {run: network_of(details) for run, details in results.details.items()}
    return {run: network.sizes for run, network in networks.items() if network}


def cost_lines(results: Results) -> tuple[CostLine, ...]:
    """A line for each arm and density with a finished run, dense first, in the plan's order."""
    groups: defaultdict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in results.rows:
        if row.status == "done":
            groups[row.line, DENSE if is_dense(row) else row.arm, row.round].append(row)
    dense = {line: _pace(rows) for (line, arm, _), rows in groups.items() if arm == DENSE}
    return tuple(_cost_line(results, key, rows, dense.get(key[0])) for key, rows in groups.items())


def saved(results: Sequence[Results]) -> Saved:
    """Of all recipes of a page together: a run counts once, however often it is shown."""
    rows = [row for part in results for row in part.rows if row.status != "unreachable"]
    single = {row.run: row.seconds for row in rows}
    hours = sum(single.values()) / 3600
    return Saved(len(rows), len(single), hours, sum(row.seconds for row in rows) / 3600 - hours)


def _cost_line(
    results: Results, key: tuple[str, str, int], rows: Sequence[Row], dense: float | None
) -> CostLine:
    line, arm, _ = key
    known = [results.details[row.run] for row in rows if row.run in results.details]
    counts = [_operations(one) for one in known]
    sure = [count for count in counts if count is not None]
    whole = len(sure) == len(rows)
    pace = _pace(rows)
    return CostLine(
        line=line,
        arm=arm,
        density_total=sum(row.density_total for row in rows) / len(rows),
        engines=tuple(sorted({one.engine for one in known if one.engine})),
        runs=len(rows),
        iterations=sum(row.iterations for row in rows) / len(rows),
        seconds=sum(row.seconds for row in rows) / len(rows),
        speed=dense / pace if dense and pace else None,
        multiply_adds=sum(n for n, _ in sure) / len(sure) if whole and sure else None,
        share=sum(n for n, _ in sure) / sum(d for _, d in sure) if whole and sure else None,
    )


def _operations(details: Details) -> tuple[int, int] | None:
    """Multiply-adds of one image, with the run's mask and without."""
    network = network_of(details)
    if network is None:
        return None
    return network.multiply_adds(details.kept), network.multiply_adds({})


def _pace(rows: Sequence[Row]) -> float | None:
    """Seconds of an iteration."""
    iterations = sum(row.iterations for row in rows)
    seconds = sum(row.seconds for row in rows)
    return seconds / iterations if iterations and seconds else None
