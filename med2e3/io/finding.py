"""Scan a path with the readers that fit it: folder, file, archive or medium with a DICOMDIR."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from med2e3.errors import ImageReadError, InputError
from med2e3.io import archive
from med2e3.io.dicom.directory import Contents, read_contents
from med2e3.io.dicom.headers import is_dicom, read_header
from med2e3.io.dicom.reader import find_dicom
from med2e3.io.dicom.skipped import foreign, not_regular
from med2e3.io.formats.table import format_of, header_beside
from med2e3.io.references import not_opened, referenced
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

#: Files that operating systems leave in folders, in small letters, and how the name begins of those
#: that lie beside every file: neither read nor named.
LITTER = ("thumbs.db", "desktop.ini", ".ds_store", ".localized", ".directory")
LITTER_BEGINS = "._"

#: The name of the table of contents of a medium (PS3.10 8.6).
CONTENTS = "DICOMDIR"

#: Share of the progress that unpacks an archive; the rest scans its files.
UNPACKING_SHARE = 0.6


def find(path: Path, watch: Watch) -> ScanResult:
    """All series at `path`. Raises `ImageReadError` if there is none, or `Cancelled`."""
    try:
        return _find(path, watch)
    except OSError as error:
        raise not_opened(path, error) from error


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
        nothing = "None of what was given holds an image. Open a folder that holds a study."
        raise ImageReadError(" ".join(notes) or nothing)
    merged = merge(found)
    return replace(merged, notes=(*merged.notes, *notes))


def _is_loose_dicom(path: Path) -> bool:
    archived = path.name.lower().endswith(archive.SUFFIXES)
    is_other = archived or path.name.upper() == CONTENTS
    return not is_other and format_of(path) is None


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
    if name.endswith((*archive.SUFFIXES, *archive.OTHER_SUFFIXES)):
        return _find_in_archive(path, watch)
    if (known := format_of(path)) is not None:
        return known.scan(path)
    if path.name.upper() == CONTENTS:
        return _find_on_medium(path, watch)  # however damaged it is
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


def _files(folder: Path) -> tuple[list[Path], list[SkippedFile]]:
    """All files below `folder`; and the hidden ones, and folders that were not looked through."""
    files: list[Path] = []
    closed: list[SkippedFile] = []

    def refused(error: OSError) -> None:
        where = Path(str(error.filename))
        closed.append(SkippedFile(where, "closed folder", "there is no right to look into it"))

    for where, folders, names in os.walk(folder, onerror=refused):
        folders.sort()
        links = [Path(where, name) for name in folders if Path(where, name).is_symlink()]
        closed += [SkippedFile(one, "link to a folder", "links are not followed") for one in links]
        wanted = [name for name in sorted(names) if not _is_litter(name)]
        files += [Path(where, name) for name in wanted if not name.startswith(".")]
        closed += [_hidden(Path(where, name)) for name in wanted if name.startswith(".")]
    return files, closed


def _is_litter(name: str) -> bool:
    return name.lower() in LITTER or name.startswith(LITTER_BEGINS)


def _hidden(path: Path) -> SkippedFile:
    return SkippedFile(path, "hidden file", "its name begins with a dot; rename it to open it")


def _find_in_folder(folder: Path, watch: Watch) -> ScanResult:
    everything, closed = _files(folder)
    files = [f for f in everything if f.is_file()]
    others = (*(not_regular(f) for f in everything if not f.is_file()), *closed)
    if not files:
        why = "".join(f" {one.path.name} is a {one.kind}: {one.reason}." for one in closed[:1])
        raise ImageReadError(
            f"There are no files in {folder}.{why} Open a folder that holds a study."
        )
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
    if not mine:
        raise ImageReadError(
            f"{path} is a DICOM file that belongs to no series. Open a folder with the DICOM files "
            "of a study."
        )
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
    """The series of a medium: of the files that its DICOMDIR lists, and of all others beside it.

    A list may be cut short, or of another medium: no image that is there is passed over.
    """
    folder = directory.parent
    contents = read_contents(directory)
    listed = [referenced(directory, "ReferencedFileID", parts) for parts in contents.names]
    found, closed = _files(folder)
    files = [f for f in found if f != directory]
    images = [f for f in files if format_of(f) is None and _may_be_dicom(f)]
    scan = find_dicom(images, watch)
    notes = _about_contents(directory, contents, (listed, found), scan)
    if not scan.series:
        if not contents.doubt:
            return _find_in_folder(folder, watch)
        raise ImageReadError(f"There is no image on the medium. {' '.join(notes)}")
    others = [_beside_images(f) for f in files if f not in set(images)]
    return replace(scan, notes=(*notes, *scan.notes), skipped=(*scan.skipped, *others, *closed))


def _about_contents(
    directory: Path,
    contents: Contents,
    listed_and_found: tuple[Sequence[Path], Sequence[Path]],
    scan: ScanResult,
) -> list[str]:
    """Notes on how the table of contents and the files of a medium fit together."""
    listed, found = listed_and_found
    notes = []
    if contents.doubt:
        notes.append(
            f"The table of contents {directory.name} {contents.doubt}: its whole folder was looked "
            "through, and what else the medium held is not known. Copy the medium again."
        )
    every = {_as_on_medium(path, directory) for path in found}
    missing = [path.name for path in listed if _as_on_medium(path, directory) not in every]
    if len(missing) == len(listed):
        return notes  # it is of another medium
    if missing:
        notes.append(
            f"{counted(len(missing), 'file')} listed in DICOMDIR missing: {some_names(missing)}."
        )
    known = {_as_on_medium(path, directory) for path in listed}
    shown = [path for series in scan.series for path in series.summary.files]
    more = [path.name for path in shown if _as_on_medium(path, directory) not in known]
    if more and not contents.doubt:
        notes.append(
            f"{counted(len(more), 'image file')} opened too that DICOMDIR does not list: "
            f"{some_names(more)}."
        )
    return notes


def _may_be_dicom(path: Path) -> bool:
    try:
        return not path.is_file() or is_dicom(path)
    except OSError:
        return True  # it will be named when it is read


def _beside_images(path: Path) -> SkippedFile:
    """What a medium holds besides images: programs, texts, and volumes of other formats."""
    if format_of(path) is not None:
        return SkippedFile(path, "volume file", "beside DICOM files; open it by itself")
    return foreign(path)


def _as_on_medium(path: Path, directory: Path) -> tuple[str, ...]:
    """The folders and the name of a file as a medium knows them: in capitals, without a version.

    Systems show the names of a CD in small letters, or with ";1" (ISO 9660).
    """
    parts = path.relative_to(directory.parent).parts
    return tuple(part.upper().split(";")[0].rstrip(".") for part in parts)


def _find_in_archive(path: Path, watch: Watch) -> ScanResult:
    unpacked = archive.Unpacked(path, watch.stage(0.0, UNPACKING_SHARE))
    # The files live as long as the scan result; their paths mean nothing to anybody else.
    tell = watch.so_far
    stage = watch.stage(UNPACKING_SHARE, 1.0)
    if tell is not None:
        stage = replace(stage, so_far=lambda scan: tell(unpacked.described(scan)))
    with unpacked.in_words():
        return unpacked.described(_find_in_folder(unpacked.folder, stage))
