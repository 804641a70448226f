"""A stand-in for the Hugging Face Hub: the part of its HTTP that makes, fills and reads one kind of repository."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_aStandInForATokenOfTheHub"
SHA = "0123456789012345678901234567890123456789"


class Hub:
    """The content of the stand-in.

    Attributes:
        address: Of the server, for HF_ENDPOINT.
        files: The content of files, by repository (``models/OWNER/NAME``) and path.
        made: The requests for new repositories.
        asked: Paths of files that were read.
        strangers: Requests that were not understood.
    """

    def __init__(self) -> None:
        self.address = ""
        self.files: dict[str, dict[str, bytes]] = {}
        self.made: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.strangers: list[str] = []

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        """Return status, content (JSON unless bytes) and headers."""
        path = path.partition("?")[0]
        if method == "POST" and token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}, {}
        if path == "/api/repos/create":
            wanted = json.loads(body)
            self.made.append(wanted)
            kind = wanted.get("type") or "model"
            name = f"{wanted.get('organization') or 'someone'}/{wanted['name']}"
            self.files.setdefault(f"{kind}s/{name}", {})
            return 200, {"url": f"{self.address}/{'' if kind == 'model' else kind + 's/'}{name}"}, {}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        if path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "someone", "orgs": []}, {}
        if found := re.fullmatch(r"/api/((?:models|spaces)/[^/]+/[^/]+)(/.*)?", path):
            return self._of_repository(found[1], found[2] or "", body)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            return self._of_file(f"models/{found[1]}", found[2], method)
        return self._stranger(f"{method} {path}")

    def _of_repository(self, name: str, rest: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if name not in self.files:
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        if rest.startswith("/preupload/"):
            paths = [file["path"] for file in json.loads(body)["files"]]
            return 200, {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]}, {}
        if rest.startswith("/commit/"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return 200, {"success": True, "commitUrl": f"{self.address}/{name}/commit/{SHA}", "commitOid": SHA}, {}
        if rest.startswith("/tree/"):
            entries = [
                {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for path, content in self.files[name].items()
            ]
            return 200, entries, {}
        if rest in ("", "/revision/main", f"/revision/{SHA}"):
            siblings = [{"rfilename": path} for path in self.files[name]]
            about = {"id": name.partition("/")[2], "sha": SHA, "private": False, "tags": [], "downloads": 0, "likes": 0}
            return 200, {**about, "siblings": siblings}, {}
        return self._stranger(f"{name}{rest}")

    def _of_file(self, name: str, path: str, method: str) -> tuple[int, Any, dict[str, str]]:
        content = self.files.get(name, {}).get(path)
        if content is None:
            return 404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"}
        if method == "GET":
            self.asked.append(path)
        return 200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": SHA}

    def _stranger(self, what: str) -> tuple[int, Any, dict[str, str]]:
        self.strangers.append(what)
        return 404, {"error": "Not found"}, {}


@contextmanager
def running() -> Iterator[Hub]:
    """Serve on a free port of this machine while the block runs."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            status, content, headers = hub.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            sent = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for key, value in {"Content-Length": str(len(sent)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(sent)

        do_GET = do_POST = do_HEAD = handle_one

        def _chunk(self) -> bytes:
            content = self.rfile.read(int(self.rfile.readline(), 16))
            self.rfile.readline()
            return content

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
