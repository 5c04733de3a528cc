"""A phantom: a synthetic CT volume that knows everything about itself.

`make_phantom(seed)` draws body, phase, plane and findings, paints them, adds noise, and returns the
volume in the display orientation of its plane together with the extent of every finding. Knows
nothing of models; not for training anything that is meant for real scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Geometry, Plane
from med2e3.phantoms.anatomy import PHASES, Body, Phase, Region, draw_torso
from med2e3.phantoms.canvas import Canvas, grain
from med2e3.phantoms.facts import Fact, Facts, choose_places, plan_findings, report
from med2e3.phantoms.findings import KINDS, Kind, paint
from med2e3.phantoms.questions import Question, all_questions
from med2e3.volume import SeriesInfo, Volume

#: The grid of the demo model.
GRID = (32, 128, 128)

#: A finding of fewer voxels than this cannot be told from noise: it is not claimed.
SMALLEST_FINDING = 6


@dataclass(frozen=True, eq=False)
class Finding:
    """One abnormality and its exact extent on the volume's own grid.

    `mask` (slice, row, column); `box` has the first and last index along each axis; `slices` are
    the indices of the slices that hold it.
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


def make_phantom(seed: int, wish: Wish | None = None) -> Phantom:
    """The phantom of this seed; the same seed and wish give the same voxels."""
    wish = wish or Wish()
    rng = np.random.default_rng(seed)
    plane = wish.plane or tuple(Plane)[int(rng.integers(3))]
    phase = wish.phase or PHASES[int(rng.integers(4))]
    region = wish.region or tuple(Region)[int(rng.integers(2))]
    if wish.findings and wish.region is None:
        region = KINDS[wish.findings[0][0]].regions[0]
    wished = plan_findings(rng, region, phase)
    if wish.findings is not None:
        wished = [(KINDS[name], place) for name, place in wish.findings]
    plan = choose_places(rng, region, wished)
    body = Body.draw(rng, phase, any(kind.name == "enlarged spleen" for kind, _ in plan))
    canvas, geometry = _grid(rng, body, region, plane, wish.shape)
    canvas.roughen(rng)
    torso = draw_torso(canvas, body, rng)
    painted = [(kind, place, paint(kind, canvas, body, torso, place, rng)) for kind, place in plan]
    turn = _to_display(plane)
    findings = []
    for kind, place, spot in painted:
        if spot is not None and int((spot.shape.alpha > 0.5).sum()) >= SMALLEST_FINDING:
            mask = np.ascontiguousarray(turn(canvas.mask(spot.shape)))
            findings.append(Finding(kind, place, max(5, 5 * round(spot.size_mm / 5)), mask))
    _add_noise(canvas, rng)
    voxels = np.ascontiguousarray(turn(np.clip(np.rint(canvas.hu), -1024, 3071)).astype(np.int16))
    info = SeriesInfo(
        patient_name="PHANTOM^DEMO", patient_id=f"PHANTOM-{seed}", modality="CT",
        body_part=region.value.upper(), series_description=f"Phantom {seed} {plane.value}",
    )  # fmt: skip
    volume = Volume(voxels, geometry, info, source=f"phantom {seed}")
    labels = np.ascontiguousarray(turn(canvas.labels))
    return Phantom(seed, volume, plane, phase, region, tuple(findings), labels)


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
