"""`wn.load_deployed`: from a file of ``winnow deploy`` to a module that runs."""

from __future__ import annotations

import os
from pathlib import Path

from winnow.deployment.runtime.module import SparseModule, Ways, module_of_bytes

FILE_NAME = "network.safetensors"


def load_deployed(path: str | os.PathLike[str], *, run: Ways = "measured") -> SparseModule:
    """The network of a file that ``winnow deploy`` or ``SparseModule.save`` wrote, or of a folder.

    Needs neither the network's class nor the ticket; nothing in the file is code. ``run``:
    "measured" runs each layer as is fastest, which is measured again (seconds) where the file was
    written on another machine or for other threads; "kernels" and "torch" measure nothing.

    Raises UserError, with the path and what is wrong, for a damaged or foreign file;
    FileNotFoundError when there is none.
    """
    file = Path(path)
    file = file / FILE_NAME if file.is_dir() else file
    return module_of_bytes(file.read_bytes(), str(file), run)
