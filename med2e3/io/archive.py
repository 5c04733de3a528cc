"""Unpack ZIP archives for as long as their files are in use. Knows no image formats."""

from __future__ import annotations

import lzma
import shutil
import struct
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path

from med2e3.errors import ImageReadError, ResourceError
from med2e3.files import TemporaryFolder, remove_leftovers
from med2e3.io.watch import Watch
from med2e3.words import size_text

SUFFIXES = (".zip",)

#: Bytes that unpacking leaves free on the disk, so that other programs do not fail.
DISK_RESERVE = 256 * 1024**2


class Unpacked:
    """The files of an archive in a temporary folder, removed with this object."""

    def __init__(self, path: Path, watch: Watch) -> None:
        remove_leftovers()  # of a program that was killed: they take the room that is needed now
        held = TemporaryFolder()
        self.folder = held.path / "files"
        self._goes = weakref.finalize(self, held.remove)
        try:
            self.folder.mkdir()
            _unpack(path, self.folder, watch)
        except BaseException:
            self._goes()
            raise


def _unpack(path: Path, folder: Path, watch: Watch) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            need = sum(m.file_size for m in members) + DISK_RESERVE
            place, free = tempfile.gettempdir(), shutil.disk_usage(folder).free
            if need > free:
                raise ResourceError(
                    f"{path} needs {size_text(need)} of disk to be unpacked, and "
                    f"{size_text(free)} are free in {place}. Make room, or unpack it "
                    "elsewhere and open the folder."
                )
            taken: set[str] = set()
            for k, member in enumerate(members):
                watch.step(k / len(members), "Unpacking")
                _extract(archive, member, folder, taken)
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
        ValueError, IndexError, struct.error,
    ) as error:  # fmt: skip
        raise ImageReadError(
            f"{path} cannot be unpacked: {error}. Copy or download the archive again, or unpack it "
            "with another program and open the folder."
        ) from error
    except RuntimeError as error:  # zipfile's word for "encrypted"
        raise ImageReadError(
            f"{path} is protected by a password. Unpack it with another program, then open the "
            "folder."
        ) from error


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, taken: set[str]
) -> None:
    """Write one file of the archive; into a folder of its own if its path is `taken`.

    `zipfile` drops "..", drives and leading slashes: two names may lead to one path.
    """
    parts = [p for p in member.filename.replace("\\", "/").split("/") if p not in ("", ".", "..")]
    name = "/".join(parts).casefold()  # as systems compare that know no case
    archive.extract(member, tempfile.mkdtemp(dir=folder) if name in taken else folder)
    taken.add(name)
