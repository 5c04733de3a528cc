"""Load files that hold one array and, mostly, its geometry: the part that all such formats share.

Each format gives an `ArrayFile` to load and `HeaderField`s to show. Knows no format.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io.series import IndexedSeries, ScanResult, SeriesFacts, SeriesSummary, SliceSource
from med2e3.io.voxels import VoxelBuffer, Voxels, middle_out
from med2e3.io.watch import Watch
from med2e3.volume import AIR_HU, SeriesInfo, Volume
from med2e3.words import counted

#: The exceptions that readers raise on files that end early or are damaged.
DAMAGE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError,
    ArithmeticError, RecursionError, MemoryError, struct.error, zlib.error,
)  # fmt: skip

#: Share of the progress that reads stored numbers; the rest turns them into values.
READING_SHARE = 0.8


class HeaderField(NamedTuple):
    """One field of a header: its name, its value and, where the header states one, its type."""

    name: str
    value: object
    type: str = ""


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """One array in one file, as its header describes it.

    `read` returns the stored numbers (slice, row, column), and may report progress. The values are
    slope · stored + intercept. `stored_bytes` is the size of a stored number.
    """

    path: Path
    geometry: Geometry
    read: Callable[[Watch], NDArray[Any]]
    slope: float = 1.0
    intercept: float = 0.0
    warnings: tuple[str, ...] = ()
    stored_bytes: int = 4

    @property
    def scan(self) -> ScanResult:
        """The one series of the file."""
        info = SeriesInfo(series_description=self.path.name)
        shape = self.geometry.shape
        spacing = self.geometry.spacing_mm
        facts = SeriesFacts(str(self.geometry.plane), step_mm=spacing[0], pixel_mm=spacing[1])
        key = (str(self.path),)
        summary = SeriesSummary(info, shape[0], shape, files=(self.path,), key=key, facts=facts)
        source = (SliceSource(self.path),)
        found = IndexedSeries(summary, lambda watch, _resample: self._load(info, watch), source)
        return ScanResult((replace(found, bytes_needed=self._bytes_needed(summary.voxels)),))

    def _bytes_needed(self, voxels: int) -> int:
        """Bytes of the stored numbers and of the int16 volume that is filled from them."""
        return voxels * (self.stored_bytes + 2)

    def _load(self, info: SeriesInfo, watch: Watch) -> Volume:
        watch.step(0.0, "Reading voxels")
        try:
            stored = self.read(watch.stage(0.0, READING_SHARE)).reshape(self.geometry.shape)
        except DAMAGE as error:
            raise ImageReadError(
                f"{self.path}: the voxels end early or are damaged ({error}). "
                "Copy or download the file again."
            ) from error
        buffer = VoxelBuffer(self.geometry.shape)

        def volume(voxels: Voxels) -> Volume:
            return Volume(voxels, self.geometry, info, warnings=self._warnings(buffer.replaced))

        filling = watch.stage(READING_SHARE, 1.0)
        for done, k in enumerate(middle_out(len(stored))):
            filling.step(done / len(stored), "Reading voxels")
            buffer.put(k, stored[k], self.slope, self.intercept)
            if done == 0 and watch.first_look is not None:
                watch.first_look(volume(buffer.values))
        watch.step(1.0, "Reading voxels")
        return volume(buffer.values)

    def _warnings(self, replaced: int) -> tuple[str, ...]:
        if not replaced:
            return self.warnings
        return (
            *self.warnings,
            f"{counted(replaced, 'voxel')} were not finite numbers (NaN or infinity) and became "
            f"air ({AIR_HU} HU).",
        )


def three_sizes(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The first three sizes of `shape`, of which all others must be 1.

    Raises `ImageReadError` for a single image and for several volumes.
    """
    volumes = int(np.prod(shape[3:]))
    if volumes > 1:
        raise ImageReadError(
            f"{path} has shape {shape}: {volumes} volumes in one file. "
            "Split it along its last axis and open one of them."
        )
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise ImageReadError(
            f"{path} has shape {shape}: that is one image, not a volume. "
            "Open a file with at least two voxels along each of three axes."
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def real_numbers(path: Path, dtype: np.dtype[Any]) -> None:
    """Raise `ImageReadError` for colours, complex numbers and all that is no real number."""
    if dtype.kind not in "biuf":
        raise ImageReadError(
            f"{path} holds voxels of type {dtype}, which are not single real numbers. "
            "Export it as a grey-value volume."
        )


def unreadable(path: Path, kind: str, error: Exception) -> ImageReadError:
    """The error for a header that cannot be read as `kind`."""
    return ImageReadError(
        f"{path} cannot be read as {kind}: {error}. "
        "It is damaged or of another format; export or download it again."
    )
