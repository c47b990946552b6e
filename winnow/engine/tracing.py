"""From a step to compiled code: traced once, compiled, and on a GPU recorded as a CUDA graph."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from winnow.engine.whole_step import BoundStep, StepTensors, WholeStep

Example = tuple[Tensor, Tensor, list[Tensor], Tensor]
"""Pixels, labels, dropout factors and scalars, as each step takes them."""


class CompilerError(RuntimeError):
    """There is no compiler, or it could not compile the step."""


def compile_step(
    step: WholeStep, tensors: StepTensors, example: Example, backend: str
) -> BoundStep:
    """The step for batches of the example's shape and always these tensors, compiled now.

    The tensors end as they were. Raises CompilerError, with the compiler's reason.
    """
    with _failing_alike(), left_unchanged(tensors.all()):
        fast = _compile(step, tensors, example, backend)(tensors)
        return _recorded(fast, example) if example[0].is_cuda else fast


def compile_for_many(
    step: WholeStep, tensors: StepTensors, example: Example, backend: str
) -> Callable[[StepTensors], BoundStep]:
    """As `compile_step`, but not recorded, and for whichever tensors of the same names and shapes.

    What the step holds beside its tensors, the scaling of pixels, is the same for all of them.
    """
    with _failing_alike(), left_unchanged(tensors.all()):
        return _compile(step, tensors, example, backend)


@contextlib.contextmanager
def _failing_alike() -> Iterator[None]:
    """Compilers fail in many ways, none of which may stop a run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler, about itself
            yield
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise CompilerError(f"{type(error).__name__}: {lines[0]}") from error


@contextlib.contextmanager
def left_unchanged(tensors: Sequence[Tensor]) -> Iterator[None]:
    """The tensors have the values afterwards that they had before, where they are."""
    before = [tensor.clone() for tensor in tensors]
    try:
        yield
    finally:
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)


def _compile(
    step: WholeStep, tensors: StepTensors, example: Example, backend: str
) -> Callable[[StepTensors], BoundStep]:
    """Traced through autograd into one graph of plain operations, then compiled whole."""
    changed, keep = tensors.all(), list(tensors.keep.values())

    def flat(
        changed: list[Tensor],
        keep: list[Tensor],
        x: Tensor,
        y: Tensor,
        drops: list[Tensor],
        now: Tensor,
    ) -> Tensor:
        return step(_named(tensors, changed, keep), x, y, drops, now)

    with torch.no_grad():
        graph = make_fx(flat)(changed, keep, *example)
        _refuse_random(graph)
        code = torch.compile(graph, backend=backend, fullgraph=True, dynamic=False)
        code(changed, keep, *example)  # compiles

    def bound(mine: StepTensors) -> BoundStep:
        changed, keep = mine.all(), list(mine.keep.values())

        def fast(x: Tensor, y: Tensor, drops: Sequence[Tensor], now: Tensor) -> Tensor:
            seen: Tensor = code(changed, keep, x, y, drops, now)
            return seen

        return fast

    return bound


def _refuse_random(graph: torch.fx.GraphModule) -> None:
    """Compiled code would draw other numbers than torch, and a CUDA graph none anew."""
    for node in graph.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise ValueError(f"the network draws random numbers outside nn.Dropout ({node.target})")


def _named(like: StepTensors, changed: list[Tensor], keep: list[Tensor]) -> StepTensors:
    """The flat lists of `StepTensors.all` and of masks with the names of ``like``."""
    each, masks = iter(changed), iter(keep)
    weights, buffers = ({n: next(each) for n in group} for group in (like.weights, like.buffers))
    slots = {slot: {n: next(each) for n in tensors} for slot, tensors in like.slots.items()}
    return StepTensors(weights, buffers, slots, {n: next(masks) for n in like.keep})


def _recorded(run: BoundStep, example: Example) -> BoundStep:
    """The step as a CUDA graph, replayed on tensors that keep their place in memory."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        for _ in range(3):  # libraries choose and allocate before the recording
            run(*example)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        seen = run(*example)
    x, y, drops, now = example
    places = (x, y, *drops, now)

    def replay(x: Tensor, y: Tensor, drops: Sequence[Tensor], now: Tensor) -> Tensor:
        for place, value in zip(places, (x, y, *drops, now), strict=True):
            place.copy_(value)
        graph.replay()
        return seen

    return replay
