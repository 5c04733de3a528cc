"""Overlays on one slice: voxels resampled by geometry, outlines, and boxes cut by its plane.

Everything goes through LPS mm, so that the overlay may have any grid and the slice any
orientation. Knows no widgets.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from app.rendering.colour_maps import table
from app.viewmodels.images.layers import Layer
from med2e3.geometry import Geometry

Float = NDArray[np.float64]

#: A direction below this part of a voxel a pixel is rounding: the grids then run along each other.
STRAIGHT = 1e-9


@dataclass(frozen=True)
class PixelPlane:
    """A slice in the patient: LPS mm of its pixel (0, 0), of one row and of one column further."""

    origin_mm: Float
    row_mm: Float
    column_mm: Float
    shape: tuple[int, int]

    def to_pixel(self, patient_mm: Float) -> Float:
        """(..., 3) LPS mm → (..., 3): fractional row and column, and mm out of the plane."""
        normal = np.cross(self.row_mm, self.column_mm)
        axes = np.column_stack([self.row_mm, self.column_mm, normal / np.linalg.norm(normal)])
        return np.asarray((np.asarray(patient_mm) - self.origin_mm) @ np.linalg.inv(axes).T)


@dataclass(frozen=True, eq=False)
class Sampled:
    """`values` (rows, columns) of an overlay at a slice's pixels; `inside` where it has any."""

    values: NDArray[Any]
    inside: NDArray[np.bool_]


def sample(voxels: NDArray[Any], geometry: Geometry, plane: PixelPlane, *, smooth: bool) -> Sampled:
    """The overlay at the centre of every pixel: the nearest voxel, or `smooth` between eight."""
    inverse = geometry.inverse
    start = inverse[:3, :3] @ plane.origin_mm + inverse[:3, 3]
    down, across = inverse[:3, :3] @ plane.row_mm, inverse[:3, :3] @ plane.column_mm
    rows, columns = np.arange(plane.shape[0]), np.arange(plane.shape[1])
    places = []
    inside: Any = np.True_
    for k, length in enumerate(geometry.shape):
        # An axis of the overlay that a row or column does not move along stays a smaller array.
        place: Any = np.full((1, 1), start[k])
        if abs(down[k]) > STRAIGHT:
            place = place + (down[k] * rows)[:, None]
        if abs(across[k]) > STRAIGHT:
            place = place + (across[k] * columns)[None, :]
        inside = inside & (place >= -0.5) & (place < length - 0.5)
        places.append(place)
    seen = np.broadcast_to(inside, plane.shape)
    if smooth:
        return Sampled(_between(voxels, places, plane.shape), seen)
    # Half a voxel up and rounded down: on the border between two voxels the later one is taken.
    nearest = tuple(
        np.clip(np.floor(place + 0.5).astype(np.intp), 0, n - 1)
        for place, n in zip(places, geometry.shape, strict=True)
    )
    return Sampled(np.broadcast_to(voxels[nearest], plane.shape), seen)


def _between(voxels: NDArray[Any], places: list[Any], shape: tuple[int, int]) -> NDArray[Any]:
    full = np.stack([np.broadcast_to(place, shape) for place in places])
    result: NDArray[Any] = map_coordinates(
        voxels, full, output=np.float32, order=1, mode="nearest", prefilter=False
    )
    return result


def label_ids(layer: Layer, plane: PixelPlane) -> NDArray[np.intp]:
    """(rows, columns): which label is shown at each pixel, 1-based; 0 where none is."""
    sampled = sample(layer.voxels, layer.geometry, plane, smooth=False)
    largest = max(label.value for label in layer.labels)
    numbers = np.zeros(largest + 1, np.intp)
    for k, label in enumerate(layer.labels, start=1):
        numbers[label.value] = 0 if label.value in layer.hidden else k
    values = sampled.values.astype(np.intp)
    known = sampled.inside & (values >= 0) & (values <= largest)
    return np.asarray(numbers[np.where(known, values, 0)])


def value_pixels(layer: Layer, plane: PixelPlane) -> NDArray[np.uint32]:
    """(rows, columns) of premultiplied 0xAARRGGBB pixels of a layer of values."""
    sampled = sample(layer.voxels, layer.geometry, plane, smooth=not layer.stepped)
    span = max(layer.high - layer.low, 1e-9)
    place = np.clip((sampled.values - layer.low) / span * 255, 0, 255).astype(np.uint8)
    shown = sampled.inside & (sampled.values >= layer.low)
    pixels = np.where(shown, premultiplied(table(layer.colours), layer.opacity)[place], 0)
    return np.ascontiguousarray(pixels, dtype=np.uint32)


def label_pixels(layer: Layer, ids: NDArray[np.intp]) -> NDArray[np.uint32]:
    """(rows, columns) of premultiplied 0xAARRGGBB pixels of a label map."""
    colours = np.array([0, *(int(label.colour[1:], 16) for label in layer.labels)], np.uint32)
    painted = premultiplied(colours, layer.opacity)
    painted[0] = 0
    return np.ascontiguousarray(painted[ids])


def premultiplied(colours: NDArray[np.uint32], opacity: float) -> NDArray[np.uint32]:
    """0xRRGGBB colours at an opacity of 0..1, as Qt composes them."""
    alpha = round(255 * min(max(opacity, 0.0), 1.0))
    parts = [(colours >> shift & 255) * alpha // 255 for shift in (16, 8, 0)]
    red, green, blue = (part.astype(np.uint32) for part in parts)
    return np.asarray(np.uint32(alpha << 24) | red << 16 | green << 8 | blue, dtype=np.uint32)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 4): the border of a mask as straight runs (row, column, row, column) along pixel edges.

    Whole numbers are pixel centres, so that edges lie at halves.
    """
    down = _runs(mask)
    across = _runs(mask.T)
    return np.concatenate([down, across[:, [1, 0, 3, 2]]])


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Edges between rows, joined along each row."""
    padded = np.pad(mask.astype(np.int8), 1)
    edges = (padded[1:, 1:-1] != padded[:-1, 1:-1]).astype(np.int8)  # (rows + 1, columns)
    steps = np.diff(np.pad(edges, ((0, 0), (1, 1))), axis=1)
    row, first = np.nonzero(steps == 1)
    _, last = np.nonzero(steps == -1)
    return np.column_stack([row, first, row, last]).astype(np.float64) - 0.5


def box_outline(corners_mm: Float, plane: PixelPlane) -> list[tuple[float, float]]:
    """The polygon (row, column) in which a plane cuts a box; empty where it does not.

    `corners_mm` (8, 3) count in binary along the box's three axes.
    """
    places = plane.to_pixel(corners_mm)
    found = []
    for a, b in itertools.combinations(range(8), 2):
        if (a ^ b).bit_count() != 1:
            continue
        (low, high), first, last = (places[a, 2], places[b, 2]), places[a], places[b]
        if (low < 0) != (high < 0):
            share = low / (low - high)
            found.append(first + (last - first) * share)
    if len(found) < 3:
        return []
    points = np.asarray(found)[:, :2]
    around = points - points.mean(axis=0)
    order = np.argsort(np.arctan2(around[:, 0], around[:, 1]))
    return [(float(r), float(c)) for r, c in points[order]]
