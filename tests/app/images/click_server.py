"""A server on this computer that speaks nnInteractive's protocol and keeps what it was told."""

from __future__ import annotations

import gzip
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

#: Voxels to each side of a point or a mask that belong to the object.
AROUND = 2


class Told:
    """What the server was sent, in order, and what it has."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.image: np.ndarray | None = None
        self.mask: np.ndarray | None = None
        self.said: list[Any] = []
        #: What it answers in place of a mask, and a gate that it waits at.
        self.answer: bytes | None = None
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()


def _parts(kind: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form by their names."""
    whole = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in whole.get_payload()
    }


def _array(content: bytes) -> np.ndarray:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return np.load(io.BytesIO(content), allow_pickle=False)


class _Handler(BaseHTTPRequestHandler):
    told: Told

    def do_POST(self) -> None:
        told = self.told
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        told.paths.append(self.path)
        parts = _parts(kind, body) if kind.startswith("multipart") else {}
        told.gate.wait(20)
        if self.path == "/upload_image":
            told.image, told.mask = _array(parts["file"]), None
            self._send(b'{"status": "ok"}')
            return
        if self.path == "/upload_segment":
            told.mask = _array(parts["file"]).astype(bool)
            self._send(b'{"status": "ok"}')
            return
        if told.answer is not None:
            self._send(told.answer)
            return
        self._send(self._prompted(parts, body), packed=True)

    def _prompted(self, parts: dict[str, bytes], body: bytes) -> bytes:
        told = self.told
        assert told.image is not None
        here = np.zeros(told.image.shape, bool)
        if parts:
            here[_array(parts["file"]) > 0] = True
            positive = parts["positive_click"] == b"true"
            told.said.append(int(here.sum()))
        else:
            said = json.loads(body)
            told.said.append(said)
            positive = said["positive_click"]
            ends = [said.get(n) for n in ("outer_point_one", "outer_point_two") if n in said]
            if ends:
                here[tuple(slice(a, b + 1) for a, b in zip(*ends, strict=True))] = True
            else:
                at = said["voxel_coord"]
                here[tuple(slice(max(k - AROUND, 0), k + AROUND + 1) for k in at)] = True
        before = told.mask if told.mask is not None else np.zeros(told.image.shape, bool)
        told.mask = before | here if positive else before & ~here
        return gzip.compress(np.packbits(told.mask).tobytes())

    def _send(self, content: bytes, *, packed: bool = False) -> None:
        self.send_response(self.told.status)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[tuple[str, Told]]:
    """The address of a running server, and what it is told."""
    told = Told()
    made = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"told": told}))
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", told
    finally:
        told.gate.set()
        made.shutdown()
        made.server_close()
        thread.join(10)
