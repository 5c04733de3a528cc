"""Read a DICOM Segmentation (PS3.3 A.51) as label maps with the names and colours that it states.

Binary, fractional and label map segmentations, by their own geometry. Segments that overlap lie in
maps of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from med2e3.errors import ImageReadError, Med2E3Error
from med2e3.geometry import Geometry
from med2e3.io.bounds import Claim, check_claim
from med2e3.io.dicom.attributes import (
    NATIVE_SYNTAXES,
    Attributes,
    first_item,
    numbers,
    series_info,
    text,
    transfer_syntax,
)
from med2e3.io.dicom.decode_pool import decoded_by_one, request
from med2e3.io.dicom.deflated import dicom_file
from med2e3.io.dicom.headers import keep_first_syntax
from med2e3.io.dicom.quick import quiet
from med2e3.volume import Volume

#: How the SOP classes of segmentations begin (PS3.4 B.5): segments (66.4), label maps (66.7).
CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

#: Structure sets of radiotherapy, which hold contours and no voxels.
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

#: A voxel of a fractional segment belongs to it from this share of the largest value on.
HALF = 0.5

#: Positions of frames may be off the grid by this share of the distance of two slices.
OFF_GRID = 0.05

#: Most segments that are read; TotalSegmentator has 117.
MOST_SEGMENTS = 4095

#: Bytes a voxel takes at the height of the work: two maps, and a comparison.
BYTES_A_VOXEL = 5

#: Said of a fractional segmentation.
FRACTIONAL = ("fractional: a voxel is shown where at least half of it belongs to a segment",)

#: CIE L*a*b* as DICOM packs it (PS3.3 C.10.7.1.1): L* from 0 to 100, a* and b* from −128 to 127.
PACKED = 65535.0

#: The white of D50, to which these values refer, and the way from its XYZ to linear sRGB, adapted
#: after Bradford (IEC 61966-2-1; ICC.1:2010, annex E).
WHITE_D50 = np.array([0.9642, 1.0, 0.8249])
XYZ_TO_SRGB = np.array(
    [[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]]
)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Segments that do not overlap: 0 is none of them; `names` and `colours` by their values.

    A colour is #rrggbb; a segment without one in the file is not among `colours`.
    """

    volume: Volume
    names: Mapping[int, str]
    colours: Mapping[int, str]


@dataclass(frozen=True)
class _Frame:
    """Where a frame lies in LPS mm, and the number of its segment (0: a frame of a label map)."""

    position: NDArray[np.float64]
    segment: int


def is_segmentation(path: Path) -> bool:
    """Whether the file at `path` is a DICOM Segmentation, by its SOP class."""
    return _class_of(path) in CLASSES


def is_structure_set(path: Path) -> bool:
    """Whether the file at `path` is an RT Structure Set, by its SOP class."""
    return _class_of(path) == STRUCTURE_SET


def _class_of(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        with quiet(), dicom_file(path) as file:
            tags = ["SOPClassUID"]
            return text(
                pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags), "SOPClassUID"
            )
    except Exception:  # anything but DICOM fails here in some way
        return ""


def refused_contours(path: Path) -> ImageReadError:
    """The error that says why an RT Structure Set cannot be laid over images."""
    return ImageReadError(
        f"{path} is an RT Structure Set: contours of radiotherapy, which this program does not "
        "draw. Export its structures as a DICOM Segmentation or as a NIfTI label map."
    )


def read_segmentation(path: Path) -> tuple[LabelMap, ...]:
    """The segments in the file at `path`, in as few maps as they overlap.

    Raises `ImageReadError` where it cannot be read, `ResourceError` where it needs more memory
    than is free.
    """
    try:
        with quiet(), dicom_file(path) as file:
            dataset = pydicom.dcmread(file)
            keep_first_syntax(dataset, path)
    except Exception as error:  # a damaged file can fail in any of pydicom's converters
        raise _refused(path, "its header cannot be read") from error
    try:
        with quiet():
            return _maps(dataset, path)
    except Med2E3Error:
        raise
    except Exception as error:  # so can each of its elements, and each of its frames
        raise _refused(path, "one of its elements is damaged") from error


def _maps(dataset: Dataset, path: Path) -> tuple[LabelMap, ...]:
    frames = _frames(dataset, path)
    size = int(dataset.Rows), int(dataset.Columns)
    grid, places = _grid(dataset, path, frames, size)
    _check_room(path, grid)
    segments = list(dataset.get("SegmentSequence") or ())[:MOST_SEGMENTS]
    names = {int(one.SegmentNumber): _name(one) for one in segments}
    colours = {int(one.SegmentNumber): _colour(one) for one in segments}
    pictures = _pictures(dataset, path, len(frames), size)
    info = replace(series_info(dataset), modality="SEG")
    said = FRACTIONAL if text(dataset, "SegmentationType") == "FRACTIONAL" else ()
    found = []
    for voxels in _stacked(frames, places, pictures, grid):
        there = {int(value) for value in np.flatnonzero(np.bincount(voxels.reshape(-1)))} - {0}
        if there:
            found.append(
                LabelMap(
                    Volume(voxels, grid, info, source=str(path), warnings=said),
                    {value: name for value, name in names.items() if value in there and name},
                    {value: ink for value, ink in colours.items() if value in there and ink},
                )
            )
    if not found:
        raise _refused(path, "no voxel belongs to any of its segments")
    return tuple(found)


# --- where its frames lie ------------------------------------------------------------------------


def _frames(dataset: Dataset, path: Path) -> list[_Frame]:
    """Every frame with its place; PS3.3 C.7.6.16.2.3, C.8.20.3.1."""
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    is_map = text(dataset, "SegmentationType") == "LABELMAP"
    found = []
    for groups in dataset.get("PerFrameFunctionalGroupsSequence") or ():
        at = _group("PlanePositionSequence", groups, shared)
        position = numbers(at.get("ImagePositionPatient"))
        if len(position) != 3 or not np.isfinite(position).all():
            raise _refused(path, "its frames state no position in the patient")
        which = _group("SegmentIdentificationSequence", groups, shared)
        segment = 0 if is_map else int(which.get("ReferencedSegmentNumber") or 0)
        if not is_map and not 0 < segment <= MOST_SEGMENTS:
            raise _refused(path, f"a frame names segment {segment}")
        found.append(_Frame(np.array(position), segment))
    if not found:
        raise _refused(path, "it has no frames")
    return found


def _group(name: str, place: Attributes, other: Attributes) -> Attributes:
    """The functional group of this name at a place, or else at the other one."""
    return first_item(place, name) or first_item(other, name)


def _grid(
    dataset: Dataset, path: Path, frames: Sequence[_Frame], size: tuple[int, int]
) -> tuple[Geometry, list[int]]:
    """The grid on which all frames lie, and the slice of each."""
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    first = dataset.PerFrameFunctionalGroupsSequence[0]
    turned = _group("PlaneOrientationSequence", shared, first)
    pixels = _group("PixelMeasuresSequence", shared, first)
    cosines = numbers(turned.get("ImageOrientationPatient"))
    spacing = numbers(pixels.get("PixelSpacing"))
    if len(cosines) != 6 or len(spacing) != 2 or min(spacing) <= 0:
        raise _refused(path, "it states no orientation or no distances of its pixels")
    across, down = np.array(cosines[:3]), np.array(cosines[3:])
    normal = np.cross(across, down)
    positions = np.array([frame.position for frame in frames])
    order = np.argsort(positions @ normal)
    start, end = positions[order[0]], positions[order[-1]]
    depths = (positions - start) @ normal
    stated = [numbers(pixels.get(word)) for word in ("SpacingBetweenSlices", "SliceThickness")]
    apart = _apart(np.unique(np.round(depths, 3)), [one[0] for one in stated if one])
    if apart is None:
        raise _refused(path, "its frames do not lie at even distances")
    slices = np.rint(depths / apart).astype(int)
    count = int(slices.max()) + 1
    step = (end - start) / (count - 1) if count > 1 else normal * apart
    off = np.abs(positions - start - slices[:, None] * step).max()
    if off > OFF_GRID * apart:
        raise _refused(path, "its frames do not lie one behind the other")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = step, down * spacing[0], across * spacing[1]
    affine[:3, 3] = start
    return Geometry((count, *size), affine), slices.tolist()


def _apart(depths: NDArray[np.float64], stated: Sequence[float]) -> float | None:
    """The distance of two slices in mm: as stated where it fits, else the smallest; None: uneven.

    `depths` are the places along the normal in mm, ascending from 0; slices without a voxel of any
    segment have no frame.
    """
    if len(depths) < 2:
        return next((mm for mm in stated if mm > 0), 1.0)
    for mm in (*stated, float(np.diff(depths).min())):
        if mm > 0 and np.abs(depths / mm - np.rint(depths / mm)).max() <= OFF_GRID:
            return mm
    return None


def _check_room(path: Path, grid: Geometry) -> None:
    holds = f"segments of {' × '.join(map(str, grid.shape))} voxels"
    check_claim(Claim(path, holds, 0, memory=math.prod(grid.shape) * BYTES_A_VOXEL))


# --- its pixels ----------------------------------------------------------------------------------


def _pictures(
    dataset: Dataset, path: Path, count: int, size: tuple[int, int]
) -> Iterator[NDArray[np.int64]]:
    """Each frame (rows, columns): 0 and 1 of a segment, or the numbers of segments."""
    bits = int(dataset.BitsAllocated)
    kind = text(dataset, "SegmentationType")
    syntax = transfer_syntax(dataset)
    if syntax in NATIVE_SYNTAXES or syntax == DeflatedExplicitVRLittleEndian:
        frames = _native(dataset, path, count, size, bits)
    else:
        frames = _decoded(path, count)
    least = HALF * int(dataset.get("MaximumFractionalValue") or 1) if kind == "FRACTIONAL" else 0.5
    for frame in frames:
        yield frame.astype(np.int64) if kind == "LABELMAP" else (frame >= least).astype(np.int64)


def _decoded(path: Path, count: int) -> Iterator[NDArray[Any]]:
    """Compressed frames, by a process of their own: a damaged one may end a decoder."""
    decoded = decoded_by_one([request(path, k) for k in range(count)])
    if decoded is None:
        raise _refused(path, "no process that decodes compressed pixels could be started")
    return (one.numbers for one in decoded)


def _native(
    dataset: Dataset, path: Path, count: int, size: tuple[int, int], bits: int
) -> Iterator[NDArray[Any]]:
    if bits not in (1, 8, 16):
        raise _refused(path, f"it has {bits} bits a voxel")
    raw, each = dataset.PixelData, size[0] * size[1]
    if len(raw) * 8 < count * each * bits:
        raise _refused(path, "its pixels end early")
    packed = np.frombuffer(raw, np.uint8)
    values = packed if bits < 16 else np.frombuffer(raw, "<u2", len(raw) // 2)
    for k in range(count):
        if bits == 1:  # packed without a gap between frames, the lowest bit first (PS3.5 8.1.1)
            low, high = k * each, (k + 1) * each
            unpacked = np.unpackbits(packed[low // 8 : -(-high // 8)], bitorder="little")
            yield unpacked[low % 8 :][:each].reshape(size)
        else:
            yield values[k * each : (k + 1) * each].reshape(size)


def _stacked(
    frames: Sequence[_Frame],
    places: Sequence[int],
    pictures: Iterator[NDArray[np.int64]],
    grid: Geometry,
) -> list[NDArray[np.int16]]:
    """The label maps: a segment lies in the first one in which it covers no other."""
    maps = [np.zeros(grid.shape, np.int16)]
    home: dict[int, int] = {}
    for frame, place, picture in zip(frames, places, pictures, strict=True):
        if not frame.segment:
            maps[0][place] = np.where(picture <= MOST_SEGMENTS, picture, 0)
            continue
        mask = picture > 0
        at = home.setdefault(frame.segment, 0)
        if (maps[at][place][mask] != 0).any():
            at = home[frame.segment] = _moved(maps, at, frame.segment, place, mask)
        maps[at][place][mask] = frame.segment
    return maps


def _moved(
    maps: list[NDArray[np.int16]], at: int, segment: int, place: int, mask: NDArray[np.bool_]
) -> int:
    """Move a segment to a map where neither it nor its next frame covers another; which one."""
    so_far = maps[at] == segment
    for k, other in enumerate(maps):
        if k != at and not other[so_far].any() and not other[place][mask].any():
            break
    else:
        k = len(maps)
        maps.append(np.zeros_like(maps[0]))
    maps[at][so_far] = 0
    maps[k][so_far] = segment
    return k


# --- names and colours ---------------------------------------------------------------------------


def _name(segment: Dataset) -> str:
    kind = first_item(segment, "SegmentedPropertyTypeCodeSequence")
    return text(segment, "SegmentLabel") or text(kind, "CodeMeaning")


def _colour(segment: Dataset) -> str:
    """#rrggbb of the recommended CIELab colour; empty without one."""
    packed = numbers(segment.get("RecommendedDisplayCIELabValue"))
    return srgb_of(packed) if len(packed) == 3 else ""


def srgb_of(packed: Sequence[float]) -> str:
    """The CIELab colour in DICOM's packing, 0 to 65535 each, as #rrggbb of sRGB."""
    light, a, b = (
        value / PACKED * span for value, span in zip(packed, (100, 255, 255), strict=True)
    )
    middle = (light + 16) / 116
    ways = np.array([middle + (a - 128) / 500, middle, middle - (b - 128) / 200])
    straight = np.where(ways > 6 / 29, ways**3, 3 * (6 / 29) ** 2 * (ways - 4 / 29))
    linear = np.clip(XYZ_TO_SRGB @ (straight * WHITE_D50), 0.0, 1.0)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * float(one)):02x}" for one in curved)


def _refused(path: Path, why: str) -> ImageReadError:
    return ImageReadError(
        f"{path}: this DICOM Segmentation cannot be read: {why}. Export it again from the program "
        "that made it, or as a NIfTI label map."
    )
