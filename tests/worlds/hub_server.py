"""A server on this machine that speaks the Hugging Face hub's protocol as far as downloads need it, and can misbehave.

Large files answer with a redirect to where they lie, with the headers that the hub adds, Xet's among them; small ones
with their content. Every request is noted.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin", ".model")
"""What lies in Git LFS, hence has a SHA-256."""
PIECE_BYTES = 1 << 12


class Request(NamedTuple):
    method: str
    path: str
    first_byte: int
    token: str | None


@dataclass
class Hub:
    """Repositories with the content of their files, and what is to go wrong; files are named REPOSITORY/NAME.

    altered   files whose content is another than their listed checksum says
    breaks    bytes after which the connection breaks off, once for each number
    refused   the status and the hub's error code that requests for a repository get
    is_whole_only   content is sent from its first byte whatever was asked for
    on_bytes  called, once, when so many bytes of a file have been sent
    """

    repositories: dict[str, dict[str, bytes]]
    altered: dict[str, bytes] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    is_whole_only: bool = False
    on_bytes: dict[str, tuple[int, Callable[[], None]]] = field(default_factory=dict)
    listing: Callable[[dict[str, Any]], Any] = lambda listing: listing
    requests: list[Request] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    """Bytes sent of each file."""
    url: str = ""

    def asked(self, name: str) -> list[int]:
        """The first byte that each request for a file's content asked for, in order; redirects count once."""
        return [each.first_byte for each in self.requests if each.path.endswith(f"/content/{name}")]

    def listed(self, repository: str) -> dict[str, Any]:
        siblings = []
        for name, content in self.repositories[repository].items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            sibling: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
            if name.endswith(LARGE):
                checksum = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"size": len(content), "sha256": checksum, "pointerSize": 134}
            siblings.append(sibling)
        return {"id": repository, "modelId": repository, "sha": COMMIT, "private": False, "siblings": siblings}


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at `hub.url` while the block runs."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients that leave in the middle are what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def _answer(self, *, has_body: bool) -> None:
        path = urlsplit(self.path).path
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.hub.requests.append(Request(self.command, path, first, self.headers.get("Authorization")))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self._listing("/".join(parts[2:4]))
        if len(parts) == 5 and parts[2] == "resolve":
            return self._resolve("/".join(parts[:2]), parts[3], parts[4], has_body)
        if parts[0] == "content":
            return self._content("/".join(parts[1:]), first, has_body)
        return self._status(404, "")

    def _listing(self, repository: str) -> None:
        status, code = self.hub.refused.get(repository, (200, ""))
        if repository not in self.hub.repositories:
            return self._status(401, "RepoNotFound")
        if status != 200 and code != "GatedRepo":  # what is in a gated repository, everybody may see
            return self._status(status, code)
        return self._send(200, json.dumps(self.hub.listing(self.hub.listed(repository))).encode())

    def _resolve(self, repository: str, revision: str, name: str, has_body: bool) -> None:
        status, code = self.hub.refused.get(repository, (200, ""))
        content = self.hub.repositories.get(repository, {}).get(name)
        if status != 200:
            return self._status(status, code)
        if content is None or revision not in ("main", COMMIT):
            return self._status(404, "EntryNotFound" if content is None else "RevisionNotFound")
        checksum = hashlib.sha256(content).hexdigest()
        headers = {
            "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{checksum}"',
            "Location": f"/content/{repository}/{name}", "X-Xet-Hash": checksum,
            "Link": f'<{self.hub.url}/xet>; rel="xet-auth"',
        }  # fmt: skip
        if name.endswith(LARGE):
            return self._send(302, b"", headers)
        self.hub.requests[-1] = self.hub.requests[-1]._replace(path=f"/content/{repository}/{name}")
        return self._content(f"{repository}/{name}", self.hub.requests[-1].first_byte, has_body)

    def _content(self, file: str, first: int, has_body: bool) -> None:
        repository, _, name = file.rpartition("/")
        content = self.hub.altered.get(file, self.hub.repositories[repository][name])
        first = 0 if self.hub.is_whole_only else first
        headers = {"Content-Length": str(len(content) - first), "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if first else 200)
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        breaks = self.hub.breaks.get(file, [])
        end = breaks.pop(0) if breaks else None
        for start in range(first, len(content) if has_body else first, PIECE_BYTES):
            if end is not None and start >= end:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if file in self.hub.on_bytes and start >= self.hub.on_bytes[file][0]:
                self.hub.on_bytes.pop(file)[1]()
            piece = content[start : start + PIECE_BYTES]
            self.wfile.write(piece)
            self.hub.sent[file] = self.hub.sent.get(file, 0) + len(piece)

    def _status(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": "as the hub says it"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
