"""A stand-in for the hub on this machine, for what uploads a folder."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub(ThreadingHTTPServer):
    """Accepts any repository; keeps the files of the last commit, and the messages of all."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.created: list[dict[str, Any]] = []
        self.messages: list[str] = []
        self.files: dict[str, bytes] = {}

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        """What the hub's API answers."""
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            return {"url": f"{self.url}/owner/name"}
        if "/preupload/" in path:
            files = [file["path"] for file in json.loads(body)["files"]]
            return {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]}
        if "/commit/" in path:
            header, *entries = (json.loads(line)["value"] for line in body.splitlines())
            self.messages.append(header["summary"])
            self.files = {entry["path"]: base64.b64decode(entry["content"]) for entry in entries}
            return {"commitUrl": f"{self.url}/owner/name/commit/1", "commitOid": "1"}
        return {"errors": [], "warnings": []}  # of the card's header


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        allowed = self.headers["Authorization"] == "Bearer secret"
        answer = json.dumps(self.server.answer(self.path, body) if allowed else {}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Not to standard error."""


@contextmanager
def hub() -> Iterator[Hub]:
    """Serves within the block."""
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
