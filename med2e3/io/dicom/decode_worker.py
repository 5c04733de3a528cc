"""The process that `decode_pool` starts: names of frames or files in, pixels or headers out.

A decoder may end it, or be ended with it when it takes too long. Knows nothing of the caller. Run
as `python -P -m med2e3.io.dicom.decode_worker`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from pydicom.dataset import Dataset

from med2e3.errors import ImageReadError, ResourceError
from med2e3.io.dicom.decode import DECODING, Decoded, decode, whole_file
from med2e3.io.dicom.decode_pool import ERROR, LENGTH_BYTES, READY, Answer, Request
from med2e3.io.dicom.gdcm_frames import NOISE
from med2e3.io.dicom.header_pool import HeaderRequest, header_row

#: Seconds that a frame may take: the largest ones take about one.
FRAME_S = 60

#: Seconds without a request after which the process ends: it holds 70 MB.
IDLE_S = 300

#: Bytes beyond what a file and its frame explain that a process may take: decoders load libraries
#: and start threads.
SLACK_BYTES = 512 * 1024**2

#: How many times the bytes of a file are held while it is read.
READING = 3

#: Most letters of a line that a decoder printed, and most lines, that are handed on.
LONGEST_REPORT, MOST_LINES = 200, 5


def serve(
    requests: IO[bytes],
    answers: IO[bytes],
    printed: Callable[[], str] = lambda: "",
    limit: Callable[[int], object] = lambda seconds: None,
    room: Callable[[int], object] = lambda size: None,
) -> None:
    """`READY` out; then for each pickled list of requests in, one pickled answer a request out.

    `printed` returns what a decoder has printed since it was asked last. `limit` ends the process
    in so many seconds, whatever a decoder does by then; 0 takes that back. `room` refuses more
    memory than so many bytes on top of what the process has.
    """
    _send(answers, READY)
    file = _File(room)
    limit(IDLE_S)
    while head := requests.read(LENGTH_BYTES):
        for request in pickle.loads(requests.read(int.from_bytes(head, "little"))):
            if isinstance(request, HeaderRequest):
                body = _headers(request, limit)
            else:
                limit(FRAME_S)
                body = pickle.dumps(_answer(file, request, printed))
            limit(0)
            _send(answers, body)
        limit(IDLE_S)


def _headers(request: HeaderRequest, limit: Callable[[int], object]) -> bytes:
    """The pickled rows of the files; None in their place where a header cannot be sent."""
    rows = []
    for path in request.paths:
        limit(FRAME_S)
        rows.append(header_row(Path(path)))
    try:
        return pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)
    except Exception:  # a value of pydicom's that does not travel: the caller reads it itself
        return pickle.dumps(None)


class _File:
    """The file that was read last: the frames of an enhanced one are asked for one by one.

    One that was written again since is read again.
    """

    def __init__(self, room: Callable[[int], object]) -> None:
        self.state: tuple[object, ...] = ()
        self.dataset = Dataset()
        self._room = room

    def decoded(self, request: Request) -> Decoded:
        state = _state(request.path)
        if not state or state != self.state:
            self.state, self.dataset = (), Dataset()
            size = Path(request.path).stat().st_size if state else 0
            self._room(READING * size + SLACK_BYTES)
            self.dataset = whole_file(Path(request.path), request.shown)
            self.state = state
        self._room(DECODING * _frame_bytes(self.dataset) + SLACK_BYTES)
        return decode(self.dataset, request.shown, request.number, isolated=True)


def _frame_bytes(dataset: Dataset) -> int:
    """Bytes of an unpacked frame as the header says; 0 where it does not: decoding refuses it."""
    try:
        return int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    except (AttributeError, TypeError, ValueError):
        return 0


def _state(path: str) -> tuple[object, ...]:
    """The path with what differs when its file was written again; empty where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands of them
    except OSError:
        return ()
    return path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _answer(file: _File, request: Request, printed: Callable[[], str]) -> Answer:
    printed()
    try:
        decoded = file.decoded(request)
    except (ImageReadError, ResourceError) as error:
        return Answer(ERROR, (), str(error).encode(), ())
    except MemoryError:
        words = (
            f"{request.shown}: to decode it takes more memory than an image of its size may, or "
            "than is free. Close other studies, or copy or send the file again."
        )
        return Answer(ERROR, (), words.encode(), ())
    image = np.ascontiguousarray(decoded.numbers)
    lines = [line.strip() for line in printed().splitlines() if NOISE not in line]
    lines = [line[:LONGEST_REPORT] for line in lines[:MOST_LINES]]
    reports = (*decoded.reports, *filter(None, dict.fromkeys(lines)))
    return Answer(image.dtype.str, image.shape, image.tobytes(), reports)


def _send(answers: IO[bytes], body: bytes) -> None:
    answers.write(len(body).to_bytes(LENGTH_BYTES, "little") + body)
    answers.flush()


def _end_in(seconds: int) -> None:
    if hasattr(signal, "alarm"):  # Windows has none: there a decoder that hangs is left alone
        signal.alarm(seconds)


def _give_room(size: int) -> None:
    """Let this process take `size` bytes more, and refuse what goes beyond; on Linux alone."""
    if sys.platform != "linux":  # elsewhere the system does not hold a process to it
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + size
    bound = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_AS, (bound, most))


def _printed_into(file: IO[bytes]) -> Callable[[], str]:
    """Let decoders print into `file`; the function returns what came since the last call."""
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)

    def printed() -> str:
        if not os.fstat(file.fileno()).st_size:
            return ""
        file.seek(0)
        text = file.read().decode("utf-8", "replace")
        file.seek(0)
        file.truncate()
        return text

    return printed


def main() -> int:
    """Serve the process that started this one, until it closes the pipe."""
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "wb")
    with tempfile.TemporaryFile() as output:
        serve(sys.stdin.buffer, answers, _printed_into(output), _end_in, _give_room)
    return 0


if __name__ == "__main__":
    main()
