"""From a volume to the grid that the model reads, and back from model slices to the patient.

Two pipelines share the arithmetic. `published` is the one of the released training data (8-bit
exports: min-max, crop to foreground, trilinear resize), bit for bit. `prepare` is the one for real
CT: any plane, an HU window, and an exact map from the model's grid to patient_mm, to source slices
and to display slices. Knows nothing of the model beyond the shape of its grid.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from med2e3.errors import PreprocessingError
from med2e3.geometry import DISPLAY_AXES, Geometry, Plane
from med2e3.volume import WINDOWS, Volume, Window

Shape = tuple[int, int, int]

#: Names that `resolve_window` takes besides those in `WINDOWS`.
FULL_RANGE, MIN_MAX = "full range", "min-max"

#: The published pipeline divides by at least this much, so that a flat volume gives zeros.
SMALLEST_MAXIMUM = 1e-8

#: F.interpolate finds the source positions in float32; a position that is this close to a whole
#: slice may be read on either side of it, and a weight below it is no reading.
POSITION_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Band:
    """The part of the volume that one model slice stands for.

    `from_mm` < `to_mm` run along the patient axis of the plane (x sagittal, y coronal, z axial;
    LPS), at the middle of the grid. `source_slices` are the first and last slice (0-based) along
    the volume's own array axis, `view_slices` the same in the display order of the plane.
    `read_slices` are those that the model slice was interpolated from, one or two along the
    volume's own axis; where the volume has fewer slices than the model, or only a little more, one
    may lie in a neighbour's band.
    """

    model_slice: int
    from_mm: float
    to_mm: float
    source_slices: tuple[int, int]
    view_slices: tuple[int, int]
    read_slices: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What the model is shown, and where that lies.

    `grid` is (1, D, H, W) float32 in 0..1; slices run in display order of `plane` (superior →
    inferior, anterior → posterior, right → left), rows and columns as displayed. `geometry` takes
    (model slice, row, column) to patient_mm, with crop and resize inverted. `crop_start` and
    `crop_shape` are in voxels of the volume turned into `plane`. `unread_slices` are the slices
    along the volume's own axis that no model slice reads: between samples, or cropped away.
    """

    grid: torch.Tensor
    plane: Plane
    window: Window | None
    geometry: Geometry
    crop_start: Shape
    crop_shape: Shape
    bands: tuple[Band, ...]
    unread_slices: tuple[int, ...]

    @cached_property
    def sha256(self) -> str:
        """The hash of what the model is shown: the grid's shape and its float32 values."""
        values = np.ascontiguousarray(self.grid.cpu().numpy(), dtype="<f4")
        return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()


def published(
    array: NDArray[np.generic] | torch.Tensor, grid_shape: Sequence[int], *, rescale: bool = True
) -> torch.Tensor:
    """(D, H, W) or (1, D, H, W) → (1, *grid_shape) float32, as the released models were trained.

    8-bit input is divided by 255 first, as its exports were. `rescale=False` leaves the values as
    they are and only crops and resizes: what the released evaluation does with prepared arrays.
    Source: the published M3D-Cap and Med-2E3 code. Raises `PreprocessingError` when no voxel is
    above the minimum.
    """
    values = torch.as_tensor(array)
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 3:
        raise PreprocessingError(
            f"An array of shape {tuple(values.shape)} is not one volume; "
            "pass (slices, rows, columns), or the same with a leading axis of 1."
        )
    eight_bit = values.dtype == torch.uint8
    values = values.to(torch.float32, copy=True)  # one copy, changed in place: volumes are large
    if rescale:
        values = values.div_(255) if eight_bit else values
        values = values.sub_(values.min())
        values = values.div_(values.max().clamp_min(SMALLEST_MAXIMUM))
    numbers = values.numpy()
    start, shape = foreground(numbers, 0.0, "No voxel is above 0 after min-max scaling")
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    return _resize(torch.from_numpy(numbers[box]), _grid_shape(grid_shape))


def prepare(
    volume: Volume,
    grid_shape: Sequence[int],
    *,
    plane: Plane | None = None,
    window: Window | None = None,
    crop: bool = True,
) -> ModelInput:
    """`volume` on the model's grid: turned into `plane`, windowed, cropped, resized.

    `plane` None is the plane of the stored slices; `window` None is min-max as published. `crop`
    cuts to the box of what is brighter than black. Raises `PreprocessingError` when nothing is.
    """
    target = _grid_shape(grid_shape)
    plane = plane or volume.geometry.plane
    low, width = _range(volume, window)
    turned = volume.in_plane(plane)
    start, shape = (0, 0, 0), turned.shape
    if crop:
        start, shape = _turned_box(volume, plane, low, window)
    positions = _positions(shape[0], target[0])
    cropped = _scaled_crop(
        turned.voxels, start, shape, low, width, slices=_touched(positions, shape[0])
    )
    geometry = resized_geometry(turned.geometry.cropped(start, shape), target)
    flipped = volume.geometry.orientation(plane).flips[0]
    count = turned.shape[0]
    read = {start[0] + k for k in _read(positions, shape[0])}
    unread = [count - 1 - k if flipped else k for k in range(count) if k not in read]
    return ModelInput(
        grid=_resize(cropped, target),
        plane=plane,
        window=window,
        geometry=geometry,
        crop_start=start,
        crop_shape=shape,
        bands=_bands(geometry, plane, (start[0], shape[0]), count if flipped else None),
        unread_slices=tuple(sorted(unread)),
    )


def resolve_window(
    spec: str | Window | None, volume: Volume, default: Window | None
) -> Window | None:
    """The window that `spec` names for `volume`; None stands for min-max as published.

    `spec` is a `Window`, a name in `WINDOWS`, "full range" (darkest to brightest voxel), "min-max",
    or numbers as in "W400 L40". None takes `default`.
    """
    if spec is None:
        return default
    if isinstance(spec, Window):
        return _checked(spec)
    name = " ".join(spec.lower().split())
    for preset, window in WINDOWS.items():
        if preset.lower() == name:
            return window
    if name == MIN_MAX:
        return None
    if name == FULL_RANGE:
        low, width = _range(volume, None)
        return _checked(Window(low + width / 2, width))
    number = r"(-?\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"w ?{number},? l ?{number}", name)
    if not match:
        raise PreprocessingError(
            f"There is no window {spec!r}. Choose one of: {', '.join(WINDOWS)}, {FULL_RANGE}, "
            f"{MIN_MAX}; or give width and level (centre) in HU, as in 'W400 L40'."
        )
    return _checked(Window(float(match[2]), float(match[1])))


def _checked(window: Window) -> Window:
    if not (math.isfinite(window.centre) and math.isfinite(window.width) and window.width > 0):
        raise PreprocessingError(
            f"The window W{window.width:g} L{window.centre:g} has no width above 0, so it cannot "
            "tell dark from bright. Give a finite level and a width above 0."
        )
    return window


def _grid_shape(shape: Sequence[int]) -> Shape:
    sizes = tuple(int(n) for n in shape)
    if len(sizes) != 3 or min(sizes) < 1:
        raise PreprocessingError(
            f"The model's grid {tuple(shape)} needs three sizes of at least 1 "
            "(slices, rows, columns); its config is damaged."
        )
    return sizes[0], sizes[1], sizes[2]


def _range(volume: Volume, window: Window | None) -> tuple[float, float]:
    """Lowest value and width of what becomes 0..1."""
    if window is not None:
        return _checked(window).low, window.width
    low, high = volume.value_range
    if not (math.isfinite(low) and math.isfinite(high)):
        raise PreprocessingError(
            "The volume holds values that are not finite numbers. Replace them (for CT by air, "
            "−1024 HU) before it is read."
        )
    return low, high - low


def resized_geometry(grid: Geometry, target: Shape) -> Geometry:
    """The geometry of a resized grid: cells scale about the outer edges of the one before."""
    steps = np.asarray(grid.shape, dtype=np.float64) / np.asarray(target)
    affine = grid.affine_lps.copy()
    affine[:3, :3] *= steps
    affine[:3, 3] = grid.to_patient_mm(steps / 2 - 0.5)
    return Geometry(target, affine)


def foreground(values: NDArray[np.generic], low: float, complaint: str) -> tuple[Shape, Shape]:
    """First index and size of the box of all voxels above `low`, one slice in memory at a time."""
    rows = np.zeros(values.shape[1], dtype=bool)
    columns = np.zeros(values.shape[2], dtype=bool)
    slices = np.zeros(values.shape[0], dtype=bool)
    for k, image in enumerate(values):
        above = image > low
        in_row = above.any(axis=1)
        slices[k] = in_row.any()
        rows |= in_row
        columns |= above.any(axis=0)
    if not slices.any():
        raise PreprocessingError(f"{complaint}; there is nothing to show to the model.")
    spans = [np.flatnonzero(axis)[[0, -1]] for axis in (slices, rows, columns)]
    first = [int(span[0]) for span in spans]
    sizes = [int(span[1] - span[0] + 1) for span in spans]
    return (first[0], first[1], first[2]), (sizes[0], sizes[1], sizes[2])


def _turned_box(
    volume: Volume, plane: Plane, low: float, window: Window | None
) -> tuple[Shape, Shape]:
    """The foreground box in the index space of the volume turned into `plane`."""
    way_out = "Choose a window that shows the body" if window else "All voxels are equal"
    complaint = f"No voxel is above {low:g}, which becomes black. {way_out}"
    start, shape = foreground(volume.voxels, low, complaint)
    turn = volume.geometry.orientation(plane)
    first, size = [0, 0, 0], [0, 0, 0]
    for k, (axis, flip) in enumerate(zip(turn.axes, turn.flips, strict=True)):
        size[k] = shape[axis]
        first[k] = volume.shape[axis] - start[axis] - shape[axis] if flip else start[axis]
    return (first[0], first[1], first[2]), (size[0], size[1], size[2])


def _positions(source: int, target: int) -> NDArray[np.float64]:
    """Where the target slices lie among the source slices (F.interpolate, align_corners=False)."""
    return np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)


def _touched(positions: NDArray[np.float64], count: int) -> list[int]:
    """Source slices that the interpolation loads, whatever their weight."""
    lowest = np.floor(positions - POSITION_TOLERANCE).astype(int)
    touched = np.concatenate([lowest, lowest + 1, lowest + 2])
    return [int(k) for k in np.unique(touched[(touched >= 0) & (touched < count)])]


def _read(positions: NDArray[np.float64], count: int) -> set[int]:
    """Source slices that enter some model slice with a weight above zero."""
    nearest = np.rint(positions)
    between = np.abs(positions - nearest) > POSITION_TOLERANCE
    low = np.floor(positions[between]).astype(int)
    found = np.concatenate([nearest[~between].astype(int), low, low + 1])
    return {int(k) for k in found if k < count}


def _scaled_crop(
    voxels: NDArray[np.generic],
    start: Shape,
    shape: Shape,
    low: float,
    width: float,
    *,
    slices: list[int],
) -> torch.Tensor:
    """The crop scaled to 0..1 float32; slices that nothing reads stay zero and take no memory."""
    crop = np.zeros(shape, dtype=np.float32)
    rows = slice(start[1], start[1] + shape[1])
    columns = slice(start[2], start[2] + shape[2])
    for k in slices:
        image = crop[k]
        np.copyto(image, voxels[start[0] + k, rows, columns], casting="same_kind")
        image -= np.float32(low)
        image /= np.float32(max(width, SMALLEST_MAXIMUM))
        np.clip(image, 0, 1, out=image)
    return torch.from_numpy(crop)


def _resize(values: torch.Tensor, target: Shape) -> torch.Tensor:
    """(d, h, w) → (1, *target), trilinear without antialiasing, as the released code does."""
    resized = functional.interpolate(
        values[None, None], size=target, mode="trilinear", align_corners=False
    )
    return resized[0]  # (1, D, H, W)


def _bands(
    grid: Geometry, plane: Plane, crop: tuple[int, int], flipped_count: int | None
) -> tuple[Band, ...]:
    """One band a model slice; `crop` is the first view slice and how many of them are kept."""
    axis = DISPLAY_AXES[plane][0][0]
    _, rows, columns = grid.shape
    start, count = crop
    positions = _positions(count, grid.shape[0])
    step = count / grid.shape[0]
    bands = []
    for k in range(grid.shape[0]):
        edges = [(k + side, (rows - 1) / 2, (columns - 1) / 2) for side in (-0.5, 0.5)]
        mm = sorted(float(p[axis]) for p in grid.to_patient_mm(np.asarray(edges)))
        first, last = math.ceil(k * step - 0.5), math.ceil((k + 1) * step - 0.5) - 1
        if last < first:  # more model slices than source slices: name the nearest one
            first = last = min(count - 1, math.floor((k + 0.5) * step))
        view = (start + first, start + last)
        source = view
        read = sorted(start + n for n in _read(positions[k : k + 1], count))
        if flipped_count is not None:
            source = (flipped_count - 1 - view[1], flipped_count - 1 - view[0])
            read = sorted(flipped_count - 1 - n for n in read)
        bands.append(Band(k, mm[0], mm[1], source, view, tuple(read)))
    return tuple(bands)
