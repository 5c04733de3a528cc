"""A person and one scan of them: build, posture, contrast, and the grid that the scanner lays.

Places are in the reference frame of `Space`. Knows no organ's shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Geometry, Plane
from med2e3.phantoms.anatomy import PHASES, TISSUE_HU, Phase, Region
from med2e3.phantoms.canvas import Float
from med2e3.phantoms.detailed.space import Space

Rng = np.random.Generator

#: HU in the four phases of what `TISSUE_HU` lacks or has otherwise in a detailed body.
DETAILED_HU: dict[str, tuple[float, float, float, float]] = {
    "fat": (-104, -104, -103, -103),
    "muscle": (52, 56, 64, 62),
    "injected vein": (42, 360, 150, 106),
    "infrarenal vein": (40, 52, 128, 104),
    "renal vein": (40, 145, 170, 112),
    "portal vein": (42, 88, 176, 108),
    "lung vein": (42, 262, 155, 106),
    "thyroid": (88, 165, 140, 120),
    "adrenal": (30, 62, 72, 55),
    "gland": (18, 30, 38, 34),
    "spleen": (48, 122, 122, 92),
    "cord": (30, 32, 36, 35),
}

#: Slab of the reference body that is scanned, from and to, in mm.
#: The chest ends above kidneys, gallbladder, pancreas and bowel; the abdomen begins below the
#: heart, so that what a region shows is what its questions say.
SCANNED: dict[Region, tuple[float, float]] = {
    Region.CHEST: (-58.0, 214.0),
    Region.ABDOMEN: (-352.0, -9.0),
}


@dataclass(frozen=True)
class Person:
    """One adult on the table, and the contrast in their vessels.

    `size` scales the reference along (x, y, z); `fat_mm` lies under the skin of the flank; `arms`
    is "up" or "down"; `kyphosis_mm` and `lean_mm` bend the trunk forward and sideways; `spleen`
    scales that organ; `couch` says whether the table is in the picture.
    """

    size: tuple[float, float, float]
    fat_mm: float
    visceral: float
    female: bool
    arms: str
    kyphosis_mm: float
    lean_mm: float
    turn: float
    phase: Phase
    enhancement: float
    spleen: float
    couch: bool

    @classmethod
    def draw(cls, rng: Rng, phase: Phase, region: Region, large_spleen: bool) -> Person:
        """A random adult."""
        female = bool(rng.random() < 0.5)
        size = rng.normal(0.97 if female else 1.03, 0.035)
        stout = rng.beta(2, 3)
        arms_down = rng.random() < (0.12 if region is Region.CHEST else 0.2)
        return cls(
            size=(
                float(size * rng.uniform(0.96, 1.04) * (0.96 + 0.10 * stout)),
                float(size * rng.uniform(0.94, 1.05) * (0.94 + 0.16 * stout)),
                float(np.clip(rng.normal(0.98 if female else 1.02, 0.03), 0.93, 1.08)),
            ),
            fat_mm=float(5 + 30 * stout * (1.15 if female else 0.85)),
            visceral=float(stout * (0.6 if female else 1.0)),
            female=female,
            arms="down" if arms_down else "up",
            kyphosis_mm=float(np.clip(rng.normal(5, 6), -4, 20)),
            lean_mm=float(rng.normal(0, 4)),
            turn=float(np.deg2rad(rng.normal(0, 3.0))),
            phase=phase,
            enhancement=float(rng.uniform(0.9, 1.1)),
            spleen=float(rng.uniform(1.36, 1.55) if large_spleen else rng.uniform(0.84, 1.0)),
            couch=bool(rng.random() < 0.8),
        )

    def hu(self, tissue: str) -> float:
        """The tissue's HU; how much contrast raised it varies from person to person."""
        table = DETAILED_HU.get(tissue) or TISSUE_HU[tissue]
        return table[0] + (table[PHASES.index(self.phase)] - table[0]) * self.enhancement


def lay_grid(
    rng: Rng, person: Person, region: Region, plane: Plane, shape: tuple[int, int, int]
) -> tuple[Space, Geometry]:
    """The scanned box around the person, as the body's places and as the series' geometry."""
    low, high = (v * person.size[2] for v in SCANNED[region])
    if region is Region.CHEST:
        low, high = low + rng.uniform(0, 6), high + rng.uniform(-10, 6)
    else:
        low, high = low + rng.uniform(-8, 8), high - rng.uniform(0, 6)
    breadth = 2 * (164 * person.size[0] + 1.2 * person.fat_mm + rng.uniform(2, 16))
    depth = 2 * (118 * person.size[1] + 1.1 * person.fat_mm + rng.uniform(6, 20))
    centre = (rng.uniform(-6, 6), 8 * person.size[1] + rng.uniform(-4, 8), (low + high) / 2)
    extent = {0: breadth, 1: depth, 2: high - low}
    axes = {Plane.AXIAL: (2, 1, 0), Plane.CORONAL: (1, 2, 0), Plane.SAGITTAL: (0, 2, 1)}[plane]
    # Pixels are square, as a scanner's are.
    pixel = max(extent[axes[1]] / shape[1], extent[axes[2]] / shape[2])
    spacing = (extent[axes[0]] / shape[0], pixel, pixel)
    step = {axis: spacing[k] for k, axis in enumerate(axes)}
    count = {axis: shape[k] for k, axis in enumerate(axes)}
    lines = {
        a: np.asarray(centre[a] + (np.arange(count[a]) - (count[a] - 1) / 2) * step[a], np.float64)
        for a in range(3)
    }
    if region is Region.ABDOMEN and plane is not Plane.AXIAL and step[2] * count[2] > high - low:
        # A square field is higher than the scan: it reaches down, for above lies the heart.
        lines[2] -= (step[2] * count[2] - (high - low)) / 2
    space = _posed(rng, person, lines, step, float(pixel))
    first = (lines[0][0], lines[1][0], lines[2][-1])  # right, anterior, superior
    return space, Geometry.from_spacing(shape, spacing, plane=plane, origin_mm=first)


def _posed(
    rng: Rng,
    person: Person,
    lines: dict[int, NDArray[np.float64]],
    step: dict[int, float],
    pixel: float,
) -> Space:
    """Where each voxel lies in the reference body: posture, size, and a smooth warp."""
    x = lines[0].astype(np.float32)[None, None, :]
    y = lines[1].astype(np.float32)[None, :, None]
    z = (lines[2] / person.size[2]).astype(np.float32)
    level = z[:, None, None]
    # The back is convex at the shoulder blades and hollow at the loins.
    bend = person.kyphosis_mm * np.cos((level - 75) / 68).astype(np.float32)
    lean = person.lean_mm * np.sin((level + rng.uniform(-80, 80)) / 90).astype(np.float32)
    cos, sin = np.float32(np.cos(person.turn)), np.float32(np.sin(person.turn))
    body_x = (x * cos + y * sin - lean) / np.float32(person.size[0])
    body_y = (y * cos - x * sin - bend) / np.float32(person.size[1])
    shifts = [np.zeros(1, np.float32), np.zeros(1, np.float32)]
    for k in range(2):
        for length in (230.0, 150.0):
            wave = rng.normal(size=3)
            wave *= 2 * np.pi / length / np.linalg.norm(wave)
            flat = np.float32(wave[0]) * body_x + np.float32(wave[1]) * body_y
            flat = flat + (np.float32(wave[2]) * level + np.float32(rng.uniform(0, 6.3)))
            shifts[k] = shifts[k] + np.cos(flat) * np.float32(length / 230 * 3.2)
    shape = (len(z), len(lines[1]), len(lines[0]))
    return Space(
        x=_full(body_x + shifts[0], shape), y=_full(body_y + shifts[1], shape), z=z,
        scanner_x=lines[0].astype(np.float32), scanner_y=lines[1].astype(np.float32),
        slab_mm=(step[2], step[1], step[0]), edge_mm=pixel * 0.9,
    )  # fmt: skip


def _full(values: Float, shape: tuple[int, int, int]) -> Float:
    return np.ascontiguousarray(np.broadcast_to(values, shape), np.float32)
