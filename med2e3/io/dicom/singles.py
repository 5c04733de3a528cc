"""Images and reports that belong to no volume, seen one by one: scouts, captures, X-ray, colours.

Knows what kind of thing a header describes, and reads one image of it. Knows no series.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_voi_lut, convert_color_space, pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from med2e3.errors import ImageReadError, ResourceError
from med2e3.io.bounds import Claim, Packing, check_claim
from med2e3.io.dicom.attributes import (
    NATIVE_SYNTAXES,
    Attributes,
    numbers,
    series_info,
    text,
    transfer_syntax,
    windows,
)
from med2e3.io.dicom.decode import DECODING
from med2e3.io.dicom.decode_pool import decoded_by_one, request
from med2e3.io.dicom.deflated import dicom_file
from med2e3.io.dicom.headers import Frame, Header, keep_first_syntax
from med2e3.io.dicom.pixels import check_claims, values_of
from med2e3.io.dicom.quick import quiet
from med2e3.io.dicom.report_table import read_report
from med2e3.io.dicom.skipped import SECONDARY_CAPTURE, is_report, kind_of_object
from med2e3.io.single import ImagePlane, SingleImage, Singles
from med2e3.volume import Window

SCOUT, DOSE_PAGE, OTHER = "scout", "dose page", "other image"

#: What an image is called by its modality (PS3.3 C.7.3.1.1.1).
MODALITIES = {
    "CR": "X-ray (CR)", "DX": "X-ray (DX)", "RG": "X-ray (RG)", "MG": "mammogram (MG)",
    "XA": "angiogram (XA)", "RF": "fluoroscopy (RF)", "US": "ultrasound (US)",
    "IVUS": "ultrasound (IVUS)", "MR": "MR image", "CT": "CT image", "PT": "PET image",
    "NM": "nuclear medicine image", "XC": "photograph (XC)", "ES": "endoscopy (ES)",
    "GM": "microscopy (GM)", "OP": "eye photograph (OP)", "IO": "X-ray of teeth (IO)",
    "PX": "X-ray of teeth (PX)", "SC": "secondary capture",
}  # fmt: skip

#: Attributes that say in words what a page shows.
WORDS = ("SeriesDescription", "ProtocolName", "ImageType")

#: Where the distances of an image are measured, by the attribute that states them, in the order in
#: which they count.
SPACINGS = (("PixelSpacing", ""), ("ImagerPixelSpacing", "at the detector"))

#: Units of an ultrasound region (PS3.3 C.8.5.5.1.15): 3 is cm.
CENTIMETRES = 3


#: Bytes that a frame takes in a file at least: the header of an item of compressed ones is as long.
LEAST_BYTES = 8


class _Place(NamedTuple):
    """Where an image that is no frame lies: its file's header and its number there."""

    header: Header
    number: int


def kind_of(dataset: Attributes, *, is_scout: bool = False) -> str:
    """What an image or object that belongs to no volume is called."""
    if is_scout:
        return SCOUT
    special, modality = kind_of_object(dataset), text(dataset, "Modality").upper()
    is_capture = special is SECONDARY_CAPTURE or int(dataset.get("SamplesPerPixel") or 1) != 1
    if is_capture and any("DOSE" in text(dataset, word).upper() for word in WORDS):
        return DOSE_PAGE
    return special.name if special is not None else MODALITIES.get(modality, OTHER)


def singles_of_frames(frames: Sequence[Frame], *, is_scout: bool) -> Singles:
    """The frames of one stack that is no volume."""
    kind = kind_of(frames[0].header, is_scout=is_scout)
    return Singles(kind, len(frames), lambda k: _of_frame(frames[k], kind))


def singles_of_files(headers: Sequence[Header]) -> Singles | None:
    """Images and reports of files without a frame; None where nothing of them can be seen."""
    images = [header for header in headers if header.is_image]
    if images:
        kind = kind_of(images[0].dataset)
        ends = list(accumulate(map(_frame_count, images)))
        return Singles(kind, ends[-1], lambda k: _of_file(_place(images, ends, k), kind))
    reports = [header for header in headers if is_report(header.dataset)]
    if not reports:
        return None
    kind = kind_of(reports[0].dataset)
    return Singles(kind, len(reports), lambda k: read_report(reports[k].path, kind))


def _place(images: Sequence[Header], ends: Sequence[int], number: int) -> _Place:
    """Where an image lies whose number counts the frames of all files; `ends` are running sums."""
    file = bisect_right(ends, number)
    return _Place(images[file], number - (ends[file - 1] if file else 0))


def _frame_count(header: Header) -> int:
    """How many frames a file states; of too many one, which says why when it is read."""
    stated = max(1, int(header.dataset.get("NumberOfFrames") or 1))
    return stated if stated == 1 or stated <= header.path.stat().st_size // LEAST_BYTES else 1


# --- grey images with a header of their own ------------------------------------------------------


def _of_frame(frame: Frame, kind: str) -> SingleImage:
    check_claims([frame])
    values = values_of(frame)
    whole = _whole_header(frame.path)
    spacing, of = _spacing(whole)
    return _grey(
        values, whole, kind,
        unit=_unit(frame),
        spacing_mm=(frame.spacing[0], frame.spacing[1]) if len(frame.spacing) == 2 else spacing,
        spacing_of="" if len(frame.spacing) == 2 else of,
        place=_image_plane(frame),
    )  # fmt: skip


def _unit(frame: Frame) -> str:
    """The unit of the values: HU for CT that rescales and says nothing else."""
    if frame.unit in ("", "US"):
        has_hu = frame.is_ct and frame.is_rescale_stated and not frame.unit
        return "HU" if has_hu else ""
    return frame.unit


def _grey(values: NDArray[Any], header: Dataset, kind: str, **more: Any) -> SingleImage:
    stated = windows(header)
    if not stated and header.get("VOILUTSequence"):
        values, more["unit"] = _through_table(values, header), ""
    return SingleImage(
        np.asarray(values),
        kind,
        series_info(header),
        windows=stated or (_whole_range(values),),
        is_inverted=text(header, "PhotometricInterpretation").upper() == "MONOCHROME1",
        **more,
    )


def _through_table(values: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Values through the first VOI LUT of the file (PS3.3 C.11.2.1.1): grey levels for the eye."""
    whole = np.asarray(np.rint(values), np.int32)
    return np.asarray(apply_voi_lut(whole, header, index=0, prefer_lut=True))


def _whole_range(values: NDArray[Any]) -> Window:
    low, high = float(np.min(values)), float(np.max(values))
    return Window((low + high) / 2, max(high - low, 1e-6))


def _image_plane(frame: Frame) -> ImagePlane | None:
    if not frame.has_position:
        return None
    direction = np.asarray(frame.orientation, np.float64)
    down, right = frame.spacing  # between rows, between columns
    return ImagePlane(np.asarray(frame.position), direction[3:] * down, direction[:3] * right)


# --- images of files that have no frame ----------------------------------------------------------


def _of_file(place: _Place, kind: str) -> SingleImage:
    path = place.header.path
    try:
        header = _whole_header(path)
        stored = _stored(path, header, place.number)
        spacing, of = _spacing(header)
        if stored.ndim == 2 and not _is_palette(header):
            return _grey(stored, header, kind, spacing_mm=spacing, spacing_of=of)
        return SingleImage(
            _colours(stored, header), kind, series_info(header), spacing_mm=spacing, spacing_of=of
        )
    except (ImageReadError, ResourceError):
        raise
    except Exception as error:  # pydicom raises whatever it likes on damaged data
        raise ImageReadError(
            f"{path}: its image cannot be read: the header does not fit the pixels, or is damaged. "
            "Copy or send the file again, or export it as an image with gray or RGB pixels."
        ) from error


def _whole_header(path: Path) -> Dataset:
    """All attributes before the pixels: tables of colours and grey levels, regions, spacings."""
    try:
        with quiet(), dicom_file(path) as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    except OSError:
        raise
    except Exception as error:
        raise ImageReadError(
            f"{path}: the DICOM header cannot be read: one of its elements is damaged. "
            "Copy or send the file again."
        ) from error
    keep_first_syntax(dataset, path)
    return dataset


def _stored(path: Path, header: Dataset, number: int) -> NDArray[Any]:
    """(row, column) numbers, or (row, column, 3) samples, as the file stores them."""
    syntax = transfer_syntax(header)
    samples = int(header.get("SamplesPerPixel") or 1)
    rows, columns = int(header.Rows), int(header.Columns)
    frames = max(1, int(header.get("NumberOfFrames") or 1))
    need = rows * columns * samples * int(header.BitsAllocated) // 8
    holds = f"{frames} × {columns} × {rows} pixels of {samples} samples"
    if syntax not in NATIVE_SYNTAXES and syntax != DeflatedExplicitVRLittleEndian:
        check_claim(Claim(path, holds, 0, memory=DECODING * need))
        decoded = decoded_by_one([request(path, number)])
        if decoded is None:
            raise ImageReadError(
                f"{path}: no process that decodes compressed images could be started. "
                "Close other programs, or export the image uncompressed."
            )
        (image,) = decoded
        return image.numbers
    packing = Packing.RAW if syntax in NATIVE_SYNTAXES else Packing.DEFLATE
    there = path.stat().st_size
    check_claim(Claim(path, holds, frames * need, there, packing, memory=DECODING * need))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if packing is Packing.RAW:
            return np.asarray(pixel_array(path, index=number, raw=True))
        with dicom_file(path, there + frames * need) as file:
            whole = pydicom.dcmread(file, force=True)
        return np.asarray(pixel_array(whole, index=number, raw=True))


def _is_palette(header: Dataset) -> bool:
    return text(header, "PhotometricInterpretation").upper() == "PALETTE COLOR"


def _colours(stored: NDArray[Any], header: Dataset) -> NDArray[np.uint8]:
    """(row, column, 3) colours of 8 bits, whatever the file stores them as."""
    stated = text(header, "PhotometricInterpretation").upper()
    if _is_palette(header):
        stored = apply_color_lut(stored, header)
        bits = 8 * stored.dtype.itemsize
    else:
        bits = int(header.get("BitsStored") or 8)
    if stored.ndim != 3 or stored.shape[2] not in (3, 4):
        raise ValueError(f"{stored.shape} are no colours")
    eight = np.asarray(stored[..., :3] >> max(0, bits - 8), np.uint8)
    if stated in ("YBR_FULL", "YBR_FULL_422") and not _is_rgb(header):
        eight = np.asarray(convert_color_space(eight, "YBR_FULL", "RGB"), np.uint8)
    return np.ascontiguousarray(eight)


def _is_rgb(header: Dataset) -> bool:
    """Whether the decoder gives RGB whatever the header says: JPEG 2000 turns colours itself."""
    return "2000" in transfer_syntax(header).name


# --- distances -----------------------------------------------------------------------------------


def _spacing(header: Dataset) -> tuple[tuple[float, float] | None, str]:
    """(between rows, between columns) in mm, and what they are measured at; None where unknown."""
    for keyword, of in SPACINGS:
        try:
            pair = numbers(header.get(keyword))
        except ValueError:
            continue
        if len(pair) == 2 and min(pair) > 0 and all(np.isfinite(pair)):
            return (pair[0], pair[1]), of
    return _of_ultrasound(header), ""


def _of_ultrasound(header: Dataset) -> tuple[float, float] | None:
    """The spacing of an ultrasound image whose regions all state one (PS3.3 C.8.5.5)."""
    found = set()
    for region in header.get("SequenceOfUltrasoundRegions") or ():
        units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
        if units == (CENTIMETRES, CENTIMETRES):
            found.add((10 * abs(region.PhysicalDeltaY), 10 * abs(region.PhysicalDeltaX)))
        else:
            return None
    return found.pop() if len(found) == 1 else None
