"""Winnow in the Trainer of transformers: ``SparseCallback``.

Needs ``pip install 'winnow[transformers]'``.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winnow.errors import UserError
from winnow.files import write_whole
from winnow.integrations.beginning import Beginning
from winnow.integrations.carried import Carried
from winnow.integrations.first import LossOf, first_batches
from winnow.integrations.holding import unwrapped
from winnow.integrations.sparse_training import SparseTraining
from winnow.integrations.wanted import again
from winnow.mask import Mask, from_bytes, to_bytes

try:
    from transformers.trainer_callback import ExportableState, TrainerCallback
except ImportError as error:
    raise ImportError(
        "winnow.integrations.transformers needs transformers 4.46 or newer, and accelerate: pip "
        "install 'winnow[transformers]'"
    ) from error

FILE = "winnow.safetensors"
"""What a checkpoint's folder carries beside the weights."""
NAME = "SparseCallback"


class SparseCallback(SparseTraining, TrainerCallback, ExportableState):
    """Keep removed weights exactly zero while the Trainer of transformers trains.

    Arguments: `SparseTraining`. ::

        sparse = SparseCallback(method="rigl", density=0.1)
        trainer = Trainer(model, args, train_dataset=data, callbacks=[sparse])
        trainer.train()
        print(sparse.mask)

    The mask travels with the checkpoint, as ``winnow.safetensors`` in its folder:
    ``trainer.train(resume_from_checkpoint=True)`` with a SparseCallback of the same arguments goes
    on bit-identically. A checkpoint outside of ``args.output_dir`` is named: ``resume_from=``.

    Without a SparseCallback the Trainer trains on without a word, and revives what was removed
    (with ``restore_callback_states_from_checkpoint=True`` it logs that SparseCallback is missing).
    A checkpoint of such a training is refused when a SparseCallback comes back to it. With that
    flag the Trainer makes a new SparseCallback: ``trainer.pop_callback(SparseCallback)`` is it.

    With ``load_best_model_at_end`` the mask after the training is that of the best checkpoint.

    A criterion scores by the loss that the model returns, of batches with labels; a
    ``compute_loss`` of one's own is not asked. Refused: FSDP and DeepSpeed, which shard parameters.
    """

    def __init__(
        self,
        *arguments: Any,
        resume_from: str | os.PathLike[str] | None = None,
        restored: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """``restored`` is the Trainer's: what it read in a checkpoint."""
        self._resume_from = resume_from
        self._scaler: Any = None
        if restored is None:
            super().__init__(*arguments, **options)
        else:
            self._adopt(again(restored["told"]))

    def on_train_begin(
        self,
        args: Any,
        state: Any,
        control: Any,
        *,
        model: Any = None,
        optimizer: Any = None,
        train_dataloader: Any = None,
        **_: Any,
    ) -> None:
        if getattr(args, "fsdp", None) or getattr(args, "deepspeed", None):
            kind = "DeepSpeed" if getattr(args, "deepspeed", None) else "FSDP"
            raise UserError(
                f"{kind} splits parameters into shards, whose masks SparseCallback does not have: "
                "train on one device or with DDP"
            )
        self._global_step = state.global_step
        self._scaler = getattr(optimizer, "scaler", None)
        carried = self._to_resume(args, state) if state.global_step else None
        self._begin(_place(args, state, model, optimizer, train_dataloader), carried)
        state.stateful_callbacks[NAME] = self.state()

    def on_pre_optimizer_step(
        self,
        args: Any,
        state: Any,
        control: Any,
        *,
        optimizer: Any = None,
        **_: Any,
    ) -> None:
        if self._holding is not None:
            self._holding.before_step(unwrapped(optimizer), self._scaler)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._global_step = state.global_step

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        carried = self._carried()
        if carried is None or not args.should_save:
            return
        folder = _folder(args, state.global_step)
        if folder is None:
            warnings.warn(
                f"checkpoint-{state.global_step} is not in {args.output_dir}, so that the mask "
                "could not be saved with it: it cannot be resumed with SparseCallback",
                stacklevel=2,
            )
            return
        tensors, about = carried.pack()
        write_whole(folder / FILE, to_bytes("sparse-callback", tensors, {"about": about}))

    def on_train_end(
        self,
        args: Any,
        state: Any,
        control: Any,
        *,
        model: Any = None,
        **_: Any,
    ) -> None:
        self._finish()
        if args.load_best_model_at_end and state.best_model_checkpoint:
            path = Path(state.best_model_checkpoint) / FILE
            if path.is_file():
                self._last = _read(path)
            else:
                warnings.warn(f"the best model's mask is unknown: there is no {path}", stacklevel=2)
        self._check_zeros(model)

    def state(self) -> dict[str, Any]:
        mask = self.mask
        restored = {
            "told": self._wanted.told(),
            "global_step": self._global_step,
            "mask": None if mask is None else str(hash(mask)),
        }
        return {"args": {"restored": restored}, "attributes": {}}

    @staticmethod
    def mask_of(checkpoint: str | os.PathLike[str]) -> Mask:
        """The mask of a checkpoint's folder. UserError if it has none."""
        return _read(Path(checkpoint) / FILE).mask

    def _to_resume(self, args: Any, state: Any) -> Carried | None:
        """What the checkpoint carries. UserError if it has trained without a SparseCallback."""
        saved = state.stateful_callbacks.get(NAME)
        step = state.global_step
        if saved is None:
            if self._wanted.method is None:
                return None
            raise UserError(
                f"the checkpoint at step {step} was made without SparseCallback: "
                f"{self._wanted.method} would begin in the middle of its schedule. Load the "
                "weights alone (from_pretrained) and train anew, or resume from a checkpoint that "
                "SparseCallback has seen"
            )
        marker = saved["args"]["restored"]
        if marker["global_step"] != step:
            raise UserError(
                f"the checkpoint at step {step} was trained without SparseCallback since step "
                f"{marker['global_step']}: what was removed then is trained. Resume from the "
                f"checkpoint of step {marker['global_step']}, or start a new training"
            )
        folder = Path(self._resume_from or Path(args.output_dir) / f"checkpoint-{step}")
        carried = _read(folder / FILE)
        if carried.global_step != step or str(hash(carried.mask)) != marker["mask"]:
            raise UserError(
                f"{folder / FILE} is of another training: name the folder that is resumed, "
                "SparseCallback(…, resume_from='path/to/checkpoint')"
            )
        return carried


def _read(path: Path) -> Carried:
    if not path.is_file():
        raise UserError(
            f"there is no {path}, which SparseCallback writes into a checkpoint: name the folder "
            "that is resumed, SparseCallback(…, resume_from='path/to/checkpoint')"
        )
    try:
        tensors, about = from_bytes("sparse-callback", path.read_bytes(), str(path))
    except ValueError as error:
        raise UserError(str(error)) from error
    return Carried.unpack(tensors, about["about"])


def _folder(args: Any, step: int) -> Path | None:
    """The folder of the checkpoint that was just saved; those of a search are one level down."""
    name = f"checkpoint-{step}"
    found = [Path(args.output_dir) / name, *Path(args.output_dir).glob(f"run-*/{name}")]
    folders = [folder for folder in found if folder.is_dir()]
    return max(folders, key=lambda folder: folder.stat().st_mtime, default=None)


def _place(args: Any, state: Any, model: Any, optimizer: Any, loader: Any) -> Beginning:
    device = next(model.parameters()).device
    return Beginning(
        model=model,
        optimizers=[optimizer],
        loss=lambda: LossOf(model, _loss),
        batches=lambda number, seed: [
            _moved(batch, device) for batch in first_batches(loader, number, seed)
        ],
        steps=state.max_steps if state.max_steps > 0 else None,
        per_epoch=_per_epoch(args, loader),
        unknown=f"max_steps is {state.max_steps}",
    )


def _per_epoch(args: Any, loader: Any) -> int | None:
    try:
        return math.ceil(len(loader) / int(args.gradient_accumulation_steps))
    except TypeError:  # data without a length
        return None


def _loss(model: nn.Module, batch: Any) -> Any:
    """The loss of a batch as the Trainer's default has it, in training mode."""
    outputs = model.train()(**batch)
    return outputs.get("loss") if isinstance(outputs, Mapping) else outputs[0]


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(one, device) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(one, device) for one in value)
    return value
