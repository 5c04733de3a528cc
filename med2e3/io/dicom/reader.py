"""DICOM files to series, and a series to a volume.

Knows nothing of folders, archives or other formats.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from med2e3.errors import GapError, GeometryError
from med2e3.geometry import Geometry
from med2e3.io.bounds import Claim, check_claim, out_of_memory_said
from med2e3.io.dicom.decode_pool import warm
from med2e3.io.dicom.header_pool import header_rows
from med2e3.io.dicom.headers import Frame, Header
from med2e3.io.dicom.notes import notes_of
from med2e3.io.dicom.pixels import check_claims, is_compressed, read_voxels, values_of
from med2e3.io.dicom.positions import acquired_grid, evened, slice_positions
from med2e3.io.dicom.resample import ResamplePlan, carry_out, plan
from med2e3.io.dicom.singles import kind_of, singles_of_files, singles_of_frames
from med2e3.io.dicom.skipped import DIRECTORY, foreign, kind_of_object, not_regular
from med2e3.io.dicom.stacks import Stack, find_stacks
from med2e3.io.references import not_opened
from med2e3.io.series import (
    Defect,
    Groupings,
    IndexedSeries,
    ScanResult,
    SkippedFile,
    SliceSource,
)
from med2e3.io.single import Singles
from med2e3.io.voxels import Voxels
from med2e3.io.watch import Watch
from med2e3.volume import AIR_HU, Volume
from med2e3.words import counted, some_names

#: Seconds from the start of a scan to its first report of progress, and the least between two.
REPORT_EVERY_S = 0.25

#: A scan runs this many times as long as its last report took before it reports again: reports slow
#: it by a tenth at most.
SCAN_TO_REPORT = 10

#: Share of the loading that reads pixels, where resampling follows.
READING_SHARE = 0.8


def find_dicom(paths: Sequence[Path], watch: Watch) -> ScanResult:
    """The series among `paths`.

    Files that are no DICOM, or damaged, are skipped and named in the notes. During the scan
    `watch.so_far` receives the result so far, now and then. Raises `Cancelled`.
    """
    headers: list[Header] = []
    skipped: list[SkippedFile] = []
    reporter = _Reporter(watch)
    is_warm = watch.so_far is None  # who is not told of series on the way asks for no thumbnails
    with closing(header_rows(paths)) as rows:
        for k, (path, row) in enumerate(zip(paths, rows, strict=True)):
            watch.step(k / len(paths), "Reading headers")
            header, damage, is_file = row
            if not is_file:
                skipped.append(not_regular(path))
            elif damage:
                skipped.append(SkippedFile(path, "damaged file", damage, Defect.DAMAGED))
            elif header is None:
                skipped.append(foreign(path))
            elif header.is_directory:
                skipped.append(SkippedFile(path, DIRECTORY.name, "a list of files, not an image"))
            else:
                headers.append(header)
                if not is_warm and header.frames and is_compressed(header.frames[0]):
                    warm()
                    is_warm = True
                reporter.report(headers, skipped)
    return _scan_result(headers, skipped, look=partial(watch.step, 1.0, "Comparing images"))


class _Reporter:
    """Hands the result so far to a watch, so rarely that the scan is hardly slowed."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._next = time.monotonic() + REPORT_EVERY_S

    def report(self, headers: Sequence[Header], skipped: Sequence[SkippedFile]) -> None:
        began = time.monotonic()
        if self._watch.so_far is None or began < self._next:
            return
        self._watch.so_far(_scan_result(headers, skipped, look=self._watch.check))
        now = time.monotonic()
        self._next = now + max(REPORT_EVERY_S, SCAN_TO_REPORT * (now - began))


def _scan_result(
    headers: Sequence[Header],
    skipped: Sequence[SkippedFile],
    groupings: Groupings | None = None,
    look: Callable[[], object] = lambda: None,
) -> ScanResult:
    stacks = find_stacks(headers, groupings, look)
    damaged = tuple(one.path.name for one in skipped if one.defect is Defect.DAMAGED)
    other = [
        one.path.name
        for one in skipped
        if one.defect is not Defect.DAMAGED and one.kind != DIRECTORY.name
    ]
    notes = []
    if other:
        notes.append(f"{counted(len(other), 'file')} ignored, not DICOM: {some_names(other)}.")
    if damaged:
        notes.append(
            f"{counted(len(damaged), 'damaged DICOM file')} left out: {some_names(damaged)}."
        )
    return ScanResult(
        tuple(_indexed(stack, damaged) for stack in stacks),
        tuple(notes),
        skipped=(*_unshown(stacks, headers), *skipped),
        regroup=lambda wanted: _scan_result(headers, skipped, wanted),
    )


def _unshown(stacks: Sequence[Stack], headers: Sequence[Header]) -> list[SkippedFile]:
    """The DICOM files of which no volume shows anything, each once, and copies of shown images."""
    datasets = {header.path: header.dataset for header in headers}
    shown = {path for s in stacks if s.summary.is_volume for path in s.summary.files}
    skipped: dict[Path, SkippedFile] = {}
    for stack in stacks:
        summary = stack.summary
        usual = "scout" if summary.is_scout else "other image"
        for path in () if summary.is_volume else summary.files:
            special = None if summary.is_scout else kind_of_object(datasets[path])
            kind = usual if special is None else special.name
            skipped.setdefault(path, SkippedFile(path, kind, summary.reason))
    for frame in (frame for stack in stacks for frame in stack.copies):
        copy = SkippedFile(frame.path, "copy", "the same image is there already")
        skipped.setdefault(frame.path, copy)
    return [one for path, one in skipped.items() if path not in shown]


def _indexed(stack: Stack, damaged: tuple[str, ...]) -> IndexedSeries:
    def load(watch: Watch, resample_gaps: bool) -> Volume:
        what, need = _described(stack), _bytes_needed(stack)
        try:
            with out_of_memory_said(what, need):
                return _load(stack, watch, resample_gaps)
        except OSError as error:
            raise not_opened(stack.summary.files[0], error) from error
        except GeometryError as error:
            if not damaged:
                raise
            raise type(error)(
                f"{error} Damaged files that may belong to it: {some_names(damaged)}."
            ) from error

    frames = stack.frames
    singles = _singles(stack)
    slices = tuple(SliceSource(f.path, f.number, f.uid, f.position) for f in frames)
    middle = partial(values_of, frames[len(frames) // 2]) if frames else None
    summary = stack.summary
    if singles is not None:
        slices = slices or tuple(SliceSource(header.path) for header in stack.headers)
        summary = replace(summary, kind=singles.kind, seen=singles.count)
    elif stack.headers:
        summary = replace(summary, kind=kind_of(stack.headers[0].dataset))
    check = partial(check_claims, frames)
    return IndexedSeries(summary, load, slices, middle, _bytes_needed(stack), check, singles)


def _singles(stack: Stack) -> Singles | None:
    """What can be seen one by one of a stack that is no volume."""
    if stack.summary.is_volume:
        return None
    if stack.frames:
        return singles_of_frames(stack.frames, is_scout=stack.summary.is_scout)
    return singles_of_files(stack.headers)


def _described(stack: Stack) -> str:
    return f"{stack.summary.label} ({_holds(stack)})"


def _holds(stack: Stack) -> str:
    slices, rows, columns = stack.summary.shape
    return f"{counted(slices, 'slice')} of {columns} × {rows}"


def _bytes_needed(stack: Stack) -> int:
    """Bytes at the height of loading.

    A voxel takes 2 bytes; 6 where the rescale slope gives fractions, which int16 and float32 hold
    side by side for a while. Resampling holds two volumes.
    """
    summary = stack.summary
    if not summary.is_volume:
        return 0
    frames = stack.frames
    ends = (frames[0], frames[len(frames) // 2], frames[-1])
    whole = all(float(f.rescale[0]).is_integer() for f in ends if f.rescale is not None)
    moved = not stack.is_even or summary.facts.is_tilted
    return summary.voxels * (2 if whole else 6) * (2 if moved else 1)


def _load(stack: Stack, watch: Watch, resample_gaps: bool) -> Volume:
    """The volume of a stack: its slices as acquired, or resampled where they form no even grid."""
    summary = stack.summary
    if summary.facts.trouble and not resample_gaps:
        raise GapError(summary.facts.trouble)
    check_claims(stack.frames)
    check_claim(Claim(summary.label, _holds(stack), 0, memory=_bytes_needed(stack)))
    positions = slice_positions(stack.frames)
    if not stack.is_even:
        return _resampled(stack, plan(positions, summary, even=False), watch)
    positions = evened(positions)
    geometry = acquired_grid(positions, summary.shape)
    if geometry.is_tilted:
        return _resampled(stack, plan(positions, summary, even=True), watch)
    look = watch.first_look
    first_look = None if look is None else lambda voxels: look(_volume(stack, voxels, geometry))
    buffer, seen = read_voxels(stack.frames, watch, first_look)
    volume = _volume(stack, buffer.values, geometry).with_range(*buffer.value_range)
    return volume.with_warnings(*notes_of(stack, buffer.value_range), *seen)


def _resampled(stack: Stack, plan: ResamplePlan, watch: Watch) -> Volume:
    buffer, seen = read_voxels(stack.frames, watch.stage(0.0, READING_SHARE))
    fill = AIR_HU if stack.summary.info.is_ct else buffer.value_range[0]
    notes = (*notes_of(stack, buffer.value_range), *seen, *plan.notes)
    voxels = carry_out(plan, buffer.values, fill, watch.stage(READING_SHARE, 1.0))
    frames = [stack.frames[k] for k in plan.below] if plan.keeps_slices else []
    return _volume(stack, voxels, plan.geometry, frames).with_warnings(*notes)


def _volume(
    stack: Stack, voxels: Voxels, geometry: Geometry, frames: Sequence[Frame] | None = None
) -> Volume:
    """The volume of `voxels` with the UIDs of `frames`: all by default, none if interpolated."""
    uids = tuple(f.uid for f in (stack.frames if frames is None else frames))
    return Volume(
        voxels=voxels,
        geometry=geometry,
        info=stack.summary.info,
        slice_uids=uids if all(uids) else (),
        warnings=stack.notes,
    )
