"""Load files that hold one array and, mostly, its geometry: the part that all such formats share.

Each format gives an `ArrayFile` to load and `HeaderField`s to show. Knows no format.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import GeometryError, ImageReadError
from med2e3.geometry import Float, Geometry
from med2e3.io.bounds import Claim, check_claim, out_of_memory_said
from med2e3.io.formats.stored import Numbers, Slices
from med2e3.io.plausible import doubts
from med2e3.io.references import not_opened
from med2e3.io.series import IndexedSeries, ScanResult, SeriesFacts, SeriesSummary, SliceSource
from med2e3.io.voxels import VoxelBuffer, Voxels, middle_out, replaced_sentence
from med2e3.io.watch import Watch
from med2e3.volume import SeriesInfo, Volume

#: The exceptions that readers raise on files that end early or are damaged.
DAMAGE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError,
    ArithmeticError, RecursionError, struct.error, zlib.error,
)  # fmt: skip

#: Share of the progress that reads stored numbers; the rest turns them into values.
READING_SHARE = 0.8

#: Bytes of a voxel in an int16 volume, and at the height of loading where fractions make it
#: float32: both are held for a while.
WHOLE_BYTES, FRACTION_BYTES = 2, 6


class HeaderField(NamedTuple):
    """One field of a header: its name, its value and, where the header states one, its type."""

    name: str
    value: object
    type: str = ""


class HeaderError(Exception):
    """What is wrong with a header, as a clause of ours: it ends `... cannot be read as NRRD: `."""


class UnsupportedError(Exception):
    """What a whole and sound file holds that is not read, as a sentence of ours with a way out."""


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """One array in one file, as its header describes it.

    `read` returns the stored numbers (slice, row, column), and may report progress. `numbers` takes
    its place where they lie in files as they are or packed; these are checked when the file is
    scanned. The values are slope · stored + intercept. `stored_bytes` is the size of a stored
    number. `files` are further files that hold the numbers.
    """

    path: Path
    geometry: Geometry
    read: Callable[[Watch], NDArray[Any]] | None = None
    slope: float = 1.0
    intercept: float = 0.0
    warnings: tuple[str, ...] = ()
    stored_bytes: int = 4
    numbers: Numbers | None = None
    dtype: np.dtype[Any] | None = None
    files: tuple[Path, ...] = ()

    @property
    def scan(self) -> ScanResult:
        """The one series of the file. Raises `ImageReadError` where it is cut short."""
        if self.numbers is not None:
            with voxels_read(self.path):
                self.numbers.check()
        info = SeriesInfo(series_description=self.path.name)
        shape = self.geometry.shape
        spacing = self.geometry.spacing_mm
        facts = SeriesFacts(str(self.geometry.plane), step_mm=spacing[0], pixel_mm=spacing[1])
        key = (str(self.path),)
        files = tuple(dict.fromkeys((self.path, *self.files)))
        summary = SeriesSummary(info, shape[0], shape, files=files, key=key, facts=facts)
        source = (SliceSource(self.path),)
        found = IndexedSeries(summary, lambda watch, _resample: self._load(info, watch), source)
        return ScanResult((replace(found, bytes_needed=self._bytes_needed()),))

    def _bytes_needed(self) -> int:
        """Bytes at the height of loading: of the stored numbers, and of the volume."""
        slices, rows, columns = self.geometry.shape
        voxels = slices * rows * columns
        whole = float(self.slope).is_integer() and float(self.intercept).is_integer()
        if self.dtype is None or self.numbers is None:
            return voxels * (self.stored_bytes + WHOLE_BYTES)
        is_whole = whole and self.dtype.kind in "biu"
        return voxels * (WHOLE_BYTES if is_whole else FRACTION_BYTES) + self.numbers.held

    def _load(self, info: SeriesInfo, watch: Watch) -> Volume:
        watch.step(0.0, "Reading voxels")
        shape = self.geometry.shape
        need = self._bytes_needed()
        holds = f"{shape[0]} slices of {shape[2]} × {shape[1]} voxels"
        check_claim(Claim(self.path, holds, 0, memory=need))
        with out_of_memory_said(f"{self.path} ({holds})", need), voxels_read(self.path):
            return self._filled(info, watch)

    def _filled(self, info: SeriesInfo, watch: Watch) -> Volume:
        said: list[str] = []
        stored = self._stored(watch.stage(0.0, READING_SHARE), said)
        buffer = VoxelBuffer(self.geometry.shape)

        def volume(voxels: Voxels, *more: str) -> Volume:
            return Volume(voxels, self.geometry, info, warnings=(*self.warnings, *more))

        filling = watch.stage(READING_SHARE, 1.0)
        for done, k in enumerate(middle_out(len(stored))):
            filling.step(done / len(stored), "Reading voxels")
            buffer.put(k, stored[k], self.slope, self.intercept)
            if done == 0 and watch.first_look is not None:
                watch.first_look(volume(buffer.values))
        watch.step(1.0, "Reading voxels")
        notes = (*said, *replaced_sentence(buffer.replaced), *doubts(buffer.value_range))
        return volume(buffer.values, *notes).with_range(*buffer.value_range)

    def _stored(self, watch: Watch, said: list[str]) -> Slices:
        if self.numbers is not None:
            return self.numbers.read(watch, said)
        assert self.read is not None
        return self.read(watch).reshape(self.geometry.shape)


@contextmanager
def voxels_read(path: Path) -> Iterator[None]:
    """Turn what reading voxels raises into one error that names `path`."""
    try:
        yield
    except FileNotFoundError as error:
        name = Path(str(error.filename or path)).name
        raise ImageReadError(
            f"{path}: the voxels end early or are damaged: there is no file {name}, which holds "
            "them. Put it beside the header, or copy the whole folder again."
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise not_opened(path, error) from error
        raise _cut(path) from error
    except DAMAGE as error:
        raise _cut(path) from error


def _cut(path: Path) -> ImageReadError:
    return ImageReadError(
        f"{path}: the voxels end early or are damaged. Copy or download the file again, or export "
        "it once more."
    )


@contextmanager
def header_read(path: Path, kind: str) -> Iterator[None]:
    """Turn what reading a header raises into one error that names `path` and the format `kind`."""
    try:
        yield
    except UnsupportedError as error:
        raise ImageReadError(f"{path} {error}") from error
    except HeaderError as error:
        raise unreadable(path, kind, str(error)) from error
    except OSError as error:
        if error.errno is None:  # of a packed stream
            raise unreadable(path, kind, "what is packed in it is damaged") from error
        raise not_opened(path, error) from error
    except (*DAMAGE, MemoryError) as error:
        raise unreadable(path, kind, "its header does not follow the format") from error


def three_sizes(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The first three sizes of `shape`, of which all others must be 1.

    Raises `ImageReadError` for a single image and for several volumes.
    """
    if any(size < 0 for size in shape):
        raise ImageReadError(
            f"{path} has shape {shape}, and no size is negative. Export or download it again."
        )
    volumes = 1
    for size in shape[3:]:
        volumes *= size  # of Python: a product of NumPy may wrap around
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


#: What the kinds of NumPy's types are called.
OTHER_NUMBERS = {
    "c": "complex numbers",
    "V": "colours or other records",
    "O": "Python objects",
    "S": "texts",
    "U": "texts",
    "M": "dates",
    "m": "times",
}


def real_numbers(path: Path, dtype: np.dtype[Any]) -> None:
    """Raise `ImageReadError` for colours, complex numbers and all that is no real number."""
    if dtype.kind not in "biuf":
        kind = ", ".join(dtype.names) if dtype.names else str(dtype)
        raise ImageReadError(
            f"{path} holds {OTHER_NUMBERS.get(dtype.kind, 'values')} ({kind}), which are not "
            "single real numbers. Export it as a grey-value volume."
        )


def grid_of(path: Path, shape: tuple[int, int, int], affine: Float) -> Geometry:
    """The grid that a header describes. Raises `GeometryError`, which names the file."""
    try:
        return Geometry(shape, affine)
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}") from error


def unreadable(path: Path, kind: str, why: str) -> ImageReadError:
    """The error for a header that cannot be read as `kind`."""
    return ImageReadError(
        f"{path} cannot be read as {kind}: {why}. "
        "It is damaged or of another format; export or download it again."
    )
