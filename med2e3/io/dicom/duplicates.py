"""Resolve several images at one position: drop copies, split acquisitions into stacks.

Knows the order of frames along their normal; nothing of series and how they are chosen.
"""

from __future__ import annotations

import filecmp
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple
from weakref import WeakKeyDictionary

from med2e3.errors import ImageReadError
from med2e3.geometry import Float
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.pixels import stored_bytes
from med2e3.io.dicom.scans import (
    IMAGES_OF_A_SCAN,
    MOST_SCANS,
    OF_EACH_IMAGE,
    Groups,
    in_sequence,
    sweeps,
    told_by_details,
    told_by_moment,
)
from med2e3.io.dicom.telling import MOMENT_NAMES
from med2e3.io.series import Grouping
from med2e3.words import counted, some_names

#: Two images nearer than this lie at one position: no CT reconstructs slices at such small steps.
SAME_POSITION_MM = 0.01

#: Attributes whose values tell scans apart that lie between each other. Times are not among them:
#: some scanners write one for each image.
SCANS = tuple(
    MOMENT_NAMES.index(name)
    for name in ("acquisition", "time", "cardiac phase", "stack", "echo", "tube voltage")
)

#: Indices of the acquisition and the times in `Frame.moment`: the later image has larger values.
MOMENTS = tuple(MOMENT_NAMES.index(name) for name in ("acquisition", "time", *OF_EACH_IMAGE[:2]))

#: Reason why a single image that a later one replaces is no volume.
REPLACED = "an image of a position that was imaged again"

#: Share of the positions that may be imaged twice for the second images to be repeats.
REPEATED = 0.25

#: Digests of the pixels of images that share a position, kept as long as their frames: every report
#: of a scan compares each with all others at its position.
_DIGESTS: WeakKeyDictionary[Frame, bytes | None] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Distinct:
    """Sorted frames with one image a position.

    `reason` says why several images are left at some position; empty where none are. `told` is what
    tells the frames apart from others at their positions: a name and its value; empty for none.
    """

    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()
    reason: str = ""
    told: tuple[str, str] = ("", "")


def distinct_stacks(
    frames: Sequence[Frame],
    along: Float,
    grouping: Grouping = Grouping.APART,
    look: Callable[[], object] = lambda: None,
) -> tuple[list[Distinct], list[Frame]]:
    """Stacks with one image a position, and the copies that were dropped.

    `frames` are sorted by their position `along` the normal in mm. A copy has the moment of another
    image at its position, and its pixels; an equal SOP Instance UID alone makes none. Other images
    at one position, or between each other, are split by acquisition, time, cardiac phase and the
    like, then by what else their files state. Where no
    attribute splits them, equal pixels of another moment are copies too. Where a few positions were
    imaged again, the later images are taken. Where nothing helps, `Distinct.reason` says so. `look`
    is called before pixels are read, and may raise `Cancelled`.
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
    seen = _seen(frames, along, is_copy, look)
    kept = [frames[k] for k in seen.kept]
    spots = [seen.spots[k] for k in seen.kept]
    copies = [frames[k] for k in seen.copies]
    notes = (_copies_note([frame.name for frame in copies]),) if copies else ()
    if len(kept) > len(set(spots)):
        notes = (*notes, *_same_uids(kept, spots))
        if grouping is Grouping.JOINED:
            stacks = _without_repeats(kept, spots, notes)
            return stacks or [_unresolved(kept, spots, notes, grouping)], copies
        if groups := told_by_moment(kept, spots, _allowed(spots)):
            return _apart(kept, groups, notes), copies
        # Images that are equal but for what was not compared are of several scans: air, mostly.
        if copies and (groups := _by_all(frames, seen.spots, look)):
            return _apart(frames, groups, ()), []
        if groups := _by_all(kept, spots, look):
            return _apart(kept, groups, notes), copies
        if stacks := _without_repeats(kept, spots, notes):
            return stacks, copies
        if groups := in_sequence(kept, spots, look):
            return _apart(kept, groups, notes), copies
        return [_unresolved(kept, spots, notes, grouping)], copies
    if between := _scans(kept, grouping):
        return [Distinct(tuple(group), notes) for group in between], copies
    if grouping is not Grouping.JOINED and (found := sweeps(kept)):
        return _apart(kept, found, notes), copies
    return [Distinct(tuple(kept), (*notes, *_end_to_end(kept)))], copies


class _Seen(NamedTuple):
    """The place of each frame, counted along the normal, and which frames are kept or copies."""

    spots: list[int]
    kept: list[int]
    copies: list[int]


def _seen(
    frames: Sequence[Frame],
    along: Float,
    is_copy: Callable[[Frame, Frame], bool],
    look: Callable[[], object],
) -> _Seen:
    seen = _Seen([], [], [])
    rivals: list[Frame] = []
    spot, last = -1, -float("inf")
    for index, (frame, position) in enumerate(zip(frames, along, strict=True)):
        if position - last > SAME_POSITION_MM:
            spot, last, rivals = spot + 1, float(position), []
        seen.spots.append(spot)
        if rivals:
            look()
        if any(is_copy(frame, rival) for rival in rivals):
            seen.copies.append(index)
            continue
        rivals.append(frame)
        seen.kept.append(index)
    return seen


def _copies_note(names: Sequence[str]) -> str:
    return (
        f"{counted(len(names), 'image')} stored twice; the copies were left out "
        f"({some_names(list(names))})."
    )


def _same_uids(frames: Sequence[Frame], spots: Sequence[int]) -> Iterable[str]:
    """A warning about images of one moment and position with one UID, which are no copies."""
    at: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame, spot in zip(frames, spots, strict=True):
        if frame.uid:
            at[spot, frame.uid, frame.number, frame.moment].append(frame)
    groups = [group for group in at.values() if len(group) > 1]
    if groups:
        names = [" and ".join(frame.name for frame in group) for group in groups]
        yield (
            f"Different images have one SOP Instance UID in {counted(len(groups), 'position')} "
            f"({some_names(names)}): they are of several series that were given the same UIDs. Ask "
            "where the files come from."
        )


def _is_copy_of_one_moment(one: Frame, other: Frame) -> bool:
    """Whether two images of one moment are equal.

    Images of two phases may have equal pixels and be no copies: air above the patient.
    """
    return one.moment == other.moment and _is_copy(one, other)


def _is_copy(one: Frame, other: Frame) -> bool:
    if one.rescale != other.rescale:
        return False
    same_uid = bool(one.uid) and (one.uid, one.number) == (other.uid, other.number)
    if not same_uid and one.position != other.position:
        return False
    if same_uid and _same_file(one, other):  # faster than to decode both
        return True
    digest, theirs = _digest(one), _digest(other)
    if same_uid and None in (digest, theirs):
        return True  # one is damaged: loading says so, if it is the one that is kept
    return digest is not None and digest == theirs


def _same_file(one: Frame, other: Frame) -> bool:
    try:
        return filecmp.cmp(one.path, other.path, shallow=False)
    except OSError:
        return False


def _digest(frame: Frame) -> bytes | None:
    """A digest of the pixels, computed once; None for a damaged file, which loading reports."""
    if frame not in _DIGESTS:
        try:
            _DIGESTS[frame] = hashlib.blake2b(stored_bytes(frame)).digest()
        except ImageReadError:
            _DIGESTS[frame] = None
    return _DIGESTS[frame]


def _is_few(spots: Sequence[int]) -> bool:
    """Whether few places were imaged again."""
    return len(spots) - len(set(spots)) <= REPEATED * len(set(spots))


def _allowed(spots: Sequence[int]) -> Callable[[int], bool]:
    """Whether so many scans may be: some scanners number each rotation of one scan."""
    few = _is_few(spots)
    return lambda scans: not (few and scans > MOST_SCANS)


def _by_all(
    frames: Sequence[Frame], spots: Sequence[int], look: Callable[[], object]
) -> Groups | None:
    found = told_by_details(frames, spots, _allowed(spots), look)
    if found is not None or _is_few(spots):  # the later images are taken where few come twice
        return found
    return in_sequence(frames, spots, look)


def _apart(frames: Sequence[Frame], groups: Groups, notes: tuple[str, ...]) -> list[Distinct]:
    if groups.sentence:
        notes = (*notes, groups.sentence)
    return [
        Distinct(tuple(frames[k] for k in sorted(members)), notes, told=(groups.name, value))
        for members, value in zip(groups.members, groups.values, strict=True)
    ]


def _unresolved(
    frames: list[Frame], spots: list[int], notes: tuple[str, ...], grouping: Grouping
) -> Distinct:
    at: dict[int, list[str]] = defaultdict(list)
    for frame, spot in zip(frames, spots, strict=True):
        at[spot].append(frame.name)
    doubled = [" and ".join(names) for names in at.values() if len(names) > 1]
    reason = (
        f"different images lie at the same place in {counted(len(doubled), 'position')} "
        f"({some_names(doubled)}), and "
        + (
            "the series is joined"
            if grouping is Grouping.JOINED
            else "acquisition, time and phase do not tell them apart; export its acquisitions as "
            "series of their own, or take the surplus images out"
        )
    )
    return Distinct(tuple(frames), notes, reason)


def _without_repeats(
    frames: Sequence[Frame], spots: Sequence[int], notes: tuple[str, ...]
) -> list[Distinct]:
    """A stack of the latest image at each position, and a stack of the earlier ones.

    Empty where more than a few places were imaged again, or neither acquisition numbers nor times
    say which image is later.
    """
    if not _is_few(spots):
        return []
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
        pairs += [f"{last.name} in place of {image.name}" for image in before]
    note = (
        f"{counted(len(pairs), 'position')} imaged again: the later image is shown "
        f"({some_names(pairs)})."
    )
    surplus = Distinct(tuple(earlier), notes, "" if len(earlier) > 1 else REPLACED)
    return [Distinct(tuple(latest), (*notes, note)), surplus]


def _when(frame: Frame) -> tuple[float, ...]:
    """Sort key of an image: acquisition number, then times; what is not stated comes first."""
    return tuple(_number(frame.moment[k]) for k in MOMENTS)


def _number(stated: str) -> float:
    try:
        return float(stated)
    except ValueError:
        return -1.0


def _scans(frames: Sequence[Frame], grouping: Grouping) -> list[list[Frame]]:
    """The scans that lie between each other, or end to end if `grouping` asks; empty for one."""
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
    """The names of acquisitions that lie end to end in one stack; empty for a single one."""
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
