"""Sort the frames of a scan into stacks, each of which is one volume or none.

A stack never mixes scouts, orientations, fields of view, kernels, slice thicknesses or kinds of
image with others, nor acquisitions and phases that lie at the same positions or between each other.
Knows nothing of which stack opens.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from med2e3.errors import GeometryError
from med2e3.io.dicom.attributes import exposure_of, exposure_text, series_info, text
from med2e3.io.dicom.duplicates import SAME_POSITION_MM, distinct_stacks, ends_to_end
from med2e3.io.dicom.facts import facts_of
from med2e3.io.dicom.gaps import Region, fits, is_mixed, mixture, regions, unevenness
from med2e3.io.dicom.headers import Frame, Header
from med2e3.io.dicom.lone import lone_note, reunited
from med2e3.io.dicom.naming import named
from med2e3.io.dicom.pixels import unreadable
from med2e3.io.dicom.positions import (
    SlicePositions,
    acquired_grid,
    evened,
    is_even,
    slice_positions,
)
from med2e3.io.dicom.resample import check_upright
from med2e3.io.series import Grouping, Groupings, SeriesSummary
from med2e3.volume import SeriesInfo

#: Direction cosines are written with about six digits; images of one stack differ by less.
SAME_DIRECTION = 1e-3

#: Relative difference of pixel spacing, for the same reason.
SAME_SPACING = 1e-3

#: Rescale Type "unspecified" (PS3.3 C.11.1.1.2), for frames whose values are not in one unit.
MIXED_UNITS = "US"


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames of one series, sorted along their normal.

    `notes` say what was left out or joined on the way. `copies` are the frames that repeat others.
    `is_even` says that the slices form an even grid; others are resampled. `headers` are the files
    of a stack without frames.
    """

    frames: tuple[Frame, ...]
    summary: SeriesSummary
    notes: tuple[str, ...] = ()
    copies: tuple[Frame, ...] = ()
    is_even: bool = True
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, eq=False)
class _Draft:
    """A stack before it has a name. `reason` says why it is no volume, and is empty for one.

    `along` are the positions on the normal in mm; empty for a stack that is no volume. `told` is
    what tells it apart from others that were one with it at first: a name and its value.
    """

    frames: tuple[Frame, ...]
    reason: str = ""
    notes: tuple[str, ...] = ()
    copies: tuple[Frame, ...] = ()
    along: tuple[float, ...] = ()
    told: tuple[str, str] = ("", "")

    @property
    def is_scout(self) -> bool:
        """Whether the frames are localizers; these share no grid with others."""
        return is_scout(self.frames[0])


def find_stacks(
    headers: Sequence[Header],
    groupings: Groupings | None = None,
    look: Callable[[], object] = lambda: None,
) -> list[Stack]:
    """All series among `headers`, each as one stack or several.

    Images at one position are compared by their pixels, which takes long for many compressed ones:
    `look` is called before each comparison, and may raise `Cancelled`.
    """
    groups: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in headers:
        groups[_series_key(header)].append(header)
    found: list[Stack] = []
    series: list[_Series] = []
    for key, members in _by_study(reunited(groups)):
        grouping = (groupings or {}).get(key, Grouping.APART)
        drafts = [
            draft
            for grid in _partition([f for h in members for f in h.frames])
            for draft in _drafts(grid, grouping, look)
        ]
        series.append(_Series(key, grouping, drafts))
        found.extend(_without_image([h for h in members if not h.frames], key))
    every = [draft for one in series for draft in one.drafts]
    for one in series:
        found.extend(_stacks_of(one, every))
    return sorted(found, key=_order)


class _Series(NamedTuple):
    """The stacks of one series before they have names."""

    key: tuple[str, ...]
    grouping: Grouping
    drafts: list[_Draft]


def _order(stack: Stack) -> tuple[float, str, str]:
    info = stack.summary.info
    number = float(info.series_number) if info.series_number.isdecimal() else float("inf")
    part = re.sub(r"\d+", lambda digits: digits[0].zfill(9), stack.summary.part)
    return number, info.series_uid, part


def _series_key(header: Header) -> tuple[str, ...]:
    """A key that files of one series share.

    De-identified files without a SeriesInstanceUID share it by study, number and description.
    """
    words = ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SeriesNumber")
    uid, *rest = (str(header.dataset.get(word) or "") for word in words)
    return (uid,) if uid else (uid, *rest, str(header.dataset.get("SeriesDescription") or ""))


def _by_study(
    groups: Mapping[tuple[str, ...], Sequence[Header]],
) -> Iterator[tuple[tuple[str, ...], Sequence[Header]]]:
    """Split series by study where one SeriesInstanceUID was given to series of several days.

    Their slices would lie between each other. A series whose every image has a study of its own is
    not split: such study UIDs say nothing.
    """
    for key, members in groups.items():
        studies: dict[tuple[str, ...], list[Header]] = defaultdict(list)
        for header in members:
            words = ("StudyInstanceUID", "StudyDate")
            studies[tuple(str(header.dataset.get(word) or "") for word in words)].append(header)
        several = len({uid for uid, _ in studies}) > 1 < len({date for _, date in studies})
        if several and min(map(len, studies.values())) > 1:
            yield from (((*key, *study), those) for study, those in studies.items())
        else:
            yield key, members


# --- which frames --------------------------------------------------------------------------------


def _stacks_of(series: _Series, every: Sequence[_Draft]) -> list[Stack]:
    """The stacks of one series, named by what they differ in; `every` are those of all series."""
    scouts = [d for d in series.drafts if d.is_scout]
    others = [d for d in series.drafts if not d.is_scout]
    names, split_by = named([d.frames for d in others], [d.told for d in others])
    ways = _ways(others, series.grouping)
    stacks = [
        _stack(d, series, _Named(name, split_by, ways), every)
        for d, name in zip(others, names, strict=True)
    ]
    scout = _Named("scout" if others else "", "", ways)
    return stacks + [_stack(d, series, scout, every) for d in scouts]


class _Named(NamedTuple):
    """The name of a stack among those of its series, and the groupings that would change them."""

    part: str
    split_by: str
    ways: tuple[Grouping, ...]


def _ways(drafts: Sequence[_Draft], grouping: Grouping) -> tuple[Grouping, ...]:
    """The groupings that would change the stacks of a series."""
    if grouping is not Grouping.APART:
        return (Grouping.APART,)
    ways = []
    if any(_can_join(a, b) for a, b in combinations(drafts, 2)):
        ways.append(Grouping.JOINED)
    if any(ends_to_end(d.frames) for d in drafts):
        ways.append(Grouping.ACQUISITIONS)
    return tuple(ways)


def _can_join(a: _Draft, b: _Draft) -> bool:
    """Whether two stacks of a series are of one grid, and share no position."""
    if not (a.frames[0].has_position and _share_a_grid(a.frames[0], b.frames[0])):
        return False
    try:
        normal = slice_positions(a.frames).normal
    except GeometryError:
        return False
    one, two = (np.array([f.position for f in d.frames]) @ normal for d in (a, b))
    return bool(np.abs(one[:, None] - two[None]).min() > SAME_POSITION_MM)


def _partition(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Groups of frames that can share a grid: equal size, direction and pixel spacing.

    Scouts share none with other images.
    """
    parts: list[list[Frame]] = []
    for frame in frames:
        home = next((part for part in parts if _share_a_grid(frame, part[0])), None)
        if home is None:
            parts.append([frame])
        else:
            home.append(frame)
    return parts


def _share_a_grid(a: Frame, b: Frame) -> bool:
    if _grid_of(a) == _grid_of(b):
        return True
    if _kind(a) != _kind(b) or not a.has_position:
        return _kind(a) == _kind(b)
    turned = np.abs(np.subtract(a.orientation, b.orientation)).max()
    return bool(turned < SAME_DIRECTION and np.allclose(a.spacing, b.spacing, rtol=SAME_SPACING))


def _kind(frame: Frame) -> tuple[Hashable, ...]:
    return frame.pixels.rows, frame.pixels.columns, frame.has_position, is_scout(frame)


def _grid_of(frame: Frame) -> tuple[Hashable, ...]:
    return *_kind(frame), frame.orientation, frame.spacing


def is_scout(frame: Frame) -> bool:
    """Whether the image is a localizer (PS3.3 C.8.2.1.1.1)."""
    return "LOCALIZER" in frame.image_type.upper()


def _drafts(
    frames: Sequence[Frame], grouping: Grouping, look: Callable[[], object]
) -> list[_Draft]:
    """The stacks that frames of one grid form."""
    if reason := _why_no_volume(frames):
        return [_Draft(tuple(frames), reason)]
    kinds = [list(frames)] if grouping is Grouping.JOINED else _by_kind(frames)
    return [draft for kind in kinds for draft in _stacked(kind, grouping, look)]


def _by_kind(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Groups of frames of one kernel, slice thickness and image type, wherever they lie."""
    groups: dict[tuple[str, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[frame.kernel, frame.thickness, frame.image_type].append(frame)
    return list(groups.values())


def _stacked(
    frames: Sequence[Frame], grouping: Grouping, look: Callable[[], object]
) -> list[_Draft]:
    try:
        positions = slice_positions(frames)
    except GeometryError as error:
        return [_Draft(tuple(frames), str(error))]
    ordered = [frames[k] for k in np.argsort(positions.along, kind="stable")]
    stacks, copies = distinct_stacks(ordered, np.sort(positions.along), grouping, look)
    drafts = []
    for k, stack in enumerate(stacks):
        parts = [Region(stack.frames, stack.told)]
        if grouping is not Grouping.JOINED and not stack.reason:
            parts = regions(stack.frames, slice_positions(stack.frames)) or parts
        for part in parts:
            draft = _Draft(
                part.frames, stack.reason or _refusal(part.frames), stack.notes, told=part.told
            )
            drafts.append(draft if draft.reason else replace(draft, along=_along(draft)))
        if k == 0:
            drafts[0] = replace(drafts[0], copies=tuple(copies))
    return drafts


def _along(draft: _Draft) -> tuple[float, ...]:
    return tuple(slice_positions(draft.frames).along.tolist())


def _refusal(frames: Sequence[Frame]) -> str:
    """Why opening the frames would fail, as far as headers tell; empty where they are a stack."""
    if reason := _why_no_volume(frames):
        return reason
    for frame in frames:
        if reason := unreadable(frame):
            return reason
    shape = (len(frames), frames[0].pixels.rows, frames[0].pixels.columns)
    try:
        positions = slice_positions(frames)
        acquired_grid(evened(positions), shape)
        if is_even(positions):
            check_upright(evened(positions), shape)
    except GeometryError as error:
        return str(error)
    return ""


def _why_no_volume(frames: Sequence[Frame]) -> str:
    if is_scout(frames[0]):
        return "a scout (localizer)"
    if not frames[0].has_position:
        return "images without position, orientation or pixel spacing in the patient"
    return "one image only" if len(frames) == 1 else ""


# --- what is said of them ------------------------------------------------------------------------


def _stack(draft: _Draft, series: _Series, name: _Named, every: Sequence[_Draft]) -> Stack:
    first = draft.frames[0]
    summary = SeriesSummary(
        info=_info(draft.frames),
        count=len(draft.frames),
        shape=(len(draft.frames), first.pixels.rows, first.pixels.columns),
        is_volume=not draft.reason,
        reason=draft.reason,
        files=tuple(dict.fromkeys(f.path for f in draft.frames)),
        part=name.part,
        split_by=name.split_by,
        key=series.key,
        ways=name.ways,
        facts=facts_of(draft.frames, draft.along),
        is_scout=draft.is_scout,
    )
    if not summary.is_volume:
        return Stack(draft.frames, summary, draft.notes, draft.copies)
    positions = slice_positions(draft.frames)
    notes = (*lone_note(series.key, summary.count), *draft.notes)
    even, trouble = is_even(positions), ""
    if not even and is_mixed(draft.frames, positions):
        what = mixture(draft.frames, positions)
        notes = (*notes, f"{summary.label} is joined of different slices: {what}.")
    elif not even:
        trouble = _trouble(draft, positions, summary.label, series, every)
    grid = acquired_grid(evened(positions), summary.shape)
    facts = replace(summary.facts, trouble=trouble, is_tilted=grid.is_tilted)
    return Stack(draft.frames, replace(summary, facts=facts), notes, draft.copies, even)


def _info(frames: Sequence[Frame]) -> SeriesInfo:
    """What the headers say; unit and exposure of all frames, the rest of the first one."""
    first = series_info(frames[0].header)
    return replace(first, unit=_unit(frames), exposure_mas=_exposure(frames))


def _exposure(frames: Sequence[Frame]) -> str:
    """The exposures of the frames in mAs, each header once."""
    headers = {id(frame.header): frame.header for frame in frames}
    return exposure_text(exposure_of(header) for header in headers.values())


def _unit(frames: Sequence[Frame]) -> str:
    """The Rescale Type of the frames; "unspecified" where they state several, empty for none."""
    units = {f.unit for f in frames} - {""}
    return MIXED_UNITS if len(units) > 1 else "".join(units)


def _trouble(
    draft: _Draft,
    positions: SlicePositions,
    label: str,
    series: _Series,
    every: Sequence[_Draft],
) -> str:
    """What is uneven about a stack, and which images of others lie in its gaps."""
    study = text(draft.frames[0].header, "StudyInstanceUID")
    near = [
        other
        for other in every
        if other is not draft
        and not other.is_scout
        and text(other.frames[0].header, "StudyInstanceUID") == study
        and all(fits(frame, draft.frames, positions) for frame in other.frames)
    ]
    own = [other for other in near if any(other is one for one in series.drafts)]
    fitting = [frame for other in own or near for frame in other.frames]
    can_join = bool(own) and all(_can_join(draft, other) for other in own)
    return unevenness(draft.frames, positions, label, fitting, can_join)


def _without_image(headers: Sequence[Header], key: tuple[str, ...]) -> list[Stack]:
    """Stacks without frames for reports, colour captures and the like: listed, never opened."""
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
            key=key,
        )
        found.append(Stack((), summary, headers=tuple(members)))
    return found
