"""Tickets from the files that other projects' code writes: open_lth, GraSP and Synaptic-Flow.

Files are read without running anything that they hold (see ``reading``), and what they hold is
checked before it becomes a ticket: masks are exactly 0 or 1 and fit the weights.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.errors import UserError, unknown
from winnow.importing.found import (
    ForeignTicket,
    Layout,
    Reader,
    binary,
    check_shared,
    is_state,
)
from winnow.importing.grasp import GRASP
from winnow.importing.names import renamed
from winnow.importing.open_lth import OPEN_LTH
from winnow.importing.synaptic_flow import SYNAPTIC_FLOW
from winnow.mask import Mask
from winnow.ticket import Ticket

LAYOUTS: dict[str, Layout] = {
    "open_lth": OPEN_LTH,
    "grasp": GRASP,
    "synaptic-flow": SYNAPTIC_FLOW,
}


def layouts() -> list[str]:
    """The layouts that ``import_ticket`` knows."""
    return list(LAYOUTS)


def import_ticket(
    path: str | os.PathLike[str], layout: str | None = None, *, model: str | None = None
) -> Ticket:
    """The ticket in a file or folder of another project.

    ``layout``, found from the content by default, is one of

    ``open_lth``       a folder level_N/main: mask.pth, and the earliest and latest model in it as
                       ``rewind`` and ``final``; or one model_ep*_it*.pth of such a folder; or its
                       checkpoint.pth. The weights that a level lacks come from level_0 beside it.
    ``grasp``          prune_*.pth.tar or finetune_*_best.pth.tar (then with the weights of the
                       prune_* file beside it as ``rewind``); an ImageNet checkpoint.
    ``synaptic-flow``  model.pt, or its folder. It holds only the weights after training, which
                       become ``rewind``; multi-shot runs write it before pruning.

    ``model``: one of Winnow's networks; the tensors then carry its names and fit it, and the
    provenance holds the arguments of ``winnow.models.build``. Equal networks for equal inputs;
    the convolution biases that its VGG lacks go into the running means. By default all names stay.

    Raises UserError, with the path, for another layout, damage, masks that are not 0 or 1 or fit
    no weights, or another network; FileNotFoundError when there is no such path.
    """
    if layout is not None and layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS, f"Choose from {', '.join(LAYOUTS)}")
    reader = Reader()
    file = _file(Path(path), layout)
    content = reader.read(file)
    chosen = layout or _recognised(file, content)
    try:
        found = LAYOUTS[chosen].find(file, content, reader)
        about = {"source": str(path), "layout": chosen, "sha256": reader.hashes, **found.about}
        return _ticket(found, about, model)
    except UserError as error:
        raise UserError(f"{path}, read as {chosen}: {error}") from error


def _ticket(found: ForeignTicket, about: Mapping[str, Any], model: str | None) -> Ticket:
    about = dict(about)
    if model is not None:
        found, about["build"] = renamed(found, model)
    if not found.masks:
        raise UserError("it holds no mask: nothing says which weights are kept")
    mask = Mask({name: binary(name, values) for name, values in found.masks.items()})
    return Ticket(mask, found.rewind, found.final, about)


def _file(path: Path, layout: str | None) -> Path:
    """The file to begin with: the path, or the one of a folder that holds masks."""
    if not path.is_dir():
        return path
    tried = LAYOUTS.values() if layout is None else [LAYOUTS[layout]]
    names = [known.main for known in tried if known.main is not None]
    for name in names:
        if (path / name).is_file():
            return path / name
    looked = f"no {' and no '.join(names)}" if names else "many files"
    raise UserError(
        f"{path} is a folder with {looked}. Name a folder level_N/main of open_lth, a folder with "
        "model.pt of Synaptic-Flow, or a file"
    )


def _shown(key: object) -> str:
    """A key of a file, however long it is or whatever it holds."""
    if not isinstance(key, str | int):
        return f"a {type(key).__name__}"
    return repr(str(key)[:60])


def _recognised(file: Path, content: object) -> str:
    if is_state(content) and isinstance(content, Mapping):
        check_shared(str(file), content)  # before all of it is looked at, by name
    for name, layout in LAYOUTS.items():
        if layout.recognises(file, content):
            return name
    what = f"a {type(content).__name__}"
    if isinstance(content, Mapping):
        keys = ", ".join(_shown(key) for key in list(content)[:4])
        what = f"a dictionary with the keys {keys or '(none)'}"
    raise UserError(
        f"{file} holds {what}, which is no mask or masked network of {', '.join(LAYOUTS)}"
    )
