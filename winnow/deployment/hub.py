"""``winnow deploy --push``: a deployed folder as a repository of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from winnow.deployment.card import Card
from winnow.digest import unsealed_json
from winnow.errors import UserError
from winnow.hub import HOW_TO_LOG_IN, hub_library

CARD_FILE = "card.json"
_KEYS = ("card", "density", *(one.name for one in fields(Card)))  # of a card without a digest
README_FILE = "README.md"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_REPOSITORY = re.compile(f"{_PART}/{_PART}")
_LONGEST = 96  # characters of a name, says the hub


def push(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a folder that ``winnow deploy`` wrote to a model repository; give its address.

    ``repo_id``: ORG/NAME, made where there is none; one that is there gets a commit more, and stays
    as private as it is. ``private``: None leaves it to the organisation: most are public.
    ``token``: else that of ``hf auth login`` or of $HF_TOKEN. ``message``: of the commit. Files
    whose names begin with a dot stay here.

    Raises UserError for a folder without a card or without what the card is of, a malformed name,
    no login, and what the hub refuses.
    """
    card = _card(folder)
    check_name(repo_id)
    library = hub_library()
    if token is None and library.get_token() is None:
        raise UserError(f"pushing to {repo_id} needs a login to the hub: {HOW_TO_LOG_IN}")
    text = message or f"{card['title']}, deployed by Winnow"
    try:
        repository = library.create_repo(
            repo_id, token=token, private=private, repo_type="model", exist_ok=True
        )
        library.upload_folder(
            repo_id=repo_id,
            folder_path=str(folder),
            repo_type="model",
            commit_message=text,
            token=token,
            ignore_patterns=[".*", "*/.*"],
        )
    except Exception as error:  # those of the hub and of its client share no base
        raise UserError(f"{repo_id}: {_refusal(library.errors, error)}") from error
    return str(repository)


def _card(folder: Path) -> dict[str, Any]:
    """The card of a deployed folder; UserError where it is none."""
    try:
        card = read_card(folder / CARD_FILE)
        title, file = str(card["title"]), str(card["file"])
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} is no deployed folder, as it has no {CARD_FILE}: winnow deploy … --to "
            f"{folder} makes one"
        ) from error
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{folder / CARD_FILE} is damaged: deploy again ({error!r})") from error
    for name, digest in card.get("sha256", {}).items():
        if (folder / name).is_file() and digest != sha256_of(folder / name):
            raise UserError(f"{folder / name} is not what {CARD_FILE} says of it: deploy again")
    if missing := [name for name in (README_FILE, file) if not (folder / name).is_file()]:
        raise UserError(f"{folder} lacks {' and '.join(missing)}: deploy again")
    return {"title": title, "file": file}


def read_card(file: Path) -> dict[str, Any]:
    """A card.json. ValueError: it is damaged; OSError."""
    return unsealed_json(file.read_bytes(), _KEYS)[0]


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_name(repo_id: str) -> None:
    """UserError, before anything is asked of the hub, for what it would not take."""
    fits = _REPOSITORY.fullmatch(repo_id) and len(repo_id) <= _LONGEST
    if not fits or "--" in repo_id or ".." in repo_id or repo_id.endswith(".git"):
        raise UserError(
            f"{repo_id!r} is no name of a repository: give ORG/NAME, of letters, digits, '-', '_' "
            f"and '.', at most {_LONGEST} characters, such as my-name/lenet-5-percent"
        )


def _refusal(errors: Any, error: Exception) -> str:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
        return f"the hub does not know this login: {HOW_TO_LOG_IN}"
    if status == 403:
        return (
            "this login may not write there: use a token with write access, and an organisation "
            "that you belong to"
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set: unset it to push"
    line = str(error).strip().partition("\n")[0]
    return f"it cannot be pushed ({type(error).__name__}: {line})"
