"""Collect what is seen while pixels are read, and say it: decoders' reports, padding in tissue.

Knows values slice by slice; nothing of files or decoders.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from med2e3.io.dicom.headers import Frame
from med2e3.volume import AIR_HU
from med2e3.words import counted, some_names

#: Declared padding above this value may be tissue: air and what scanners pad with lie below, lung
#: begins here.
TISSUE_BEGINS_HU = -900


class Observed:
    """What was seen in the slices of one volume."""

    def __init__(self) -> None:
        self._reports: dict[str, list[str]] = defaultdict(list)
        self._values: set[float] = set()
        self._replaced = self._inside = self._voxels = 0

    def add_reports(self, frame: Frame, reports: tuple[str, ...]) -> None:
        """Note what a decoder reported of a frame."""
        for report in reports:
            self._reports[report].append(frame.name)

    def add_padding(self, values: NDArray[np.generic], empty: NDArray[np.bool_]) -> None:
        """Note that the `values` (row, column) where `empty` counted as padding."""
        self._voxels += values.size
        padded = values[empty]
        highest = float(padded.max())
        if highest <= TISSUE_BEGINS_HU:
            return
        self._values.update((float(padded.min()), highest))
        self._replaced += padded.size
        self._inside += _enclosed(empty)

    def warnings(self) -> tuple[str, ...]:
        """A sentence for each thing seen."""
        said = [
            f"The decoder reports of {some_names(names)}: “{report}”. The pixels may be wrong "
            "there; copy or send the files again."
            for report, names in self._reports.items()
        ]
        if self._replaced:
            said.append(self._of_padding())
        return tuple(said)

    def _of_padding(self) -> str:
        low, high = min(self._values), max(self._values)
        which = f"{low:g} HU" if low == high else f"{low:g} to {high:g} HU"
        where = ""
        if self._inside:
            where = f" {counted(self._inside, 'voxel')} of them lie inside the body."
        return (
            f"The files declare a value as padding that tissue has too ({which}): "
            f"{counted(self._replaced, 'voxel')} became air ({AIR_HU} HU), "
            f"{self._replaced / self._voxels:.2g} of those in these slices.{where}"
        )


def _enclosed(empty: NDArray[np.bool_]) -> int:
    """Number of padded pixels that are not connected with the edge of the image by others.

    Padding surrounds the round field of view; a body lies within.
    """
    from scipy.ndimage import binary_propagation  # here: hardly a file pads with tissue's values

    edge = np.zeros_like(empty)
    edge[[0, -1], :] = empty[[0, -1], :]
    edge[:, [0, -1]] = empty[:, [0, -1]]
    return int(np.count_nonzero(empty & ~binary_propagation(edge, mask=empty)))
