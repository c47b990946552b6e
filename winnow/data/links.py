"""Symbolic links in folders of data: they may lead to another place in the folder, not out."""

from __future__ import annotations

import os
from pathlib import Path

from winnow.errors import UserError


def check_link(path: Path, folder: Path) -> None:
    """UserError if ``path`` leads out of ``folder``, which may itself be a link, or nowhere.

    A folder that comes from others could otherwise make any file of this machine an image of it.
    """
    home, target = os.path.realpath(folder), os.path.realpath(path)
    if os.path.commonpath([home, target]) != home:
        raise UserError(
            f"{path} is a link out of {folder}, to {target}: put a copy there in its place, or "
            "name the folder where the data is"
        )
    if not os.path.exists(target):  # noqa: PTH110  of what realpath gives
        raise UserError(f"{path} is a link to {target}, where nothing is: remove it")
