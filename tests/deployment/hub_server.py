"""A hub on this machine, for huggingface_hub itself: as much of it as downloads and pushes ask."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "1" * 40
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class Hub(ThreadingHTTPServer):
    """``files``: (repository, revision, file) → content. ``asked``: (method, path, JSON lines)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.asked: list[tuple[str, str, list]] = []
        self.tokens: list[str | None] = []
        self.refusal: int | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def pushed(self) -> dict[str, bytes]:
        """The files of the last commit."""
        lines = next(body for _, path, body in reversed(self.asked) if "/commit/" in path)
        files = [line["value"] for line in lines if line["key"] == "file"]
        return {file["path"]: base64.b64decode(file["content"]) for file in files}


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        self._file()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        lines = [json.loads(line) for line in body.splitlines()]
        self.server.asked.append(("POST", self.path, lines))
        self.server.tokens.append(self.headers["Authorization"])
        if self.server.refusal is not None:
            self._json({"error": "no"}, self.server.refusal)
        elif self.path == "/api/repos/create":
            name = f"{lines[0]['organization']}/{lines[0]['name']}"
            self._json({"url": f"{self.server.address}/{name}"})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            self._json({"files": [{"path": f["path"], **plain} for f in lines[0]["files"]]})
        elif "/commit/" in self.path:
            repository = self.path.removeprefix("/api/models/").partition("/commit/")[0]
            url = f"{self.server.address}/{repository}/commit/{COMMIT}"
            self._json({"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})
        else:
            self._json({"error": "not found"}, 404)

    def _file(self) -> None:
        self.server.asked.append((self.command, self.path, []))
        match = _RESOLVE.fullmatch(self.path)
        if match is None:
            self._json({"error": "not found"}, 404)
            return
        repo, revision, file = match["repo"], match["revision"], match["file"]
        known = self.server.files
        content = known.get((repo, revision, file))
        if repo not in {one[0] for one in known}:
            self._json({}, 404, {"X-Error-Code": "RepoNotFound"})
        elif (repo, revision) not in {one[:2] for one in known}:
            self._json({}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif content is None:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
            self._json({}, 404, headers)
        else:
            tag = hashlib.sha256(content).hexdigest()
            self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"'})

    def _json(self, value: object, status: int = 200, headers: dict | None = None) -> None:
        plain = {"Content-Type": "application/json", **(headers or {})}
        self._send(status, json.dumps(value).encode(), plain)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def asked_of(
    address: str, home: Path, code: str, **environment: str
) -> subprocess.CompletedProcess:
    """Run Python whose hub is another one: its client reads the address when it is imported."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    given = {**plain, "HF_ENDPOINT": address, "HF_HOME": str(home), **environment}
    given["NO_PROXY"] = "127.0.0.1"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=given)
