"""`wn.load_deployed`: from a file of ``winnow deploy`` to a module that runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from winnow.deployment.runtime.choose import BatchChoice, choice_of
from winnow.deployment.runtime.module import WAYS, SparseModule, Ways
from winnow.deployment.saved import pack_network, unpack_network
from winnow.engine.turns import machine
from winnow.errors import UserError, unknown

FILE_NAME = "network.safetensors"


def load_deployed(path: str | os.PathLike[str], *, run: Ways = "measured") -> SparseModule:
    """The network of a file that ``winnow deploy`` or `save_deployed` wrote, or of its folder.

    Needs neither the network's class nor the ticket; nothing in the file is code. ``run``:
    "measured" runs each layer as is fastest, which is measured again (seconds) where the file was
    written on another machine or for other threads; "kernels" and "torch" measure nothing.

    Raises UserError, with the path and what is wrong, for a damaged or foreign file;
    FileNotFoundError when there is none.
    """
    file = Path(path)
    file = file / FILE_NAME if file.is_dir() else file
    return _loaded(file.read_bytes(), str(file), run)


def to_file(module: SparseModule) -> bytes:
    """The bytes of the file of a module, with what was measured for it here."""
    about = {
        **module.about,
        "machine": measured_on(),
        "choices": [choice.plain() for choice in module.choices.values()],
    }
    return pack_network(module.sparse, about)


def _loaded(data: bytes, where: str, run: Ways) -> SparseModule:
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


def measured_on() -> dict[str, Any]:
    """What measured times hold for: the processor, the libraries, and torch's threads."""
    return {**machine(), "threads": torch.get_num_threads()}
