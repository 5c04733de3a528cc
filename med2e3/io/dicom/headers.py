"""Read the header of one DICOM file, without its pixels, as frames.

A classic CT image is one frame, an enhanced multi-frame file many. Knows nothing of series and how
their frames fit together.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID, MediaStorageDirectoryStorage

from med2e3.errors import ImageReadError
from med2e3.io.dicom.attributes import (
    NOTHING,
    Attributes,
    Lookup,
    as_text,
    file_meta,
    numbers,
    series_info,
    sop_class,
    transfer_syntax,
)
from med2e3.io.dicom.deflated import dicom_file
from med2e3.io.dicom.quick import (
    GE_SWAPPED_PIXELS,
    UNDEFINED,
    first_transfer_syntax,
    quick_header,
    quiet,
    tags_of,
)
from med2e3.io.dicom.skipped import kind_of_object
from med2e3.io.dicom.telling import MOMENT, MOMENT_NAMES
from med2e3.io.references import not_opened

# Scanners write values that the standard forbids (long UIDs, odd numbers). The viewer reads what
# is there and judges only what it needs; pydicom would print a warning for each.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

#: The tag of Pixel Data. (Float Pixel Data is not used by CT.)
PIXEL_DATA = (0x7FE0, 0x0010)

#: The attributes read from a header. Skipping all others halves the time of a scan of rich headers.
KEYWORDS = (
    "SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID StudyDate AcquisitionTime Modality "
    "KVP Manufacturer StudyDescription SeriesDescription AccessionNumber PatientName PatientID "
    "PatientBirthDate PatientSex BodyPartExamined ConvolutionKernel "
    "NominalPercentageOfCardiacPhase TriggerTime ScanOptions EchoNumbers StudyInstanceUID "
    "SeriesInstanceUID SeriesNumber "
    "AcquisitionNumber ImagePositionPatient ImageOrientationPatient "
    "FrameOfReferenceUID TemporalPositionIdentifier StackID "
    "SamplesPerPixel PhotometricInterpretation "
    "NumberOfFrames Rows Columns PixelSpacing BitsAllocated BitsStored HighBit PixelRepresentation "
    "PixelPaddingValue PixelPaddingRangeLimit RescaleSlope RescaleIntercept RescaleType "
    "WindowCenter WindowWidth SliceThickness StudyTime ContentTime ContrastBolusAgent ProtocolName "
    "LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod "
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence"
)

_TAGS: list[Any] = [tag_for_keyword(word) for word in KEYWORDS.split()]

_WANTED = tags_of(KEYWORDS)


IMAGE_TYPE, KERNEL, THICKNESS = (
    MOMENT_NAMES.index(name) for name in ("image type", "kernel", "slice thickness")
)


@dataclass(frozen=True)
class Pixels:
    """How the pixels of a file are stored.

    Uncompressed ones begin at byte `offset`, of what the file inflates to if it is deflated.
    `padding` is the lowest and the highest stored number that stands for no data. `length` is the
    length of Pixel Data in bytes; None where it is undefined, as for pixels packed in items, or not
    known.
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

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.allocated // 8


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: its position in the patient, and the rescaling of its stored numbers.

    `position` and `spacing` are in mm. `rescale` is (slope, intercept), or None if the file gives
    none that can be used. `is_rescale_stated` says whether the file gives both, `unit` is the
    Rescale Type. `moment` tells the image apart from others at its position (`MOMENT_NAMES`).
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
        return as_text(self.header.get("Modality")) == "CT"

    @property
    def has_position(self) -> bool:
        """Whether position, orientation and pixel spacing are all there."""
        return (len(self.position), len(self.orientation), len(self.spacing)) == (3, 6, 2)


@dataclass(frozen=True, eq=False)
class Header:
    """One DICOM file: its attributes, and its frames if it holds grey images.

    `reason` says why a file has no frames.
    """

    path: Path
    dataset: Attributes
    frames: tuple[Frame, ...]
    reason: str = ""

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
            return _header(path, *quick, quick[0].pixel_length)
        if not is_dicom(path):
            return None
        with quiet():
            return _header(path, *_whole_header(path), convert=True)
    except OSError as error:
        raise not_opened(path, error) from error
    except Exception as error:  # a damaged header can fail in any of pydicom's converters
        why = str(error) if isinstance(error, HeaderError) else "one of its elements is damaged"
        raise ImageReadError(
            f"{path}: the DICOM header cannot be read: {why}. "
            "The file is damaged; copy or send it again, or take it out of the folder."
        ) from error


class HeaderError(ValueError):
    """What is wrong with a header, as a clause of ours."""


def _header(
    path: Path,
    dataset: Attributes,
    offset: int | None,
    length: int | None,
    *,
    convert: bool = False,
) -> Header | None:
    """The header from its attributes; None for a file that only looked like DICOM."""
    if not sop_class(dataset) and "Modality" not in dataset:
        return None
    if convert:
        _convert(dataset)
    return Header(path, dataset, *_frames(path, dataset, offset, length))


def _whole_header(path: Path) -> tuple[Dataset, int | None, int | None]:
    """The attributes as pydicom reads them, and where the pixels begin and how long they are."""
    with dicom_file(path) as file:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        keep_first_syntax(dataset, path)
        return dataset, *_pixel_place(file, dataset)


def _convert(dataset: Attributes) -> None:
    """Convert the attributes that pydicom converts when they are read first.

    One that cannot be converted must stop its own file, not the whole scan.
    """
    for word in KEYWORDS.split():
        dataset.get(word)
    series_info(dataset)


def keep_first_syntax(dataset: Dataset, path: Path) -> None:
    """Let the first of two statements of the transfer syntax count; pydicom takes the last."""
    first = first_transfer_syntax(path)
    if first and first != file_meta(dataset, "TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = UID(first)


def _pixel_place(file: BinaryIO, dataset: Dataset) -> tuple[int | None, int | None]:
    """The byte at which the pixels begin, and their length.

    The byte is None without pixels; in a deflated file it is that of what the file inflates to. The
    length is None where it is undefined or not known.
    """
    start = file.tell()
    head = file.read(12)
    if len(head) < 8:
        return None, None
    order = "<" if _is_little(dataset) else ">"
    if struct.unpack(f"{order}HH", head[:4]) != PIXEL_DATA:
        return None, None
    explicit = head[4:6] in (b"OW", b"OB", b"UN") and head[6:8] == b"\0\0"
    begin = 12 if explicit else 8
    length = int(struct.unpack(f"{order}I", head[begin - 4 : begin])[0])
    return start + begin, None if length == UNDEFINED else length


def _frames(
    path: Path, dataset: Attributes, offset: int | None, length: int | None
) -> tuple[tuple[Frame, ...], str]:
    """The frames of a file, or none and the reason."""
    if offset is None:
        kind = sop_class(dataset).name
        if kind.endswith("Image Storage"):
            raise HeaderError("it is of an image, and ends before the pixels")
        return (), f"{kind or 'DICOM object'} without an image"
    special = kind_of_object(dataset)
    if special is not None and special.is_derived:
        return (), f"a {special.name}, not images of a patient"
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or not _is_grey(dataset):
        return (), "colour images, not CT values"
    pixels = _pixels(dataset, offset, length)
    count = int(dataset.get("NumberOfFrames") or 1)
    described = len(dataset.get("PerFrameFunctionalGroupsSequence") or [None])
    if count != described:
        return (), f"{count} frames in one file, of which {described} have a position"
    return tuple(_each_frame(path, dataset, pixels)), ""


def _is_grey(dataset: Attributes) -> bool:
    """Whether a stored number is a value: a palette's one is the place of a colour in a table."""
    stated = as_text(dataset.get("PhotometricInterpretation")).upper()
    return not stated or stated.startswith("MONOCHROME")


def _pixels(dataset: Attributes, offset: int, length: int | None) -> Pixels:
    allocated = _needed(dataset, "BitsAllocated")
    stored = int(dataset.get("BitsStored") or allocated)
    stated = dataset.get("HighBit")
    high_bit = stored - 1 if stated is None else int(stated)
    if not 0 < stored <= high_bit + 1 <= allocated:
        raise HeaderError(
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
        padding=_padding(dataset, allocated),
        length=length,
    )


def _is_little(dataset: Attributes) -> bool:
    return getattr(dataset, "original_encoding", (None, True))[1] is not False


def _needed(dataset: Attributes, keyword: str) -> int:
    value = dataset.get(keyword)
    if value is None:
        raise HeaderError(f"{keyword} is missing")
    if int(value) < 1:
        raise HeaderError(f"{keyword} is {int(value)}")
    return int(value)


def _padding(dataset: Attributes, allocated: int) -> tuple[int, int] | None:
    """The lowest and highest stored number that stand for no data (PS3.3 C.7.5.1.1.2).

    Files exist that write a negative one as unsigned, or one of unsigned pixels as negative: the
    same bits are meant.
    """
    ends = [
        int(end)
        for word in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for end in _several(dataset.get(word))
    ]
    if not ends or not _several(dataset.get("PixelPaddingValue")):
        return None
    whole = 1 << min(allocated, 16)  # the attribute itself has 16 bits
    if dataset.get("PixelRepresentation"):
        ends = [end - whole if end >= whole // 2 else end for end in ends]
    else:
        ends = [end + whole if end < 0 else end for end in ends]
    return min(ends), max(ends)


def _several(value: Any) -> tuple[Any, ...]:
    """The values of an attribute, whether it has one or several; none for undecoded bytes."""
    if value is None or isinstance(value, bytes | str):
        return ()
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _each_frame(path: Path, dataset: Attributes, pixels: Pixels) -> Iterator[Frame]:
    """The one frame of a classic image, or each frame of an enhanced file."""
    uid = str(dataset.get("SOPInstanceUID") or file_meta(dataset, "MediaStorageSOPInstanceUID"))
    for number, own in enumerate(dataset.get("PerFrameFunctionalGroupsSequence") or [NOTHING]):
        find = Lookup(dataset, own)
        slope, intercept, unit = (
            find("PixelValueTransformationSequence", keyword)
            for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType")
        )
        yield Frame(
            path=path,
            number=number,
            header=dataset,
            uid=uid,
            pixels=pixels,
            position=numbers(find("PlanePositionSequence", "ImagePositionPatient")),
            orientation=numbers(find("PlaneOrientationSequence", "ImageOrientationPatient")),
            spacing=numbers(find("PixelMeasuresSequence", "PixelSpacing")),
            rescale=_rescale(slope, intercept),
            unit=str(unit or ""),
            moment=_moment(dataset, find),
            is_rescale_stated=None not in (slope, intercept, _rescale(slope, intercept)),
        )


def _rescale(slope: Any, intercept: Any) -> tuple[float, float] | None:
    """(slope, intercept), where a missing one counts as 1 or 0.

    None where both are missing, or where they are not finite or would make all values equal.
    """
    if slope is None and intercept is None:
        return None
    pair = float(1 if slope is None else slope), float(intercept or 0)
    return pair if pair[0] and all(map(math.isfinite, pair)) else None


def _moment(dataset: Attributes, find: Lookup) -> tuple[str, ...]:
    """The values of `MOMENT_NAMES`, which tell two images at one position apart."""
    values = []
    for row in MOMENT:
        value = find(row.group, row.frame_keyword) if row.group else None
        values.append(value or dataset.get(row.keyword))
    return tuple(f"{v:g}" if isinstance(v, float) else as_text(v or "") for v in values)
