"""Read the header of one DICOM file, without its pixels, as frames.

A classic CT image is one frame, an enhanced multi-frame file many. Knows nothing of series and how
their frames fit together.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from med2e3.errors import ImageReadError
from med2e3.io.dicom.attributes import (
    NOTHING,
    Attributes,
    Lookup,
    OddHeaderError,
    as_text,
    file_meta,
    modality_of,
    numbers,
    series_info,
    sop_class,
    transfer_syntax,
)
from med2e3.io.dicom.deflated import dicom_file
from med2e3.io.dicom.quick import (
    BINARY,
    DECIMALS,
    FLOAT_PIXELS,
    GE_SWAPPED_PIXELS,
    PIXEL_DATA,
    UNDEFINED,
    first_transfer_syntax,
    quick_header,
    quiet,
    tags_of,
)
from med2e3.io.dicom.skipped import VIDEO, is_picture, kind_of_object
from med2e3.io.dicom.telling import MOMENT, MOMENT_NAMES
from med2e3.io.dicom.values import Table, padding_of, rescale_of, table_of, unit_of
from med2e3.io.references import not_opened

# Scanners write values that the standard forbids (long UIDs, odd numbers). The viewer reads what
# is there and judges only what it needs; pydicom would print a warning for each.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").addHandler(logging.NullHandler())

#: What was read as it is meant, in sentences that begin with the files.
COMMA = "write numbers with a decimal comma; it was read as a point"
BINARY_DECIMALS = "hold numbers in binary that DICOM writes as text; they may be wrong"
SQUARE = "state one pixel spacing; pixels are taken as square"

#: The attributes read from a header. Skipping all others halves the time of a scan of rich headers.
KEYWORDS = (
    "SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID StudyDate AcquisitionTime Modality "
    "KVP Exposure ExposureInuAs XRayTubeCurrent ExposureTime "
    "Manufacturer StudyDescription SeriesDescription AccessionNumber PatientName PatientID "
    "PatientBirthDate PatientSex BodyPartExamined ConvolutionKernel "
    "NominalPercentageOfCardiacPhase TriggerTime ScanOptions EchoNumbers StudyInstanceUID "
    "SeriesInstanceUID SeriesNumber "
    "AcquisitionNumber ImagePositionPatient ImageOrientationPatient "
    "FrameOfReferenceUID TemporalPositionIdentifier StackID "
    "SamplesPerPixel PhotometricInterpretation "
    "NumberOfFrames Rows Columns PixelSpacing BitsAllocated BitsStored HighBit PixelRepresentation "
    "PixelPaddingValue PixelPaddingRangeLimit ModalityLUTSequence "
    "RescaleSlope RescaleIntercept RescaleType "
    "WindowCenter WindowWidth SliceThickness StudyTime ContentTime ContrastBolusAgent ProtocolName "
    "LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod "
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence"
)

#: The functional groups that attributes are read from (PS3.3 C.7.6.16.2).
GROUPS = (
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence",
    "PixelValueTransformationSequence", "FrameVOILUTSequence",
)  # fmt: skip

_TAGS: list[Any] = [tag_for_keyword(word) for word in KEYWORDS.split()]

_WANTED = tags_of(KEYWORDS)

#: The attributes read that are decimal numbers as text, by tag.
DECIMAL_TAGS = frozenset(tag for tag in _TAGS if dictionary_VR(tag) == "DS")

_MOMENT_KEYWORDS = tuple(row.keyword for row in MOMENT)


IMAGE_TYPE, KERNEL, THICKNESS = (
    MOMENT_NAMES.index(name) for name in ("image type", "kernel", "slice thickness")
)


@dataclass(frozen=True)
class Pixels:
    """How the pixels of a file are stored.

    Uncompressed ones begin at byte `offset`, of what the file inflates to if it is deflated.
    `padding` is the lowest and the highest stored number that stands for no data. `length` is the
    length of Pixel Data in bytes; None where it is undefined, as for pixels packed in items, or not
    known. The numbers of Float and Double Float Pixel Data are `is_float`.
    """

    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    big_endian: bool
    offset: int
    padding: tuple[int, int] | None
    length: int | None = None
    is_float: bool = False

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.allocated // 8


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: its position in the patient, and the rescaling of its stored numbers.

    `position` and `spacing` are in mm. `rescale` is (slope, intercept), or None if the file gives
    none that can be used. `is_rescale_stated` says whether the file gives both, `unit` is the
    Rescale Type. `table` gives the values of stored numbers in place of `rescale`. `moment` tells
    the image apart from others at its position (`MOMENT_NAMES`). `remarks` say what is written in
    an odd way and was read as it is meant.
    """

    path: Path
    number: int
    header: Attributes
    uid: str
    pixels: Pixels
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    rescale: tuple[float, float] | None
    unit: str
    moment: tuple[str, ...]
    is_rescale_stated: bool = True
    table: Table | None = None
    remarks: tuple[str, ...] = ()

    @property
    def image_type(self) -> str:
        """The values of ImageType, joined by backslashes."""
        return self.moment[IMAGE_TYPE]

    @property
    def kernel(self) -> str:
        """The convolution kernel, several values joined by backslashes."""
        return self.moment[KERNEL]

    @property
    def thickness(self) -> str:
        """The declared slice thickness in mm."""
        return self.moment[THICKNESS]

    @property
    def name(self) -> str:
        """The file in a sentence; of a file of several images also which."""
        several = int(self.header.get("NumberOfFrames") or 1) > 1
        return f"{self.path.name} (frame {self.number + 1})" if several else self.path.name

    @property
    def is_ct(self) -> bool:
        """Whether the file says that it is CT."""
        return modality_of(self.header) == "CT"

    @property
    def has_position(self) -> bool:
        """Whether position, orientation and pixel spacing are all there."""
        return (len(self.position), len(self.orientation), len(self.spacing)) == (3, 6, 2)


@dataclass(frozen=True, eq=False)
class Header:
    """One DICOM file: its attributes, and its frames if it holds grey images.

    `reason` says why a file has no frames; `is_image` whether it holds images that can be seen one
    by one all the same.
    """

    path: Path
    dataset: Attributes
    frames: tuple[Frame, ...]
    reason: str = ""
    is_image: bool = False

    @property
    def is_directory(self) -> bool:
        """Whether the file is the table of contents of a medium (DICOMDIR)."""
        return bool(sop_class(self.dataset) == MediaStorageDirectoryStorage)


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM does, with or without the 128-byte preamble."""
    with path.open("rb") as file:
        start = file.read(132)
    return _has_preamble(start) or _begins_with_an_element(start)


def _has_preamble(start: bytes) -> bool:
    return start[128:132] == b"DICM"


def _begins_with_an_element(start: bytes) -> bool:
    """Whether the bytes are an element of group 0002 or 0008 (PS3.5 7.1).

    Files from before 1993, and from some tools until today, have no preamble.
    """
    if len(start) < 132 or start[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    explicit = start[4:6] in (b"UL", b"UI", b"CS", b"DA", b"TM", b"SH", b"LO")
    return explicit or int.from_bytes(start[4:8], "little") <= 64  # no first element is longer


def read_header(path: Path) -> Header | None:
    """The header of a DICOM file, or None if the file is something else.

    Raises `ImageReadError` when the file begins as DICOM but cannot be understood.
    """
    try:
        quick = quick_header(path, _WANTED)
        if quick is not None:
            dataset, offset = quick
            place = _Place(offset, dataset.pixel_length, dataset.pixel_tag)
            return _header(path, dataset, place)
        if not is_dicom(path):
            return None
        with quiet():
            return _header(path, *_whole_header(path), convert=True)
    except OSError as error:
        raise not_opened(path, error) from error
    except Exception as error:  # a damaged header can fail in any of pydicom's converters
        odd = isinstance(error, OddHeaderError)
        why = str(error) if odd else "one of its elements is damaged"
        raise ImageReadError(
            f"{path}: the DICOM header cannot be read: {why}. "
            "The file is damaged; copy or send it again, or take it out of the folder."
        ) from error


class _Place(NamedTuple):
    """Where the pixels of a file lie: first byte, length in bytes, and their tag.

    The byte is None without pixels; in a deflated file it is that of what the file inflates to. The
    length is None where it is undefined or not known.
    """

    offset: int | None
    length: int | None = None
    tag: int = PIXEL_DATA


def _header(
    path: Path, dataset: Attributes, place: _Place, *, convert: bool = False
) -> Header | None:
    """The header from its attributes; None for a file that only looked like DICOM."""
    if not sop_class(dataset) and "Modality" not in dataset:
        return None
    if convert:
        _convert(dataset)
    frames, reason = _frames(path, dataset, place)
    is_image = not frames and place.offset is not None and is_picture(dataset)
    return Header(path, dataset, frames, reason, is_image)


def _whole_header(path: Path) -> tuple[Dataset, _Place]:
    """The attributes as pydicom reads them, and where the pixels lie."""
    with dicom_file(path) as file:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        keep_first_syntax(dataset, path)
        return dataset, _pixel_place(file, dataset)


def _convert(dataset: Dataset) -> None:
    """Convert the attributes that pydicom converts when they are read first.

    One that cannot be converted must stop its own file, not the whole scan.
    """
    dataset.has_commas = _without_commas(dataset, _TAGS)
    dataset.has_binary = _is_binary(dataset)
    for tag in _TAGS:
        dataset.get(tag)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for own in dataset.get(keyword) or ():
            for group in filter(None, map(own.get, GROUPS)):
                dataset.has_commas |= _without_commas(group[0], list(group[0].keys()))
                dataset.has_binary |= _is_binary(group[0])
    series_info(dataset)


def _is_binary(dataset: Dataset) -> bool:
    """Whether a number by which images are measured is not the text that DICOM has there."""
    stated = (dataset.get_item(word) for word in DECIMALS if word in dataset)
    return any(one is not None and one.VR in BINARY for one in stated)


def _without_commas(dataset: Dataset, tags: Sequence[Any]) -> bool:
    """Put points in place of the decimal commas of numbers; returns whether there were any."""
    found = False
    for tag in tags:
        raw = dataset.get_item(tag)
        if not isinstance(raw, RawDataElement) or b"," not in (raw.value or b""):
            continue
        if raw.VR in ("DS", None) and raw.tag in DECIMAL_TAGS:
            dataset[raw.tag] = raw._replace(value=(raw.value or b"").replace(b",", b"."))
            found = True
    return found


def keep_first_syntax(dataset: Dataset, path: Path) -> None:
    """Let the first of two statements of the transfer syntax count; pydicom takes the last."""
    first = first_transfer_syntax(path)
    if first and first != file_meta(dataset, "TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = UID(first)


def _pixel_place(file: BinaryIO, dataset: Dataset) -> _Place:
    start = file.tell()
    head = file.read(12)
    if len(head) < 8:
        return _Place(None)
    order = "<" if _is_little(dataset) else ">"
    group, element = struct.unpack(f"{order}HH", head[:4])
    tag = group << 16 | element
    if not FLOAT_PIXELS <= tag <= PIXEL_DATA:
        return _Place(None)
    explicit = head[4:6] in (b"OW", b"OB", b"UN", b"OF", b"OD") and head[6:8] == b"\0\0"
    begin = 12 if explicit else 8
    length = int(struct.unpack(f"{order}I", head[begin - 4 : begin])[0])
    return _Place(start + begin, None if length == UNDEFINED else length, tag)


def _frames(path: Path, dataset: Attributes, place: _Place) -> tuple[tuple[Frame, ...], str]:
    """The frames of a file, or none and the reason."""
    if place.offset is None:
        kind = sop_class(dataset).name
        if kind.endswith("Image Storage"):
            raise OddHeaderError("it is of an image, and ends before the pixels")
        return (), f"{kind or 'DICOM object'} without an image"
    special = kind_of_object(dataset)
    if special is not None and special.is_derived:
        return (), f"a {special.name}, not images of a patient"
    if special is VIDEO:
        return (), f"a video ({transfer_syntax(dataset).name}), which is not played here"
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or not _is_grey(dataset):
        return (), "colour images, not CT values"
    pixels = _pixels(dataset, place.offset, place)
    count = int(dataset.get("NumberOfFrames") or 1)
    described = len(dataset.get("PerFrameFunctionalGroupsSequence") or [None])
    if count != described:
        return (), f"{count} frames in one file, of which {described} have a position"
    return tuple(_each_frame(path, dataset, pixels)), ""


def _is_grey(dataset: Attributes) -> bool:
    """Whether a stored number is a value: a palette's one is the place of a colour in a table."""
    stated = as_text(dataset.get("PhotometricInterpretation")).upper()
    return not stated or stated.startswith("MONOCHROME")


def _pixels(dataset: Attributes, offset: int, place: _Place) -> Pixels:
    is_float = place.tag != PIXEL_DATA
    if is_float:
        allocated = 32 if place.tag == FLOAT_PIXELS else 64
    else:
        allocated = _needed(dataset, "BitsAllocated")
    stored = allocated if is_float else int(dataset.get("BitsStored") or allocated)
    stated = None if is_float else dataset.get("HighBit")
    high_bit = stored - 1 if stated is None else int(stated)
    if not 0 < stored <= high_bit + 1 <= allocated:
        raise OddHeaderError(
            f"bits {high_bit} and below cannot hold {stored} stored bits of {allocated} allocated"
        )
    return Pixels(
        rows=_needed(dataset, "Rows"),
        columns=_needed(dataset, "Columns"),
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=bool(dataset.get("PixelRepresentation")),
        big_endian=not _is_little(dataset) or transfer_syntax(dataset) == GE_SWAPPED_PIXELS,
        offset=offset,
        padding=None if is_float else padding_of(dataset, allocated),
        is_float=is_float,
        length=place.length,
    )


def _is_little(dataset: Attributes) -> bool:
    return getattr(dataset, "original_encoding", (None, True))[1] is not False


def _needed(dataset: Attributes, keyword: str) -> int:
    value = dataset.get(keyword)
    if value is None:
        raise OddHeaderError(f"{keyword} is missing")
    if int(value) < 1:
        raise OddHeaderError(f"{keyword} is {int(value)}")
    return int(value)


def _each_frame(path: Path, dataset: Attributes, pixels: Pixels) -> Iterator[Frame]:
    """The one frame of a classic image, or each frame of an enhanced file."""
    remarks = tuple(
        words
        for name, words in (("has_commas", COMMA), ("has_binary", BINARY_DECIMALS))
        if getattr(dataset, name, False)
    )
    uid = str(dataset.get("SOPInstanceUID") or file_meta(dataset, "MediaStorageSOPInstanceUID"))
    for number, own in enumerate(dataset.get("PerFrameFunctionalGroupsSequence") or [NOTHING]):
        find = Lookup(dataset, own)
        slope, intercept, unit = (
            find("PixelValueTransformationSequence", keyword)
            for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType")
        )
        rescale = rescale_of(slope, intercept)
        table = table_of(dataset) if rescale is None else None
        spacing = numbers(find("PixelMeasuresSequence", "PixelSpacing"))
        yield Frame(
            path=path,
            number=number,
            header=dataset,
            uid=uid,
            pixels=pixels,
            position=numbers(find("PlanePositionSequence", "ImagePositionPatient")),
            orientation=numbers(find("PlaneOrientationSequence", "ImageOrientationPatient")),
            spacing=spacing * 2 if len(spacing) == 1 else spacing,
            rescale=rescale,
            unit=unit_of(unit) or ("" if table is None else table.kind),
            moment=_moment(dataset, find),
            is_rescale_stated=table is not None or None not in (slope, intercept, rescale),
            table=table,
            remarks=remarks if len(spacing) == 2 or not spacing else (*remarks, SQUARE),
        )


def _moment(dataset: Attributes, find: Lookup) -> tuple[str, ...]:
    """The values of `MOMENT_NAMES`, which tell two images at one position apart."""
    values = [dataset.get(keyword) for keyword in _MOMENT_KEYWORDS]
    if find.groups:  # a classic image has none
        for k, row in enumerate(MOMENT):
            own = find(row.group, row.frame_keyword) if row.group else None
            values[k] = own or values[k]
    return tuple(f"{v:g}" if isinstance(v, float) else as_text(v or "") for v in values)
