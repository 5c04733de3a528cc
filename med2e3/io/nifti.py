"""NIfTI files → volume, voxel for voxel. Knows nothing of DICOM."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io.series import Findings, Found, SeriesSummary, counted
from med2e3.io.voxels import VoxelBuffer
from med2e3.io.watch import Watch
from med2e3.volume import AIR_HU, SeriesInfo, Volume

ENDINGS = (".nii", ".nii.gz")

#: NIfTI's patient space is RAS, ours LPS.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def find_nifti(path: Path) -> Findings:
    """The one volume of a NIfTI file, from its header."""
    image = _open(path)
    shape = _volume_shape(path, tuple(int(n) for n in image.shape))

    def load(watch: Watch, _resample_gaps: bool) -> Volume:
        return _load(path, image, shape, watch)

    info = SeriesInfo(series_description=path.name)
    return Findings((Found(SeriesSummary(info, shape[0], shape, files=(path,)), load),))


def _open(path: Path) -> Any:
    try:
        return nibabel.load(path)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise ImageReadError(
            f"{path} cannot be read as NIfTI: {error}. "
            "It is damaged or of another format; export or download it again."
        ) from error


def _volume_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(slices, rows, columns) of a file of `shape` (i, j, k, ...)."""
    if len(shape) < 3 or (len(shape) == 3 and 1 in shape):
        raise ImageReadError(
            f"{path} has shape {shape}: one image is not a volume. "
            "Open a file with at least two slices along each axis."
        )
    if math.prod(shape[3:]) != 1 or 1 in shape[:3]:
        raise ImageReadError(
            f"{path} has shape {shape}: {math.prod(shape[3:])} volumes in one file. "
            "Split it (for example with nibabel.four_to_three) and open one of them."
        )
    return shape[2], shape[1], shape[0]


def _load(path: Path, image: Any, shape: tuple[int, int, int], watch: Watch) -> Volume:
    watch.step(0.0, "Reading voxels")
    slope, intercept = (float(x) for x in (image.dataobj.slope, image.dataobj.inter))
    try:
        # (i, j, k) lies in the file with i running fastest: (k, j, i) is its natural order.
        stored = np.asanyarray(image.dataobj.get_unscaled()).reshape(shape[::-1]).T
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ImageReadError(
            f"{path}: the voxels end early or are damaged: {error}. Copy or download it again."
        ) from error
    buffer = VoxelBuffer(shape)
    for k in range(shape[0]):
        watch.step(k / shape[0], "Reading voxels")
        buffer.put(k, stored[k], slope, intercept)
    warnings = []
    if buffer.replaced:
        warnings.append(
            f"{counted(buffer.replaced, 'voxel')} were not finite numbers (NaN or infinity) and "
            f"became air ({AIR_HU} HU)."
        )
    header = image.header
    if not (int(header["qform_code"]) or int(header["sform_code"])):
        warnings.append(
            "The file says nothing about orientation (qform and sform codes are 0); left and right "
            "may be swapped."
        )
    return Volume(
        voxels=buffer.values,
        geometry=_geometry(image.affine, shape),
        info=SeriesInfo(series_description=path.name),
        warnings=tuple(warnings),
    )


def _geometry(affine_ras: Any, shape: tuple[int, int, int]) -> Geometry:
    """(i, j, k) → RAS as (slice, row, column) → LPS."""
    affine = RAS_TO_LPS @ np.asarray(affine_ras, dtype=np.float64)
    return Geometry(shape, affine[:, [2, 1, 0, 3]])
