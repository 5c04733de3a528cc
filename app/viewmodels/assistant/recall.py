"""Answers about series that were open before: put away with their series, and brought back.

An answer belongs to a series by its identity and its grid. It waits without the volume, whose
memory is free meanwhile. Where a series has grown, its answers move to where their slices are now.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from app.viewmodels.assistant.answers import Seen, Turn
from app.viewmodels.core.identity import Stack, place_key
from med2e3.geometry import Geometry
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.engine.grounding import Mask
    from med2e3.preprocessing import Band

#: Series whose answers are kept: more than a reader goes back and forth between. What the model
#: saw, some megabytes for each plane and window, is most of their memory.
LAST_SERIES = 8

#: Millimetres by which the slices of a series that has grown may lie elsewhere: rounding alone.
SAME_PLACE_MM = 1e-3


class PastAnswers:
    """The answers of the last `LAST_SERIES` series that are not open."""

    def __init__(self) -> None:
        self._series: dict[tuple[object, ...], _Series] = {}

    def put_away(self, volume: Volume, turns: Iterable[Turn], chosen: Turn | None) -> None:
        """Keep what belongs to the turns about `volume`, which is about to be let go."""
        mine = [turn for turn in turns if turn.volume is volume]
        if not mine:
            return
        seen: list[Any] = []
        answers = tuple(_Answer(turn, seen) for turn in mine)
        stack, uids = Stack.of(volume), volume.slice_uids
        series = _Series(stack, volume.geometry, uids, answers, chosen if chosen in mine else None)
        self._series[_key(volume)] = series
        while len(self._series) > LAST_SERIES:
            del self._series[next(iter(self._series))]

    def bring_back(self, volume: Volume) -> Turn | None:
        """Give the turns about a series their volume again; the one whose scores were shown."""
        if not self._series:
            return None
        key, chosen = _key(volume), None
        grown = [k for k, series in self._series.items() if series.stack.grown_into(volume)]
        for found in (*grown, key):
            series = self._series.pop(found, None)
            if series is None:
                continue
            offset = 0 if found == key else series.offset_in(volume)
            if offset is None:
                continue
            for answer in series.answers:
                answer.belong_to(volume, series.geometry.shape[0], offset)
            chosen = series.chosen or chosen
        return chosen


def _key(volume: Volume) -> tuple[object, ...]:
    """The series and its grid: one series has another grid where it was opened with resampling."""
    affine = np.round(volume.geometry.affine_lps, 4) + 0.0
    return place_key(volume), volume.shape, affine.tobytes()


@dataclass(frozen=True, eq=False)
class _Series:
    """The answers of one series, with what tells where its slices are in a larger stack."""

    stack: Stack
    geometry: Geometry
    slice_uids: tuple[str, ...]
    answers: tuple[_Answer, ...]
    chosen: Turn | None

    def offset_in(self, volume: Volume) -> int | None:
        """The first of these slices in `volume`; None where they are not all neighbours there."""
        if not self.slice_uids or self.slice_uids[0] not in volume.slice_uids:
            return None
        count, offset = len(self.slice_uids), volume.slice_uids.index(self.slice_uids[0])
        if volume.slice_uids[offset : offset + count] != self.slice_uids:
            return None
        if volume.shape[1:] != self.geometry.shape[1:]:
            return None
        there = volume.geometry.cropped((offset, 0, 0), self.geometry.shape)
        same = np.allclose(there.affine_lps, self.geometry.affine_lps, rtol=0, atol=SAME_PLACE_MM)
        return offset if same else None


class _Answer:
    """A turn, with what the model saw and drew, without the volume."""

    def __init__(self, turn: Turn, shared: list[Any]) -> None:
        """`shared`: grids of other answers about the volume; equal ones are kept once."""
        self._turn = turn
        self._seen: dict[str, Any] | None = None
        if turn.seen is not None:
            names = [field.name for field in fields(Seen) if field.name != "volume"]
            self._seen = {name: getattr(turn.seen, name) for name in names}
            grid = turn.seen.slices
            self._seen["slices"] = next((g for g in shared if np.array_equal(g, grid)), grid)
            shared.append(self._seen["slices"])
        self._boxes = turn.boxes
        self._masks = [_PackedMask(mask) for mask in turn.masks]

    def belong_to(self, volume: Volume, count: int, offset: int) -> None:
        """Give the turn a volume, in which its `count` slices begin at `offset`."""
        turn = self._turn
        turn.volume, turn.boxes = volume, self._boxes
        turn.masks = tuple(mask.unpacked(volume, offset) for mask in self._masks)
        if self._seen is None:
            return
        seen = Seen(volume=volume, **self._seen)
        if count != volume.shape[0]:
            seen = _moved(seen, count, offset)
            if turn.scores is not None:
                turn.scores = replace(turn.scores, bands=seen.bands)
        turn.seen = seen


class _PackedMask:
    """A mask in little memory: it is as large as the volume, and nearly all of it one value."""

    def __init__(self, mask: Mask) -> None:
        self._shape = mask.voxels.shape
        self._bits = zlib.compress(np.packbits(mask.voxels).tobytes(), 1)
        self._empty = replace(mask, voxels=np.zeros((0, 0, 0), np.bool_))

    def unpacked(self, volume: Volume, offset: int) -> Mask:
        """The mask on the grid of `volume`, in which its slices begin at `offset`."""
        bits = np.frombuffer(zlib.decompress(self._bits), np.uint8)
        size = self._shape[0] * self._shape[1] * self._shape[2]
        mine = np.unpackbits(bits, count=size).reshape(self._shape).astype(np.bool_)
        if self._shape == volume.shape:
            return replace(self._empty, voxels=mine)
        whole = np.zeros(volume.shape, np.bool_)
        whole[offset : offset + len(mine)] = mine
        return replace(self._empty, voxels=whole, geometry=volume.geometry)


def _moved(seen: Seen, count: int, offset: int) -> Seen:
    """What the model saw of `count` slices, where they are in the larger volume of `seen`.

    The view runs along the stored slices in one of its axes, perhaps backwards.
    """
    total, turn = seen.volume.shape[0], seen.volume.geometry.orientation(seen.plane)
    axis = turn.axes.index(0)
    before = total - count - offset if turn.flips[axis] else offset
    start = list(seen.crop_start)
    start[axis] += before
    crop_start = (start[0], start[1], start[2])
    if axis != 0:  # each slice of the view is larger; none is elsewhere
        return replace(seen, crop_start=crop_start)
    bands = tuple(_shifted(band, offset, before) for band in seen.bands)
    outside = [k for k in range(total) if not offset <= k < offset + count]
    unread = tuple(sorted([*(k + offset for k in seen.unread), *outside]))
    return replace(seen, crop_start=crop_start, bands=bands, unread=unread)


def _shifted(band: Band, stored: int, shown: int) -> Band:
    (source_first, source_last), (first, last) = band.source_slices, band.view_slices
    return replace(
        band,
        source_slices=(source_first + stored, source_last + stored),
        view_slices=(first + shown, last + shown),
    )
