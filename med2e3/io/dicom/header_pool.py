"""Read the headers of thousands of files in processes of their own, those of `decode_pool`.

Python reads one header at a time in a process, and holds up the window meanwhile. A worker sends
the headers of many files as one pickled list, which takes a tenth of the time to unpack. The
caller's process reads by itself until workers have started, and whatever a worker does not answer.
Knows nothing of series.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from med2e3.errors import ImageReadError
from med2e3.io.dicom.decode_pool import Worker, start_workers
from med2e3.io.dicom.headers import Header, read_header

#: Fewest files that workers read: one needs half a second to start, a header 0.13 ms.
FEWEST_FILES = 2000

#: Most workers: two cores are kept busy by two, and more would wait for the disk.
MOST_WORKERS = 4

#: Files of one request: a worker is never long without one, and its answer fits into a pipe.
CHUNK = 250

#: Files that the caller reads between two looks whether the workers have started.
LOOK_EVERY = 25


class HeaderRequest(NamedTuple):
    """Files whose headers are wanted, by absolute path."""

    paths: tuple[str, ...]


class HeaderRow(NamedTuple):
    """What one file gave: a header; none and why it is damaged; or none, as it is no DICOM.

    `is_file` is False for what is no regular file, and is not read.
    """

    header: Header | None
    damage: str = ""
    is_file: bool = True


def header_row(path: Path) -> HeaderRow:
    """The row of one file, read here."""
    if not os.path.isfile(path):  # noqa: PTH113 - ten thousand of them
        return HeaderRow(None, is_file=False)
    try:
        return HeaderRow(read_header(path))
    except ImageReadError as error:
        return HeaderRow(None, str(error))


def header_rows(paths: Sequence[Path]) -> Generator[HeaderRow]:
    """The row of each path, in order; closing the iterator ends the workers."""
    count = min(MOST_WORKERS, os.cpu_count() or 1)
    if len(paths) < FEWEST_FILES or count < 2 or not all(path.is_absolute() for path in paths):
        yield from map(header_row, paths)
        return
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - thousands of them
    workers = start_workers(count, folders)
    starting = ThreadPoolExecutor(max(1, len(workers)), thread_name_prefix="headers")
    try:
        ready = [starting.submit(worker.is_ready) for worker in workers]
        read = 0
        while read < len(paths) and not all(one.done() for one in ready):
            for path in paths[read : read + LOOK_EVERY]:
                yield header_row(path)
            read += LOOK_EVERY
        yield from _by_workers(paths[read:], _of(workers, ready))
    finally:
        for worker in workers:
            worker.end()
        starting.shutdown(wait=True)


def _of(workers: Sequence[Worker], ready: Sequence[Future[bool]]) -> list[Worker]:
    """The workers that have become some."""
    pairs = zip(workers, ready, strict=True)
    return [worker for worker, is_ready in pairs if is_ready.done() and is_ready.result()]


def _by_workers(paths: Sequence[Path], workers: Sequence[Worker]) -> Iterator[HeaderRow]:
    """Rows in order: chunk after chunk, each worker in turn with one chunk at a time."""
    chunks = [paths[first : first + CHUNK] for first in range(0, len(paths), CHUNK)]
    if not workers:
        yield from map(header_row, paths)
        return
    for worker, chunk in zip(workers, chunks, strict=False):
        _ask(worker, chunk)
    for k, chunk in enumerate(chunks):
        worker = workers[k % len(workers)]
        body = worker.answer()
        if k + len(workers) < len(chunks):  # asked before the rows are used: it reads meanwhile
            _ask(worker, chunks[k + len(workers)])
        rows: list[HeaderRow] | None = None if body is None else pickle.loads(body)
        if rows is None:
            yield from map(header_row, chunk)
        else:
            yield from rows


def _ask(worker: Worker, chunk: Sequence[Path]) -> None:
    worker.ask([HeaderRequest(tuple(map(str, chunk)))], last=False)
