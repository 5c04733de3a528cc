"""Files that are written whole or not at all, folders that nobody else reads, hashes of files.

A draft beside the file takes its place when it is done. A temporary folder is held by a lock, so
that the next start can tell what a killed program left. Knows nothing of what is in the files.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: Ends the name of a draft.
DRAFT = ".part"

#: Letters of the file's name in that of its draft: names may have 255 bytes, a letter up to 4.
NAMED = 40

#: Begins the names of temporary folders; the name of the lock in each.
TEMPORARY, LOCK = "med2e3-", ".med2e3-lock"

#: Rights of files and folders that hold names of patients: their owner's alone.
OWN_FILE, OWN_FOLDER = 0o600, 0o700

#: Seconds that a lock is waited for; a file of ours is read and written within milliseconds.
PATIENCE = 5.0

#: Seconds without a change after which a draft is taken for that of a program that was killed.
ABANDONED = 3600


def write_whole(
    path: Path, content: str | bytes, *, durable: bool = False, private: bool = False
) -> None:
    """Replace a file by `content` (text as UTF-8), or leave the one that is there as it is.

    A `private` file is its owner's alone to read, from its first byte on. See `whole_file` for
    `durable` and what is raised.
    """
    with whole_file(path, durable=durable) as draft:
        if private:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT, OWN_FILE))
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def write_array(path: Path, array: Any) -> None:
    """Replace a .npy file by a NumPy array, or leave the one that is there; see `whole_file`."""
    import numpy as np  # by who has an array

    with whole_file(path) as draft, draft.open("wb") as stream:
        np.save(stream, array)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Replace a CSV file by a heading and rows, or leave the one that is there."""
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])


def cache_place(name: str) -> Path:
    """A file or folder of this name in the user's cache, which window and command line share."""
    import platformdirs  # loaded by who keeps something

    return Path(platformdirs.user_cache_dir("med2e3", appauthor=False)) / name


def private_folder(path: Path) -> Path:
    """Make a folder, and those above it that are missing, which its owner alone can enter."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=OWN_FOLDER, exist_ok=True)
    if path.stat().st_mode & 0o077 and _is_own(path):
        path.chmod(OWN_FOLDER)  # one that an earlier version made for everybody
    return path


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A draft to write to, which replaces `path` when the block ends and vanishes when it raises.

    Each writer has a draft of its own, so that the last of several writers at once wins whole. With
    `durable` the bytes are on the disk before the file is replaced, so that a power cut leaves the
    old file or the new one; it costs milliseconds a file. A link is followed. A path that is no
    regular file, such as a pipe, is written directly. Raises `OSError` when the folder is missing
    or cannot be written.
    """
    target = path.resolve()
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        yield target
        return
    start = f".{target.name[:NAMED]}."
    _sweep(target.parent, start)
    draft = target.with_name(f"{start}{os.getpid()}-{secrets.token_hex(4)}{DRAFT}")
    try:
        yield draft
        if durable:
            _sync(draft)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def put_aside(path: Path, why: str = "damaged") -> Path:
    """Rename a JSON file to the first free name, such as x.damaged-1.json, beside it."""
    return path.rename(name_aside(path, why))


def name_aside(path: Path, why: str) -> Path:
    """The first of x.why-1.json, x.why-2.json, … that no file has."""
    return first_free(path.with_name(f"{path.stem}.{why}-{k}.json") for k in itertools.count(1))


def first_free(paths: Iterable[Path]) -> Path:
    """The first path that no file has."""
    return next(path for path in paths if not path.exists())


@contextmanager
def locked(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold a lock, which is a file of this path, while several processes could write the same.

    Raises `OSError` where the lock cannot be made or is held for more than `patience` seconds.
    """
    import filelock  # loaded by who shares a file, not by everybody who writes one

    with filelock.FileLock(path, timeout=patience, mode=OWN_FILE):
        yield


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TemporaryFolder:
    """A folder of this process, private, with a lock in it, and removed by `remove`.

    The system frees the lock when the process is killed; `remove_leftovers` then finds the folder.
    """

    def __init__(self) -> None:
        self.path, self._lock = _locked_folder(Path(tempfile.gettempdir()))

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def remove_leftovers() -> list[Path]:
    """Remove temporary folders of killed processes of this user; returns them.

    A folder without a lock is not ours, or is being made just now.
    """
    import filelock

    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
        lock = folder / LOCK
        with suppress(OSError, filelock.Timeout):
            ours = stat.S_ISDIR(folder.lstat().st_mode) and _is_own(folder)
            if ours and stat.S_ISREG(lock.lstat().st_mode):
                with filelock.FileLock(lock, timeout=0, thread_local=False):
                    pass  # nobody holds it any more
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(folder)
    return removed


def _locked_folder(place: Path) -> tuple[Path, Any]:
    """A new folder, and the lock in it that is held."""
    import filelock  # loaded by who unpacks, not by everybody who writes a file

    while True:
        path = place / f"{TEMPORARY}{secrets.token_hex(8)}"
        path.mkdir(mode=OWN_FOLDER)
        lock = filelock.FileLock(path / LOCK, thread_local=False, mode=OWN_FILE)
        with suppress(OSError):  # another start took it for a leftover before it was locked
            lock.acquire()
            if (path / LOCK).exists():
                return path, lock
            lock.release()


def _is_own(path: Path) -> bool:
    """Whether this user owns a path; a system without users says yes."""
    return not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _sweep(folder: Path, start: str) -> None:
    """Remove abandoned drafts whose names begin with `start`; one that is in use may stay."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(start) and path.name.endswith(DRAFT):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > ABANDONED:
                        path.unlink()
