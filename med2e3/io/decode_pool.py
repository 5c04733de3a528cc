"""Compressed slices decoded by several processes.

The decoders of JPEG 2000 and its kin hold Python's lock, so threads do not help. Workers are plain
`python -m` processes that take paths and return pixels: unlike `multiprocessing`, they never run
the caller's script again, and they need no guard in it. Knows nothing of series or of values.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import ImageReadError
from med2e3.io.decode import decode, whole_file

#: A worker needs about half a second to start, a slice 0.03 s to decode: below this, not worth it.
FEWEST_FOR_WORKERS = 64

#: More workers than this wait for the disk.
MOST_WORKERS = 8

#: Each answer is preceded by its length in this many bytes.
LENGTH_BYTES = 8

ERROR = "error"


def decoded_by_workers(paths: Sequence[Path]) -> Generator[NDArray[Any], None, None] | None:
    """(row, column) stored numbers of each file in order; None where workers cannot be had."""
    count = min(MOST_WORKERS, os.cpu_count() or 1)
    # A frozen application has no `python -m`: its executable would open another window.
    if count < 2 or getattr(sys, "frozen", False) or not sys.executable:
        return None
    return _decoded(paths, count)


def _decoded(paths: Sequence[Path], count: int) -> Generator[NDArray[Any], None, None]:
    with ExitStack() as stack:
        workers = [_start(stack, paths[k::count]) for k in range(count)]
        for k, path in enumerate(paths):
            yield _receive(workers[k % count], path)


def _start(stack: ExitStack, paths: Sequence[Path]) -> subprocess.Popen[bytes]:
    """A worker that decodes `paths` in order; it ends when the stack closes."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    worker = subprocess.Popen(
        [sys.executable, "-m", "med2e3.io.decode_pool"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    stack.callback(_end, worker)
    assert worker.stdin is not None
    with suppress(BrokenPipeError):  # a worker that is already gone is noticed at its first answer
        worker.stdin.write(pickle.dumps(list(paths)))
        worker.stdin.close()
    return worker


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    if worker.stdout is not None:
        worker.stdout.close()


def _receive(worker: subprocess.Popen[bytes], path: Path) -> NDArray[Any]:
    assert worker.stdout is not None
    head = worker.stdout.read(LENGTH_BYTES)
    length = int.from_bytes(head, "little")
    body = worker.stdout.read(length)
    if len(head) < LENGTH_BYTES or len(body) < length:
        raise ImageReadError(
            f"{path}: the process that decoded it ended early (out of memory, or a damaged file "
            "that the decoder cannot survive). Try again with less open, or re-send the file."
        )
    kind, shape, pixels = pickle.loads(body)
    if kind == ERROR:
        raise ImageReadError(pixels)
    return np.frombuffer(pixels, dtype=kind).reshape(shape)


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """The worker's whole life: a list of paths in, one length-prefixed answer a path out."""
    for path in pickle.loads(requests.read()):
        try:
            image = np.ascontiguousarray(decode(whole_file(path), path, 0))
            answer: tuple[str, Any, Any] = (image.dtype.str, image.shape, image.tobytes())
        except ImageReadError as error:
            answer = (ERROR, None, str(error))
        body = pickle.dumps(answer)
        answers.write(len(body).to_bytes(LENGTH_BYTES, "little") + body)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
