"""Unpack ZIP archives for as long as their files are in use. Knows no image formats.

An entry that cannot be unpacked is left out by its name, and the rest is there.
"""

from __future__ import annotations

import bz2
import copy
import errno
import lzma
import os
import re
import shutil
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from med2e3.errors import GeometryError, ImageReadError, Med2E3Error, ResourceError
from med2e3.files import TemporaryFolder, remove_leftovers
from med2e3.io.bounds import Claim, Packing, check_claim
from med2e3.io.series import Defect, IndexedSeries, ScanResult, SkippedFile
from med2e3.io.watch import Watch
from med2e3.volume import Volume
from med2e3.words import counted, size_text, some_names

SUFFIXES = (".zip",)

#: Archives that are opened when they are asked for, but not looked for in folders.
OTHER_SUFFIXES = (".npz",)

#: Bytes that unpacking leaves free on the disk, so that other programs do not fail.
DISK_RESERVE = 256 * 1024**2

#: Bytes that are unpacked between two reports of progress, which may cancel.
PIECE = 1 << 20

#: Most memory that unpacking LZMA takes; programs use dictionaries of up to 64 MB.
LZMA_MEMORY = 256 * 1024**2

#: The bound of each method; one that is not here has none that would help.
PACKING = {
    zipfile.ZIP_STORED: Packing.RAW,
    zipfile.ZIP_DEFLATED: Packing.DEFLATE,
    zipfile.ZIP_BZIP2: Packing.BZIP2,
}

#: What the parts of an archive raise when they are damaged.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, IndexError,
    struct.error,
)  # fmt: skip

#: Letters that Windows allows in no name.
_NOT_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f]')

#: General purpose bit 0: the entry is encrypted (APPNOTE 4.4.4).
ENCRYPTED = 0x1


class Unpacked:
    """The files of an archive in a temporary folder, removed with this object.

    `skipped` are the entries that could not be unpacked.
    """

    def __init__(self, path: Path, watch: Watch) -> None:
        remove_leftovers()  # of a program that was killed: they take the room that is needed now
        held = TemporaryFolder()
        self.path = path
        self.folder = held.path / "files"
        self.skipped: tuple[SkippedFile, ...] = ()
        self._goes = weakref.finalize(self, held.remove)
        try:
            self.folder.mkdir()
            self.skipped = tuple(_unpack(path, self.folder, watch))
        except BaseException:
            self._goes()
            raise

    def named(self, text: str) -> str:
        """A text that names the archive where it named the temporary folder."""
        return text.replace(str(self.folder), str(self.path))

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Let errors name the archive and its entry."""
        try:
            yield
        except Med2E3Error as error:
            said = str(error)
            if (better := self.named(said)) == said:
                raise
            raise type(error)(better) from error

    def described(self, scan: ScanResult) -> ScanResult:
        """The result of a scan of the temporary folder, in words that name the archive."""
        again = scan.regroup
        lost = self.skipped
        notes = [self.named(note) for note in scan.notes]
        if lost:
            entries = counted(len(lost), "entry", "entries")
            notes.append(f"{entries} of {self.path.name} not unpacked: {self._lost_names}.")
        return replace(
            scan,
            series=tuple(self._series(one) for one in scan.series),
            notes=tuple(notes),
            skipped=(*(replace(s, reason=self.named(s.reason)) for s in scan.skipped), *lost),
            holds=self,
            regroup=None if again is None else lambda wanted: self.described(again(wanted)),
        )

    @property
    def _lost_names(self) -> str:
        return some_names([s.path.relative_to(self.path).as_posix() for s in self.skipped])

    def _series(self, one: IndexedSeries) -> IndexedSeries:
        def load(watch: Watch, resample_gaps: bool) -> Volume:
            with self.in_words():
                try:
                    volume = one.load(watch, resample_gaps)
                except GeometryError as error:
                    if not self.skipped:
                        raise
                    raise type(error)(
                        f"{error} Entries of the archive that may belong to it could not be "
                        f"unpacked: {self._lost_names}."
                    ) from error
            warnings = tuple(self.named(said) for said in volume.warnings)
            return volume.described(volume.source, warnings)

        def check() -> None:
            with self.in_words():
                one.check()

        summary = replace(one.summary, reason=self.named(one.summary.reason))
        return replace(one, summary=summary, load=load, check=check)


def _unpack(path: Path, folder: Path, watch: Watch) -> Iterator[SkippedFile]:
    """Unpack what can be unpacked into `folder`; the entries that cannot."""
    with _opened(path) as archive:
        members = [m for m in archive.infolist() if not m.filename.endswith("/")]
        if sum(m.compress_size for m in members) > path.stat().st_size:
            raise _not_unpacked(path, "its entries overlap")
        lost = {id(m): reason for m in members if (reason := _refused(path, m))}
        _check_disk(path, folder, sum(m.file_size for m in members if id(m) not in lost))
        taken: set[str] = set()
        for k, member in enumerate(members):
            watch.step(k / len(members), "Unpacking")
            if id(member) not in lost:
                reason = _extract(archive, member, _Place(folder, taken, k), watch)
                if reason:
                    lost[id(member)] = reason
    if members and len(lost) == len(members):
        raise _all_lost(path, members, lost[id(members[0])])
    for k, member in enumerate(members):
        if id(member) in lost:
            name = path.joinpath(*_parts(member.filename, k))
            yield SkippedFile(name, "damaged file", lost[id(member)], Defect.DAMAGED)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGE, NotImplementedError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, not of what is in the file
        raise _not_unpacked(path, "it is no ZIP archive, or was cut short") from error
    with archive:
        yield archive


def _not_unpacked(path: Path, why: str) -> ImageReadError:
    return ImageReadError(
        f"{path} cannot be unpacked: {why}. Copy or download the archive again, or unpack it "
        "with another program and open the folder."
    )


def _all_lost(path: Path, members: list[zipfile.ZipInfo], reason: str) -> ImageReadError:
    if all(member.flag_bits & ENCRYPTED for member in members):
        return ImageReadError(
            f"{path} is protected by a password. Unpack it with another program, then open the "
            "folder."
        )
    return _not_unpacked(path, f"every entry is lost, the first because {reason}")


def _check_disk(path: Path, folder: Path, wanted: int) -> None:
    need, free = wanted + DISK_RESERVE, shutil.disk_usage(folder).free
    if need > free:
        raise _disk_full(path, need, free)


def _disk_full(path: Path, need: int, free: int) -> ResourceError:
    return ResourceError(
        f"{path} needs {size_text(need)} of disk to be unpacked, and {size_text(free)} are free in "
        f"{tempfile.gettempdir()}. Make room, or unpack it elsewhere and open the folder."
    )


def _refused(path: Path, member: zipfile.ZipInfo) -> str:
    """Why an entry is not unpacked, before it is; empty where it is."""
    if member.flag_bits & ENCRYPTED:
        return "it is protected by a password"
    if member.compress_type not in (*PACKING, zipfile.ZIP_LZMA):
        return f"it is packed by a method that is not read (number {member.compress_type})"
    packing = PACKING.get(member.compress_type, Packing.IMAGE)
    claim = Claim(path, "one entry", member.file_size, member.compress_size, packing)
    try:
        check_claim(claim)
    except ImageReadError:
        return (
            f"its {member.compress_size} packed bytes cannot hold the {member.file_size} that the "
            "archive states"
        )
    return ""


class _Place:
    """Where the file of an entry is written: two names may lead to one path, or to none."""

    def __init__(self, folder: Path, taken: set[str], number: int) -> None:
        self.folder, self.taken, self.number = folder, taken, number

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[Path, IO[bytes]]]:
        """The file to write to; in a folder of its own where the path is taken, or is none."""
        parts = _parts(name, self.number)
        key = "/".join(parts).casefold()  # as systems compare that know no case
        target = self.folder.joinpath(*parts)
        own = self.folder / f"entry {self.number + 1}" / parts[-1][-64:]
        if key in self.taken:
            target = own
        self.taken.add(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("xb")
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            target = own  # a name that is too long, or that of a folder
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("xb")
        with file:
            yield target, file


def _parts(name: str, number: int) -> list[str]:
    """The folders and the name of an entry, without what leads out of the archive."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".", "..")]
    if os.name == "nt":
        parts = [_NOT_IN_NAMES.sub("_", part).rstrip(". ") or "_" for part in parts]
    return parts or [f"entry {number + 1} without a name"]


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: _Place, watch: Watch) -> str:
    """Write one file of the archive; why it cannot be, or nothing."""
    target: Path | None = None
    try:
        with place.opened(member.filename) as (target, file):
            for piece in _content(archive, member):
                file.write(piece)
                watch.check("Unpacking")
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            path = Path(str(archive.filename))
            free = shutil.disk_usage(place.folder).free
            raise _disk_full(path, member.file_size, free) from error
        if target is not None:
            target.unlink(missing_ok=True)
        return "its packed bytes are damaged or cut short"
    except (NotImplementedError, RuntimeError):
        if target is not None:
            target.unlink(missing_ok=True)
        return "it is packed in a way that is not read"
    return ""


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of an entry, never more at once than a piece, and not more than it states."""
    if member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with archive.open(member) as file:
            while piece := file.read(PIECE):
                yield piece
        return
    yield from _unbounded(archive, member)


def _unbounded(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of an entry of bzip2 or LZMA, which `zipfile` unpacks by any number at once."""
    packed = copy.copy(member)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    del packed.CRC  # of what is unpacked
    left, checksum = member.file_size, 0
    with archive.open(packed) as file:
        stream, pending = _stream(member, file.read)
        while left > 0:
            if stream.needs_input and not pending and not (pending := file.read(PIECE)):
                raise EOFError
            piece = stream.decompress(pending, min(PIECE, left))
            pending = b""
            if not piece and stream.eof:
                raise EOFError
            checksum = zlib.crc32(piece, checksum)
            left -= len(piece)
            yield piece
    if checksum != member.CRC:
        raise zipfile.BadZipFile


def _stream(member: zipfile.ZipInfo, read: Callable[[int], bytes]) -> tuple[Any, bytes]:
    """What unpacks an entry, and its first bytes in the form that this takes."""
    if member.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor(), b""
    # A ZIP has version, length and properties in front (APPNOTE 5.8.8), a .lzma file properties and
    # the size, of which all bits set mean that it is not known.
    (length,) = struct.unpack("<2xH", read(4))
    head = read(length) + b"\xff" * 8
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY), head
