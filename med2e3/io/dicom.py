"""DICOM files → series → volume. Knows nothing of folders, archives or other formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from med2e3.errors import GeometryError, ImageReadError
from med2e3.io.dicom_headers import Header, is_dicom, read_header
from med2e3.io.dicom_pixels import read_voxels
from med2e3.io.dicom_stacks import Stack, find_stacks, grid
from med2e3.io.series import Findings, Found, counted, some_names
from med2e3.io.voxels import Voxels
from med2e3.io.watch import Watch
from med2e3.volume import Volume


def find_dicom(paths: Sequence[Path], watch: Watch) -> Findings:
    """The series among `paths`; what is no DICOM, or damaged, is named in the notes."""
    headers: list[Header] = []
    other: list[str] = []
    damaged: list[str] = []
    for k, path in enumerate(paths):
        watch.step(k / len(paths), "Reading headers")
        header = read_header(path)
        if header is not None:
            headers.append(header)
        else:
            (damaged if is_dicom(path) else other).append(path.name)
    notes = []
    if other:
        notes.append(f"{counted(len(other), 'file')} ignored, not DICOM: {some_names(other)}.")
    if damaged:
        notes.append(
            f"{counted(len(damaged), 'damaged DICOM file')} left out: {some_names(damaged)}."
        )
    found = [_found(stack, tuple(damaged)) for stack in find_stacks(headers)]
    return Findings(tuple(found), tuple(notes))


def _found(stack: Stack, damaged: tuple[str, ...]) -> Found:
    def load(watch: Watch, resample_gaps: bool) -> Volume:
        try:
            return _load(stack, watch, resample_gaps)
        except GeometryError as error:
            if not damaged:
                raise
            raise type(error)(
                f"{error} Damaged files that may belong to it: {some_names(damaged)}."
            ) from error

    return Found(stack.summary, load)


def _load(stack: Stack, watch: Watch, resample_gaps: bool) -> Volume:
    if not stack.frames:
        raise ImageReadError(f"{stack.summary.label} holds no image; choose another series.")
    geometry = grid(stack.frames, stack.summary.label)

    def volume(voxels: Voxels) -> Volume:
        return Volume(
            voxels=voxels,
            geometry=geometry,
            info=stack.summary.info,
            slice_uids=tuple(f.uid for f in stack.frames),
            warnings=stack.notes,
        )

    look = watch.first_look
    first_look = None if look is None else lambda voxels: look(volume(voxels))
    return volume(read_voxels(stack.frames, watch, first_look))
