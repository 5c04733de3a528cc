"""Read NIfTI and Analyze files as volumes, voxel for voxel. Knows nothing of DICOM.

A file holds header and voxels (.nii), or two files beside each other do (.hdr and .img). Each may
be packed by gzip, whatever its name says.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io.bounds import Packing
from med2e3.io.formats.array_file import (
    ArrayFile,
    HeaderError,
    HeaderField,
    UnsupportedError,
    grid_of,
    header_read,
    real_numbers,
    three_sizes,
)
from med2e3.io.formats.stored import StoredNumbers, beginning, packing_of
from med2e3.io.series import ScanResult

#: NIfTI's patient space is RAS, ours LPS.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Units that a header may declare for its positions, in mm.
UNITS_MM = {"meter": 1000.0, "micron": 0.001}

#: Bytes of the longest header, that of NIfTI-2.
LONGEST_HEADER = 540

#: Suffixes of a header whose voxels lie in another file, and those of that file.
PAIR_HEADERS, PAIR_VOXELS = (".hdr", ".hdr.gz"), (".img", ".img.gz")

#: Intents of statistics (nifti1.h, 2 to 24), which no image of a patient has.
STATISTICS = range(2, 25)

#: The fields that say whether an affine is valid, and of which kind.
CODES = ("qform_code", "sform_code")

#: What nibabel repairs in a header is said here, not on the terminal.
_QUIET = logging.getLogger("med2e3.nifti")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

#: From this level on, what is wrong with a header is an error (nibabel's own scale, 0 to 50).
ERROR_LEVEL = 40


@dataclass(frozen=True)
class _Header:
    """A header as nibabel understands it, with what had to be assumed, in sentences."""

    fields: Any
    voxels: Path
    start: int
    slope: float
    intercept: float
    warnings: tuple[str, ...]


def scan_nifti(path: Path) -> ScanResult:
    """The one volume of a NIfTI or Analyze file, from its header."""
    with header_read(path, "NIfTI"):
        header = _header(path)
        count, warnings = _counts(_stated_sizes(header.fields))
        _single_values(path, header.fields, count)
        shape = three_sizes(path, count)
        real_numbers(path, header.fields.get_data_dtype())
        unit, unit_warning = _unit(header.fields)
        dtype = header.fields.get_data_dtype()
        warnings += unit_warning + _orientation_warning(header.fields)
        warnings += [*header.warnings, *_meaning(header.fields)]
        geometry = _geometry(path, _affine(header.fields), shape, unit)
    # i runs fastest in the file, so its natural order is (k, j, i): no voxel is moved.
    packing = _packing(path, header)
    is_packed = packing is not Packing.RAW
    numbers = StoredNumbers(
        header.voxels, geometry.shape, dtype, packing=packing,
        start=0 if is_packed else header.start, skip=header.start if is_packed else 0,
    )  # fmt: skip
    return ArrayFile(
        path, geometry, slope=header.slope, intercept=header.intercept, warnings=tuple(warnings),
        numbers=numbers, dtype=dtype, files=(header.voxels,),
    ).scan  # fmt: skip


def read_header(path: Path) -> Iterator[HeaderField]:
    """All fields of the header, the types as NumPy names them."""
    header = _fields(path, beginning(path, LONGEST_HEADER))
    for key in header:
        value = header[key]
        plain = value.item() if value.ndim == 0 else value.tolist()
        text = plain.decode("latin-1").rstrip("\0") if isinstance(plain, bytes) else str(plain)
        yield HeaderField(str(key), text, str(value.dtype))


def header_of_pair(path: Path) -> Path | None:
    """The header beside a file that may hold the voxels of a pair; None where there is none."""
    return _beside(path, PAIR_VOXELS, PAIR_HEADERS)


def _beside(path: Path, own: tuple[str, ...], other: tuple[str, ...]) -> Path | None:
    """The file whose name ends in one of `other` where that of `path` ends in one of `own`."""
    name = path.name.lower()
    suffix = next((end for end in sorted(own, key=len, reverse=True) if name.endswith(end)), None)
    if suffix is None:
        return None
    wanted = {name.removesuffix(suffix) + end for end in other}
    fits = [one for one in sorted(path.parent.iterdir()) if one.name.lower() in wanted]
    return next((one for one in fits if one.is_file()), None)


def _fields(path: Path, block: bytes) -> Any:
    """The header that the beginning of a file holds, as nibabel reads it, unchecked."""
    from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
    from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader
    from nibabel.spm2analyze import Spm2AnalyzeHeader
    from nibabel.spm99analyze import Spm99AnalyzeHeader

    is_pair = path.name.lower().endswith(PAIR_HEADERS)
    for kind in (
        (Nifti1PairHeader, Nifti2PairHeader, Spm2AnalyzeHeader, Spm99AnalyzeHeader)
        if is_pair
        else (Nifti1Header, Nifti2Header)
    ):
        size = kind.template_dtype.itemsize
        if len(block) >= size and kind.may_contain_header(block):
            return kind(block[:size], check=False)
    if is_pair:
        raise HeaderError("it begins neither as NIfTI nor as Analyze does")
    raise HeaderError("it does not begin as NIfTI does")


def _header(path: Path) -> _Header:
    """The header of a file, checked. Raises `HeaderError`, `UnsupportedError`, `ImageReadError`."""
    fields = _fields(path, beginning(path, LONGEST_HEADER))
    _known_type(fields)
    warnings = _repaired(fields)
    start = int(fields.get_data_offset())
    voxels = path
    if getattr(fields, "is_single", False):
        start = _start(fields, start, warnings)
    else:
        found = _beside(path, PAIR_HEADERS, PAIR_VOXELS)
        if found is None:
            name = path.name[: path.name.lower().rindex(".hdr")]
            raise ImageReadError(
                f"{path} is a header alone: {name}.img, which holds its voxels, is not beside it. "
                "Put both files into one folder."
            )
        voxels = found
    slope, intercept = _scaling(fields, warnings)
    return _Header(fields, voxels, start, slope, intercept, tuple(warnings))


#: Types of numbers that the format has and this reader has not, by their codes (nifti1.h).
NOT_READ = {
    0: "a type that its header does not name", 1: "single bits", 1536: "real numbers of 128 bits",
    2048: "complex numbers of 256 bits",
}  # fmt: skip


def _known_type(fields: Any) -> None:
    """Raise where the numbers are of a kind that is not read, by its name."""
    from nibabel.spatialimages import HeaderDataError

    code = int(fields["datatype"])
    try:
        is_read = fields.get_data_dtype().itemsize > 0
    except (HeaderDataError, KeyError):
        is_read = False
    if is_read:
        return
    if code not in NOT_READ:
        raise HeaderError(f"its header names a type of numbers that does not exist ({code})")
    raise UnsupportedError(
        f"stores its voxels as {NOT_READ[code]} (data type {code}), which is not read. Export it "
        "again as 16-bit or floating-point numbers."
    )


def _repaired(fields: Any) -> list[str]:
    """Warnings about what is wrong with a header and can be repaired, which it then is.

    Raises `HeaderError` for the rest.
    """
    from nibabel.spatialimages import HeaderDataError

    _check_offset(fields)
    spacing = tuple(float(d) for d in fields["pixdim"][1:4])
    fields["pixdim"][1:4] = np.where(np.isfinite(fields["pixdim"][1:4]), fields["pixdim"][1:4], 1)
    names = [name for name in CODES if name in (fields.template_dtype.names or ())]
    before = {name: int(fields[name]) for name in names}
    try:
        fields.check_fix(logger=_QUIET, error_level=ERROR_LEVEL)
    except HeaderDataError as error:
        raise HeaderError("its header does not follow the format") from error
    odd = [f"{name} {code}" for name, code in before.items() if int(fields[name]) != code]
    warnings = _spacing_warning(spacing, fields)
    if odd:
        warnings.append(
            f"The file states a kind of orientation that does not exist ({', '.join(odd)}): that "
            "orientation was not used. Sides and lengths may be wrong."
        )
    return warnings


def _check_offset(fields: Any) -> None:
    """Raise where voxels would begin within the header; 0 stands for "not stated"."""
    stated = float(fields["vox_offset"])
    least = float(getattr(fields, "single_vox_offset", 0))
    if not np.isfinite(stated) or stated < 0 or 0 < stated < least:
        raise HeaderError(f"vox offset {stated:g} too low or no number: voxels begin behind byte "
                          f"{least:g}")  # fmt: skip


def _start(fields: Any, stated: int, warnings: list[str]) -> int:
    """The byte at which voxels begin that lie behind their header in the same file.

    nibabel refuses a place within the header, but takes 0 as it is.
    """
    behind = int(fields.single_vox_offset)
    if stated >= behind:
        return stated
    warnings.append(
        "The file does not say where its voxels begin (vox_offset 0): they were read from the end "
        f"of the header (byte {behind})."
    )
    return behind


def _scaling(fields: Any, warnings: list[str]) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 means none (nifti1.h, "DATA SCALING"), as NaN does."""
    names = fields.template_dtype.names or ()
    slope = float(fields["scl_slope"]) if "scl_slope" in names else 0.0
    intercept = float(fields["scl_inter"]) if "scl_inter" in names else 0.0
    if slope == 0 or (np.isnan(slope) and not intercept > 0 and not intercept < 0):
        return 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        warnings.append(
            f"The file states a slope of {slope:g} and an intercept of {intercept:g}, which are no "
            "numbers to compute with: the stored numbers were taken as values."
        )
        return 1.0, 0.0
    return slope, intercept


def _stated_sizes(fields: Any) -> tuple[int, ...]:
    """The sizes of the axes, as many as the header states."""
    axes = int(fields["dim"][0])
    if not 1 <= axes <= 7:
        raise HeaderError(f"it states {axes} axes, and there are 1 to 7")
    return tuple(int(n) for n in fields["dim"][1 : 1 + axes])


def _counts(stated: tuple[int, ...]) -> tuple[tuple[int, ...], list[str]]:
    """The sizes, where an axis behind the third counts 1 if it states none; and a warning."""
    empty = [k for k, size in enumerate(stated, start=1) if k > 3 and size == 0]
    sizes = tuple(1 if k in empty else size for k, size in enumerate(stated, start=1))
    if not empty:
        return sizes, []
    return sizes, [
        f"The file counts 0 volumes (dim[{empty[0]}] is 0): the first one was read, for its voxels "
        "are there."
    ]


def _single_values(path: Path, fields: Any, shape: tuple[int, ...]) -> None:
    """Raise `ImageReadError` where a voxel holds several values: they lie along the fifth axis."""
    if len(shape) > 4 and shape[3] == 1 and shape[4] > 1:
        intent = str(fields.get_intent()[0]) if hasattr(fields, "get_intent") else "none"
        raise ImageReadError(
            f"{path} holds {shape[4]} values a voxel (intent: {intent}), which are not single real "
            "numbers. Export it as a grey-value volume."
        )


def _packing(path: Path, header: _Header) -> Packing:
    with header_read(path, "NIfTI"):
        return packing_of(header.voxels)


def _affine(fields: Any) -> Any:
    from nibabel.spatialimages import HeaderDataError

    try:
        return fields.get_best_affine()
    except (HeaderDataError, ValueError) as error:
        raise HeaderError("its orientation (quaternion) is no rotation") from error


def _geometry(path: Path, affine_ras: Any, shape: tuple[int, int, int], unit: str) -> Geometry:
    """The grid (slice, row, column) to LPS mm from an affine (i, j, k) to RAS; slice is k."""
    scale = UNITS_MM.get(unit, 1.0)
    affine = np.diag([scale, scale, scale, 1.0]) @ RAS_TO_LPS @ np.asarray(affine_ras, dtype=float)
    return grid_of(path, (shape[2], shape[1], shape[0]), affine[:, [2, 1, 0, 3]])


def _unit(fields: Any) -> tuple[str, list[str]]:
    """The unit of positions, and a warning where the header states a unit that does not exist."""
    if not hasattr(fields, "get_xyzt_units"):
        return "mm", []  # Analyze knows no other
    try:
        return str(fields.get_xyzt_units()[0]), []
    except KeyError:
        stated = int(fields["xyzt_units"])
        return "mm", [f"The file states no unit of length that exists ({stated}): mm is assumed."]


def _spacing_warning(stated: tuple[float, ...], fields: Any) -> list[str]:
    """A warning where spacing is needed and not stated; nibabel then takes 1 or drops the sign."""
    names = fields.template_dtype.names or ()
    if "sform_code" in names and int(fields["sform_code"]) > 0:
        return []  # its affine holds the spacing
    if all(np.isfinite(d) and d > 0 for d in stated):
        return []
    numbers = ", ".join(f"{d:g}" for d in stated)
    taken = ", ".join(f"{float(d):g}" for d in fields["pixdim"][1:4])
    return [
        f"The file states a spacing of {numbers}, which is none: {taken} is assumed. Lengths, "
        "areas and volumes may be wrong."
    ]


def _meaning(fields: Any) -> list[str]:
    """A warning where the header says that the values are those of a statistic."""
    if "intent_code" in (fields.template_dtype.names or ()) and (
        int(fields["intent_code"]) in STATISTICS
    ):
        return [
            f"The file is a map of a statistic ({fields.get_intent()[0]}): its values are not "
            "Hounsfield units, and CT windows will not fit."
        ]
    return []


def _orientation_warning(fields: Any) -> list[str]:
    """A warning where no affine is declared valid, or where the two that are differ."""
    from nibabel.spatialimages import HeaderDataError

    if "qform_code" not in (fields.template_dtype.names or ()):
        return [
            "Analyze files say nothing about orientation: left and right may be swapped, and "
            "the patient's directions are those that SPM assumes."
        ]
    codes = [int(fields[name]) for name in CODES]
    if not any(codes):
        return [
            "The file says nothing about orientation (qform and sform codes are 0); left and right "
            "may be swapped."
        ]
    if not all(codes):
        return []
    try:
        one, other = (m[:3, :3] for m in (fields.get_sform(), fields.get_qform()))
    except (ValueError, HeaderDataError):  # a quaternion a little longer than 1
        return ["The file's qform is no rotation (its quaternion is too long); its sform is used."]
    if np.allclose(one, other, rtol=0, atol=0.02 * float(np.abs(other).max())):
        return []
    return [
        "The file states two orientations that differ (sform and qform); the sform is used. "
        "Lengths and sides may be wrong."
    ]
