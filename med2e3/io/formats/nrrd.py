"""Read NRRD files (3D Slicer) as volumes. Knows nothing of other formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io.formats.array_file import (
    DAMAGE,
    ArrayFile,
    HeaderField,
    three_sizes,
    unreadable,
)
from med2e3.io.references import referenced
from med2e3.io.series import ScanResult
from med2e3.io.watch import Watch

#: The signs of x, y and z that take a patient space of NRRD to LPS.
SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}

#: Units of length, in mm.
UNITS_MM = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "cm": 10.0, "centimeter": 10.0,
    "m": 1000.0, "meter": 1000.0, "um": 0.001, "µm": 0.001, "μm": 0.001, "micron": 0.001,
    "microns": 0.001, "micrometer": 0.001, "nm": 1e-6,
}  # fmt: skip


#: Kinds of axes along which the volume is sampled, and what stands for a kind that is not stated;
#: along any other lie the values of a voxel (NRRD format definition, "kinds").
DOMAINS = frozenset(("domain", "space", "time", "none", "???"))


def scan_nrrd(path: Path) -> ScanResult:
    """The one volume of an NRRD file, from its header."""
    import nrrd  # here: a DICOM study opens without it

    try:
        header = nrrd.read_header(str(path))
        header = _without_values_axes(path, dict(header))
        sizes = three_sizes(path, tuple(int(n) for n in header["sizes"]))
        affine, warnings = _affine(header)
        if (name := header.get("data file", header.get("datafile"))) is not None:
            referenced(path, "data file", [str(name)])  # pynrrd would follow any
    except (nrrd.NRRDError, *DAMAGE) as error:
        raise unreadable(path, "NRRD", error) from error

    def read(_watch: Watch) -> Any:
        try:
            return nrrd.read(str(path), index_order="C")[0]
        except nrrd.NRRDError as error:
            raise ValueError(str(error)) from error

    shape = (sizes[2], sizes[1], sizes[0])
    return ArrayFile(path, Geometry(shape, affine), read, warnings=warnings).scan


def read_header(path: Path) -> Iterator[HeaderField]:
    """All fields of the header, arrays as lists."""
    import nrrd

    for key, value in nrrd.read_header(str(path)).items():
        yield HeaderField(str(key), value.tolist() if hasattr(value, "tolist") else value)


def _without_values_axes(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    """The header without the axes that are none of space or time, by their kind.

    Along such an axis lie the values of one voxel: the parts of a vector or a colour. Raises
    `ImageReadError` where there are several.
    """
    sizes = [int(n) for n in header["sizes"]]
    kinds = [str(kind).lower() for kind in header.get("kinds") or ()]
    if len(kinds) != len(sizes):
        return header
    for size, kind in zip(sizes, kinds, strict=True):
        if kind not in DOMAINS and size != 1:
            raise ImageReadError(
                f"{path} holds {size} values a voxel (an axis of kind {kind}), which are not "
                "single real numbers. Export it as a grey-value volume."
            )
    kept = [k for k, kind in enumerate(kinds) if kind in DOMAINS]
    for field in ("sizes", "space directions", "spacings", "units"):
        if (stated := header.get(field)) is not None and len(stated) == len(sizes):
            header[field] = [stated[k] for k in kept]
    return header


def _affine(header: Any) -> tuple[Any, tuple[str, ...]]:
    """The affine from (slice, row, column) to LPS mm, and warnings about what it assumes.

    The axes of the file are (column, row, slice).
    """
    signs = SPACES.get(str(header.get("space", "")).lower())
    affine = np.eye(4)
    warnings: tuple[str, ...] = ()
    if signs is None or "space directions" not in header:
        unknown = (
            f"The file names no patient space (space: {header.get('space', 'none')}); axes along "
            "the patient are assumed. Left and right may be swapped."
        )
        warnings = (unknown,)
    if "space directions" not in header:
        scale, odd = _units_mm(header.get("units"))
        spacing = np.asarray(header.get("spacings", (np.nan,) * 3), dtype=float)[:3] * scale
        if not np.isfinite(spacing).all():
            warnings = (*warnings, "The file states no spacing of voxels: 1 mm is assumed.")
        affine[:3, :3] = np.diag(np.where(np.isfinite(spacing), spacing, 1.0))[:, ::-1]
        return affine, (*warnings, *odd)
    signs = (1.0, 1.0, 1.0) if signs is None else signs  # as if it were LPS
    scale, odd = _units_mm(header.get("space units"))
    directions = np.asarray(header["space directions"], dtype=float)[:3]
    affine[:3, :3] = (directions * signs * scale).T[:, ::-1]
    origin = np.asarray(header.get("space origin", (0, 0, 0)), dtype=float)
    affine[:3, 3] = origin * signs * scale
    return affine, (*warnings, *odd)


def _units_mm(stated: Any) -> tuple[Any, tuple[str, ...]]:
    """Millimetres (3,) in each of three stated units, and a warning that names unknown units."""
    words = [str(word).strip('"').strip() for word in (stated or ())][:3]
    known = [UNITS_MM.get(word.lower(), 1.0) for word in words]
    odd = sorted({word for word in words if word and word.lower() not in UNITS_MM})
    warning = f"The file counts lengths in “{', '.join(odd)}”, which is unknown: mm is assumed."
    return np.array([*known, 1.0, 1.0, 1.0][:3]), (warning,) if odd else ()
