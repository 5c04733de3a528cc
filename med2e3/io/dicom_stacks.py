"""Frames that belong together, and the grid they form.

Position and orientation alone decide (PS3.3 C.7.6.2): never file names, instance numbers, slice
thickness or "spacing between slices". Knows nothing of pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from med2e3.errors import GapError, GeometryError
from med2e3.geometry import Float, Geometry
from med2e3.io.dicom_duplicates import distinct_stacks
from med2e3.io.dicom_headers import Frame, Header, series_info
from med2e3.io.series import SeriesSummary, counted

#: Direction cosines are written with about six digits; images of one stack differ by less.
SAME_DIRECTION = 1e-3

#: Relative difference of pixel spacing, for the same reason.
SAME_SPACING = 1e-3

#: How far a slice may lie from where a regular grid puts it: scanners round positions to 0.1 mm,
#: so 0.06 mm is rounding; 5 % of the spacing is too little to see.
ROUNDING_MM = 0.06
IRREGULAR_FRACTION = 0.05

#: A step this many times the usual one means that at least one slice is missing.
GAP_FACTOR = 1.5


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames of one series, sorted along their normal, and what was done to get there."""

    frames: tuple[Frame, ...]
    summary: SeriesSummary
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Places:
    """Where the frames of a stack lie. `positions` (n, 3) LPS mm, `along` (n,) mm on `normal`."""

    positions: Float
    rows: Float
    columns: Float
    spacing: tuple[float, float]
    normal: Float
    along: Float


def places(frames: Sequence[Frame], label: str) -> Places:
    """Positions and directions of `frames`; `rows` and `columns` say where each index grows."""
    cosines = np.mean([f.orientation for f in frames], axis=0)
    columns, rows = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(columns), np.linalg.norm(rows)
    if abs(lengths[0] - 1) > 0.01 or abs(lengths[1] - 1) > 0.01 or abs(columns @ rows) > 0.01:
        raise GeometryError(
            f"{label}: ImageOrientationPatient {[round(float(c), 4) for c in cosines]} is not two "
            "perpendicular directions of length 1. The geometry is damaged; re-send the series."
        )
    columns, rows = columns / lengths[0], rows / lengths[1]
    normal = np.cross(columns, rows)
    normal /= np.linalg.norm(normal)
    positions = np.array([f.position for f in frames], dtype=np.float64)
    spacing = np.mean([f.spacing for f in frames], axis=0)
    if not (np.isfinite(positions).all() and spacing.min() > 0):
        raise GeometryError(
            f"{label}: positions or PixelSpacing {spacing.tolist()} are not usable numbers. "
            "The geometry is damaged; re-send the series."
        )
    return Places(
        positions, rows, columns, (float(spacing[0]), float(spacing[1])), normal, positions @ normal
    )


def grid(frames: Sequence[Frame], label: str) -> Geometry:
    """The geometry of sorted frames; raises `GapError` if they are not evenly spaced.

    The slice axis is the mean step from position to position, so a tilted gantry gives a sheared
    grid, as acquired.
    """
    place = places(frames, label)
    step = (place.positions[-1] - place.positions[0]) / (len(frames) - 1)
    check_even(place, label)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = place.rows * place.spacing[0]
    affine[:3, 2] = place.columns * place.spacing[1]
    affine[:3, 3] = place.positions[0]
    first = frames[0].pixels
    return Geometry((len(frames), first.rows, first.columns), affine)


def check_even(place: Places, label: str) -> None:
    """Raise `GapError` unless every position lies where an even spacing puts it."""
    steps = np.diff(place.along)
    usual = float(np.median(steps))
    wide = steps[steps > GAP_FACTOR * usual]
    if len(wide):
        raise GapError(
            f"{label}: {counted(len(wide), 'gap')} between slices ({wide.max():.2f} mm where "
            f"{usual:.2f} mm is usual); instances are probably missing. "
            "Open it anyway with resampling, or re-send the series."
        )
    count = len(place.positions)
    line = np.linspace(place.positions[0], place.positions[-1], count)
    away = float(np.linalg.norm(place.positions - line, axis=1).max())
    if away > max(ROUNDING_MM, IRREGULAR_FRACTION * usual):
        raise GapError(
            f"{label}: the slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm; "
            f"up to {away:.2f} mm off an even grid). "
            "Open it anyway with resampling, or export it with even spacing."
        )


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
    place = places(frames, "A series")
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
