"""Files that are written whole or not at all, and hashes of files.

A draft beside the file takes its place when it is done. Knows nothing of what is in the files.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Ends the name of a draft.
DRAFT = ".part"

#: Letters of the file's name in that of its draft: names may have 255 bytes, a letter up to 4.
NAMED = 40

#: Seconds without a change after which a draft is taken for that of a program that was killed.
ABANDONED = 3600


def write_whole(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Replace a file by `content` (text as UTF-8), or leave the one that is there as it is.

    See `whole_file` for `durable` and what is raised.
    """
    with whole_file(path, durable=durable) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


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


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
