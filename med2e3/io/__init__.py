"""Reading and writing studies: DICOM, NIfTI and others to a `Volume` and back. No torch here."""

from med2e3.io.loading import Source, list_series, load_volume, open_source
from med2e3.io.series import SeriesSummary
from med2e3.io.watch import Watch
from med2e3.io.write import write_dicom_series, write_nifti

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
