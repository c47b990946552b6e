"""Pushing a deployed folder: what is refused, what is asked, and a push to a hub that runs here."""

from __future__ import annotations

import inspect
import json
import sys

import pytest
from hub_server import asked_of, running_hub

from winnow.deployment.hub import push
from winnow.errors import UserError

library = pytest.importorskip("huggingface_hub", reason="needs winnow[hub]")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "deployed"
    (folder / "more").mkdir(parents=True)
    card = {"title": "lenet at 5 %", "file": "network.safetensors"}
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "README.md").write_text("---\nlibrary_name: winnow\n---\n# A card\n")
    (folder / "network.safetensors").write_bytes(b"\0\1\2")
    (folder / "more" / "labels.txt").write_text("zero")
    (folder / ".network.safetensors.12.tmp").write_text("half")
    return folder


class Asked:
    """The hub's functions, replaced: they take what the real ones take, and keep it."""

    def __init__(self, monkeypatch, token="hf_stored"):
        self.calls: list[tuple[str, dict]] = []
        monkeypatch.setattr(library, "get_token", lambda: token)
        for name, answer in (
            ("create_repo", "https://huggingface.co/me/lenet"),
            ("upload_folder", None),
        ):
            signature = inspect.signature(getattr(library, name))
            monkeypatch.setattr(library, name, self._kept(name, signature, answer))

    def _kept(self, name, signature, answer):
        def call(*args, **kwargs):
            self.calls.append((name, dict(signature.bind(*args, **kwargs).arguments)))
            return answer

        return call


def test_a_push_makes_a_repository_and_uploads_the_folder(folder, monkeypatch):
    asked = Asked(monkeypatch)
    address = push(folder, "me/lenet", private=True, token="hf_given", message="The second")
    assert address == "https://huggingface.co/me/lenet"
    (made, created), (sent, uploaded) = asked.calls
    assert (made, sent) == ("create_repo", "upload_folder")
    assert created == {
        "repo_id": "me/lenet", "token": "hf_given", "private": True, "repo_type": "model",
        "exist_ok": True,
    }  # fmt: skip
    assert uploaded == {
        "repo_id": "me/lenet", "folder_path": str(folder), "repo_type": "model",
        "commit_message": "The second", "token": "hf_given", "ignore_patterns": [".*", "*/.*"],
    }  # fmt: skip


def test_a_push_with_the_stored_login_is_as_private_as_the_organisation_says(folder, monkeypatch):
    asked = Asked(monkeypatch)
    push(folder, "me/lenet")
    assert (asked.calls[0][1]["private"], asked.calls[0][1]["token"]) == (None, None)
    assert asked.calls[1][1]["commit_message"] == "lenet at 5 %, deployed by Winnow"


def test_no_login_is_said_before_anything_is_asked(folder, monkeypatch):
    asked = Asked(monkeypatch, token=None)
    with pytest.raises(UserError, match=r"me/lenet needs a login .*hf auth login.*HF_TOKEN"):
        push(folder, "me/lenet")
    assert not asked.calls


@pytest.mark.parametrize(
    "name",
    ["lenet", "me/lenet/5", "me/le net", "/lenet", "me/", "me/-lenet", "me/a--b", "me/a..b",
     "me/a.git", "me/é", f"me/{'a' * 100}", "https://huggingface.co/me/lenet"],
)  # fmt: skip
def test_malformed_names_are_refused(folder, monkeypatch, name):
    asked = Asked(monkeypatch)
    with pytest.raises(UserError, match="is no name of a repository: give ORG/NAME"):
        push(folder, name)
    assert not asked.calls


@pytest.mark.parametrize("name", ["me/lenet", "M_e-2/Le.Net_5", "a/b"])
def test_names_are_taken_where_the_hubs_client_takes_them(folder, monkeypatch, name):
    Asked(monkeypatch)
    library.utils.validate_repo_id(name)
    push(folder, name)


def test_a_folder_without_a_card_is_refused(folder):
    (folder / "card.json").unlink()
    with pytest.raises(UserError, match=r"deployed is no deployed folder, as it has no card\.json"):
        push(folder, "me/lenet")


@pytest.mark.parametrize("card", ["{", "[]", '{"title": "a"}'])
def test_a_damaged_card_is_refused(folder, card):
    (folder / "card.json").write_text(card)
    with pytest.raises(UserError, match=r"card\.json is damaged"):
        push(folder, "me/lenet")


@pytest.mark.parametrize("missing", ["README.md", "network.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(UserError, match=f"lacks {missing}: deploy again"):
        push(folder, "me/lenet")


def test_without_the_library_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'winnow\[hub\]'"):
        push(folder, "me/lenet")


_PUSH = """
from pathlib import Path
from winnow.deployment.hub import push
from winnow.errors import UserError
try:
    print(push(Path({folder!r}), "me/lenet", private=True))
except UserError as error:
    print("refused", error)
"""


def test_a_real_push_by_the_hubs_own_client(folder, tmp_path):
    with running_hub() as hub:
        code = _PUSH.format(folder=str(folder))
        done = asked_of(hub.address, tmp_path / "home", code, HF_TOKEN="hf_secret")
        assert done.stdout.strip() == f"{hub.address}/me/lenet", done.stderr
        assert set(hub.tokens) == {"Bearer hf_secret"}
        (created,) = [lines[0] for _, path, lines in hub.asked if path == "/api/repos/create"]
        assert created.get("private") is True or created["visibility"] == "private"
        assert hub.pushed() == {
            "README.md": (folder / "README.md").read_bytes(),
            "card.json": (folder / "card.json").read_bytes(),
            "network.safetensors": b"\0\1\2",
            "more/labels.txt": b"zero",
        }


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "does not know this login"), (403, "may not write there"), (400, "cannot be pushed")],
)
def test_what_the_hub_refuses_is_explained(folder, tmp_path, status, message):
    with running_hub() as hub:
        hub.refusal = status
        code = _PUSH.format(folder=str(folder))
        done = asked_of(hub.address, tmp_path / "home", code, HF_TOKEN="hf_secret")
    assert done.stdout.startswith("refused me/lenet: "), done.stderr
    assert message in done.stdout
