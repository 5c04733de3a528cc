"""A phantom: a synthetic CT volume that knows everything about itself.

`make_phantom(seed)` draws body, phase, plane and findings, paints them, adds noise, and returns the
volume in the display orientation of its plane together with the extent of every finding. Bodies are
of two kinds: a "simple" one of ellipsoids, and a "detailed" one of organ shapes. Knows nothing of
models; not for training anything that is meant for real scans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import InputError
from med2e3.geometry import Geometry, Plane
from med2e3.phantoms.anatomy import PHASES, Body, Phase, Region, draw_torso
from med2e3.phantoms.canvas import Canvas, Picture, Shape, grain
from med2e3.phantoms.detailed.extent import longest_mm
from med2e3.phantoms.detailed.make import draw_detailed
from med2e3.phantoms.facts import Fact, Facts, choose_places, plan_findings, report
from med2e3.phantoms.findings import KINDS, Kind, paint
from med2e3.phantoms.questions import Question, all_questions
from med2e3.volume import SeriesInfo, Volume

#: The grid of the demo model.
GRID = (32, 128, 128)

#: Kinds of body, and the one that is drawn where none is named.
BODIES = ("simple", "detailed")
DEFAULT_BODY = "simple"

#: Keeps the choice of a body apart from what the seed draws for the phantom.
_BODY_STREAM = 11

#: A finding of fewer voxels than this cannot be told from noise: it is not claimed.
SMALLEST_FINDING = 6


@dataclass(frozen=True, eq=False)
class Finding:
    """One abnormality and its exact extent on the volume's own grid.

    `size_mm` is rounded to 5 mm: in a detailed body the longest extent of the mask, in a simple one
    the diameter, depth or length that was painted. `mask` (slice, row, column); `box` has the first
    and last index along each axis; `slices` are the indices of the slices that hold it.
    """

    kind: Kind
    place: str
    size_mm: int
    mask: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The kind's name, as in questions."""
        return self.kind.name

    @property
    def slices(self) -> tuple[int, ...]:
        """Slices that hold the finding, ascending."""
        return tuple(int(k) for k in np.flatnonzero(self.mask.any(axis=(1, 2))))

    @property
    def box(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """(first, last) index of slices, rows and columns."""
        ends = []
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            hit = np.flatnonzero(self.mask.any(axis=others))
            ends.append((int(hit[0]), int(hit[-1])))
        return (ends[0], ends[1], ends[2])


@dataclass(frozen=True, eq=False)
class Phantom:
    """A volume with its truth; `labels` numbers the organs (`anatomy.ORGANS`)."""

    seed: int
    volume: Volume
    plane: Plane
    phase: Phase
    region: Region
    findings: tuple[Finding, ...]
    labels: NDArray[np.uint8]
    body: str = DEFAULT_BODY

    @property
    def facts(self) -> Facts:
        """What is true of it, in words."""
        said = tuple(Fact(f.name, f.place, f.size_mm) for f in self.findings)
        return Facts(self.plane, self.phase, self.region, said)

    @property
    def report(self) -> str:
        """The true report."""
        return report(self.facts)

    def questions(self) -> list[Question]:
        """Questions of every topic with their right answers, the same at each call."""
        return all_questions(self.facts, self.seed)

    def finding(self, name: str) -> Finding | None:
        """The finding of that kind, if the phantom has one."""
        return next((f for f in self.findings if f.name == name), None)


@dataclass(frozen=True)
class Wish:
    """What a phantom must be; None leaves the choice to its seed.

    `findings` are (kind name, place or None). `shape` is (slices, rows, columns) in `plane`.
    """

    plane: Plane | None = None
    phase: Phase | None = None
    region: Region | None = None
    findings: Sequence[tuple[str, str | None]] | None = None
    shape: tuple[int, int, int] = GRID


@dataclass(frozen=True)
class _Scan:
    """What the seed and the wish made of a phantom before anything is painted."""

    plane: Plane
    phase: Phase
    region: Region
    shape: tuple[int, int, int]
    plan: Sequence[tuple[Kind, str]]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A finished picture, its geometry, and of each planned finding shape and size, or None.

    The size in mm is None where the mask tells it.
    """

    picture: Picture
    geometry: Geometry
    spots: Sequence[tuple[Shape, float | None] | None]


def make_phantom(seed: int, wish: Wish | None = None, *, body: str = DEFAULT_BODY) -> Phantom:
    """The phantom of this seed; the same seed, wish and body give the same voxels.

    `body` is one of `BODIES`. Raises `InputError` for another one.
    """
    if body not in BODIES:
        raise InputError(f"“{body}” is no kind of body. Name one of: {', '.join(BODIES)}.")
    wish = wish or Wish()
    rng = np.random.default_rng(seed)
    scan = _plan(rng, wish)
    drawn = DRAWERS[body](rng, scan)
    turn = _to_display(scan.plane)
    findings = []
    for (kind, place), spot in zip(scan.plan, drawn.spots, strict=True):
        if spot is not None and int((spot[0].alpha > 0.5).sum()) >= SMALLEST_FINDING:
            mask = np.ascontiguousarray(turn(drawn.picture.mask(spot[0])))
            length = longest_mm(mask, drawn.geometry.spacing_mm) if spot[1] is None else spot[1]
            findings.append(Finding(kind, place, max(5, 5 * round(length / 5)), mask))
    hu = np.clip(np.rint(drawn.picture.hu), -1024, 3071)
    voxels = np.ascontiguousarray(turn(hu).astype(np.int16))
    info = SeriesInfo(
        patient_name="PHANTOM^DEMO", patient_id=f"PHANTOM-{seed}", modality="CT",
        body_part=scan.region.value.upper(),
        series_description=f"Phantom {seed} {scan.plane.value}",
    )  # fmt: skip
    volume = Volume(voxels, drawn.geometry, info, source=f"phantom {seed}")
    labels = np.ascontiguousarray(turn(drawn.picture.labels))
    return Phantom(
        seed, volume, scan.plane, scan.phase, scan.region, tuple(findings), labels, body
    )  # fmt: skip


def body_of(seed: int, shares: Mapping[str, float]) -> str:
    """The kind of body that this seed gets where each has a share; the same at each call."""
    names = [name for name in BODIES if shares.get(name, 0) > 0]
    weights = np.cumsum([shares[name] for name in names])
    draw = np.random.default_rng([seed, _BODY_STREAM]).random() * weights[-1]
    return names[min(int(np.searchsorted(weights, draw, side="right")), len(names) - 1)]


def _plan(rng: np.random.Generator, wish: Wish) -> _Scan:
    """Plane, phase, region and findings: what the wish names, and the seed's choice of the rest."""
    plane = wish.plane or tuple(Plane)[int(rng.integers(3))]
    phase = wish.phase or PHASES[int(rng.integers(4))]
    region = wish.region or tuple(Region)[int(rng.integers(2))]
    if wish.findings and wish.region is None:
        region = KINDS[wish.findings[0][0]].regions[0]
    wished = plan_findings(rng, region, phase)
    if wish.findings is not None:
        wished = [(KINDS[name], place) for name, place in wish.findings]
    return _Scan(plane, phase, region, wish.shape, choose_places(rng, region, wished))


def _draw_simple(rng: np.random.Generator, scan: _Scan) -> _Drawn:
    """A body of ellipsoids and cylinders."""
    large_spleen = any(kind.name == "enlarged spleen" for kind, _ in scan.plan)
    body = Body.draw(rng, scan.phase, large_spleen)
    canvas, geometry = _grid(rng, body, scan.region, scan.plane, scan.shape)
    canvas.roughen(rng)
    torso = draw_torso(canvas, body, rng)
    painted = [paint(kind, canvas, body, torso, place, rng) for kind, place in scan.plan]
    _add_noise(canvas, rng)
    spots = [None if spot is None else (spot.shape, spot.size_mm) for spot in painted]
    return _Drawn(canvas, geometry, spots)


def _draw_detailed(rng: np.random.Generator, scan: _Scan) -> _Drawn:
    """A body of organ shapes."""
    plan = [(kind.name, place) for kind, place in scan.plan]
    space, geometry, shapes = draw_detailed(
        rng, (scan.plane, scan.phase, scan.region), scan.shape, plan
    )  # fmt: skip
    return _Drawn(space, geometry, [None if shape is None else (shape, None) for shape in shapes])


#: Who draws which kind of body.
DRAWERS: dict[str, Callable[[np.random.Generator, _Scan], _Drawn]] = {
    "simple": _draw_simple,
    "detailed": _draw_detailed,
}


def _grid(
    rng: np.random.Generator,
    body: Body,
    region: Region,
    plane: Plane,
    shape: tuple[int, int, int],
) -> tuple[Canvas, Geometry]:
    """The scanned box: a canvas in body coordinates and the display geometry of the series."""
    low, high = ((-12.0, 268.0), (-302.0, 14.0))[region is Region.ABDOMEN]
    low, high = low + rng.uniform(-8, 8), high + rng.uniform(-8, 8)
    margin = 8.0
    outline = (body.inner[0] + 16 + body.fat_mm + margin, body.inner[1] + 24 + body.fat_mm + margin)
    angle = np.deg2rad(rng.normal(0, 3.0))
    centre = np.array(
        [rng.uniform(-5, 5), 14 + rng.uniform(-3, 3), (low + high) / 2 * body.stretch]
    )
    extent = {0: 2 * outline[0], 1: 2 * outline[1], 2: (high - low) * body.stretch}
    axes = {Plane.AXIAL: (2, 1, 0), Plane.CORONAL: (1, 2, 0), Plane.SAGITTAL: (0, 2, 1)}[plane]
    # Pixels are square, as a scanner's are.
    pixel = max(extent[axes[1]] / shape[1], extent[axes[2]] / shape[2])
    spacing = (extent[axes[0]] / shape[0], pixel, pixel)
    step = {axis: spacing[k] for k, axis in enumerate(axes)}
    count = {axis: shape[k] for k, axis in enumerate(axes)}
    lines = {a: centre[a] + (np.arange(count[a]) - (count[a] - 1) / 2) * step[a] for a in range(3)}
    y, x = np.meshgrid(lines[1], lines[0], indexing="ij")
    turned = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    canvas = Canvas(
        z=lines[2].astype(np.float32), y=turned[1].astype(np.float32),
        x=turned[0].astype(np.float32), edge_mm=float(pixel) * 0.9,
        slab_mm=(step[2] / 2, step[1] / 2, step[0] / 2),
    )  # fmt: skip
    first = (lines[0][0], lines[1][0], lines[2][-1])  # right, anterior, superior
    return canvas, Geometry.from_spacing(shape, spacing, plane=plane, origin_mm=first)


def _to_display(plane: Plane):  # type: ignore[no-untyped-def]
    """Turns canvas arrays (z up, y, x) into the display orientation of the plane."""
    axes = {Plane.AXIAL: (0, 1, 2), Plane.CORONAL: (1, 0, 2), Plane.SAGITTAL: (2, 0, 1)}[plane]
    return lambda array: array[::-1].transpose(axes)


def _add_noise(canvas: Canvas, rng: np.random.Generator) -> None:
    """Noise of 8–22 HU in tissue and about a seventh of that in air, where photons abound."""
    sigma = rng.uniform(8, 22)
    weight = np.clip((canvas.hu + 1000) / 900, 0, 1) * 0.85 + 0.15
    canvas.hu += weight * np.float32(sigma) * grain(canvas.hu.shape, rng)
