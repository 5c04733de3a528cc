"""Decode compressed slices in several processes.

The decoders of JPEG 2000 and its kin hold Python's lock, so threads do not help. Workers are
`python -m` processes that take paths and return pixels. Unlike those of `multiprocessing`, they
never run the caller's script again, and it needs no guard. Knows nothing of series or of values.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import ImageReadError
from med2e3.search_path import trusted

#: Fewest slices that workers decode: one needs half a second to start, a slice 0.03 s to decode.
FEWEST_FOR_WORKERS = 64

#: Most workers: more would wait for the disk.
MOST_WORKERS = 8

#: Each answer is preceded by its length in this many bytes.
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


def decoded_by_workers(paths: Sequence[Path]) -> Generator[NDArray[Any], None, None] | None:
    """(row, column) stored numbers of each file in order; None where no workers can be started."""
    count = min(MOST_WORKERS, os.cpu_count() or 1)
    # A frozen application has no `python -m`: its executable would open another window.
    if count < 2 or getattr(sys, "frozen", False) or not sys.executable:
        return None
    with ExitStack() as stack:
        workers = [_start(stack, paths[k::count]) for k in range(count)]
        if all(_answer(worker) == READY for worker in workers):
            return _decoded(paths, workers, stack.pop_all())
    return None


def _decoded(
    paths: Sequence[Path], workers: Sequence[subprocess.Popen[bytes]], stack: ExitStack
) -> Generator[NDArray[Any], None, None]:
    """The answers of the workers in the order of `paths`; closes `stack`, which ends them."""
    with stack:
        for k, path in enumerate(paths):
            answer = _answer(workers[k % len(workers)])
            if answer is None:
                raise ImageReadError(
                    f"{path}: the process that decoded it ended early (out of memory, or a damaged "
                    "file that the decoder cannot survive). Close other studies and try again, or "
                    "re-send the file."
                )
            kind, shape, pixels = pickle.loads(answer)
            if kind == ERROR:
                raise ImageReadError(pixels)
            yield np.frombuffer(pixels, dtype=kind).reshape(shape)


def _start(stack: ExitStack, paths: Sequence[Path]) -> subprocess.Popen[bytes]:
    """A worker that decodes `paths` in order; it ends when the stack closes."""
    paths = [path.absolute() for path in paths]  # the worker starts in another folder
    search = trusted({str(path.parent) for path in paths})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search)}
    worker = subprocess.Popen(
        [sys.executable, *ARGUMENTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=Path(sys.executable).parent,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    stack.callback(_end, worker)
    assert worker.stdin is not None
    assert worker.stdout is not None
    _let_ahead(worker.stdout.fileno())
    with suppress(BrokenPipeError):  # a worker that is already gone gives no answer
        worker.stdin.write(pickle.dumps(list(paths)))
        worker.stdin.close()
    return worker


def _let_ahead(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # the system's limit for one user is reached: slower, not wrong
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, AHEAD_BYTES)


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    if worker.stdout is not None:
        worker.stdout.close()


def _answer(worker: subprocess.Popen[bytes]) -> bytes | None:
    """The next answer; None if the worker has ended."""
    assert worker.stdout is not None
    head = worker.stdout.read(LENGTH_BYTES)
    length = int.from_bytes(head, "little")
    body = worker.stdout.read(length)
    return body if len(head) == LENGTH_BYTES and len(body) == length else None
