"""Several images at one position: copies are dropped, acquisitions are told apart.

Knows the order of frames along their normal; nothing of series and how they are chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from med2e3.geometry import Float
from med2e3.io.dicom_headers import MOMENT_NAMES, Frame
from med2e3.io.dicom_pixels import stored_bytes
from med2e3.io.series import counted, some_names

#: Two images nearer than this lie at one position; no CT reconstructs at steps as small.
SAME_POSITION_MM = 0.01


@dataclass(frozen=True, eq=False)
class Distinct:
    """Sorted frames with one image a position; `reason` says why it could not be had."""

    frames: tuple[Frame, ...]
    name: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""


def distinct_stacks(frames: Sequence[Frame], along: Float) -> list[Distinct]:
    """Stacks with one image a position from `frames`, sorted by their place `along` the normal.

    Copies (same SOP Instance UID, or the same pixels) go. What is left at one position is told
    apart by acquisition, time, cardiac phase and the like; if none of them does, `reason` says so.
    """
    kept: list[Frame] = []
    spots: list[int] = []
    rivals: list[Frame] = []
    copies: list[str] = []
    spot, last = -1, -float("inf")
    for frame, place in zip(frames, along, strict=True):
        if place - last > SAME_POSITION_MM:
            spot, last, rivals = spot + 1, float(place), []
        if any(_is_copy(frame, rival) for rival in rivals):
            copies.append(frame.path.name)
            continue
        rivals.append(frame)
        kept.append(frame)
        spots.append(spot)
    notes = (_copies_note(copies),) if copies else ()
    if len(kept) == spot + 1:
        return [Distinct(tuple(kept), notes=notes)]
    return _told_apart(kept, spots, notes)


def _copies_note(names: Sequence[str]) -> str:
    return (
        f"{counted(len(names), 'image')} stored twice; the copies were left out "
        f"({some_names(list(names))})."
    )


def _is_copy(one: Frame, other: Frame) -> bool:
    if one.uid and (one.uid, one.number) == (other.uid, other.number):
        return True
    if one.rescale != other.rescale or one.position != other.position:
        return False
    return stored_bytes(one) == stored_bytes(other)


def _told_apart(frames: list[Frame], spots: list[int], notes: tuple[str, ...]) -> list[Distinct]:
    for k, name in enumerate(MOMENT_NAMES):
        groups: dict[str, list[int]] = defaultdict(list)
        for index, frame in enumerate(frames):
            groups[frame.moment[k]].append(index)
        # Groups of one image are no acquisitions: some scanners number each image.
        if all(len({spots[i] for i in g}) == len(g) > 1 for g in groups.values()):
            return [
                Distinct(tuple(frames[i] for i in group), f"{name} {value or 'none'}", notes)
                for value, group in sorted(groups.items())
            ]
    doubled = len(spots) - len(set(spots))
    reason = (
        f"different images lie at the same place in {counted(doubled, 'position')}, and "
        "acquisition, time and phase do not tell them apart; export its acquisitions as series of "
        "their own, or take the surplus images out"
    )
    return [Distinct(tuple(frames), "", notes, reason)]
