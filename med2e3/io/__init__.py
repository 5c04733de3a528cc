"""Reading and writing studies: DICOM, NIfTI and others to a `Volume` and back. No torch here."""

from med2e3.io.loading import list_series, load_volume
from med2e3.io.series import SeriesSummary

__all__ = ["SeriesSummary", "list_series", "load_volume"]
