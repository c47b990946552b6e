"""Which parameters of a layer are weights that compete, and where their inputs and outputs are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from winnow.errors import UserError

LayerKind = Literal["linear", "conv", "recurrent", "attention"]

_FORWARD = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (*_FORWARD, *_TRANSPOSED)
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


@dataclass(frozen=True)
class LayerWeight:
    """A weight of a layer: its own name there, and its axes.

    ``outputs``: the axis along which a step is another unit (row, filter); ``inputs``: along which
    it is another input of a unit. ``groups``: of a grouped convolution. Axes beyond those two are
    taps of a kernel.
    """

    name: str
    kind: LayerKind
    outputs: int = 0
    inputs: int = 1
    groups: int = 1


def weights_of(layer: nn.Module) -> tuple[LayerWeight, ...]:
    """The weights of a layer that compete unless others are chosen, by what the layer is.

    Linear and Bilinear, convolutions and transposed ones, LSTM, GRU, RNN and their cells (input,
    hidden and projection weights), attention (``in_proj_weight`` or the three projections; its
    ``out_proj`` is a Linear of its own), and ``Conv1D`` of transformers, whose weight is (inputs,
    outputs). Biases, norms and embeddings are none, nor are parameters of other layers.
    """
    if isinstance(layer, (nn.Linear, nn.Bilinear)):
        return (LayerWeight("weight", "linear"),)
    if is_transposed_linear(layer):
        return (LayerWeight("weight", "linear", outputs=1, inputs=0),)
    if isinstance(layer, _FORWARD):
        return (LayerWeight("weight", "conv", groups=layer.groups),)
    if isinstance(layer, _TRANSPOSED):
        return (LayerWeight("weight", "conv", outputs=1, inputs=0, groups=layer.groups),)
    if isinstance(layer, (nn.RNNBase, nn.RNNCellBase)):
        names = [name for name in layer._parameters if name.startswith("weight_")]
        return tuple(LayerWeight(name, "recurrent") for name in names)
    if isinstance(layer, nn.MultiheadAttention):
        return tuple(LayerWeight(name, "attention") for name in _PROJECTIONS)
    return ()


def is_transposed_linear(layer: nn.Module) -> bool:
    """Whether this is ``Conv1D`` of transformers (GPT-2): x·W + b with W (inputs, outputs)."""
    return any(
        kind.__name__ == "Conv1D" and kind.__module__.startswith("transformers.")
        for kind in type(layer).__mro__
    )


def is_embedding(layer: nn.Module) -> bool:
    """Whether this is a table of vectors, one for each token."""
    return isinstance(layer, (nn.Embedding, nn.EmbeddingBag))


def layer_weights(model: nn.Module) -> Iterator[tuple[nn.Parameter, LayerWeight]]:
    """The weights that compete unless others are chosen, in module order; one tied to an embedding
    is the embedding's and does not.

    Raises UserError, with names and a way out, for layers whose weights a mask cannot hold:
    quantised, parametrised or masked by torch.nn.utils.prune, not yet initialised, and adapters
    beside a base layer.
    """
    embedded = {
        id(parameter)
        for layer in model.modules()
        if is_embedding(layer)
        for parameter in layer.parameters(recurse=False)
    }
    for path, layer in model.named_modules():
        if reason := _refused(path, layer):
            raise UserError(reason)
        for weight in weights_of(layer):
            parameter = layer._parameters.get(weight.name)
            if parameter is not None and id(parameter) not in embedded:
                yield parameter, weight


def axes_of(model: nn.Module) -> dict[int, LayerWeight]:
    """By the id of the parameter: the axes of every weight whose layer is known."""
    found: dict[int, LayerWeight] = {}
    for layer in model.modules():
        for weight in weights_of(layer):
            parameter = layer._parameters.get(weight.name)
            if parameter is not None:
                found.setdefault(id(parameter), weight)
    return found


def why_no_mask(parameter: Tensor) -> str | None:
    """Why a mask cannot hold this parameter; None if it can."""
    if is_lazy(parameter):
        return "has no shape yet: run one batch through the model first"
    if not parameter.is_floating_point() or "torchao" in type(parameter.data).__module__:
        kind = type(parameter.data).__name__ if parameter.is_floating_point() else parameter.dtype
        return f"is quantised ({kind}): prune the model before it is quantised"
    return None


def _refused(path: str, layer: nn.Module) -> str | None:
    """Why the layer's weights cannot compete, and the way out; None if they can, or it has none."""
    named = path or "the model"
    if "quantized" in type(layer).__module__.split("."):
        return (
            f"{named} is quantised ({type(layer).__name__}): prune the model before it is quantised"
        )
    if hasattr(layer, "lora_A") and hasattr(layer, "base_layer"):
        return (
            f"{named} has an adapter beside its weight: zeros of one are no zeros of their sum. "
            "Merge adapters first (model.merge_and_unload()), or name what competes, e.g. "
            "params='*.lora_?.*'"
        )
    for weight in weights_of(layer):
        parameter = layer._parameters.get(weight.name)
        if parameter is None:
            if isinstance(getattr(layer, weight.name, None), Tensor):
                return _computed(named, path, layer, weight.name)
        elif fault := why_no_mask(parameter):
            return f"{path}.{weight.name} {fault}".lstrip(".")
    return None


def _computed(named: str, path: str, layer: nn.Module, own: str) -> str:
    """Of a weight that is computed from other parameters before each forward pass."""
    target = f"model.{path}" if path else "model"
    fix = "what makes it a parameter of its own"
    made = "computed from other parameters"
    if is_parametrized(layer, own):
        kinds = ", ".join(type(p).__name__ for p in layer.parametrizations[own])  # type: ignore[index]
        made = f"parametrised ({kinds})"
        fix = f"torch.nn.utils.parametrize.remove_parametrizations({target}, {own!r})"
    elif f"{own}_mask" in layer._buffers:
        made = "pruned by torch.nn.utils.prune"
        fix = f"torch.nn.utils.prune.remove({target}, {own!r})"
    elif f"{own}_u" in layer._buffers:
        made = "under spectral_norm"
        fix = f"torch.nn.utils.remove_spectral_norm({target}, {own!r})"
    elif f"{own}_g" in layer._parameters:
        made = "under weight_norm"
        fix = f"torch.nn.utils.remove_weight_norm({target}, {own!r})"
    return (
        f"{own} of {named} is {made}, so that a mask cannot hold it: call {fix} first, or leave it "
        "out: name what competes with params="
    )
