"""Say what is uneven about the slices of a stack, and cut it where it is two.

Knows positions and what frames state; nothing of series or pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Float
from med2e3.io.dicom.attributes import text
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.naming import ASPECTS
from med2e3.io.dicom.positions import GAP_FACTOR, SlicePositions, usual_step, wide_steps
from med2e3.io.dicom.scans import MOST_SCANS
from med2e3.io.dicom.telling import MOMENT_NAMES
from med2e3.words import counted, some_names

#: So many wide steps of one size after each other are another spacing rather than missing slices.
OTHER_SPACING = 3

#: Steps within this share of each other are of one size.
SAME_STEP = 0.1

#: How far from the place of a missing slice an image may lie that fits there, in usual steps.
FITS = 0.25

#: Where a scan has more acquisitions than `MOST_SCANS`, they are its rotations, and this many usual
#: steps without a slice are between two scans all the same.
BETWEEN_SCANS = 3.0

#: Why an image may lie in a stack of its own.
APART = ("image size", "pixel spacing", "image type", "kernel", "slice thickness", "series number")

Label = Callable[[Frame], str]


def _moment(name: str) -> Label:
    place = MOMENT_NAMES.index(name)
    return lambda frame: frame.moment[place]


def _attribute(keyword: str) -> Label:
    return lambda frame: text(frame.header, keyword)


#: What tells the regions of a series apart, the most telling first.
REGIONS: dict[str, Label] = {
    **{name: _moment(name) for name in ("stack", "acquisition", "time", "acquired at")},
    "body part": _attribute("BodyPartExamined"),
    "protocol": _attribute("ProtocolName"),
    "description": _attribute("SeriesDescription"),
    "frame of reference": _attribute("FrameOfReferenceUID"),
    "made at": _moment("made at"),
}


class Region(NamedTuple):
    """Frames that lie together, and what tells them apart from others: a name and its value."""

    frames: tuple[Frame, ...]
    told: tuple[str, str]


def regions(frames: Sequence[Frame], positions: SlicePositions) -> list[Region]:
    """The regions of a sorted stack: cut at gaps where one scan ends and another begins.

    Empty where it is one.
    """
    wide = wide_steps(positions)
    if not len(wide):
        return []
    for name, label in REGIONS.items():
        labels = [label(frame) for frame in frames]
        cuts = _cuts(labels, wide, positions)
        if cuts:
            edges = [0, *cuts, len(frames)]
            parts = [range(a, b) for a, b in itertools.pairwise(edges)]
            values = [", ".join(dict.fromkeys(labels[k] for k in part)) for part in parts]
            return [
                Region(tuple(frames[k] for k in part), (name, value))
                for part, value in zip(parts, values, strict=True)
            ]
    return []


def _cuts(labels: Sequence[str], wide: NDArray[np.intp], positions: SlicePositions) -> list[int]:
    """The indices at which another region begins: behind gaps that no label spans."""
    if not 1 < len(set(labels)) <= len(labels) / 2:
        return []  # a label of each image says nothing
    steps = np.diff(positions.along)
    rotations = len(set(labels)) > MOST_SCANS
    shortest = (BETWEEN_SCANS if rotations else GAP_FACTOR) * usual_step(positions)
    return [
        int(k) + 1
        for k in wide
        if steps[k] > shortest and set(labels[: k + 1]).isdisjoint(labels[k + 1 :])
    ]


# --- in words ----------------------------------------------------------------------------------


def is_mixed(frames: Sequence[Frame], positions: SlicePositions) -> bool:
    """Whether slices of several thicknesses follow each other without a gap."""
    thicknesses = _thicknesses(frames)
    steps = np.diff(positions.along)
    return len(thicknesses) > 1 and bool(steps.max() <= GAP_FACTOR * max(thicknesses))


def mixture(frames: Sequence[Frame], positions: SlicePositions) -> str:
    """What is mixed in a stack of slices of several thicknesses."""
    steps = np.diff(positions.along)
    thick = " and ".join(f"{value:g} mm" for value in _thicknesses(frames))
    return f"the slices are {thick} thick and lie {steps.min():.2f} to {steps.max():.2f} mm apart"


def _thicknesses(frames: Sequence[Frame]) -> list[float]:
    found = set()
    for frame in frames:
        try:
            found.add(float(frame.thickness))
        except ValueError:
            continue
    return sorted(found - {0.0})


def unevenness(
    frames: Sequence[Frame],
    positions: SlicePositions,
    label: str,
    fitting: Sequence[Frame],
    can_join: bool,
) -> str:
    """What is uneven about a stack, and the way out.

    `fitting` are the images of other stacks that lie in its gaps; `can_join` says whether joining
    the series takes them in.
    """
    steps = np.diff(positions.along)
    wide, usual = wide_steps(positions), f"{usual_step(positions):.2f} mm"
    thicknesses = _thicknesses(frames)
    if len(thicknesses) > 1:  # joined slices of several thicknesses: each touches its neighbours
        wide = wide[steps[wide] > GAP_FACTOR * thicknesses[-1]]
        usual = " or ".join(f"{value:g} mm" for value in thicknesses)
    if not len(wide):
        return _off_grid(frames, positions, label)
    if other := _other_spacing(frames, positions, wide):
        return f"{label}: {other}. Open it anyway with resampling, or re-send the series."
    gaps = (
        f"{label}: {counted(len(wide), 'gap')} between slices ({steps[wide].max():.2f} mm where "
        f"{usual} is usual), between {_between(frames, positions, wide)}; "
    )
    if not fitting:
        return gaps + (
            "instances are probably missing. Open it anyway with resampling, or re-send the series."
        )
    there = some_names([f"{one.name}, with {_differences(one, frames[0])}" for one in fitting])
    way = "Join the series to take it in, or open it" if can_join else "Open it"
    if len(fitting) > 1:
        way = way.replace("take it in", "take them in")
    return f"{gaps}what fits there lies apart ({there}). {way} anyway with resampling."


def fits(one: Frame, frames: Sequence[Frame], positions: SlicePositions) -> bool:
    """Whether an image lies where a slice is missing in a stack, and shows the same plane."""
    if not one.has_position or np.abs(np.subtract(one.orientation, frames[0].orientation)).max() > (
        SAME_STEP
    ):
        return False
    along, place = positions.along, float(np.dot(one.position, positions.normal))
    k = int(np.searchsorted(along, place)) - 1
    if k not in wide_steps(positions):
        return False
    missing = round((along[k + 1] - along[k]) / usual_step(positions))
    step = (along[k + 1] - along[k]) / missing
    number = (place - along[k]) / step
    return bool(0.5 < number < missing - 0.5 and abs(number - round(number)) < FITS)


def _differences(one: Frame, usual: Frame) -> str:
    """The attributes in which an image differs from those of a stack."""
    pairs = [(name, ASPECTS[name](one), ASPECTS[name](usual)) for name in APART]
    words = [f"{name} {a or 'none'} instead of {b or 'none'}" for name, a, b in pairs if a != b]
    return " and ".join(words) or "another series UID"


def _other_spacing(
    frames: Sequence[Frame], positions: SlicePositions, wide: NDArray[np.intp]
) -> str:
    """Where steps of another size follow each other; empty where slices are missing instead."""
    steps = np.diff(positions.along)
    runs = np.split(wide, np.flatnonzero(np.diff(wide) > 1) + 1)
    if any(
        len(run) < OTHER_SPACING or np.ptp(steps[run]) > SAME_STEP * steps[run].max()
        for run in runs
    ):
        return ""
    ends = [
        f"{frames[run[0]].name} to {frames[run[-1] + 1].name} "
        f"({positions.along[run[0]]:.1f} to {positions.along[run[-1] + 1]:.1f} mm)"
        for run in runs
    ]
    usual, other = usual_step(positions), float(steps[wide].max())
    return (
        f"the spacing changes: the slices lie {usual:.2f} mm apart, and {other:.2f} mm from "
        f"{some_names(ends)}"
    )


def _between(frames: Sequence[Frame], positions: SlicePositions, wide: NDArray[np.intp]) -> str:
    """The files on both sides of each gap, and their positions along the normal in mm."""
    along = positions.along
    return some_names(
        [
            f"{frames[k].name} and {frames[k + 1].name} ({along[k]:.1f} to {along[k + 1]:.1f} mm)"
            for k in wide
        ]
    )


def _off_grid(frames: Sequence[Frame], positions: SlicePositions, label: str) -> str:
    steps = np.diff(positions.along)
    away = _away(positions)
    worst = int(away.argmax())
    return (
        f"{label}: the slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm; up "
        f"to {away[worst]:.2f} mm off an even grid at {frames[worst].name}). "
        "Open it anyway with resampling, or export it with even spacing."
    )


def _away(positions: SlicePositions) -> Float:
    """How far in mm each slice lies off a line from the first to the last."""
    line = np.linspace(positions.origins[0], positions.origins[-1], len(positions.origins))
    away: Float = np.linalg.norm(positions.origins - line, axis=1)
    return away
