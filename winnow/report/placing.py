"""Where a report goes: a folder of its name, with a hash behind it where another recipe has that.

Recipes are known by names that several can have, as files in different folders do. Whose a folder
is stands in its ``recipe.json``; the page of one recipe never replaces that of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.files import write_whole

_FILE = "recipe.json"


def report_folder(reports: Path, name: str, recipe: Mapping[str, Any] | str) -> Path:
    """The folder in ``reports`` for a recipe, marked as its own.

    ``recipe``: all of it; of one that is known by its name alone, as shipped ones are, that name.
    Raises OSError.
    """
    text = json.dumps(recipe, sort_keys=True, default=str)
    content = hashlib.sha256(text.encode()).hexdigest()
    plain = reports / name
    if _claimed(plain, content):
        return plain
    other = reports / f"{name}-{content[:12]}"
    _claimed(other, content)
    return other


def _claimed(folder: Path, content: str) -> bool:
    """Whether a folder is a recipe's own, or was nobody's until now."""
    marker = folder / _FILE
    if not marker.exists():
        write_whole(marker, json.dumps({"sha256": content}) + "\n")
    try:
        return bool(json.loads(marker.read_text("utf-8"))["sha256"] == content)
    except (OSError, ValueError, KeyError, TypeError):
        return False
