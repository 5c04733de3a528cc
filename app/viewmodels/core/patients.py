"""Who a patient is: told apart by ID, name and birth date, and named as a reader reads it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

from med2e3.volume import SeriesInfo, Volume
from med2e3.words import person_name

#: Bytes of a file name that tell the series: systems take 255 of the whole name.
LONGEST_STEM = 100

#: ID, name and birth date, each empty where it is not given.
PatientKey = tuple[str, str, str]


def patient_key(info: SeriesInfo) -> PatientKey:
    """The same for every series of a patient; name and birth date count, since IDs are local."""
    # Beside the name in letters, a file may or may not have it in other scripts.
    letters = info.patient_name.split("=")[0] or info.patient_name
    name = person_name(letters).casefold()
    return info.patient_id, name, info.patient_birth_date


def is_named(info: SeriesInfo) -> bool:
    """Whether a series says whose it is: a birth date alone is that of many."""
    key = patient_key(info)
    return bool(key[0] or key[1])


def known_same(one: SeriesInfo, other: SeriesInfo) -> bool:
    """Whether anything says that two series are of one patient; two without a name are not."""
    if is_named(one) and is_named(other):
        return not different_patients(one, other)
    uids = (
        (one.study_uid, other.study_uid),
        (one.frame_of_reference_uid, other.frame_of_reference_uid),
        (one.series_uid, other.series_uid),
    )
    return any(a and a == b for a, b in uids)


def different_patients(one: SeriesInfo, other: SeriesInfo) -> str:
    """A sentence on how two series name different patients; empty where they do not."""
    pairs = zip(patient_key(one), patient_key(other), strict=True)
    id_differs, *others_differ = (bool(a and b and a != b) for a, b in pairs)
    if any(others_differ):
        return f"Different patients: {_who(one)} and {_who(other)}"
    return f"Different patient IDs: {one.patient_id} and {other.patient_id}" if id_differs else ""


def _who(info: SeriesInfo) -> str:
    about = details(info)
    return f"{patient_name(info)} ({about})" if info.patient_name and about else patient_name(info)


def same_patients(keys: Collection[PatientKey]) -> dict[PatientKey, PatientKey]:
    """The patient of each key: an ID with less beside it is that of the only one it can be."""
    by_id: dict[str, list[PatientKey]] = defaultdict(list)
    for key in keys:
        by_id[key[0]].append(key)
    found = {}
    for key in keys:
        same = by_id[key[0]] if key[0] else [key]
        whole = [k for k in same if not any(k != more and _is_part(k, more) for more in same)]
        fits = [k for k in whole if _is_part(key, k)]
        found[key] = fits[0] if len(fits) == 1 else key
    return found


def _is_part(key: PatientKey, more: PatientKey) -> bool:
    return all(a in ("", b) for a, b in zip(key, more, strict=True))


def patient_name(info: SeriesInfo) -> str:
    """The patient's name as it is read, or what stands for it."""
    return person_name(info.patient_name) or info.patient_id or "Patient not named"


def date(dicom: str) -> str:
    """A DICOM date (YYYYMMDD) as it is read; anything else unchanged."""
    is_date = len(dicom) == 8 and dicom.isdecimal()
    return f"{dicom[:4]}-{dicom[4:6]}-{dicom[6:]}" if is_date else dicom


def about(volume: Volume) -> list[str]:
    """Whose series a volume is and which one, in lines for the head of a report."""
    info = volume.info
    whose = " · ".join(filter(None, (person_name(info.patient_name), details(info))))
    number = f"accession {info.accession_number}" if info.accession_number else ""
    study = " · ".join(filter(None, (date(info.study_date), info.study_description, number)))
    return [
        f"Patient: {whose or 'not named'}",
        f"Study: {study or 'not named'}",
        f"Series: {volume.name}",
    ]


def file_stem(volume: Volume | None, *, named: bool = True) -> str:
    """What file names of a series begin with, e.g. "Doe-John-4711-20240131-3-Chest".

    `named` False leaves the patient out. Letters and digits alone, so that every system takes it.
    """
    if volume is None:
        return ""
    info = volume.info
    whose = (person_name(info.patient_name), info.patient_id) if named else ()
    words = (*whose, info.study_date, info.series_number, volume.name)
    parts = (re.sub(r"[^\w]+", "-", word).strip("-_") for word in words)
    stem = "-".join(part for part in parts if part)
    return stem.encode()[:LONGEST_STEM].decode(errors="ignore").rstrip("-")


def details(info: SeriesInfo) -> str:
    """The patient's ID, sex and birth date in one line."""
    words = (info.patient_id, info.patient_sex, date(info.patient_birth_date))
    return " · ".join(filter(None, words))
