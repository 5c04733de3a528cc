"""Reads what is laid over the images, on the worker for files. Knows no widgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job, Listener
from app.viewmodels.images.layers import Overlaid
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.io.dicom.segmentation import LabelMap

#: A label map has whole values from 0 on, at most this large, and at most so many different ones:
#: TotalSegmentator has 117 classes; a CT of whole HU has negative values and thousands.
LARGEST_LABEL, MOST_LABELS = 4095, 256


class OverlayReader:
    """Masks, label maps and second volumes, in any format that opens as a study."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def overlay(self, path: Path, listener: Listener) -> Job[Overlaid]:
        """Read a volume; events: `Progress`."""
        return self._jobs.start(Lane.FILES, lambda context: _read(path, context), listener)

    def names(self, path: Path) -> Job[dict[int, str]]:
        """The names of labels in a text file."""
        return self._jobs.start(Lane.FILES, lambda _: _names(path))


def _read(path: Path, context: Context) -> Overlaid:
    from med2e3.io import load_volume
    from med2e3.io.dicom import segmentation
    from med2e3.io.label_names import names_of

    context.progress(-1, f"Opening {path.name}")
    if segmentation.is_structure_set(path):
        raise segmentation.refused_contours(path)
    if segmentation.is_segmentation(path):
        return _segments(segmentation.read_segmentation(path))
    volume = load_volume(path)
    _ = volume.value_range  # reads every voxel once, here and not on the thread of the window
    labels = labels_of(volume)
    return Overlaid(volume, labels, names_of(path) if labels else {})


def _segments(maps: tuple[LabelMap, ...]) -> Overlaid:
    """Label maps of one file as one overlay with others beside it."""
    first, *others = (
        Overlaid(one.volume, labels_of(one.volume), one.names, one.colours) for one in maps
    )
    return replace(first, others=tuple(others))


def _names(path: Path) -> dict[int, str]:
    from med2e3.io.label_names import read_names

    return read_names(path)


def labels_of(volume: Volume) -> tuple[tuple[int, int], ...]:
    """(value, number of voxels) of each label but 0; empty where the values are no labels."""
    low, high = volume.value_range
    whole = volume.voxels.dtype == np.int16
    if not whole or low < 0 or not 1 <= high <= LARGEST_LABEL:
        return ()
    counts = np.bincount(volume.voxels.reshape(-1), minlength=2)
    values = np.flatnonzero(counts[1:]) + 1
    if len(values) > MOST_LABELS:
        return ()
    return tuple((int(value), int(counts[value])) for value in values)
