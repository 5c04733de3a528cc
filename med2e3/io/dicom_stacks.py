"""Frames that belong together: the stacks among the files of one place.

Knows nothing of how evenly a stack is spaced, nor of which one opens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from med2e3.errors import GeometryError
from med2e3.io.dicom_attributes import series_info
from med2e3.io.dicom_duplicates import distinct_stacks
from med2e3.io.dicom_headers import Frame, Header
from med2e3.io.dicom_positions import places
from med2e3.io.series import SeriesSummary

#: Direction cosines are written with about six digits; images of one stack differ by less.
SAME_DIRECTION = 1e-3

#: Relative difference of pixel spacing, for the same reason.
SAME_SPACING = 1e-3


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames of one series, sorted along their normal, and what was done to get there."""

    frames: tuple[Frame, ...]
    summary: SeriesSummary
    notes: tuple[str, ...] = ()


def find_stacks(headers: Sequence[Header]) -> list[Stack]:
    """All series among `headers`: one stack an orientation, image size and kind of image."""
    groups: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in headers:
        groups[_series_key(header)].append(header)
    found: list[Stack] = []
    for members in groups.values():
        images = _partition([f for h in members for f in h.frames])
        several = len(images) > 1
        for k, frames in enumerate(images, start=1):
            found.extend(_stacks_of(frames, f"part {k} of {len(images)}" if several else ""))
        found.extend(_without_image([h for h in members if not h.frames]))
    return sorted(found, key=_order)


def _order(stack: Stack) -> tuple[float, str, str]:
    info = stack.summary.info
    number = float(info.series_number) if info.series_number.isdecimal() else float("inf")
    return number, info.series_uid, stack.summary.part


def _series_key(header: Header) -> tuple[str, ...]:
    """Equal for files of one series; de-identified files without UID go by what is left."""
    words = ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SeriesNumber")
    uid, *rest = (str(header.dataset.get(word) or "") for word in words)
    return (uid,) if uid else (uid, *rest, str(header.dataset.get("SeriesDescription") or ""))


def _partition(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames that can share a grid: same size, direction, pixel spacing, and scouts apart."""
    parts: list[list[Frame]] = []
    for frame in frames:
        home = next((part for part in parts if _share_a_grid(frame, part[0])), None)
        if home is None:
            parts.append([frame])
        else:
            home.append(frame)
    return parts


def _share_a_grid(a: Frame, b: Frame) -> bool:
    kinds = [(f.pixels.rows, f.pixels.columns, f.has_place, is_scout(f)) for f in (a, b)]
    if kinds[0] != kinds[1]:
        return False
    if not a.has_place:
        return True
    turned = np.abs(np.subtract(a.orientation, b.orientation)).max()
    return bool(turned < SAME_DIRECTION and np.allclose(a.spacing, b.spacing, rtol=SAME_SPACING))


def is_scout(frame: Frame) -> bool:
    """Whether the image is a localizer (PS3.3 C.8.2.1.1.1)."""
    return "LOCALIZER" in [str(v).upper() for v in frame.header.get("ImageType") or []]


def _stacks_of(frames: Sequence[Frame], part: str) -> list[Stack]:
    """The stacks that frames of one orientation form; several if acquisitions overlap."""
    reason = _why_no_volume(frames)
    if reason:
        return [Stack(tuple(frames), _summary(frames, part, reason))]
    try:
        place = places(frames)
    except GeometryError as error:
        return [Stack(tuple(frames), _summary(frames, part, str(error)))]
    ordered = [frames[k] for k in np.argsort(place.along, kind="stable")]
    found = []
    for stack in distinct_stacks(ordered, np.sort(place.along)):
        name = ", ".join(filter(None, (part, stack.name)))
        reason = stack.reason or _why_no_volume(stack.frames)
        found.append(Stack(stack.frames, _summary(stack.frames, name, reason), stack.notes))
    return found


def _why_no_volume(frames: Sequence[Frame]) -> str:
    if is_scout(frames[0]):
        return "a scout (localizer)"
    if not frames[0].has_place:
        return "images without position, orientation or pixel spacing in the patient"
    return "one image only" if len(frames) == 1 else ""


def _summary(frames: Sequence[Frame], part: str, reason: str) -> SeriesSummary:
    first = frames[0]
    return SeriesSummary(
        info=series_info(first.header),
        count=len(frames),
        shape=(len(frames), first.pixels.rows, first.pixels.columns),
        is_volume=not reason,
        reason=reason,
        files=tuple(dict.fromkeys(f.path for f in frames)),
        part=part,
    )


def _without_image(headers: Sequence[Header]) -> list[Stack]:
    """Reports, colour captures and the like: listed, never opened."""
    found = []
    for reason in dict.fromkeys(h.reason for h in headers):
        members = [h for h in headers if h.reason == reason]
        summary = SeriesSummary(
            info=series_info(members[0].dataset),
            count=len(members),
            shape=(0, 0, 0),
            is_volume=False,
            reason=reason,
            files=tuple(h.path for h in members),
        )
        found.append(Stack((), summary))
    return found
