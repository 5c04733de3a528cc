"""Scan a path with the readers that fit it: folder, file, archive or medium with a DICOMDIR."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pydicom

from med2e3.errors import ImageReadError, InputError
from med2e3.io import archive
from med2e3.io.dicom.headers import is_dicom, read_header
from med2e3.io.dicom.reader import find_dicom
from med2e3.io.dicom.skipped import not_regular
from med2e3.io.formats.table import format_of, header_beside
from med2e3.io.references import referenced
from med2e3.io.series import (
    Defect,
    Groupings,
    IndexedSeries,
    ScanResult,
    SkippedFile,
)
from med2e3.io.suffixes import volume_suffixes
from med2e3.io.watch import SoFar, Watch
from med2e3.words import counted, some_names

#: Files that operating systems leave in folders: neither read nor named.
LITTER = ("thumbs.db", "desktop.ini")

#: Share of the progress that unpacks an archive; the rest scans its files.
UNPACKING_SHARE = 0.6


def find(path: Path, watch: Watch) -> ScanResult:
    """All series at `path`. Raises `ImageReadError` if there is none, or `Cancelled`."""
    try:
        return _find(path, watch)
    except OSError as error:
        raise ImageReadError(
            f"{path} cannot be opened: {error.strerror or error}. Check the path and the rights."
        ) from error


def find_several(paths: Sequence[Path], watch: Watch) -> ScanResult:
    """All series at `paths`; DICOM files that are named one by one form series together.

    A path that cannot be read becomes a note. Raises `ImageReadError` if nothing can, `Cancelled`.
    """
    if len(paths) == 1:
        return find(paths[0], watch)
    loose = [p for p in paths if p.is_file() and _is_loose_dicom(p)]
    groups = [[path] for path in paths if path not in loose] + ([loose] if loose else [])
    found: list[ScanResult] = []
    notes: list[str] = []
    for k, group in enumerate(groups):
        stage = watch.stage(k / len(groups), (k + 1) / len(groups))
        stage = replace(stage, so_far=_told_with(watch.so_far, tuple(found)))
        try:
            found.append(find_dicom(group, stage) if group is loose else find(group[0], stage))
        except InputError as error:
            notes.append(str(error))
    if not any(scan.series for scan in found):
        raise ImageReadError(" ".join(notes) or "None of what was given holds an image.")
    merged = merge(found)
    return replace(merged, notes=(*merged.notes, *notes))


def _is_loose_dicom(path: Path) -> bool:
    archived = path.name.lower().endswith(archive.SUFFIXES)
    return not archived and format_of(path) is None and path.name.upper() != "DICOMDIR"


def _told_with(tell: SoFar | None, before: tuple[ScanResult, ...]) -> SoFar | None:
    return None if tell is None else lambda scan: tell(merge([*before, scan]))


def merge(parts: Sequence[ScanResult]) -> ScanResult:
    """Several scan results as one."""
    regroups = [part.regroup for part in parts]

    def regroup(wanted: Groupings) -> ScanResult:
        pairs = zip(parts, regroups, strict=True)
        return merge([again(wanted) if again is not None else part for part, again in pairs])

    return ScanResult(
        tuple(series for part in parts for series in part.series),
        tuple(note for part in parts for note in part.notes),
        tuple(part.holds for part in parts),
        tuple(one for part in parts for one in part.skipped),
        regroup,
    )


def _find(path: Path, watch: Watch) -> ScanResult:
    if not path.exists():
        raise ImageReadError(f"There is no file or folder {path}. Check the path.")
    if path.is_dir():
        return _find_in_folder(path, watch)
    if not path.is_file():
        raise ImageReadError(
            f"{path} is a pipe or a device, not a file. Copy what it gives into a file."
        )
    name = path.name.lower()
    if name.endswith(archive.SUFFIXES):
        return _find_in_archive(path, watch)
    if (known := format_of(path)) is not None:
        return known.scan(path)
    if is_dicom(path):
        header = read_header(path)
        if header is not None and header.is_directory:
            return _find_on_medium(path, watch)
        return _find_series_of(path, watch)
    if (voxels_of := header_beside(path)) is not None and (known := format_of(voxels_of)):
        return known.scan(voxels_of)
    raise ImageReadError(
        f"{path} is not a DICOM file, and its name does not end as those of other volumes do "
        f"({', '.join(volume_suffixes())}). "
        "Open a folder of DICOM files, or one of these."
    )


def _files(folder: Path) -> Iterator[Path]:
    """All files below `folder`; folders without the right to read are passed over."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in LITTER:
                yield Path(where, name)


def _find_in_folder(folder: Path, watch: Watch) -> ScanResult:
    everything = list(_files(folder))
    files = [f for f in everything if f.is_file()]
    others = tuple(not_regular(f) for f in everything if not f.is_file())
    if not files:
        raise ImageReadError(f"There are no files in {folder}. Open a folder that holds a study.")
    volumes = [f for f in files if format_of(f) is not None]
    scan = find_dicom([f for f in files if format_of(f) is None], watch)
    scan = replace(scan, skipped=(*scan.skipped, *others))
    if scan.series:
        if not volumes:
            return scan
        names = some_names([f.name for f in volumes])
        note = f"{counted(len(volumes), 'other file')} beside the DICOM files not opened: {names}."
        volume_files = [
            SkippedFile(f, "volume file", "beside DICOM files; open it by itself") for f in volumes
        ]
        return replace(scan, notes=(*scan.notes, note), skipped=(*scan.skipped, *volume_files))
    if volumes:
        found = _find_volumes(volumes)
        read = {file for one in found.series for file in one.summary.files}
        rest = [one for one in scan.skipped if one.path not in read]
        return replace(found, skipped=(*found.skipped, *rest))
    raise ImageReadError(
        f"There is no image in {folder}. {' '.join(scan.notes)} "
        "Open a folder with the DICOM files of a study."
    )


def _find_volumes(paths: list[Path]) -> ScanResult:
    """The volumes of a folder without DICOM; notes name the files that cannot be read."""
    found: list[IndexedSeries] = []
    notes: list[str] = []
    skipped: list[SkippedFile] = []
    for path in paths:
        known = format_of(path)
        try:
            found.extend(known.scan(path).series if known else ())
        except InputError as error:
            if len(paths) == 1:
                raise
            notes.append(str(error))
            skipped.append(SkippedFile(path, "volume file", str(error)))
    if not found:
        raise ImageReadError(" ".join(notes))
    return ScanResult(tuple(found), tuple(notes), skipped=tuple(skipped))


def _find_series_of(path: Path, watch: Watch) -> ScanResult:
    """The series that the DICOM file at `path` belongs to, from all files in its folder."""
    header = read_header(path)  # says what is wrong with this very file, before its neighbours
    siblings = sorted(p for p in path.parent.iterdir() if p.is_file() and format_of(p) is None)
    uid = "" if header is None else str(header.dataset.get("SeriesInstanceUID") or "")
    return _only(path, uid, find_dicom(siblings, watch))


def _only(path: Path, series_uid: str, scan: ScanResult) -> ScanResult:
    """The series of one file, and the skipped files that are or may be of it."""
    own = {f.summary.key for f in scan.series if path in f.summary.files}
    if not own:  # a copy of an image that is there already
        own = {f.summary.key for f in scan.series if f.summary.info.series_uid == series_uid}
    mine = tuple(f for f in scan.series if f.summary.key in own)
    count = sum(len(f.summary.files) for f in mine)
    notes = [f"All {count} files of the series of {path.name} in its folder were opened."]
    lost = [one for one in scan.skipped if one.defect is not Defect.NONE]
    if lost:
        names = some_names([one.path.name for one in lost])
        may = f"{counted(len(lost), 'damaged or empty file')} in the folder may belong to it"
        notes.append(f"{may}: {names}.")
    files = {file for f in mine for file in f.summary.files} | {path}
    skipped = tuple(one for one in scan.skipped if one in lost or one.path in files)
    again = scan.regroup
    return ScanResult(
        mine,
        tuple(notes) if count > 1 or lost else (),
        skipped=skipped,
        regroup=None if again is None else lambda wanted: _only(path, series_uid, again(wanted)),
    )


def _find_on_medium(directory: Path, watch: Watch) -> ScanResult:
    """The series of the files that a DICOMDIR lists.

    A DICOMDIR of another medium lists no file that exists: then its folder is scanned.
    """
    listed = []
    for parts in _listed_names(directory):
        listed.append(referenced(directory, "ReferencedFileID", parts))
    there = [path for path in listed if path.is_file()]
    if not there:
        return _find_in_folder(directory.parent, watch)
    scan = find_dicom(there, watch)
    missing = [path.name for path in listed if not path.exists()]
    if not missing:
        return scan
    note = f"{counted(len(missing), 'file')} listed in DICOMDIR missing: {some_names(missing)}."
    return replace(scan, notes=(*scan.notes, note))


def _listed_names(directory: Path) -> list[list[str]]:
    """The names of the files that a DICOMDIR lists, each as its folders and its own name."""
    try:
        records = pydicom.dcmread(directory).get("DirectoryRecordSequence") or []
        names = [record.get("ReferencedFileID") or [] for record in records]
        return [[name] if isinstance(name, str) else [str(n) for n in name] for name in names]
    except Exception as error:  # a damaged list can fail in any of pydicom's converters
        raise ImageReadError(
            f"{directory} is a damaged table of contents: {error}. Open the folder that it lies "
            "in: its files are looked through then."
        ) from error


def _find_in_archive(path: Path, watch: Watch) -> ScanResult:
    unpacked = archive.Unpacked(path, watch.stage(0.0, UNPACKING_SHARE))
    # The files live as long as the scan result; their paths mean nothing to anybody else.
    return replace(
        _find_in_folder(unpacked.folder, watch.stage(UNPACKING_SHARE, 1.0)), holds=unpacked
    )
