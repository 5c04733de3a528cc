"""Several images at one position: copies are dropped, acquisitions are told apart.

Knows the order of frames along their normal; nothing of series and how they are chosen.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from weakref import WeakKeyDictionary

from med2e3.errors import ImageReadError
from med2e3.geometry import Float
from med2e3.io.dicom.headers import MOMENT_NAMES, Frame
from med2e3.io.dicom.pixels import stored_bytes
from med2e3.io.series import Grouping
from med2e3.words import counted, some_names

#: Two images nearer than this lie at one position; no CT reconstructs at steps as small.
SAME_POSITION_MM = 0.01

#: What makes images of different positions different scans where they lie between each other.
#: Times are not among them: some scanners write one for each image.
SCANS = tuple(
    MOMENT_NAMES.index(name) for name in ("acquisition", "time", "cardiac phase", "stack", "echo")
)

#: How many images make an acquisition of its own, where several lie end to end: fewer are the
#: rotations of one sequential scan.
IMAGES_OF_A_SCAN = 8

#: More acquisitions than this, end to end, are one scan in steps.
MOST_SCANS = 4


#: Where the acquisition and the times stand in `Frame.moment`: the later image has larger ones.
MOMENTS = tuple(
    MOMENT_NAMES.index(name) for name in ("acquisition", "time", "acquired at", "made at")
)

#: Why a single image that was replaced by a later one is no volume.
REPLACED = "an image of a position that was imaged again"

#: Share of the positions that may be imaged twice for the second images to be repeats.
REPEATED = 0.25

#: What images at one place look like, for as long as their frames live: each is compared with all
#: others there, at every telling of a scan.
_PRINTS: WeakKeyDictionary[Frame, bytes | None] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Distinct:
    """Sorted frames with one image a position; `reason` says why it could not be had."""

    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()
    reason: str = ""


def distinct_stacks(
    frames: Sequence[Frame],
    along: Float,
    grouping: Grouping = Grouping.APART,
    look: Callable[[], object] = lambda: None,
) -> tuple[list[Distinct], list[Frame]]:
    """Stacks with one image a position from `frames`, sorted by their place `along` the normal.

    Copies (of one moment, with the same SOP Instance UID or the same pixels) go, and are returned
    beside the stacks. What is left at one position, or lies between each other, is told apart by
    acquisition, time, cardiac phase and the like. Where none of them does, the same image of
    another moment counts as a copy too; where a few positions were imaged again, their later images
    are taken; and if that is not enough, `reason` says so. `look` is called before pixels are read.
    """
    stacks, copies = _distinct(frames, along, grouping, _is_copy_of_one_moment, look)
    if any(stack.reason for stack in stacks):
        stacks, copies = _distinct(frames, along, grouping, _is_copy, look)
    return stacks, copies


def _distinct(
    frames: Sequence[Frame],
    along: Float,
    grouping: Grouping,
    is_copy: Callable[[Frame, Frame], bool],
    look: Callable[[], object],
) -> tuple[list[Distinct], list[Frame]]:
    kept: list[Frame] = []
    spots: list[int] = []
    rivals: list[Frame] = []
    copies: list[Frame] = []
    spot, last = -1, -float("inf")
    for frame, place in zip(frames, along, strict=True):
        if place - last > SAME_POSITION_MM:
            spot, last, rivals = spot + 1, float(place), []
        if rivals:
            look()
        if any(is_copy(frame, rival) for rival in rivals):
            copies.append(frame)
            continue
        rivals.append(frame)
        kept.append(frame)
        spots.append(spot)
    notes = (_copies_note([frame.path.name for frame in copies]),) if copies else ()
    if len(kept) > spot + 1:
        return _told_apart(kept, spots, notes, grouping), copies
    groups = _scans(kept, grouping)
    if groups:
        return [Distinct(tuple(group), notes) for group in groups], copies
    return [Distinct(tuple(kept), (*notes, *_end_to_end(kept)))], copies


def _copies_note(names: Sequence[str]) -> str:
    return (
        f"{counted(len(names), 'image')} stored twice; the copies were left out "
        f"({some_names(list(names))})."
    )


def _is_copy_of_one_moment(one: Frame, other: Frame) -> bool:
    """Air above the patient has the same pixels in two phases, and is in neither a copy."""
    return one.moment == other.moment and _is_copy(one, other)


def _is_copy(one: Frame, other: Frame) -> bool:
    if one.uid and (one.uid, one.number) == (other.uid, other.number):
        return True
    if one.rescale != other.rescale or one.position != other.position:
        return False
    print_of_one = _print(one)
    return print_of_one is not None and print_of_one == _print(other)


def _print(frame: Frame) -> bytes | None:
    """A digest of the pixels, read once; None where they are cut short: who loads it says so."""
    if frame not in _PRINTS:
        try:
            _PRINTS[frame] = hashlib.blake2b(stored_bytes(frame)).digest()
        except ImageReadError:
            _PRINTS[frame] = None
    return _PRINTS[frame]


def _told_apart(
    frames: list[Frame], spots: list[int], notes: tuple[str, ...], grouping: Grouping
) -> list[Distinct]:
    few = len(frames) - len(set(spots)) <= REPEATED * len(set(spots))
    names = range(len(MOMENT_NAMES))
    choices = [*((k,) for k in names), *combinations(names, 2)]
    for chosen in () if grouping is Grouping.JOINED else choices:
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, frame in enumerate(frames):
            groups[tuple(frame.moment[k] for k in chosen)].append(index)
        # Groups of one image are no acquisitions: some scanners number each image; others number
        # each rotation of one scan.
        apart = all(len({spots[i] for i in g}) == len(g) > 1 for g in groups.values())
        if apart and not (few and len(groups) > MOST_SCANS):
            return [
                Distinct(tuple(frames[i] for i in group), notes)
                for _, group in sorted(groups.items())
            ]
    if few and (stacks := _without_repeats(frames, spots, notes)):
        return stacks
    doubled = [i for i, (a, b) in enumerate(pairwise(spots)) if a == b]
    pairs = [f"{frames[i].path.name} and {frames[i + 1].path.name}" for i in doubled]
    reason = (
        f"different images lie at the same place in {counted(len(doubled), 'position')} "
        f"({some_names(pairs)}), and "
        + (
            "the series is joined"
            if grouping is Grouping.JOINED
            else "acquisition, time and phase do not tell them apart; export its acquisitions as "
            "series of their own, or take the surplus images out"
        )
    )
    return [Distinct(tuple(frames), notes, reason)]


def _without_repeats(
    frames: Sequence[Frame], spots: Sequence[int], notes: tuple[str, ...]
) -> list[Distinct]:
    """One stack with the latest image of each position, and what these were taken in place of;
    nothing where no number and no time says which is later.
    """
    at: dict[int, list[Frame]] = defaultdict(list)
    for frame, spot in zip(frames, spots, strict=True):
        at[spot].append(frame)
    latest, earlier, pairs = [], [], []
    for images in at.values():
        *before, last = sorted(images, key=_when)
        if len(set(map(_when, images))) < len(images):
            return []
        latest.append(last)
        earlier += before
        pairs += [f"{last.path.name} in place of {image.path.name}" for image in before]
    note = (
        f"{counted(len(pairs), 'position')} imaged again: the later image is shown "
        f"({some_names(pairs)})."
    )
    surplus = Distinct(tuple(earlier), notes, "" if len(earlier) > 1 else REPLACED)
    return [Distinct(tuple(latest), (*notes, note)), surplus]


def _when(frame: Frame) -> tuple[float, ...]:
    """Sorts images by their acquisition, then by their times; what is not stated comes first."""
    return tuple(_number(frame.moment[k]) for k in MOMENTS)


def _number(stated: str) -> float:
    try:
        return float(stated)
    except ValueError:
        return -1.0


def _scans(frames: Sequence[Frame], grouping: Grouping) -> list[list[Frame]]:
    """Scans that lie between each other, or end to end where these are asked for; none of one."""
    for k in () if grouping is Grouping.JOINED else SCANS:
        labels = [frame.moment[k] for frame in frames]
        values = list(dict.fromkeys(labels))
        runs = 1 + sum(a != b for a, b in pairwise(labels))
        groups = [[f for f in frames if f.moment[k] == value] for value in values]
        if len(values) > 1 and runs > len(values) and all(len(group) > 1 for group in groups):
            return groups
        if grouping is Grouping.ACQUISITIONS and _are_scans(groups):
            return groups
    return []


def _are_scans(groups: Sequence[Sequence[Frame]]) -> bool:
    return 1 < len(groups) <= MOST_SCANS and min(map(len, groups)) >= IMAGES_OF_A_SCAN


def ends_to_end(frames: Sequence[Frame]) -> list[str]:
    """The acquisitions that lie end to end in one stack, each of many images; empty for one."""
    k = SCANS[0]
    values = list(dict.fromkeys(frame.moment[k] for frame in frames))
    groups = [[f for f in frames if f.moment[k] == value] for value in values]
    return sorted(value or "none" for value in values) if _are_scans(groups) else []


def _end_to_end(frames: Sequence[Frame]) -> Iterable[str]:
    names = ends_to_end(frames)
    if names:
        yield (
            f"Acquisitions {', '.join(names)} lie end to end in this series: time and contrast may "
            "change between them. The series list can split them."
        )
