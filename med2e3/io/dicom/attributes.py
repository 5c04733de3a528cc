"""Read DICOM attributes as plain values: texts, numbers, windows, the description of a series.

Knows the layout of a data set, nothing of files, pixels or geometry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)

from med2e3.io.dicom.quick import GE_SWAPPED_PIXELS, QuickHeader
from med2e3.volume import WIDEST_WINDOW, SeriesInfo, Window
from med2e3.words import shown

#: What attributes are read from: pydicom's data set, or the quick reader's.
Attributes: TypeAlias = Dataset | QuickHeader | Mapping[str, Any]

#: The transfer syntaxes whose pixels lie in the file as they are. A syntax that is not known may
#: store them in any way, and counts as compressed: decoding then refuses it by its name.
NATIVE_SYNTAXES = frozenset(
    (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, GE_SWAPPED_PIXELS)
)

#: The SOP classes of CT images.
CT_CLASSES = frozenset(
    (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
)


class OddHeaderError(ValueError):
    """An attribute of a header cannot be what it states; the message is for people to read."""


#: An item with no attributes.
NOTHING: Mapping[str, Any] = {}


def transfer_syntax(dataset: Attributes) -> UID:
    """The transfer syntax that the file declares; implicit little endian if it declares none."""
    return _uid(file_meta(dataset, "TransferSyntaxUID") or ImplicitVRLittleEndian)


def sop_class(dataset: Attributes) -> UID:
    """The SOP class of the object.

    De-identified files may state it in the file meta information only.
    """
    return _uid(str(dataset.get("SOPClassUID") or file_meta(dataset, "MediaStorageSOPClassUID")))


@lru_cache(maxsize=256)
def _uid(text: str) -> UID:
    """A UID, cached: a study has few, and making one takes a tenth of the time of a header."""
    return UID(text)


def file_meta(dataset: Attributes, keyword: str) -> str:
    """An attribute of the file meta information; empty if it is absent."""
    return str((getattr(dataset, "file_meta", None) or NOTHING).get(keyword) or "")


class Lookup:
    """Reads attributes of one frame: from its own functional group, the shared one, or the file.

    The groups are those of PS3.3 C.7.6.16. A classic image has none: the file has its attributes.
    """

    def __init__(self, dataset: Attributes, own: Attributes) -> None:
        groups = (own, first_item(dataset, "SharedFunctionalGroupsSequence"))
        self.groups = tuple(group for group in groups if group is not NOTHING)
        self.dataset = dataset

    def __call__(self, sequence: str, keyword: str) -> Any:
        """The attribute `keyword` of the functional group `sequence`; None if it is absent."""
        for group in self.groups:
            value = first_item(group, sequence).get(keyword)
            if value is not None:
                return value
        return self.dataset.get(keyword)


def first_item(dataset: Attributes, keyword: str) -> Attributes:
    """The first item of a sequence; an empty one if there is none."""
    sequence = dataset.get(keyword)
    return sequence[0] if sequence else NOTHING


def numbers(value: Any) -> tuple[float, ...]:
    """A multi-valued number as floats, also one that is written as a text; empty if it is none."""
    if type(value) is tuple:  # the quick reader's; asking for abstract classes takes longer
        return tuple(map(float, value))
    if isinstance(value, str):
        try:
            return tuple(float(part.replace(",", ".")) for part in value.split("\\"))
        except ValueError:
            return ()
    if isinstance(value, float | int):
        return (float(value),)
    if value is None:
        return ()
    return tuple(float(x) for x in value) if isinstance(value, Sequence | MultiValue) else ()


def text(dataset: Attributes, keyword: str) -> str:
    """An attribute as text, several values joined as DICOM does; empty if absent."""
    return as_text(dataset.get(keyword))


def as_text(value: Any) -> str:
    """A value as text that can be shown, several joined as DICOM does; empty for none."""
    if type(value) is str:
        return shown(value.strip())
    if isinstance(value, MultiValue | list | tuple):
        return shown("\\".join(str(v) for v in value))
    return "" if value is None else shown(str(value).strip())


def modality_of(dataset: Attributes) -> str:
    """The modality that the file states, else that of its SOP class where this is CT."""
    stated = text(dataset, "Modality").upper()
    return stated or ("CT" if sop_class(dataset) in CT_CLASSES else "")


def series_info(dataset: Attributes) -> SeriesInfo:
    """What the header says about patient, study and series."""
    return SeriesInfo(
        patient_name=text(dataset, "PatientName"),
        patient_id=text(dataset, "PatientID"),
        patient_birth_date=text(dataset, "PatientBirthDate"),
        patient_sex=text(dataset, "PatientSex"),
        study_uid=text(dataset, "StudyInstanceUID"),
        study_date=text(dataset, "StudyDate"),
        study_description=text(dataset, "StudyDescription"),
        accession_number=text(dataset, "AccessionNumber"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        series_number=text(dataset, "SeriesNumber"),
        series_description=text(dataset, "SeriesDescription"),
        modality=modality_of(dataset),
        body_part=text(dataset, "BodyPartExamined"),
        kernel=text(dataset, "ConvolutionKernel"),
        manufacturer=text(dataset, "Manufacturer"),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
        windows=windows(dataset),
        study_time=text(dataset, "StudyTime"),
        peak_kilovolts=text(dataset, "KVP"),
        exposure_mas=exposure_text((exposure_of(dataset),)),
    )


def exposure_of(dataset: Attributes) -> float | None:
    """The exposure of an image in mAs (PS3.3 C.8.2.1); None where nothing states it.

    It is Exposure, in mAs; else Exposure in µAs; else the tube's current (mA) times the time (ms).
    """
    find = Lookup(dataset, first_item(dataset, "PerFrameFunctionalGroupsSequence"))
    for keyword, unit in (("Exposure", 1.0), ("ExposureInuAs", 1e-3), ("ExposureInmAs", 1.0)):
        stated = _one_number(find("CTExposureSequence", keyword))
        if stated:
            return stated * unit
    current, time = (_one_number(dataset.get(k)) for k in ("XRayTubeCurrent", "ExposureTime"))
    return current * time / 1000 if current and time else None


def exposure_text(stated: Iterable[float | None]) -> str:
    """The exposures of several images as text: one number, or the least and the most."""
    known = [mas for mas in stated if mas is not None]
    if not known:
        return ""
    ends = (min(known), max(known))
    return "–".join(dict.fromkeys(f"{mas:.0f}" if mas >= 10 else f"{mas:.1f}" for mas in ends))


def _one_number(value: Any) -> float | None:
    try:
        found = numbers(value)
    except ValueError:
        return None
    return found[0] if found and 0 < found[0] < math.inf else None


def windows(dataset: Attributes) -> tuple[Window, ...]:
    """The windows that the file stores, each once, in their order.

    A file of many frames gives those of the first frame.
    """
    find = Lookup(dataset, first_item(dataset, "PerFrameFunctionalGroupsSequence"))
    pairs = []
    for keyword in ("WindowCenter", "WindowWidth"):
        try:
            pairs.append(numbers(find("FrameVOILUTSequence", keyword)))
        except ValueError:  # no number, as "wide"
            return ()
    found = [
        Window(c, w)
        for c, w in zip(*pairs, strict=False)
        if abs(c) <= WIDEST_WINDOW and 0 < w <= WIDEST_WINDOW
    ]
    return tuple(dict.fromkeys(found))
