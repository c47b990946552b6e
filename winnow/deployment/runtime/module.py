"""`SparseModule`: a network for inference whose layers with zeros run on their nonzeros alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from winnow.deployment.outputs import restored
from winnow.deployment.runtime.choose import (
    BATCHES,
    BatchChoice,
    LayerChoice,
    choice_of,
    chosen,
    measured_on,
    plan_chosen,
)
from winnow.deployment.runtime.kernels.program import ENTRIES, ENTRIES_INT8
from winnow.deployment.runtime.plan import ExecutionPlan, SparseNetwork, plan
from winnow.deployment.saved import pack_network, unpack_network
from winnow.errors import UserError, unknown
from winnow.files import write_whole
from winnow.kernels.cache import prepare

Ways = Literal["measured", "kernels", "torch"]
WAYS: tuple[Ways, ...] = ("measured", "kernels", "torch")


class SparseModule(nn.Module):
    """A network for inference on the CPU, in evaluation, without its class.

    ``forward`` takes what the deployed module's took, for any batch, and returns the same structure
    of tensors, without gradients. Layers with zeros are held as their nonzeros, and run on kernels
    whose cost falls with density, wherever that is faster than torch: by measurement for each batch
    size (``choices``), layer by layer. It may be called from several threads at once.

    Sums are in another order than torch's: outputs are equal to rounding.
    """

    def __init__(
        self,
        sparse: SparseNetwork,
        *,
        run: Ways = "measured",
        choices: Sequence[BatchChoice] = (),
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """``run``: "measured" takes the fastest way; "kernels" and "torch" do without measuring.

        ``choices``: what was measured before on this machine, which is then not done again.
        ``about``: what a card says. UserError for an unknown ``run``.
        """
        super().__init__()
        if run not in WAYS:
            raise unknown("run", str(run), WAYS, f"It is one of {', '.join(WAYS)}")
        _prepare(sparse)
        self.sparse, self.run, self.about = sparse, run, dict(about or {})
        self.choices: dict[int, BatchChoice] = {}
        self._plans: dict[int, ExecutionPlan] = {}
        before = {choice.batch: choice for choice in choices}
        for batch in BATCHES:
            known = sparse.known(batch)
            if run == "kernels":
                self._plans[batch] = plan(sparse, known)
            elif run == "torch":
                self._plans[batch] = plan(sparse, known, list(sparse.network.graph.nodes))
            elif batch in before:
                self.choices[batch] = before[batch]
                self._plans[batch] = plan_chosen(sparse, known, before[batch])
            else:
                self._plans[batch], self.choices[batch] = chosen(sparse, known, batch)
        self._only = {batch: made.only for batch, made in self._plans.items()}
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns. UserError for shapes and dtypes it was not deployed for."""
        network = self.sparse.network
        given = network.bound(args, kwargs)
        if away := [one.device for one in given if not one.is_cpu]:
            raise UserError(
                f"the input is on {away[0]}: a sparse module runs on the CPU; move it with "
                ".cpu(), or deploy with format='torch' for other devices"
            )
        batch = _NEAREST.get(given[0].shape[0], BATCHES[-1])
        only = self._only[batch]
        if only is not None:
            return restored(network.outputs, (only.forward(*given),))
        with torch.no_grad():
            return restored(network.outputs, self._plans[batch].module(*given))

    def table(self) -> str:
        """What was measured, in lines: for each batch size the ways, and the layers."""
        return "\n".join(line for choice in self.choices.values() for line in _lines(choice))

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        kept = sum(len(w.index) for w in self.sparse.nonzeros.values())
        ways = ", ".join(f"{c.way} at {c.batch}" for c in self.choices.values())
        held = f"{kept} nonzeros in {len(self.sparse.nonzeros)} layers"
        return f"{held}; {ways}" if ways else held

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, which `wn.load_deployed` reads; it appears whole or not at
        all. What was measured for the module goes along, for this machine.
        """
        write_whole(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """The file as bytes."""
        measured = [choice.plain() for choice in self.choices.values()]
        about = {**self.about, "machine": measured_on(), "choices": measured}
        return pack_network(self.sparse, about)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its file."""
        return module_of_bytes, (self.to_bytes(), "a pickled SparseModule", self.run)

    def __deepcopy__(self, memo: dict[int, Any]) -> SparseModule:
        """A copy that shares what never changes, which is everything."""
        made = SparseModule.__new__(SparseModule)
        memo[id(self)] = made
        made.__dict__.update(self.__dict__)
        return made


def module_of_bytes(data: bytes, where: str, run: Ways = "measured") -> SparseModule:
    """What `SparseModule.to_bytes` gave. UserError, with ``where``, for anything else."""
    if run not in WAYS:
        raise unknown("run", str(run), WAYS, f"It is one of {', '.join(WAYS)}")
    saved = unpack_network(data, where)
    about = {k: v for k, v in saved.about.items() if k not in ("machine", "choices")}
    here = saved.about.get("machine") == measured_on()
    known = _choices(saved.about.get("choices", [])) if here and run == "measured" else ()
    try:
        try:
            return SparseModule(saved.sparse, run=run, choices=known, about=about)
        except UserError:
            raise
        except ValueError:  # measured for a network that these parts are not of
            return SparseModule(saved.sparse, run=run, about=about)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except Exception as error:  # whatever torch raises for a graph that no network had
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{where} is damaged: its graph does not run ({type(error).__name__}: {reason})"
        ) from error


def _choices(plain: Any) -> Sequence[BatchChoice]:
    try:
        return [choice_of(one) for one in plain]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def nearest(count: int) -> int:
    """The batch size of `BATCHES` that is nearest, as a ratio."""
    return min(BATCHES, key=lambda batch: max(count / batch, batch / max(count, 1)))


def _prepare(sparse: SparseNetwork) -> None:
    """Load the kernels, or compile them, once for this machine."""
    kinds = {weights.values.dtype.name for weights in sparse.nonzeros.values()}
    if "float32" in kinds:
        prepare("deployed", ENTRIES)
    if "int8" in kinds:
        prepare("deployed-int8", ENTRIES_INT8)


_NEAREST = {count: nearest(count) for count in range(BATCHES[-1] + 1)}


def _lines(choice: BatchChoice) -> list[str]:
    ways = ", ".join(f"{way} {s * 1e6:,.0f} µs" for way, s in choice.seconds.items())
    first = f"batch {choice.batch}: {choice.way} ({ways})"
    return [first, *(_line(layer) for layer in choice.layers)]


def _line(layer: LayerChoice) -> str:
    return (
        f"  {layer.name}: density {layer.density:.3f}, kernels {layer.kernels * 1e6:,.0f} µs, "
        f"torch {layer.torch * 1e6:,.0f} µs; pays below {layer.pays_below:.2f}"
        f"{', torch runs it' if layer.in_torch else ''}"
    )
