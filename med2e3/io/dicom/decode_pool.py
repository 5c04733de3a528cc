"""Decode compressed frames in processes of their own.

Some decoders end their process on a damaged frame, and all hold Python's lock, so threads do not
help. Workers are `python -P -m` processes that take names of frames and return pixels. Unlike those
of `multiprocessing`, they never run the caller's script again, and it needs no guard. A worker that
ends is replaced once; a frame that ends two is refused. Knows nothing of series or of values.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock, Thread
from typing import NamedTuple

import numpy as np

from med2e3.errors import ImageReadError
from med2e3.io.dicom.decode import Decoded
from med2e3.search_path import trusted

#: Fewest slices that several workers decode: one needs half a second to start, a slice 0.03 s.
FEWEST_FOR_WORKERS = 64

#: Most workers: more would wait for the disk.
MOST_WORKERS = 8

#: Most answers that are read though nobody wants them, and the seconds that they may take: a new
#: process takes about as long to start. A decoder may look at a damaged frame for seconds.
FEW_ANSWERS, PATIENCE_S = 8, 0.5

#: Each message is preceded by its length in this many bytes.
LENGTH_BYTES = 8

#: Size of the pipe from a worker, on Linux: two slices. The usual 64 KiB are an eighth of a slice,
#: and every worker would wait for the slowest.
AHEAD_BYTES = 1 << 20

#: The type of an answer that holds a message instead of pixels.
ERROR = "error"

#: The first answer of a worker. A process without it is no worker: where Python is embedded,
#: `sys.executable` may be another program.
READY = b"ready"

#: How the interpreter is called to become a worker; `-P` keeps its folder off the import path.
ARGUMENTS = ("-P", "-m", "med2e3.io.dicom.decode_worker")

#: How a frozen application is called to become a worker; it states this when it starts. Without it
#: its executable would open another window.
frozen_arguments: tuple[str, ...] = ()


class Request(NamedTuple):
    """A frame to decode: its absolute path, the name that messages use, and its number."""

    path: str
    shown: str
    number: int


class Answer(NamedTuple):
    """A decoded frame as bytes, or (`ERROR`, (), the message, ()); `reports` are the decoder's."""

    kind: str
    shape: tuple[int, ...]
    content: bytes
    reports: tuple[str, ...]


def request(path: Path, number: int) -> Request:
    """The request for frame `number` of the file at `path`."""
    return Request(str(path.absolute()), str(path), number)


def decoded_by_workers(frames: Sequence[Request]) -> Generator[Decoded, None, None] | None:
    """Each frame in order, decoded by several processes that end with it.

    None where no process, or only one, can be had.
    """
    count = min(MOST_WORKERS, os.cpu_count() or 1)
    if count < 2 or not _command():
        return None
    with ExitStack() as stack:
        lanes = [_Lane(frames[k::count]) for k in range(count)]
        for lane in lanes:
            stack.callback(lane.end)
        if all(lane.is_ready() for lane in lanes):
            return _in_turn(len(frames), lanes, stack.pop_all())
    return None


def decoded_by_one(frames: Sequence[Request]) -> Generator[Decoded, None, None] | None:
    """Each frame in order, decoded by one process that is kept for the next call.

    None where no process can be had.
    """
    worker = _lent()
    if worker is None:
        return None
    return _on_one(_Lane(frames, worker))


def start_workers(count: int, besides: set[str]) -> list[Worker]:
    """So many processes that begin to start, for `Worker.ask`; none where none can be had.

    They import nothing from the folders `besides`. The caller ends them.
    """
    workers: list[Worker] = []
    if _command():
        with suppress(OSError):  # as many as the system gives
            workers.extend(Worker(_start(besides)) for _ in range(count))
    return workers


def warm() -> None:
    """Start the process of `decoded_by_one`, which takes half a second, before it is needed."""
    with _LOCK:
        if not _IDLE and _command():
            with suppress(OSError):  # it will be missed, and said, when a frame is read
                _IDLE.append(Worker(_start(())))


# --- the process that is kept ------------------------------------------------------------------

#: Processes that wait for work: one, or none while it is lent.
_IDLE: list[Worker] = []
_LOCK = Lock()


def _lent() -> Worker | None:
    with _LOCK:
        worker = _IDLE.pop() if _IDLE else None
    if worker is not None:
        if worker.process.poll() is None and worker.is_ready():
            return worker
        worker.end()  # it was idle for too long, or never was a worker
    return _fresh(())


def _given_back(worker: Worker) -> None:
    with _LOCK:
        if not _IDLE:
            _IDLE.append(worker)
            return
    worker.end()


def _on_one(lane: _Lane) -> Generator[Decoded, None, None]:
    try:
        yield from lane.rest()
    except ImageReadError:
        lane.pass_over_few()
        raise
    finally:
        if lane.is_over:
            _given_back(lane.worker)
        else:
            lane.end()  # answers that nobody reads are still on their way


@atexit.register
def _end_idle() -> None:
    with _LOCK:
        while _IDLE:
            _IDLE.pop().end()


def _forget() -> None:
    """In a forked process: its parent's workers answer the parent."""
    for worker in _IDLE:
        worker.process.returncode = 0  # not this process's child: nothing to wait for
    _IDLE.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


# --- one process -------------------------------------------------------------------------------


class Worker:
    """A process that decodes, and the pipes to it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._greeted = False

    def is_ready(self) -> bool:
        """Whether the process is a worker: waits until it has started."""
        if not self._greeted:
            self._greeted = self.answer() == READY
        return self._greeted

    def ask(self, frames: Sequence[object], *, last: bool) -> None:
        """Hand requests over (names of frames, of files); a worker that is gone gives no answer.

        After the `last` ones the process ends by itself.
        """
        assert self.process.stdin is not None
        body = pickle.dumps(list(frames))
        with suppress(OSError):
            self.process.stdin.write(len(body).to_bytes(LENGTH_BYTES, "little") + body)
            self.process.stdin.flush()
            if last:
                self.process.stdin.close()

    def answer(self) -> bytes | None:
        """The next answer; None if the process has ended."""
        assert self.process.stdout is not None
        head = self.process.stdout.read(LENGTH_BYTES)
        length = int.from_bytes(head, "little")
        body = self.process.stdout.read(length)
        return body if len(head) == LENGTH_BYTES and len(body) == length else None

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()


class _Lane:
    """Frames that one worker decodes in order; a worker that ends is replaced once a frame.

    A worker that is not given is started, and ends with the last frame.
    """

    def __init__(self, frames: Sequence[Request], worker: Worker | None = None) -> None:
        self._frames = frames
        self._done = 0
        self._is_last = worker is None
        self.worker = worker or Worker(_start(_folders(frames)))
        self.worker.ask(frames, last=self._is_last)

    @property
    def is_over(self) -> bool:
        return self._done == len(self._frames)

    def is_ready(self) -> bool:
        return self.worker.is_ready()

    def end(self) -> None:
        self.worker.end()

    def rest(self) -> Generator[Decoded, None, None]:
        for _ in self._frames:
            yield self.next()

    def pass_over_few(self) -> None:
        """Read the answers that are still to come, where they take less time than a new process."""
        if len(self._frames) - self._done > FEW_ANSWERS:
            return
        reading = Thread(target=self._pass_over, daemon=True)
        reading.start()
        reading.join(PATIENCE_S)
        if reading.is_alive():
            self.worker.process.kill()
            reading.join()

    def _pass_over(self) -> None:
        while not self.is_over and self.worker.answer() is not None:
            self._done += 1

    def next(self) -> Decoded:
        frame = self._frames[self._done]
        answer = self.worker.answer()
        if answer is None:
            # It may have been idle for too long, or have run out of memory: one more is tried.
            self.worker.end()
            self.worker = Worker(_start(_folders(self._frames)))
            self.worker.ask(self._frames[self._done :], last=self._is_last)
            answer = self.worker.answer() if self.worker.is_ready() else None
        if answer is None:
            raise ImageReadError(
                f"{frame.shown}: the process that decoded it ended early (out of memory, or a "
                "damaged file that the decoder cannot survive). Close other studies and try "
                "again, or re-send the file."
            )
        self._done += 1
        kind, shape, content, reports = Answer(*pickle.loads(answer))
        if kind == ERROR:
            raise ImageReadError(content.decode())
        return Decoded(np.frombuffer(content, dtype=kind).reshape(shape), reports)


def _in_turn(
    count: int, lanes: Sequence[_Lane], stack: ExitStack
) -> Generator[Decoded, None, None]:
    """The answers of the lanes in turn; closes `stack`, which ends them."""
    with stack:
        for k in range(count):
            yield lanes[k % len(lanes)].next()


def _folders(frames: Sequence[Request]) -> set[str]:
    return {os.path.dirname(frame.path) for frame in frames}  # noqa: PTH120 - thousands of them


def _fresh(frames: Sequence[Request]) -> Worker | None:
    """A worker that has started; None where none can be had."""
    if not _command():
        return None
    worker = Worker(_start(_folders(frames)))
    if worker.is_ready():
        return worker
    worker.end()
    return None


def _command() -> list[str]:
    """How a worker is started; empty where none can be."""
    arguments = frozen_arguments if getattr(sys, "frozen", False) else ARGUMENTS
    return [sys.executable, *arguments] if sys.executable and arguments else []


def _start(besides: Sequence[str] | set[str]) -> subprocess.Popen[bytes]:
    """A process that becomes a worker; it imports nothing from the folders `besides`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(trusted(besides))}
    process = subprocess.Popen(
        _command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=Path(sys.executable).parent,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    assert process.stdout is not None
    _let_ahead(process.stdout.fileno())
    return process


def _let_ahead(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # the system's limit for one user is reached: slower, not wrong
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, AHEAD_BYTES)
