"""Addresses of the hub, and downloads from one that runs here, by huggingface_hub itself."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
from hub_server import asked_of, running_hub

import winnow as wn
from winnow.errors import UserError
from winnow.hub import HubFile, hub_file, is_hub_address, resolve

_DEFAULT = "ticket.safetensors"


@pytest.mark.parametrize(
    ("address", "repo", "revision", "file"),
    [
        ("hf://org/name", "org/name", None, _DEFAULT),
        ("hf://org/name/", "org/name", None, _DEFAULT),
        ("hf://org/name@v1.0", "org/name", "v1.0", _DEFAULT),
        ("hf://org/name/a/b.safetensors", "org/name", None, "a/b.safetensors"),
        ("hf://org/name@main/b@2.safetensors", "org/name", "main", "b@2.safetensors"),
        ("hf://org/name@refs/pr/3/b.onnx", "org/name", "refs/pr/3", "b.onnx"),
        ("hf://org/name@refs/pr/3", "org/name", "refs/pr/3", _DEFAULT),
        ("hf://org/name@a%2Fb/c", "org/name", "a/b", "c"),
        (Path("hf://org/name@v1/b"), "org/name", "v1", "b"),
    ],
)
def test_addresses(address, repo, revision, file):
    assert hub_file(address, _DEFAULT) == HubFile(repo, file, revision)


@pytest.mark.parametrize(
    "address", ["hf://", "hf://name", "hf:///name", "hf://org//x", "hf://org/name@", "hf:org/name"]
)
def test_malformed_addresses_are_refused(address):
    with pytest.raises(UserError, match=r"is no address of a repository: .*hf://ORG/NAME@REVISION"):
        hub_file(address, _DEFAULT)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://datasets/org/name", "no repository of a model"),
        ("hf://org/name/../../secret", "leads out of the repository"),
    ],
)
def test_addresses_of_something_else_are_refused(address, message):
    with pytest.raises(UserError, match=message):
        resolve(address)


def test_an_address_is_written_as_it_is_read():
    for file in (HubFile("o/n", "a/b"), HubFile("o/n", "f", "v1")):
        assert hub_file(str(file), "other") == file


@pytest.mark.parametrize("path", ["ticket.safetensors", Path("/a/hf:/b"), "hf.safetensors", "hf"])
def test_paths_stay_as_they_are(path):
    assert not is_hub_address(path)
    assert resolve(path) == Path(path)


def _resolved(address: str, default: str | None = None) -> str:
    more = "" if default is None else f", {default!r}"
    return f"""
import winnow.hub
try:
    print("content", winnow.hub.resolve({address!r}{more}).read_text())
except winnow.hub.UserError as error:
    print("refused", error)
"""


@pytest.fixture(scope="module")
def hub():
    pytest.importorskip("huggingface_hub", reason="needs winnow[hub]")
    with running_hub() as hub:
        hub.files[("org/name", "main", "ticket.safetensors")] = b"a ticket"
        hub.files[("org/name", "v1", "ticket.safetensors")] = b"an older ticket"
        hub.files[("org/name", "main", "deep/network.safetensors")] = b"a network"
        yield hub


@pytest.mark.parametrize(
    ("address", "default", "content"),
    [
        ("hf://org/name", None, "a ticket"),
        ("hf://org/name@v1", None, "an older ticket"),
        ("hf://org/name/deep/network.safetensors", None, "a network"),
        ("hf://org/name", "deep/network.safetensors", "a network"),
    ],
)
def test_a_file_is_downloaded(hub, tmp_path, address, default, content):
    done = asked_of(hub.address, tmp_path, _resolved(address, default))
    assert done.stdout == f"content {content}\n", done.stderr


def test_what_was_downloaded_is_found_offline(hub, tmp_path):
    first = asked_of(hub.address, tmp_path, _resolved("hf://org/name"))
    asked = len(hub.asked)
    code = _resolved("hf://org/name")
    again = asked_of(hub.address, tmp_path, code, HF_HUB_OFFLINE="1")
    assert first.stdout == again.stdout == "content a ticket\n"
    assert len(hub.asked) == asked


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://org/none", "there is no repository org/none on the hub, or it is a private one"),
        ("hf://org/name@v9", "org/name has no branch, tag or commit 'v9'"),
        ("hf://org/name/x.onnx", "org/name has no file x.onnx: name another as hf://ORG/NAME/FILE"),
        ("hf://org/-name", "cannot be downloaded (HFValidationError"),
    ],
)
def test_what_is_not_there_is_named(hub, tmp_path, address, message):
    done = asked_of(hub.address, tmp_path, _resolved(address))
    assert done.stdout.startswith("refused hf://org/"), done.stderr
    assert message in done.stdout


def test_offline_is_said(hub, tmp_path):
    done = asked_of(hub.address, tmp_path, _resolved("hf://org/name"), HF_HUB_OFFLINE="1")
    assert "it was not downloaded before, and HF_HUB_OFFLINE is set" in done.stdout


def test_a_hub_that_cannot_be_reached(monkeypatch):
    """As the client raises it after half a minute of trying."""
    library = pytest.importorskip("huggingface_hub", reason="needs winnow[hub]")

    def unreachable(**_):
        raise library.errors.LocalEntryNotFoundError("check") from OSError("no route\nat all")

    monkeypatch.setattr(library, "hf_hub_download", unreachable)
    with pytest.raises(UserError, match=r"name/ticket\.safetensors: .*OSError: no route\)$"):
        resolve("hf://org/name")


def test_a_ticket_is_loaded_from_the_hub(tmp_path, monkeypatch):
    """``wn.load`` asks the hub as its client wants to be asked."""
    library = pytest.importorskip("huggingface_hub", reason="needs winnow[hub]")
    torch = pytest.importorskip("torch")
    mask = wn.Mask({"weight": torch.tensor([[True, False]])})
    wn.Ticket(mask, {"weight": torch.tensor([[1.0, 2.0]])}).save(tmp_path / "t.safetensors")
    signature, asked = inspect.signature(library.hf_hub_download), []

    def downloaded(*args, **kwargs):
        asked.append(signature.bind(*args, **kwargs).arguments)
        return str(tmp_path / "t.safetensors")

    monkeypatch.setattr(library, "hf_hub_download", downloaded)
    assert wn.load("hf://org/name@v1").mask == mask
    assert asked == [
        {"repo_id": "org/name", "filename": _DEFAULT, "revision": "v1", "repo_type": "model"}
    ]


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'winnow\[hub\]'"):
        resolve("hf://org/name")
