"""A client of servers that segment by clicks: the protocol of nnInteractive's server for Slicer.

A volume is sent once (`/upload_image`, a NumPy array), a mask that prompts go on from
(`/upload_segment`), then prompts: points and boxes as JSON, scribbles and lassos as masks. Each
prompt is answered by a mask of one bit a voxel. No name of a patient is sent.
"""

from __future__ import annotations

import gzip
import http.client
import io
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job, Listener
from app.viewmodels.images.clicking import Drawn, Prompt, Uploaded
from med2e3.errors import Cancelled, InputError, ResourceError
from med2e3.memory import free_bytes
from med2e3.volume import Volume
from med2e3.words import size_text

#: Seconds that a connection may take, and an answer: a large scan takes a small GPU about a minute.
CONNECTING, ANSWERING = 5.0, 300.0

#: Bytes sent at a time: progress and cancelling are as fine as this.
PIECE = 1 << 18

#: Bytes of an answer that is no mask: a sentence about what went wrong.
LONGEST_WORDS = 10_000

#: Separates the parts of a form.
BOUNDARY = "med2e3-7f3a9c51e0"


class ClickServer:
    """Sends volumes and prompts to a server, and reads its masks, on the worker for exports."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def send(self, url: str, volume: Volume, listener: Listener) -> Job[Uploaded]:
        """Send a volume; events: `Progress`."""
        return self._jobs.start(Lane.EXPORTS, lambda c: _send(url, volume, c), listener)

    def ask(
        self, url: str, prompt: Prompt, start: NDArray[np.uint8] | None, listener: Listener
    ) -> Job[NDArray[np.bool_]]:
        """Answer a prompt; `start` is the mask that it goes on from, where the server has another.

        Events: `Progress`.
        """
        return self._jobs.start(Lane.EXPORTS, lambda c: _ask(url, prompt, start, c), listener)


def _send(url: str, volume: Volume, context: Context) -> Uploaded:
    voxels = volume.voxels
    need, free = 2 * voxels.nbytes, free_bytes()
    if need > free:
        raise ResourceError(
            f"Sending “{volume.name}” needs {size_text(need)} of memory, and {size_text(free)} are "
            "free. Close other programs, or send a smaller series."
        )
    body, kind = _form(_npy(voxels), "volume.npy", {})
    _json(_post(url, "/upload_image", body, kind, context, "Sending the volume"), url)
    return Uploaded(url, volume)


def _ask(
    url: str, prompt: Prompt, start: NDArray[np.uint8] | None, context: Context
) -> NDArray[np.bool_]:
    if start is not None:
        body, kind = _form(gzip.compress(_npy(start), 1), "segment.npy.gz", {})
        _json(_post(url, "/upload_segment", body, kind, context, "Sending the segment"), url)
    words = "true" if prompt.positive else "false"
    if prompt.mask is not None:
        packed = gzip.compress(_npy(prompt.mask), 1)
        body, kind = _form(packed, "mask.npy.gz", {"positive_click": words})
    else:
        said: dict[str, Any] = {"positive_click": prompt.positive}
        if prompt.drawn is Drawn.POINT:
            said["voxel_coord"] = list(prompt.places[0])
        else:
            said |= {
                name: list(place)
                for name, place in zip(
                    ("outer_point_one", "outer_point_two"), prompt.places, strict=True
                )
            }
        body, kind = json.dumps(said).encode(), "application/json"
    path = f"/add_{PATHS[prompt.drawn]}_interaction"
    answer = _post(url, path, body, kind, context, "Segmenting")
    return _unpacked(answer, prompt.shape, url)


#: How the protocol calls each kind of prompt.
PATHS = {
    Drawn.POINT: "point", Drawn.BOX: "bbox", Drawn.SCRIBBLE: "scribble", Drawn.LASSO: "lasso",
}  # fmt: skip


def _npy(values: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(values), allow_pickle=False)
    return file.getvalue()


def _form(content: bytes, name: str, fields: dict[str, str]) -> tuple[bytes, str]:
    """A form with one file, and its content type (RFC 7578)."""
    head = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    )
    disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    start = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    return head + start.encode() + content + end, f"multipart/form-data; boundary={BOUNDARY}"


def _post(
    url: str, path: str, body: bytes, kind: str, context: Context, doing: str
) -> tuple[bytes, bool]:
    """The answer to a request, and whether its bytes are packed by gzip."""
    place = urlsplit(url)
    with _connected(url, place, context) as connection:
        connection.putrequest("POST", place.path.rstrip("/") + path)
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        for start in range(0, len(body), PIECE):
            if context.cancelled():
                raise Cancelled("The request was stopped.")
            connection.send(body[start : start + PIECE])
            context.progress(start / len(body), doing)
        context.progress(-1, "Waiting for the server")
        connection.sock.settimeout(ANSWERING)
        answer = connection.getresponse()
        most = max(len(body), LONGEST_WORDS) + (1 << 20)
        content = answer.read(most)
        if answer.status != http.client.OK:
            words = content[:200].decode("utf-8", "replace").strip()
            raise _failed(url, f"it answered {answer.status} {answer.reason}: {words}")
        return content, answer.getheader("Content-Encoding", "") == "gzip"


@contextmanager
def _connected(
    url: str, place: SplitResult, context: Context
) -> Iterator[http.client.HTTPConnection]:
    kinds: dict[str, Callable[..., http.client.HTTPConnection]] = {
        "http": http.client.HTTPConnection, "https": http.client.HTTPSConnection,
    }  # fmt: skip
    connection = kinds[place.scheme](place.hostname or "", place.port, timeout=CONNECTING)
    try:
        connection.connect()
        made = connection.sock
        context.on_cancel(lambda: _cut(made))
        yield connection
    except (OSError, http.client.HTTPException) as error:
        if context.cancelled():
            raise Cancelled("The request was stopped.") from error
        raise _failed(url, _why(error)) from error
    finally:
        connection.close()


def _cut(made: socket.socket) -> None:
    """End a connection that another thread waits at."""
    try:
        made.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "no computer of that name is known"
    return f"the connection broke ({type(error).__name__})"


def _json(answer: tuple[bytes, bool], url: str) -> None:
    """Check that the server took what was sent."""
    try:
        said = json.loads(answer[0][:LONGEST_WORDS])
        if said["status"] == "ok":
            return
        words = str(said.get("message", "no reason"))[:200]
    except (ValueError, KeyError, TypeError, AttributeError):
        words = "it gave an answer of another protocol"
    raise _failed(url, words)


def _unpacked(
    answer: tuple[bytes, bool], shape: tuple[int, int, int], url: str
) -> NDArray[np.bool_]:
    """The mask in an answer: bits from the highest on, in the order of the volume's voxels."""
    content, packed = answer
    if content[:1] == b"{":
        _json(answer, url)
    count = int(np.prod(shape, dtype=np.int64))
    if packed or content[:2] == b"\x1f\x8b":
        try:
            content = zlib.decompressobj(wbits=31).decompress(content, (count + 7) // 8 + 1)
        except zlib.error as error:
            raise _failed(url, "its mask is damaged") from error
    if len(content) != (count + 7) // 8:
        raise _failed(url, "its mask is of another size than the volume")
    return (
        np.unpackbits(np.frombuffer(content, np.uint8), count=count).reshape(shape).view(np.bool_)
    )


def _failed(url: str, why: str) -> InputError:
    return InputError(
        f"The server for segmentation at {url} cannot be used: {why}. Check its address in the "
        "preferences, and that it runs."
    )
