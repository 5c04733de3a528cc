"""SHA-256 of model files: kept at a download, compared at every load, computed once a file.

The hash of a large file is remembered by its path, size and time of change, so that the second load
reads nothing. Knows nothing of what is in the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from med2e3.errors import CheckpointError
from med2e3.files import cache_place, file_sha256, private_folder, write_whole

#: Written beside downloaded files: source, revision, and size and SHA-256 of each file.
RECORD_FILE = "download.json"

#: Hashing this many bytes takes about 0.05 s; the hash of a larger file is remembered.
QUICK_TO_HASH = 50_000_000

#: Called with a share (0 to 1) and what is being done.
Report = Callable[[float, str], None]


def weights_hash(files: Sequence[Path], root: Path, report: Report) -> str:
    """One SHA-256 for all weights: that of the file, or of the list of hashes where several are.

    Files outside of `root`, as those of adapters, are named without their folder, which may move.
    """
    inside = [file.is_relative_to(root) for file in files]
    names = [
        file.relative_to(root).as_posix() if here else file.name
        for file, here in zip(files, inside, strict=True)
    ]
    hashes = _hashes(files, report)
    if len(files) == 1:
        return hashes[0]
    lines = sorted(f"{name} {value}" for name, value in zip(names, hashes, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def recorded(folder: Path) -> dict[str, Any]:
    """The record of a download by file name; empty where there is none or it is damaged."""
    try:
        files = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return files if isinstance(files, dict) else {}


def check_recorded(folder: Path, names: Iterable[str] = ()) -> None:
    """Compare the files of a folder with the hashes that were kept when it was downloaded.

    A folder without a record is one that somebody made or copied: nothing is expected of its
    hashes, and its files are data as all others are.
    `names` are the files to compare; none stands for all. Raises `CheckpointError` for a file
    that has changed, and for a record that cannot be read.
    """
    if not (folder / RECORD_FILE).is_file():
        return
    record = recorded(folder)
    if not record:
        raise CheckpointError(
            f"{folder / RECORD_FILE} is damaged, so the files beside it cannot be checked. "
            f"Remove {folder} and download the model again."
        )
    wanted = {name: record[name] for name in names or record if name in record}
    present = [name for name in wanted if (folder / name).is_file()]
    found = _hashes([folder / name for name in present], lambda share, what: None)
    for name, digest in zip(present, found, strict=True):
        kept = wanted[name].get("sha256") if isinstance(wanted[name], dict) else wanted[name]
        if digest != kept:
            raise CheckpointError(
                f"{folder / name} is not the file that was downloaded: its SHA-256 is {digest}, "
                f"and {RECORD_FILE} says {kept}. It was damaged or changed since. Remove {folder} "
                "and download the model again."
            )


def _hashes(files: Sequence[Path], report: Report) -> list[str]:
    """The SHA-256 of each file, read only where it is not remembered."""
    memory = cache_place("hashes.json")
    known = _remembered(memory)
    before, found = dict(known), []
    for number, file in enumerate(files):
        status = file.stat()
        stats = [(str(file.resolve()), status.st_size, status.st_mtime_ns)]
        key = hashlib.sha256(json.dumps(stats).encode()).hexdigest()
        digest = known.get(key)
        if digest is None:
            report(number / len(files), "Hashing the weights")
            digest = file_sha256(file)
            if status.st_size > QUICK_TO_HASH:
                known[key] = digest
        found.append(digest)
    if known != before:
        with suppress(OSError):  # a disk that cannot be written costs the hashing, not the model
            write_whole(
                private_folder(memory.parent) / memory.name, json.dumps(known), private=True
            )
    return found


def _remembered(path: Path) -> dict[str, str]:
    """Hashes kept from earlier starts; none when the file is missing or damaged."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: value for key, value in known.items() if isinstance(value, str)}
