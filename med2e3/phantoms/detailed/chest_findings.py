"""Findings of the chest in a detailed body: how each is painted, and which voxels hold it.

A painter returns the finding's coverage, or None where it found no room. Knows nothing of words.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.canvas import Float, Shape
from med2e3.phantoms.detailed.body import DrawnBody
from med2e3.phantoms.detailed.person import Rng
from med2e3.phantoms.detailed.space import Space, moved
from med2e3.phantoms.detailed.thorax import HEART_AXES, HEART_CENTRE, HEART_RADII

#: A lesion is painted so large that it holds this many voxels, however coarse the grid.
LEAST_VOXELS = 8

#: Height of the small fissure of the right lung.
SMALL_FISSURE = 84.0


def free(body: DrawnBody, shape: Shape, *labels: str) -> Shape:
    """Where the shape lies in these organs and in no other finding."""
    held = np.isin(body.space.labels[shape.box], [LABEL[name] for name in labels])
    held &= ~body.taken[shape.box]
    return Shape(shape.box, (shape.alpha * held).astype(np.float32))


def grown(make: Callable[[float], Shape], radius: float) -> Shape:
    """What `make` makes of the smallest radius, from this one on, that enough voxels show."""
    shape = make(radius)
    for _ in range(8):
        if int((shape.alpha > 0.5).sum()) >= LEAST_VOXELS:
            break
        radius *= 1.15
        shape = make(radius)
    return shape


def somewhere(
    space: Space, where: NDArray[np.bool_], rng: Rng
) -> tuple[float, float, float] | None:  # fmt: skip
    """The place of a random voxel of these; None where there are none."""
    found = np.flatnonzero(where)
    if not len(found):
        return None
    k, j, i = np.unravel_index(int(found[int(rng.integers(len(found)))]), where.shape)
    return float(space.x[k, j, i]), float(space.y[k, j, i]), float(space.z[k])


def in_lobe(body: DrawnBody, place: str, clear: float) -> NDArray[np.bool_]:
    """Voxels of lung in a lobe, at least so many mm from its fissures and from the wall."""
    space = body.space
    sign = -1 if place.startswith("right") else 1
    here = (space.labels == LABEL["lung"]) & (space.x * sign > 0) & (body.trunk.cavity > clear + 3)
    here &= body.trunk.diaphragm > clear + 4
    if "lower" in place:
        return np.asarray(here & (body.chest.fissure < -clear - 2) & (space.level < 76))
    floor = max(SMALL_FISSURE + clear + 2 if sign < 0 else 0, 80)
    return np.asarray(here & (body.chest.fissure > clear + 2) & (space.level > floor))


def nodule(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """A round or spiky nodule; one in ten is only half solid."""
    space = body.space
    radius = rng.uniform(4.5, 13) if rng.random() < 0.8 else rng.uniform(3.5, 6)
    radius = max(radius, 1.35 * space.edge_mm)
    away = _away_from_vessels(body, radius)
    centre = somewhere(space, in_lobe(body, place, radius) & away, rng)
    if centre is None:
        return None
    flat, rough = rng.uniform(0.85, 1), rng.uniform(0.04, 0.2)
    shape = grown(
        lambda r: free(body, space.ellipsoid(centre, (r, r * flat, r), rough=rough), "lung"), radius
    )
    solid = rng.random() < 0.9
    space.paint(shape, rng.uniform(10, 60) if solid else rng.uniform(-320, -200))
    space.labels[shape.box][shape.alpha > 0.5] = LABEL["soft tissue"]
    return shape


def _away_from_vessels(body: DrawnBody, radius: float) -> NDArray[np.bool_]:
    """Outside a zone around the hila, where a nodule could not be told from a vessel."""
    space = body.space
    near = (np.abs(space.x) - 40) ** 2 + (space.y - 20) ** 2 + (space.level - 88) ** 2
    return np.asarray((near > (24 + radius) ** 2) & (np.abs(space.x) > 34))


def consolidation(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Dense lung with air in its bronchi; it ends at the fissure and at the pleura."""
    space = body.space
    centre = somewhere(space, in_lobe(body, place, 14), rng)
    if centre is None:
        return None
    radii = (rng.uniform(20, 36), rng.uniform(20, 36), rng.uniform(18, 32))
    shape = free(body, space.ellipsoid(centre, radii, rough=0.3), "lung")
    keep = body.chest.fissure[shape.box] * (1 if "upper" in place else -1)
    keep = np.clip(keep / space.edge_mm, 0, 1) * (space.x[shape.box] * centre[0] > 0)
    shape = Shape(shape.box, (shape.alpha * keep).astype(np.float32))
    airy = np.clip(np.abs(space.wobble[shape.box] - 0.15) * -16 + 1, 0, 1)
    hu = rng.uniform(-30, 45) - 420 * airy - 240 * np.clip(-space.wobble[shape.box], 0, 1)
    return space.paint(shape, hu.astype(np.float32))


def pleural_effusion(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Fluid behind and below the lung, higher at the wall, before it a strip of airless lung."""
    space = body.space
    sides = ("right", "left") if place == "both sides" else (place.split()[0],)
    depth = rng.uniform(16, 52)
    total = np.zeros(space.hu.shape, np.float32)
    for side in sides:
        ahead = _ahead_of_fluid(body, side, depth * rng.uniform(0.75, 1.15))
        if ahead is None:
            continue
        lung = free(body, body.chest.lungs[side], "lung")
        fluid = np.clip(ahead[lung.box] / space.edge_mm + 0.5, 0, 1) * lung.alpha
        strip = np.clip((ahead[lung.box] + 9) / 6, 0, 1) * lung.alpha
        space.paint(Shape(lung.box, (strip * np.float32(0.75)).astype(np.float32)), 20)
        space.paint(Shape(lung.box, fluid.astype(np.float32)), rng.uniform(2, 18))
        total[lung.box] = np.maximum(total[lung.box], fluid)
    if not (total > 0.5).any():
        return None
    return space.everywhere(total)


def _ahead_of_fluid(body: DrawnBody, side: str, depth: float) -> Float | None:
    """How far (mm) every voxel lies below the fluid's surface; None without lung on the grid."""
    space = body.space
    held = (body.chest.lungs[side].alpha > 0.5) & np.broadcast_to(space.level < 70, space.hu.shape)
    if not held.any():
        return None
    back = float(np.percentile(space.y[held], 98))
    climb = np.clip(space.level + 30, -60, 220) * np.float32(0.2 + 6 / (depth + 10))
    meniscus = 16 * np.exp(-np.clip(body.trunk.cavity, 0, None) / 7)
    meniscus = meniscus * np.clip((space.y + 30) / 40, 0, 1)
    base = 12 * np.exp(-np.clip(body.trunk.diaphragm, 0, None) / 9)
    surface = back - depth + climb - meniscus - base
    return np.asarray(space.y - surface, np.float32)


def pneumothorax(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Air without vessels between wall and lung, in front and at the top; the lung's edge shows."""
    space = body.space
    side = place.split()[0]
    lung = free(body, body.chest.lungs[side], "lung")
    depth = rng.uniform(20, 42)
    wide = 0.85 * np.clip((10 - space.y) / 70, 0, 1.1) + 0.8 * np.clip(
        (space.level - 120) / 70, 0, 1
    )
    wide = wide * np.clip((space.level + 10) / 40, 0, 1)
    gap = (depth * wide - body.trunk.cavity)[lung.box]
    gap = np.where(wide[lung.box] > 0.02, gap, -99)
    air = np.clip(gap / space.edge_mm + 0.5, 0, 1) * lung.alpha
    edge = np.clip(1.3 - np.abs(gap + 1.5) / max(space.edge_mm, 1.6), 0, 1) * lung.alpha
    if not (air > 0.5).any():
        return None
    # The lung behind has lost air.
    space.hu[lung.box] += (lung.alpha * (gap < 0) * 60).astype(np.float32)
    space.paint(Shape(lung.box, edge.astype(np.float32)), -420)
    return space.paint(Shape(lung.box, air.astype(np.float32)), -996)


def pericardial_effusion(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Fluid in the sac around the heart, thicker behind and below."""
    space, rim = body.space, rng.uniform(9, 20)
    radii = np.array(HEART_RADII) + rim
    centre = moved(HEART_CENTRE, 1.0, 0.25 * rim, -0.2 * rim)
    sac = space.ellipsoid(centre, radii, axes=HEART_AXES, rough=0.04).minus(body.chest.heart)
    shape = free(body, sac, "lung", "soft tissue")
    keep = (body.trunk.diaphragm[shape.box] > -3) & (body.trunk.cavity[shape.box] > 3)
    keep &= (space.y[shape.box] < 40) & np.broadcast_to(
        space.level[shape.box[0]] < 96, shape.alpha.shape
    )
    shape = Shape(shape.box, (shape.alpha * keep).astype(np.float32))
    if not (shape.alpha > 0.5).any():
        return None
    return space.paint(shape, rng.uniform(4, 22), LABEL["soft tissue"])
