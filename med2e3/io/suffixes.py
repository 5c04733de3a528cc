"""The suffixes of files that can be opened, for file dialogs, folder searches and messages.

Knows no readers: importing it costs no pydicom, so that a dialog opens at once.
"""

from __future__ import annotations

from med2e3.io import archive
from med2e3.io.formats import table

#: DICOM files often have other suffixes or none: a folder search tells them by their first bytes.
DICOM = (".dcm",)


def volume_suffixes() -> tuple[str, ...]:
    """Suffixes of files that are volumes by themselves, or archives of volumes."""
    return (*(suffix for one in table.FORMATS for suffix in one.suffixes), *archive.SUFFIXES)


def image_suffixes() -> tuple[str, ...]:
    """Suffixes of all files that can be opened, DICOM first."""
    return (*DICOM, *volume_suffixes())
