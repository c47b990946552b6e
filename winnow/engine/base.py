"""The engine seam: a job in, a session out, the same states whatever the backend.

Algorithms drive a session from outside (`advance`, `evaluate`, `state`; `look`, `kept`,
`gradient`, `remask`, `perturb`, `skip` where the mask changes); no backend knows a pruning
schedule, a store or a recipe. Backends are swappable: the same job gives the same trajectory
within a stated tolerance. Stacking is the one plural thing, and explicit: `Stacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.data.crops import CropDraws
from winnow.data.image_files import Coming, ImageFiles
from winnow.data.order import Last
from winnow.mask import Mask
from winnow.reparametrisation import Search
from winnow.state import State, Tensors

Perturbation = Callable[[str, Tensor], Tensor]

# Images that are evaluated at once, where that matters (batch statistics) or costs nothing:
# activations of the largest networks here stay below 1 GB.
EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Split:
    """The examples ``index`` (int64) of images (N, C, H, W) with labels int64 (N,).

    Pixels are uint8; data of somebody's own may be float32, which the sparse engine refuses.

    Images are in memory, or in files that are read whenever they are taken; both have a ``shape``.
    """

    images: Tensor | ImageFiles
    labels: Tensor
    index: Tensor

    @property
    def in_memory(self) -> Tensor:
        """All images, for what takes none in files."""
        assert isinstance(self.images, Tensor), "the images stay in files"
        return self.images

    def take(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of the examples at these positions of the split."""
        chosen = self.index.index_select(0, positions)
        if isinstance(self.images, ImageFiles):
            images = self.images.read(_numbers(chosen)).to(self.labels.device)
        else:
            images = self.images.index_select(0, chosen)
        return images, self.labels.index_select(0, chosen)

    def start(self, positions: Tensor, draws: CropDraws | None = None) -> tuple[Coming, Tensor]:
        """Begin to read the images of examples from files, as ``draws`` say; and their labels."""
        assert isinstance(self.images, ImageFiles), "images in memory need no reading"
        chosen = self.index.index_select(0, positions)
        return self.images.start(_numbers(chosen), draws), self.labels.index_select(0, chosen)


def _numbers(chosen: Tensor) -> NDArray[np.int64]:
    return chosen.cpu().numpy()


@dataclass(frozen=True)
class TrainingData:
    """The images of a run.

    ``splits``: ``train``, ``test`` and, if examples are held out, ``validation``. ``mean`` and
    ``std``: one for each channel, in units of the pixels. ``augment``: ``none``, ``flip-crop``
    (images in memory) or ``flip-resized-crop`` (images in files).
    ``unit_norm``: each image, as ``mean``, ``std`` and ``augment`` leave it, is divided by its L2
    norm; one that is zero everywhere stays so.
    """

    splits: Mapping[str, Split]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: str = "none"
    unit_norm: bool = False


@dataclass(frozen=True)
class Job:
    """What shapes one trajectory, and nothing else.

    ``build`` makes the network (its weights are overwritten by the state). A frozen dataclass,
    whose equals make the same network, is traced once in a process (see `once`). ``steps`` is where
    the learning rate schedule ends; ``per_epoch`` the iterations in an epoch. ``optimizer`` and
    ``schedule`` are resolved values, all in iterations. ``seeds``: names order, augment, dropout
    (which is there where the network may draw anything).
    ``dense_slots``: train densely under a mask: gradients and optimizer slots of removed weights
    live on (and count in the norm that ``clip`` bounds), the weights themselves stay 0.
    ``search``: scores train over frozen weights, which decide the mask (see `Search`).
    """

    build: Callable[[], nn.Module]
    data: TrainingData
    steps: int
    batch: int
    last_batch: Last
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    seeds: Mapping[str, int]
    clip: float | None = None
    dense_slots: bool = False
    search: Search | None = None


@dataclass(frozen=True)
class StepStats:
    """What `advance` saw: the iteration it reached, the mean loss of its steps (NaN for none), and
    of how many losses that is the mean (``seen``; a step without an update has none).

    ``diverged_at``: the iteration whose loss or gradient norm was not finite; its update was not
    made and the session stays there.
    """

    step: int
    loss: float
    diverged_at: int | None = None
    seen: int = 0


@dataclass(frozen=True)
class Metrics:
    """Mean cross-entropy and the fraction of correct answers over a whole split."""

    loss: float
    accuracy: float


class Training(Protocol):
    """A job in training: what a training loop needs of it."""

    def advance(self, to: int) -> StepStats:
        """Train up to iteration ``to``."""
        ...

    def evaluate(self, split: str) -> Metrics:
        """Loss and accuracy on a split, in evaluation mode, without augmentation."""
        ...

    def state(self) -> State:
        """A copy of where it stands; ``open(job, state())`` continues bit-identically."""
        ...


class Snapshot(Protocol):
    """The weights of a session at an iteration, kept as the engine has them."""

    @property
    def step(self) -> int:
        """The iteration."""
        ...

    def network(self) -> State:
        """Weights, buffers and mask, without slots."""
        ...


@runtime_checkable
class Returns(Protocol):
    """What a session has that keeps and evaluates earlier weights of its own."""

    def snapshot(self) -> Snapshot:
        """A copy of its weights and buffers, cheaper than a state."""
        ...

    def return_to(self, state: State) -> None:
        """Take the weights and buffers of a state under the mask that it has, to be evaluated.

        The slots stay, so nothing is trained after it.
        """
        ...


class Session(Training, Protocol):
    """A job in training, whose mask can change."""

    def look(self) -> State:
        """Where it stands, without copying where memory can be shared.

        To be read before the next call, and not written to.
        """
        ...

    def kept(self) -> Tensors:
        """What is kept of each masked tensor, 1-d, row-major: copies, and no dense tensor."""
        ...

    def gradient(self) -> Tensors:
        """The mean gradient of every parameter, removed weights too, on the batch of the NEXT step.

        In training mode, with that step's augmentation and dropout. Nothing moves: no step, no
        buffer. Weight decay and clipping belong to the update and are not in it.
        """
        ...

    def remask(
        self, mask: Mask, values: Tensors | None = None, grown: Tensors | None = None
    ) -> None:
        """Train on under another mask over the same names.

        ``grown``: kept weights that start anew (name -> bool; default those that were removed);
        they become ``values`` (1-d, one for each, row-major; default 0) and their slots 0. Dropped
        weights and their slots are exactly 0. With ``dense_slots`` no slot is touched.
        """
        ...

    def perturb(self, change: Perturbation) -> None:
        """Move the kept weights: ``change`` takes a name and its values (1-d, row-major), of each
        masked tensor, and gives the new values. Slots stay.
        """
        ...

    def skip(self) -> None:
        """Move one iteration on without an update: its batch is left out, the schedule goes on."""
        ...


class Engine(Protocol):
    """Opens sessions.

    ``notes``: what this engine did otherwise than its name says, so far; it belongs to the results.
    """

    name: str

    @property
    def notes(self) -> Sequence[str]: ...

    def prepare(self, job: Job) -> None:
        """Make what such a job needs once on a machine (compiled kernels): workers only load it."""
        ...

    def refuses(self, job: Job) -> str | None:
        """The reason why this engine cannot run the job, or None."""
        ...

    def open(self, job: Job, state: State) -> Session:
        """Start or continue the job from a state. UserError when it is refused."""
        ...


@runtime_checkable
class Stacks(Protocol):
    """What an engine has that trains several small networks as one, for machines that a single
    one leaves idle."""

    def stackable(self, jobs: Sequence[Job]) -> str | None:
        """The reason why the jobs cannot share a stack, or None."""
        ...

    def open_many(
        self, jobs: Mapping[int, Job], states: Mapping[int, State], width: int
    ) -> Mapping[int, Session]:
        """Sessions that advance together, by their place (from 0) in a stack of ``width``.

        Advancing one trains the whole stack: the others then find themselves there. Their states
        stand at the same step. A place without a job is filled with a dummy. What a session
        computes depends on its job, its state, the width and its place, and on nothing of the
        others. One that diverges parts from the stack, as does one whose mask is changed.
        """
        ...
