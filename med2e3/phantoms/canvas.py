"""Paints soft-edged shapes in HU on a grid of the patient: the brush of the phantoms.

Knows shapes, not organs. The grid is stored axially (z, y, x) whatever the plane of the series; the
body may be turned about its long axis, so x and y are 2D fields and z is a 1D one. That keeps an
ellipsoid at one 3D operation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Float = NDArray[np.float32]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Shape:
    """Coverage 0..1 of the voxels inside `box` (z, y, x); 0 elsewhere."""

    box: Box
    alpha: Float

    def times(self, other: Shape) -> Shape:
        """Where both are."""
        return Shape(self.box, self.alpha * _within(other, self.box))

    def minus(self, other: Shape) -> Shape:
        """Where this is and the other is not."""
        return Shape(self.box, self.alpha * (1 - _within(other, self.box)))


def _within(shape: Shape, box: Box) -> Float:
    """The coverage of `shape` on another box."""
    sizes = [b.stop - b.start for b in box]
    out = np.zeros(sizes, np.float32)
    low = [max(a.start, b.start) for a, b in zip(shape.box, box, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(shape.box, box, strict=True)]
    if all(h > s for s, h in zip(low, high, strict=True)):
        here = tuple(
            slice(s - b.start, h - b.start) for s, h, b in zip(low, high, box, strict=True)
        )
        there = tuple(
            slice(s - a.start, h - a.start) for s, h, a in zip(low, high, shape.box, strict=True)
        )
        out[here] = shape.alpha[there]
    return out


class Picture:
    """HU and labels of a grid (z, y, x): what every brush paints on."""

    hu: Float
    labels: NDArray[np.uint8]

    def clear(self, shape: tuple[int, ...]) -> None:
        """Air everywhere, and no label."""
        self.hu = np.full(shape, -1000, np.float32)
        self.labels = np.zeros(shape, np.uint8)

    def everywhere(self, alpha: Float) -> Shape:
        """A shape from coverage on the whole grid."""
        return Shape(tuple(slice(0, n) for n in self.hu.shape), alpha)  # type: ignore[arg-type]

    def paint(self, shape: Shape, hu: float | Float, label: int | None = None) -> Shape:
        """Blends HU over what was there; voxels more than half covered take the label."""
        block = self.hu[shape.box]
        block += shape.alpha * (hu - block)
        if label is not None:
            self.labels[shape.box][shape.alpha > 0.5] = label
        return shape

    def mask(self, shape: Shape) -> NDArray[np.bool_]:
        """Voxels more than half covered, on the whole grid."""
        out = np.zeros(self.hu.shape, bool)
        out[shape.box] = shape.alpha > 0.5
        return out


@dataclass(eq=False)
class Canvas(Picture):
    """HU and labels on a grid; `z` (Z,), `x` and `y` (Y, X) are body coordinates in mm.

    `edge_mm` is the width of the partial-volume ramp, `slab_mm` half the reach of a voxel along
    (z, y, x): a thick slice still shows a small object whose middle it misses.
    """

    z: Float
    y: Float
    x: Float
    edge_mm: float
    slab_mm: Point
    hu: Float = field(init=False)
    labels: NDArray[np.uint8] = field(init=False)
    wobble: Float = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(self.z), *self.x.shape)
        self.clear(shape)
        self.wobble = np.zeros(shape, np.float32)

    def roughen(self, rng: np.random.Generator) -> None:
        """Draws the smooth field (about −1..1) that makes outlines irregular."""
        for length in (70.0, 38.0, 22.0):
            k = rng.normal(size=3)
            k *= 2 * np.pi / length / np.linalg.norm(k)
            flat = (k[0] * self.x + k[1] * self.y + rng.uniform(0, 6.3)).astype(np.float32)
            along = (k[2] * self.z).astype(np.float32)[:, None, None]
            # cos(a + b) from 2D and 1D terms: no transcendental on the whole grid.
            self.wobble += np.cos(flat) * np.cos(along) - np.sin(flat) * np.sin(along)
        self.wobble *= np.float32(1 / 3)

    def box(self, centre: Point, radii: Point) -> Box:
        """The voxels that a body of these half sizes can touch; may be empty."""
        rx, ry, rz = (r + 2 * self.edge_mm for r in radii)
        rz += self.slab_mm[0]
        zs = np.flatnonzero(np.abs(self.z - centre[2]) <= rz)
        near = (np.abs(self.x - centre[0]) <= rx + self.slab_mm[2]) & (
            np.abs(self.y - centre[1]) <= ry + self.slab_mm[1]
        )
        ys, xs = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if not (len(zs) and len(ys) and len(xs)):
            return (slice(0, 0), slice(0, 0), slice(0, 0))
        return (
            slice(int(zs[0]), int(zs[-1]) + 1),
            slice(int(ys[0]), int(ys[-1]) + 1),
            slice(int(xs[0]), int(xs[-1]) + 1),
        )

    def ellipsoid(self, centre: Point, radii: Point, rough: float = 0.0) -> Shape:
        """An ellipsoid; `rough` is the amplitude of its irregular outline."""
        box = self.box(centre, radii)
        zs, flat = box[0], (box[1], box[2])
        rx, ry, rz = (max(r, 0.3) for r in self._thickened(radii))
        q2 = ((self.x[flat] - centre[0]) / rx) ** 2 + ((self.y[flat] - centre[1]) / ry) ** 2
        qz = ((self.z[zs] - centre[2]) / rz) ** 2
        q = qz.astype(np.float32)[:, None, None] + q2.astype(np.float32)
        return Shape(box, self._ramp(q, min(rx, ry, rz), box, rough))

    def column(self, centre: Point, radii: Point, low: float, rough: float = 0.0) -> Shape:
        """Half an ellipsoid above `centre`, a straight column below it down to `low` (z, mm)."""
        rx, ry, rz = radii
        span = (centre[2] + rz - low) / 2
        box = self.box((centre[0], centre[1], low + span), (rx, ry, span))
        zs, flat = box[0], (box[1], box[2])
        q2 = ((self.x[flat] - centre[0]) / rx) ** 2 + ((self.y[flat] - centre[1]) / ry) ** 2
        qz = np.clip((self.z[zs] - centre[2]) / rz, 0, None) ** 2
        q = qz.astype(np.float32)[:, None, None] + q2.astype(np.float32)
        q[self.z[zs] < low] = 9
        return Shape(box, self._ramp(q, min(rx, ry), box, rough))

    def capsule(self, start: Point, end: Point, radius: float) -> Shape:
        """A rod with round ends."""
        a, b = np.asarray(start), np.asarray(end)
        middle, half = (a + b) / 2, np.abs(b - a) / 2 + radius
        box = self.box(tuple(middle), tuple(half))
        zs, flat = box[0], (box[1], box[2])
        d = b - a
        length2 = max(float(d @ d), 1e-6)
        x, y = self.x[flat] - a[0], self.y[flat] - a[1]
        z = (self.z[zs] - a[2]).astype(np.float32)[:, None, None]
        t = z * np.float32(d[2] / length2) + ((x * d[0] + y * d[1]) / length2).astype(np.float32)
        s = np.clip(t, 0, 1)
        square = z**2 + (x**2 + y**2).astype(np.float32)
        square += np.float32(length2) * s * (s - 2 * t)
        reach = np.float32(max(radius, 0.8 * self.edge_mm))
        return Shape(box, self._ramp(square / reach**2, float(reach), box, 0.0))

    def label_at(self, point: Point) -> int:
        """The label of the voxel nearest to a place in the body; −1 off the grid."""
        k = int(np.argmin(np.abs(self.z - point[2])))
        distance = (self.x - point[0]) ** 2 + (self.y - point[1]) ** 2
        j, i = np.unravel_index(int(np.argmin(distance)), distance.shape)
        reach = [max(2 * s, 2 * self.edge_mm) for s in self.slab_mm]
        if abs(self.z[k] - point[2]) > reach[0] or distance[j, i] > reach[1] ** 2 + reach[2] ** 2:
            return -1
        return int(self.labels[k, j, i])

    def _thickened(self, radii: Point) -> Point:
        """Radii as a thick slice shows them."""
        sz, sy, sx = self.slab_mm
        rx, ry, rz = radii
        return (
            float(np.hypot(rx, 0.6 * sx)),
            float(np.hypot(ry, 0.6 * sy)),
            float(np.hypot(rz, 0.6 * sz)),
        )

    def _ramp(self, q: Float, radius: float, box: Box, rough: float) -> Float:
        """Coverage from the quadratic form q (1 on the surface)."""
        if rough:
            q = q + np.float32(rough) * self.wobble[box]
        slope = np.float32(max(radius, 1.0) / (2 * self.edge_mm))
        alpha: Float = np.clip((1 - q) * slope + np.float32(0.5), 0, 1).astype(np.float32)
        return alpha


@lru_cache(maxsize=4)
def _grain(shape: tuple[int, int, int]) -> Float:
    """Noise of unit spread with the short-range correlation of a CT kernel, larger than `shape`."""
    rng = np.random.default_rng(20240607)
    white = rng.standard_normal([int(n * 1.25) + 8 for n in shape], dtype=np.float32)
    grain = gaussian_filter(white, (0.3, 0.75, 0.75), mode="wrap")
    # A reconstruction kernel takes away the lowest frequencies: noise is a band, not a fog.
    grain -= 0.5 * gaussian_filter(grain, (0, 3, 3), mode="wrap")
    return np.asarray(grain / grain.std(), np.float32)


def grain(shape: tuple[int, int, int], rng: np.random.Generator) -> Float:
    """CT-like noise of unit spread: a random window, mirrored at random, of one fixed field."""
    field_ = _grain(shape)
    start = [int(rng.integers(0, f - n + 1)) for f, n in zip(field_.shape, shape, strict=True)]
    cut = field_[tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))]
    for axis in range(3):
        if rng.random() < 0.5:
            cut = np.flip(cut, axis)
    return cut * np.float32(rng.choice((-1.0, 1.0)))
