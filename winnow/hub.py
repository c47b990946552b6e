"""Files in repositories of the Hugging Face hub: ``hf://ORG/NAME[@REVISION][/FILE]``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from winnow.errors import UserError

HOW_TO_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_ADDRESS = re.compile(
    r"hf:/{1,2}(?P<repo>[^/@]+/[^/@]+)"  # of two slashes, pathlib keeps one
    r"(?:@(?P<revision>refs/(?:pr|convert)/[^/]+|[^/]+))?"
    r"(?:/(?P<file>.*))?"
)
_FORM = "an address is hf://ORG/NAME, hf://ORG/NAME@REVISION or hf://ORG/NAME/FILE"
_OTHER_KINDS = ("datasets", "spaces")


@dataclass(frozen=True)
class HubFile:
    """A file of a model repository. ``revision``: a branch, tag or commit; None: the main one."""

    repo: str
    file: str
    revision: str | None = None

    def __str__(self) -> str:
        at = "" if self.revision is None else f"@{self.revision}"
        return f"hf://{self.repo}{at}/{self.file}"


def is_hub_address(path: str | os.PathLike[str]) -> bool:
    """Whether it begins with ``hf://``."""
    return os.fspath(path).startswith("hf:/")


def hub_file(address: str | os.PathLike[str], default: str) -> HubFile:
    """What an address names; ``default`` is the file where it names none. UserError if malformed.

    A revision with a slash is written with %2F; ``refs/pr/N`` is known as it is.
    """
    written = os.fspath(address)
    match = _ADDRESS.fullmatch(written)
    if match is None:
        raise UserError(f"{written!r} is no address of a repository: {_FORM}")
    repo, file = match["repo"], (match["file"] or "").strip("/") or default
    if repo.partition("/")[0] in _OTHER_KINDS:
        raise UserError(f"{written!r} is no repository of a model: {_FORM}")
    if ".." in file.split("/"):
        raise UserError(f"{written!r} leads out of the repository: {_FORM}")
    revision = None if match["revision"] is None else unquote(match["revision"])
    return HubFile(repo, file, revision)


def resolve(path: str | os.PathLike[str], default: str = "ticket.safetensors") -> Path:
    """A path as it is; a file of the hub, downloaded, as the path of its copy in the hub's cache.

    ``default``: the file of an address that names a repository alone. What was downloaded before is
    found without a network. Private repositories need a login.

    Raises UserError for a malformed address, without ``huggingface_hub``, for a repository,
    revision or file that is not there, and where the hub cannot be reached.
    """
    if not is_hub_address(path):
        return Path(path)
    wanted = hub_file(path, default)
    library = hub_library()
    try:
        found = library.hf_hub_download(
            repo_id=wanted.repo, filename=wanted.file, revision=wanted.revision, repo_type="model"
        )
    except Exception as error:  # those of the hub, of its client and of files share no base
        raise UserError(f"{wanted}: {_reason(library.errors, wanted, error)}") from error
    return Path(found)


def hub_library() -> Any:
    """``huggingface_hub``; UserError that says how to install it."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ModuleNotFoundError as error:
        raise UserError(
            f"the Hugging Face hub needs {error.name}, which is not installed here: "
            "pip install 'winnow[hub]'"
        ) from error
    return huggingface_hub


def _reason(errors: Any, wanted: HubFile, error: Exception) -> str:
    """What went wrong, the most special kind of error first: some derive from others."""
    cause = error.__cause__ or error
    if isinstance(error, errors.GatedRepoError):
        return f"access to {wanted.repo} has to be asked for on its page; then {HOW_TO_LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no repository {wanted.repo} on the hub, or it is a private one: check its "
            f"name; if it is private, {HOW_TO_LOG_IN}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{wanted.repo} has no branch, tag or commit {wanted.revision!r}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        if isinstance(cause, errors.OfflineModeIsEnabled):
            return "it was not downloaded before, and HF_HUB_OFFLINE is set: unset it once"
        return f"it was not downloaded before, and the hub cannot be reached ({_first(cause)})"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{wanted.repo} has no file {wanted.file}: name another as hf://ORG/NAME/FILE"
    return f"it cannot be downloaded ({_first(cause)})"


def _first(error: BaseException) -> str:
    """The first line of an error, with its kind."""
    line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
