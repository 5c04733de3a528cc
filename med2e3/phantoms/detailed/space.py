"""The grid of a detailed body, and the brushes that paint on it: tubes, ellipsoids, surfaces.

Every voxel knows its place in the body's reference frame (mm; x to the patient's left, y to
posterior, z to superior, z = 0 under the heart). A person's size, posture and build are in that
map, so that organs are painted at the places of the reference. Knows no organs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from med2e3.phantoms.canvas import Box, Float, Picture, Point, Shape

#: Lengths of the waves, in mm, that make outlines irregular.
ROUGH_WAVES = (70.0, 38.0, 22.0)

#: A thing thinner than this many pixels is painted so wide, and fainter.
THINNEST = 0.6

#: Pairs of balls and voxels that are looked at together: some ten megabytes.
MOST_CELLS = 400_000


@dataclass(frozen=True, eq=False)
class Tube:
    """A path of points (N, 3) with a radius at each."""

    points: NDArray[np.float64]
    radii: NDArray[np.float64]

    def at(self, share: ArrayLike) -> NDArray[np.float64]:
        """Points at these shares (0..1) of its way, counted in points."""
        steps = np.asarray(share, float) * (len(self.points) - 1)
        known = np.arange(len(self.points))
        return np.stack([np.interp(steps, known, self.points[:, k]) for k in range(3)], axis=-1)

    def wider(self, mm: float) -> Tube:
        """The same path with larger radii."""
        return Tube(self.points, self.radii + mm)


def curve(points: ArrayLike, radii: float | ArrayLike, count: int) -> Tube:
    """A smooth path (a Catmull–Rom spline) of `count` points through these; radii go along."""
    given = np.asarray(points, float)
    wide = np.broadcast_to(np.asarray(radii, float), (len(given),))
    smooth, straight = _weights(len(given), count)
    return Tube(smooth @ given, straight @ wide)


def moved(point: ArrayLike, x: float, y: float, z: float) -> NDArray[np.float64]:
    """A place so many mm further to the left, to the back and up."""
    made: NDArray[np.float64] = np.asarray(point, float) + np.array([x, y, z], float)
    return made


@lru_cache(maxsize=256)
def _weights(known: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(count, known): how much each known point counts, on a smooth and on a broken line."""
    at = np.linspace(0, known - 1, count)
    left = np.minimum(at.astype(int), known - 2)
    t = (at - left)[:, None]
    here = np.eye(known)
    before, after = here[np.maximum(left - 1, 0)], here[np.minimum(left + 2, known - 1)]
    a, b = here[left], here[left + 1]
    straight = (1 - t) * a + t * b
    slope_a, slope_b = (b - before) / 2, (after - a) / 2
    smooth = (2 * t**3 - 3 * t**2 + 1) * a + (t**3 - 2 * t**2 + t) * slope_a
    smooth += (3 * t**2 - 2 * t**3) * b + (t**3 - t**2) * slope_b
    return smooth, straight


@lru_cache(maxsize=512)
def _cells(reach: tuple[int, ...]) -> NDArray[np.intp]:
    """(3, N): steps from a ball's middle to the voxels that it may cover."""
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"))
    steps = steps.reshape(3, -1)
    far = np.maximum(np.abs(steps) - 0.5, 0) / (np.array(reach)[:, None] + 0.25)
    return steps[:, (far**2).sum(axis=0) <= 1]


@dataclass(frozen=True, eq=False)
class _Beads:
    """Balls (N): middles (x, y, z), radii, how far each is spread along (z, y, x), how faint."""

    points: NDArray[np.float64]
    radii: NDArray[np.float64]
    spread: NDArray[np.float64]
    faint: NDArray[np.float64]


@dataclass(eq=False)
class Space(Picture):
    """HU and labels; `x` and `y` (Z, Y, X) and `z` (Z,) are places in the reference body.

    `scanner_x` (X,) and `scanner_y` (Y,) are the columns' and rows' places in the room, in mm.
    `slab_mm` is the size of a voxel along (z, y, x); `edge_mm` the breadth of a border.
    """

    x: Float
    y: Float
    z: Float
    scanner_x: Float
    scanner_y: Float
    slab_mm: Point
    edge_mm: float
    wobble: Float = field(init=False)
    step: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.clear(self.x.shape)
        self.wobble = np.zeros(self.x.shape, np.float32)
        self._scratch = np.zeros(self.x.shape, np.float32)
        steps = (np.diff(self.z), np.diff(self.y, axis=1), np.diff(self.x, axis=2))
        self.step = np.array([float(d.mean()) for d in steps])

    def reaches(self, low: float, high: float) -> bool:
        """Whether some slice lies between two heights."""
        return bool(((self.z > low) & (self.z < high)).any())

    @property
    def level(self) -> Float:
        """Z of every slice, (Z, 1, 1)."""
        return self.z[:, None, None]

    def roughen(self, rng: np.random.Generator) -> None:
        """Draws the smooth field (about −1..1) that makes outlines and tissues irregular."""
        for length in ROUGH_WAVES:
            k = rng.normal(size=3)
            k *= 2 * np.pi / length / np.linalg.norm(k)
            flat = np.float32(k[0]) * self.x + np.float32(k[1]) * self.y
            flat += (k[2] * self.z + rng.uniform(0, 6.3)).astype(np.float32)[:, None, None]
            self.wobble += np.cos(flat)
        self.wobble *= np.float32(1 / 3)

    def near(self, points: NDArray[np.float64]) -> NDArray[np.intp]:
        """Indices (N, 3) in (z, y, x) of the voxels nearest to places (N, 3); also off the grid."""
        deep, high, wide = self.x.shape
        k = np.rint((points[:, 2] - self.z[0]) / self.step[0])
        kept = np.clip(k, 0, deep - 1).astype(np.intp)
        j, i = np.full(len(points), high / 2), np.full(len(points), wide / 2)
        for _ in range(3):  # the map bends gently: each turn leaves a tenth of the error
            jj = np.clip(np.rint(j), 0, high - 1).astype(np.intp)
            ii = np.clip(np.rint(i), 0, wide - 1).astype(np.intp)
            j = jj + (points[:, 1] - self.y[kept, jj, ii]) / self.step[1]
            i = ii + (points[:, 0] - self.x[kept, jj, ii]) / self.step[2]
        return np.stack([k, np.rint(j), np.rint(i)], axis=1).astype(np.intp)

    def box(self, centre: ArrayLike, reach: ArrayLike) -> Box:
        """Indices that hold every voxel within `reach` (x, y, z) of a place; may be empty."""
        middle = self.near(np.asarray(centre, float)[None])[0]
        half = np.asarray(reach, float)[::-1] + self.edge_mm
        half[1:] += 0.12 * half[1:].max()  # for what is turned, or bent
        count = np.ceil(half / self.step).astype(int) + 1
        ends = [
            (max(int(m - n), 0), min(int(m + n) + 1, size))
            for m, n, size in zip(middle, count, self.x.shape, strict=True)
        ]
        (a, b), (c, d), (e, f) = ((low, max(low, high)) for low, high in ends)
        return (slice(a, b), slice(c, d), slice(e, f))

    def ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, *, axes: ArrayLike | None = None,
        rough: float = 0.0, square: bool = False,
    ) -> Shape:  # fmt: skip
        """An ellipsoid; rows of `axes` are its unit axes; `square` makes it fuller at corners."""
        c, r = np.asarray(centre, float), self._thick(np.asarray(radii, float), axes)
        turn = np.eye(3) if axes is None else np.asarray(axes, float)
        reach = np.abs(turn.T * r).sum(axis=1) if square else np.sqrt(((turn.T * r) ** 2).sum(1))
        box = self.box(c, reach * (1 + rough))
        x, y, z = self._from(box, c)
        q = np.zeros(x.shape, np.float32)
        for axis, radius in zip(turn, r, strict=True):
            along = self._along(axis / radius, x, y, z)
            along *= along
            q += along * along if square else along
        if square:
            q = np.sqrt(q)
        if rough:
            q += np.float32(2 * rough) * self.wobble[box]
        small = float(min(r))
        alpha = np.clip((1 - q) * np.float32(small / (2 * self.edge_mm)) + np.float32(0.5), 0, 1)
        return Shape(box, alpha)

    def tube(self, tube: Tube, rough: float = 0.0) -> Shape:
        """A tube with round ends, as thick slices show it."""
        return self.tubes([tube], rough)

    def tubes(self, tubes: Sequence[Tube], rough: float = 0.0) -> Shape:
        """All these tubes as one shape: balls along their ways, set closely."""
        nothing = slice(0, 0)
        void = Shape((nothing, nothing, nothing), np.zeros((0, 0, 0), np.float32))
        if not tubes:
            return void
        beads = self._beads(tubes)
        if not len(beads.points):
            return void
        middle = self.near(beads.points)
        seen = (beads.radii * (1 + rough) + 0.5 * self.edge_mm)[:, None] * beads.spread
        count = np.ceil(seen / self.step - 0.25).astype(np.intp)
        low, high = middle - count, middle + count + 1
        size = np.array(self.x.shape)
        there = ((high > 0) & (low < size)).all(axis=1)
        if not there.any():
            return void
        first = np.maximum(low[there].min(axis=0), 0)
        last = np.minimum(high[there].max(axis=0), size)
        inner = np.asarray((low >= 0).all(axis=1) & (high <= size).all(axis=1))
        kinds, which = np.unique(count[there], axis=0, return_inverse=True)
        order = np.flatnonzero(there)
        for number, reach in enumerate(kinds):
            cells = _cells(tuple(int(n) for n in reach))
            chosen = order[which.ravel() == number]
            for part in np.array_split(chosen, 1 + len(chosen) * cells.shape[1] // MOST_CELLS):
                self._splat(beads, part, middle[part], cells, rough, bool(inner[part].all()))
        (a, b, c), (d, e, f) = ((int(n) for n in ends) for ends in (first, last))
        box = (slice(a, d), slice(b, e), slice(c, f))
        out = self._scratch[box].copy()
        self._scratch[box] = 0
        return Shape(box, out)

    def _splat(
        self, beads: _Beads, part: NDArray[np.intp], middle: NDArray[np.intp],
        cells: NDArray[np.intp], rough: float, inner: bool,
    ) -> None:  # fmt: skip
        """Puts some beads into the scratch grid: each voxel keeps the most.

        `inner` says that none of them reaches over the grid's border.
        """
        deep, high, wide = self.x.shape
        ways = (cells[0] * high + cells[1]) * wide + cells[2]
        whole = ((middle[:, 0] * high + middle[:, 1]) * wide + middle[:, 2])[:, None] + ways
        levels = middle[:, 0, None] + cells[0]
        held = None
        if not inner:
            rows, columns = middle[:, 1, None] + cells[1], middle[:, 2, None] + cells[2]
            held = (levels >= 0) & (levels < deep) & (rows >= 0) & (rows < high)
            held &= (columns >= 0) & (columns < wide)
            np.clip(whole, 0, self.x.size - 1, out=whole)
            np.clip(levels, 0, deep - 1, out=levels)
        flat = (1 / beads.spread[part]).astype(np.float32)
        points = beads.points[part].astype(np.float32)
        across = self.x.reshape(-1)[whole]
        across -= points[:, 0, None]
        across *= flat[:, 2, None]
        across *= across
        for places, axis, index in ((self.y.reshape(-1), 1, whole), (self.z, 2, levels)):
            off = places[index]
            off -= points[:, axis, None]
            off *= flat[:, 2 - axis, None]
            off *= off
            across += off
        np.sqrt(across, out=across)
        radius = beads.radii[part].astype(np.float32)[:, None]
        if rough:
            radius = radius * (1 + np.float32(rough) * self.wobble.reshape(-1)[whole])
        alpha = (radius - across) * np.float32(1 / self.edge_mm)
        alpha += np.float32(0.5)
        np.clip(alpha, 0, 1, out=alpha)
        alpha *= beads.faint[part].astype(np.float32)[:, None]
        if held is not None:
            alpha *= held
        np.maximum.at(self._scratch.reshape(-1), whole.reshape(-1), alpha.reshape(-1))

    def _beads(self, tubes: Sequence[Tube]) -> _Beads:
        """Balls along the tubes; thin ones are as wide as a pixel, and fainter."""
        starts = np.concatenate([t.points[:-1] for t in tubes])
        ways = np.concatenate([np.diff(t.points, axis=0) for t in tubes])
        wide = np.concatenate([t.radii[:-1] for t in tubes])
        growth = np.concatenate([np.diff(t.radii) for t in tubes])
        length = np.linalg.norm(ways, axis=1)
        mean = np.maximum(wide + growth / 2, 0.1)
        thin = THINNEST * self.edge_mm
        gap = np.maximum(0.7 * float(self.step[1:].min()), 0.4 * mean)
        count = np.maximum(np.ceil(length / gap), 1).astype(int)
        own = np.repeat(np.arange(len(ways)), count)
        share = (np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[
            own
        ]
        # How much nearer a thick voxel sees a thin tube along (z, y, x), and how much fainter.
        extra = 0.4 * np.maximum(np.array(self.slab_mm) - self.edge_mm, 0)
        spread = np.hypot(1, extra / np.maximum(mean, 1.0)[:, None])
        along = ways[:, ::-1] / np.maximum(length, 1e-6)[:, None]
        faint = np.maximum(np.prod(spread ** -(1 - along**2), axis=1), 0.5)
        faint = faint * np.minimum(mean / thin, 1)
        points = starts[own] + share[:, None] * ways[own]
        radii = np.maximum(wide[own] + share * growth[own], thin)
        reach = radii * spread[own, 0] + self.slab_mm[0]
        kept = (points[:, 2] > self.z[0] - reach) & (points[:, 2] < self.z[-1] + reach)
        return _Beads(points[kept], radii[kept], spread[own][kept], faint[own][kept])

    def _thick(self, radii: NDArray[np.float64], axes: ArrayLike | None) -> NDArray[np.float64]:
        """Radii as thick slices show them."""
        extra = np.maximum(np.array(self.slab_mm[::-1]) - self.edge_mm, 0) * 0.4
        if axes is not None:
            extra = np.abs(np.asarray(axes, float)) @ extra
        return np.maximum(np.hypot(radii, extra), THINNEST * self.edge_mm)

    def _from(self, box: Box, origin: NDArray[np.float64]) -> tuple[Float, Float, Float]:
        """Places in the box, seen from `origin`."""
        z = (self.z[box[0]] - origin[2]).astype(np.float32)[:, None, None]
        x, y = self.x[box] - np.float32(origin[0]), self.y[box] - np.float32(origin[1])
        return x, y, z

    @staticmethod
    def _along(vector: NDArray[np.float64], x: Float, y: Float, z: Float) -> Float:
        """The dot product of places with a vector."""
        made: Float = x * np.float32(vector[0])
        made += y * np.float32(vector[1])
        made += z * np.float32(vector[2])
        return made

    def index_of(self, point: ArrayLike) -> tuple[int, int, int] | None:
        """The voxel (z, y, x) nearest to a place in the body; None off the grid."""
        k, j, i = (int(n) for n in self.near(np.asarray(point, float)[None])[0])
        inside = all(0 <= n < size for n, size in zip((k, j, i), self.x.shape, strict=True))
        return (k, j, i) if inside else None

    def label_at(self, point: ArrayLike) -> int:
        """The label of the voxel nearest to a place in the body; −1 off the grid."""
        found = self.index_of(point)
        return -1 if found is None else int(self.labels[found])


def union(space: Space, shapes: Sequence[Shape]) -> Shape:
    """Where any of them is, on the whole grid."""
    whole = np.zeros(space.hu.shape, np.float32)
    for shape in shapes:
        np.maximum(whole[shape.box], shape.alpha, out=whole[shape.box])
    return space.everywhere(whole)
