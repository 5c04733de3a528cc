"""Read NIfTI files as volumes, voxel for voxel. Knows nothing of DICOM."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Geometry
from med2e3.io.formats.array_file import (
    DAMAGE,
    ArrayFile,
    HeaderField,
    real_numbers,
    three_sizes,
    unreadable,
)
from med2e3.io.series import ScanResult
from med2e3.io.watch import Watch

#: NIfTI's patient space is RAS, ours LPS.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Units that a header may declare for its positions, in mm.
UNITS_MM = {"meter": 1000.0, "micron": 0.001}

#: Bytes unpacked between two reports of progress, which may cancel.
CHUNK = 8 * 1024**2


def scan_nifti(path: Path) -> ScanResult:
    """The one volume of a NIfTI file, from its header."""
    import nibabel  # here: a DICOM study opens without it
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image: Any = nibabel.load(path)
        shape = three_sizes(path, tuple(int(n) for n in image.shape))
        real_numbers(path, image.get_data_dtype())
    except (ImageFileError, HeaderDataError, *DAMAGE) as error:
        raise unreadable(path, "NIfTI", error) from error
    header = image.header
    unit, unit_warning = _unit(header)
    voxels, offset_warning = _voxels(image)
    warnings = [*unit_warning, *_orientation_warning(header), *offset_warning]

    def read(watch: Watch) -> NDArray[Any]:
        stored = voxels.get_unscaled() if path.suffix != ".gz" else _unzipped(path, voxels, watch)
        # i runs fastest in the file, so its natural order is (k, j, i): no voxel is moved.
        return np.asanyarray(stored.reshape(shape, order="F").T)

    return ArrayFile(
        path=path,
        geometry=_geometry(image.affine, shape, unit),
        read=read,
        slope=float(image.dataobj.slope),
        intercept=float(image.dataobj.inter),
        warnings=tuple(warnings),
        stored_bytes=header.get_data_dtype().itemsize,
    ).scan


def read_header(path: Path) -> Iterator[HeaderField]:
    """All fields of the header, the types as NumPy names them."""
    import nibabel

    header: Any = nibabel.load(path).header
    for key in header:
        value = header[key]
        plain = value.item() if value.ndim == 0 else value.tolist()
        text = plain.decode("latin-1").rstrip("\0") if isinstance(plain, bytes) else str(plain)
        yield HeaderField(str(key), text, str(value.dtype))


def _voxels(image: Any) -> tuple[Any, list[str]]:
    """The voxels of the file as nibabel reads them on demand, and a warning about their place.

    In a file that holds header and voxels, these begin behind the header. nibabel refuses a place
    within it, but takes 0 as it is.
    """
    from nibabel.arrayproxy import ArrayProxy

    voxels, header = image.dataobj, image.header
    behind = int(getattr(header, "single_vox_offset", 0))
    if not getattr(header, "is_single", False) or voxels.offset >= behind:
        return voxels, []
    place = (voxels.shape, voxels.dtype, behind, voxels.slope, voxels.inter)
    return ArrayProxy(voxels.file_like, place), [
        "The file does not say where its voxels begin (vox_offset 0): they were read from the end "
        f"of the header (byte {behind})."
    ]


def _unzipped(path: Path, array: Any, watch: Watch) -> NDArray[Any]:
    """The stored numbers of a compressed file, read to its end because its checksum is there."""
    size = path.stat().st_size
    content = bytearray()
    with path.open("rb") as packed, gzip.open(packed) as file:
        while chunk := file.read(CHUNK):
            content += chunk
            watch.step(packed.tell() / size, "Unpacking voxels")
    count = int(np.prod(array.shape))
    return np.frombuffer(content, dtype=array.dtype, count=count, offset=array.offset)


def _geometry(affine_ras: Any, shape: tuple[int, int, int], unit: str) -> Geometry:
    """The grid (slice, row, column) to LPS mm from an affine (i, j, k) to RAS; slice is k."""
    scale = UNITS_MM.get(unit, 1.0)
    affine = np.diag([scale, scale, scale, 1.0]) @ RAS_TO_LPS @ np.asarray(affine_ras, dtype=float)
    return Geometry((shape[2], shape[1], shape[0]), affine[:, [2, 1, 0, 3]])


def _unit(header: Any) -> tuple[str, list[str]]:
    """The unit of positions, and a warning where the header states a unit that does not exist."""
    try:
        return str(header.get_xyzt_units()[0]), []
    except KeyError:
        stated = int(header["xyzt_units"])
        return "mm", [f"The file states no unit of length that exists ({stated}): mm is assumed."]


def _orientation_warning(header: Any) -> list[str]:
    """A warning where no affine is declared valid, or where the two that are differ."""
    from nibabel.spatialimages import HeaderDataError

    codes = [int(header[name]) for name in ("qform_code", "sform_code")]
    if not any(codes):
        return [
            "The file says nothing about orientation (qform and sform codes are 0); left and right "
            "may be swapped."
        ]
    if not all(codes):
        return []
    try:
        one, other = (m[:3, :3] for m in (header.get_sform(), header.get_qform()))
    except (ValueError, HeaderDataError) as error:  # a quaternion a little longer than 1
        return [f"The file's qform is no rotation ({error}); its sform is used."]
    if np.allclose(one, other, rtol=0, atol=0.02 * float(np.abs(other).max())):
        return []
    return [
        "The file states two orientations that differ (sform and qform); the sform is used. "
        "Lengths and sides may be wrong."
    ]
