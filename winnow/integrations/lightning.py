"""Winnow in Lightning's Trainer: ``SparseCallback``. Needs ``pip install 'winnow[lightning]'``."""

from __future__ import annotations

import copy
import inspect
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from winnow.errors import UserError
from winnow.integrations.beginning import Beginning
from winnow.integrations.carried import Carried
from winnow.integrations.first import LossOf, first_batches
from winnow.integrations.holding import unwrapped
from winnow.integrations.sparse_training import SparseTraining
from winnow.mask import Mask

try:
    import lightning.pytorch as pl
except ImportError as error:
    raise ImportError(
        "winnow.integrations.lightning needs Lightning 2: pip install 'winnow[lightning]'"
    ) from error

SHARDED = ("fsdp", "deepspeed", "modelparallel")
AVERAGING = ("WeightAveraging", "StochasticWeightAveraging")


class SparseCallback(SparseTraining, pl.Callback):
    """Keep removed weights exactly zero while Lightning's Trainer trains.

    Arguments: `SparseTraining`. ::

        sparse = SparseCallback(method="rigl", density=0.1)
        trainer = lightning.Trainer(max_epochs=90, callbacks=[sparse])
        trainer.fit(module, loader)
        print(sparse.mask)

    The mask travels in the checkpoint: ``trainer.fit(module, ckpt_path=…)`` with a SparseCallback
    of the same arguments goes on bit-identically. Without one Lightning warns ("Please add the
    following callbacks: ['SparseCallback']"), and training revives what was removed.

    A dynamic method reads gradients after the backward pass of the last batch that is accumulated,
    before they are clipped. Where RigL's update takes the place of a step the optimizer does not
    move, and the trainer counts a step.

    In manual optimization a dynamic method needs ``steps=``, and one optimizer that holds all that
    competes; a criterion that looks at examples is refused, because ``training_step`` trains there.
    Refused as well: strategies that shard parameters (FSDP, DeepSpeed), and LBFGS with a method.
    """

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if stage != "fit":
            return
        self._loaded: Carried | None = None
        if sum(isinstance(one, SparseCallback) for one in trainer.callbacks) > 1:
            raise UserError("this trainer has two SparseCallbacks: give it one")
        strategy = type(trainer.strategy).__name__
        if any(word in strategy.lower() for word in SHARDED):
            raise UserError(
                f"{strategy} splits parameters into shards, whose masks SparseCallback does not "
                "have: train with strategy='ddp' or on one device"
            )

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        carried = self._to_resume(trainer)
        self._global_step = trainer.global_step
        self._begin(_place(trainer, pl_module), carried)
        averaging = _callback(trainer, *AVERAGING)
        if averaging and self._wanted.method is not None:
            warnings.warn(
                f"{averaging} averages weights over masks that change: its average keeps what "
                "the mask removes, while it is validated and in checkpoints. After the training "
                "that is set to zero",
                stacklevel=2,
            )

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        if self._holding is not None:
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            self._holding.before_step(unwrapped(optimizer), scaler)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self._global_step = trainer.global_step

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._global_step = trainer.global_step
        self._finish()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self._check_zeros(pl_module)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.close()

    def state_dict(self) -> dict[str, Any]:
        carried = self._carried()
        if carried is None:
            return {}
        tensors, about = carried.pack()
        return {"tensors": tensors, "about": about}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = self._last = Carried.unpack(state_dict["tensors"], state_dict["about"])

    @staticmethod
    def mask_of(checkpoint: str | os.PathLike[str]) -> Mask:
        """The mask of a checkpoint's file. UserError if it has none."""
        states = torch.load(checkpoint, map_location="cpu", weights_only=True).get("callbacks", {})
        if SparseCallback.__qualname__ not in states:
            raise UserError(f"{checkpoint} was made without SparseCallback: it has no mask")
        state = states[SparseCallback.__qualname__]
        return Carried.unpack(state["tensors"], state["about"]).mask

    def _to_resume(self, trainer: Any) -> Carried | None:
        """What to go on from: the checkpoint's, or that of the same trainer's training before."""
        if self._loaded is not None:
            return self._loaded
        if trainer.global_step == 0:
            return None
        if self._last is not None and self._last.global_step == trainer.global_step:
            return self._last
        if self._wanted.method is not None:
            raise UserError(
                f"the training is resumed at step {trainer.global_step}, from a checkpoint that "
                f"was made without SparseCallback: {self._wanted.method} would begin in the middle "
                "of its schedule. Load the weights alone (LightningModule.load_from_checkpoint) "
                "and train anew, or train on from a checkpoint that SparseCallback has seen"
            )
        return None


def _place(trainer: Any, module: Any) -> Beginning:
    steps, unknown = _steps(trainer, module)
    batches = trainer.num_training_batches / trainer.accumulate_grad_batches
    return Beginning(
        model=module,
        optimizers=trainer.optimizers,
        loss=lambda: _loss_of(trainer, module),
        batches=lambda number, seed: [
            _on_device(trainer, module, batch)
            for batch in _batches(trainer.train_dataloader, number, seed)
        ],
        steps=steps,
        per_epoch=None if math.isinf(batches) else math.ceil(batches),
        unknown=unknown,
    )


def _steps(trainer: Any, module: Any) -> tuple[int | None, str]:
    """Optimizer steps of the whole training, or why they are not known."""
    if not module.automatic_optimization:
        return None, "in manual optimization the module alone knows how often its optimizers step"
    if _callback(trainer, "GradientAccumulationScheduler"):
        return None, "GradientAccumulationScheduler changes how many batches make a step"
    steps = trainer.estimated_stepping_batches
    if math.isinf(steps) or steps < 0:
        return None, "the trainer has no max_steps, and the data no length or max_epochs is -1"
    return int(steps), ""


def _callback(trainer: Any, *names: str) -> str:
    """The first callback of one of these classes; by name, for both packages of Lightning have
    them. Empty if there is none.
    """
    for one in trainer.callbacks:
        if any(kind.__name__ in names for kind in type(one).__mro__):
            return type(one).__name__
    return ""


def _loss_of(trainer: Any, module: Any) -> LossOf:
    """A copy of the module with the loss of its training_step, which logs nothing.

    A copy, because a training_step may count, log and update metrics.
    """
    if not module.automatic_optimization:
        raise UserError(
            "in manual optimization training_step trains the module, so that it cannot be scored "
            "by it: make the mask first, with wn.prune_at_init, and pass it"
        )
    twin = copy.deepcopy(module)
    twin.trainer = trainer
    twin.log = twin.log_dict = _log_nothing
    given = inspect.signature(twin.training_step).parameters
    if "dataloader_iter" in given:
        raise UserError(
            "training_step takes dataloader_iter, and a criterion scores single batches: make the "
            "mask first, with wn.prune_at_init, and pass it"
        )
    more = {"batch_idx": 0} if "batch_idx" in given else {}
    index = () if more or len(given) < 2 else (0,)

    def loss(model: Any, batch: Any) -> Any:
        with trainer.precision_plugin.train_step_context():
            output = model.training_step(batch, *index, **more)
        return output.get("loss") if isinstance(output, Mapping) else output

    return LossOf(twin, loss)


def _batches(loader: Any, number: int, seed: int) -> list[Any]:
    """The first batches; of several loaders the first ones together, as the trainer gives them."""
    if isinstance(loader, Mapping):
        parts = {key: _batches(one, number, seed) for key, one in loader.items()}
        return [{key: part[k] for key, part in parts.items()} for k in range(number)]
    if isinstance(loader, Sequence):
        rows = [_batches(one, number, seed) for one in loader]
        return [[row[k] for row in rows] for k in range(number)]
    return first_batches(loader, number, seed)


def _on_device(trainer: Any, module: Any, batch: Any) -> Any:
    """A batch as training_step gets it."""
    batch = trainer.precision_plugin.convert_input(batch)
    batch = module._on_before_batch_transfer(batch, dataloader_idx=0)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=0)


def _log_nothing(*_: object, **__: object) -> None:
    """In place of ``self.log``: scoring is no step of the training."""
