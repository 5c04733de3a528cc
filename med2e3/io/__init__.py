"""Reading and writing studies: DICOM, NIfTI and others to a `Volume` and back. No torch here.

The readers load when first used: a file dialog asks for suffixes before anything is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from med2e3.lazy import from_homes

if TYPE_CHECKING:
    from med2e3.io.loading import Source, list_series, load_volume, open_source
    from med2e3.io.series import SeriesSummary
    from med2e3.io.watch import Watch
    from med2e3.io.write import write_dicom_series, write_nifti

#: Where each public name lives; it is imported on first use.
_HOMES = {
    "SeriesSummary": "med2e3.io.series",
    "Source": "med2e3.io.loading",
    "Watch": "med2e3.io.watch",
    "list_series": "med2e3.io.loading",
    "load_volume": "med2e3.io.loading",
    "open_source": "med2e3.io.loading",
    "write_dicom_series": "med2e3.io.write",
    "write_nifti": "med2e3.io.write",
}

__all__ = [
    "SeriesSummary",
    "Source",
    "Watch",
    "list_series",
    "load_volume",
    "open_source",
    "write_dicom_series",
    "write_nifti",
]

__getattr__ = from_homes(__name__, _HOMES)
