"""What says who a patient is, taken out of a series (PS3.15 Annex E, Basic Profile).

A series is written anew from its voxels and the few attributes of `SeriesInfo`: whatever else its
files hold, private elements and overlays among it, is not written at all. Knows no files.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from med2e3.volume import SeriesInfo

#: Attributes that are emptied or left out (PS3.15 Table E.1-1, actions Z and X), by their names in
#: `SeriesInfo` and in DICOM.
EMPTIED = {
    "patient_name": "Patient's Name", "patient_id": "Patient ID",
    "patient_birth_date": "Patient's Birth Date", "patient_sex": "Patient's Sex",
    "study_date": "Study Date", "study_time": "Study Time",
    "study_description": "Study Description", "accession_number": "Accession Number",
    "series_description": "Series Description",
}  # fmt: skip

#: UIDs that are replaced (action U), in one run always by the same new one: series of one study
#: stay together.
REPLACED = {
    "study_uid": "Study Instance UID", "series_uid": "Series Instance UID",
    "frame_of_reference_uid": "Frame of Reference UID",
}  # fmt: skip

#: Attributes that stay: they say how the images were made, not of whom.
KEPT = {
    "modality": "Modality", "body_part": "Body Part Examined", "kernel": "Convolution Kernel",
    "manufacturer": "Manufacturer", "series_number": "Series Number", "windows": "Window",
    "unit": "Rescale Type", "peak_kilovolts": "KVP", "exposure_mas": "Exposure",
}  # fmt: skip

#: What no header can take away.
STAYS = (
    "Text that is drawn into the pixels stays, and so does the shape of a face: look through the "
    "images before you pass them on."
)

#: The code of the profile (PS3.16 CID 7050), and its name.
PROFILE = ("113100", "DCM", "Basic Application Confidentiality Profile")

#: New UIDs come of this and the old one: without it nobody finds the old one by trying.
_SECRET = uuid.uuid4()


@dataclass(frozen=True)
class Deidentified:
    """A description without identity; `removed` are the DICOM names of what was there before."""

    info: SeriesInfo
    removed: tuple[str, ...]
    replaced: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was done, for people to read."""
        gone = ", ".join(self.removed) or "none was there"
        new = ", ".join((*self.replaced, "SOP Instance UIDs"))
        return (
            f"Removed: {gone}; and every attribute that is not named here.",
            f"New: {new}.",
            f"Kept: {', '.join(KEPT.values())}.",
            STAYS,
        )


def deidentified(info: SeriesInfo) -> Deidentified:
    """`info` without identity, and what was taken out of it."""
    gone = tuple(words for name, words in EMPTIED.items() if getattr(info, name))
    replaced = {name: new_uid(getattr(info, name)) for name in REPLACED if getattr(info, name)}
    changes: dict[str, Any] = {**dict.fromkeys(EMPTIED, ""), **replaced}
    cleaned = replace(info, **changes)
    return Deidentified(cleaned, gone, tuple(REPLACED[name] for name in replaced))


def new_uid(uid: str) -> str:
    """The UID in place of another one: always the same for the same one, until the program ends."""
    return f"2.25.{uuid.uuid5(_SECRET, uid).int}"
