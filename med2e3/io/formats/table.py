"""The formats of files that hold one volume by themselves, one row each.

Opening, headers, folder searches and file dialogs all follow from this table. A further format is a
module beside this one and a row here. Knows nothing of DICOM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from med2e3.io.formats import metaimage, nifti, npy, nrrd
from med2e3.io.formats.array_file import HeaderField
from med2e3.io.series import ScanResult


@dataclass(frozen=True)
class Format:
    """One file format: its name, the suffixes of its files in small letters, and its two readers.

    `scan` finds the volume of a file from its header, and raises `ImageReadError`. `read_header`
    gives the fields of the header in their order in the file, and may raise anything on a damaged
    one. `header_of` finds the header beside a file that may hold the voxels of one: None for no
    such file.
    """

    name: str
    suffixes: tuple[str, ...]
    scan: Callable[[Path], ScanResult]
    read_header: Callable[[Path], Iterator[HeaderField]]
    header_of: Callable[[Path], Path | None] = lambda _: None


#: Asked in this order; the first one whose suffix fits reads the file.
FORMATS: tuple[Format, ...] = (
    Format(
        "NIfTI",
        (".nii", ".nii.gz", *nifti.PAIR_HEADERS),
        nifti.scan_nifti,
        nifti.read_header,
        nifti.header_of_pair,
    ),
    Format("NRRD", (".nrrd", ".nhdr"), nrrd.scan_nrrd, nrrd.read_header),
    Format("MetaImage", (".mha", ".mhd"), metaimage.scan_metaimage, metaimage.read_header),
    Format("NumPy", (".npy",), npy.scan_npy, npy.read_header),
)


def format_of(path: Path) -> Format | None:
    """The format that the file's name stands for; None for DICOM files and all others."""
    name = path.name.lower()
    return next((one for one in FORMATS if name.endswith(one.suffixes)), None)


def header_beside(path: Path) -> Path | None:
    """The header beside a file whose name says that it holds voxels alone; None for none."""
    return next((found for one in FORMATS if (found := one.header_of(path)) is not None), None)
