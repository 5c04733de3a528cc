"""Findings of the belly, the aorta and the bones in a detailed body, and which voxels hold each.

A painter returns the finding's coverage, or None where it found no room. Knows nothing of words.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from med2e3.phantoms.anatomy import LABEL, Phase
from med2e3.phantoms.canvas import Shape
from med2e3.phantoms.detailed.body import DrawnBody
from med2e3.phantoms.detailed.chest_findings import free, grown, somewhere
from med2e3.phantoms.detailed.person import Rng
from med2e3.phantoms.detailed.skeleton import DISCS
from med2e3.phantoms.detailed.space import Space, Tube, moved

#: A stone is painted so large that it holds this many voxels, however coarse the grid.
STONE_VOXELS = 8

#: Plaques are added until they hold this many.
PLAQUE_VOXELS = 12

#: Where along each part of the aorta (in z) the middle of a finding may lie.
AORTA_HEIGHTS = {
    "ascending aorta": (92.0, 116.0), "descending aorta": (0.0, 112.0),
    "abdominal aorta": (-178.0, -112.0),
}  # fmt: skip


def _aorta(body: DrawnBody, place: str) -> Tube:
    return body.belly.aorta if place == "abdominal aorta" else body.chest.aorta[place]


def _middle(body: DrawnBody, place: str, rng: Rng) -> tuple[Tube, float]:
    """The part of the aorta, and the height of the finding's middle, on the grid."""
    low, high = AORTA_HEIGHTS[place]
    low, high = max(low, float(body.space.z[0]) + 12), min(high, float(body.space.z[-1]) - 12)
    return _aorta(body, place), rng.uniform(low, max(high, low + 1))


def aneurysm(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """A stretch of aorta wider than 4 cm (abdominal: 3), with thrombus at its wall."""
    space = body.space
    way, middle = _middle(body, place, rng)
    shares = np.linspace(0, 1, 40)
    points = way.at(shares)
    radii = np.interp(shares * (len(way.points) - 1), np.arange(len(way.points)), way.radii)
    bulge = np.exp(-(((points[:, 2] - middle) / rng.uniform(22, 40)) ** 2))
    top = rng.uniform(22, 31)
    wide = radii + (top - radii) * bulge
    kept = bulge > 0.3
    if kept.sum() < 2:
        return None
    # It grows away from the spine.
    points = points + bulge[:, None] * (0.35 * (top - radii)[:, None] * np.array([0.3, -1.0, 0]))
    shape = space.tube(Tube(points[kept], wide[kept]))
    shape = free(body, shape, "aorta", "soft tissue", "lung", "bowel", "pancreas", "stomach",
                 "heart", "liver")  # fmt: skip
    space.paint(shape, rng.uniform(36, 48), LABEL["aorta"])
    off = np.array([*rng.uniform(-4, 4, 2), 0]) * bulge[:, None]
    thick = rng.uniform(0.08, 0.32)
    lumen = space.tube(Tube((points + off)[kept], (wide * (1 - thick * bulge))[kept]))
    space.paint(lumen.times(shape), body.person.hu("aorta"))
    return shape


def calcification(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Plaques on the wall of a stretch of aorta."""
    space = body.space
    way, middle = _middle(body, place, rng)
    points = way.at(np.linspace(0, 1, 60))
    near = np.abs(points[:, 2] - middle) < rng.uniform(16, 34)
    spots = points[near]
    if not len(spots):
        return None
    plaques: list[Tube] = []
    radius = float(way.radii.mean())
    for size in (1.0, 1.3, 1.7, 2.2, 2.8):  # until they can be told on this grid
        for _ in range(int(rng.integers(3, 6))):
            plaques.append(
                _plaque(spots[int(rng.integers(len(spots)))], radius, size * space.edge_mm, rng)
            )
        whole = space.tubes(plaques)
        shape = free(body, whole, "aorta", "soft tissue", "lung", "liver", "bowel")
        if int((shape.alpha > 0.5).sum()) >= PLAQUE_VOXELS:
            return space.paint(shape, rng.uniform(650, 1100))
    return None


def _plaque(spot: np.ndarray, radius: float, least: float, rng: Rng) -> Tube:
    """A bent plate on the wall of a vessel that runs along z."""
    start, arc, high = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.7), rng.uniform(2, 6)
    turn = start + arc * np.array([0, 0.5, 1, 1, 0.5, 0])
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(6)], axis=1) * (radius - 0.5)
    ring[:, 2] = high * np.array([1, 1, 1, -1, -1, -1])
    return Tube(spot + ring, np.full(6, max(rng.uniform(1.8, 3.0), 0.95 * least)))


def bone_lesion(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """A destroyed or a dense spot in a bone."""
    space = body.space
    if "spine" in place:
        mids = (DISCS[:-1] + DISCS[1:]) / 2
        low, high = (-6, 150) if place.startswith("thoracic") else (-215, -33)
        mids = mids[(mids > max(low, space.z[0] + 12)) & (mids < min(high, space.z[-1] - 10))]
        if not len(mids):
            return None
        z = float(mids[int(rng.integers(len(mids)))])
        centre = (rng.uniform(-7, 7), body.spine.y(z) + rng.uniform(-4, 4), z + rng.uniform(-4, 4))
        bones = ("spine",)
    else:
        bones = ("sternum",) if place == "sternum" else ("pelvis",)
        here = space.labels == LABEL[bones[0]]
        if place == "sternum":
            here &= np.broadcast_to((space.level > 24) & (space.level < 160), here.shape)
            here &= np.abs(space.x) < 10
        else:
            sign = -1 if place.startswith("right") else 1
            here &= (space.x * sign > 62) & (space.y > -16)
            here &= np.broadcast_to((space.level > -286) & (space.level < -208), here.shape)
        found = somewhere(space, here, rng)
        if found is None:
            return None
        centre = found
    radius = rng.uniform(7.5, 15)
    shape = space.ellipsoid(centre, (radius, radius, radius), rough=0.15)
    shape = free(body, shape, *bones, "soft tissue")
    lytic = rng.random() < 0.5
    if lytic:
        return space.paint(shape, rng.uniform(30, 70))
    # New bone is laid down in bone alone.
    return space.paint(free(body, shape, *bones), rng.uniform(850, 1100))


def liver_lesion(body: DrawnBody, place: str, rng: Rng, hu: float, rough: float) -> Shape | None:
    """A lesion inside one lobe of the liver."""
    space = body.space
    right = place.startswith("right")
    here = (space.labels == LABEL["liver"]) & ~body.taken
    here &= (space.x < -30) if right else (space.x > 0)
    radius = rng.uniform(6, 24 if right else 17)
    radius = max(radius, 1.4 * space.edge_mm)
    deep = (
        here & (body.trunk.cavity > 0.7 * radius + 2) & (body.trunk.diaphragm < -0.6 * radius - 3)
    )
    centre = somewhere(space, deep, rng) or somewhere(space, here, rng)
    if centre is None:
        return None
    radii = np.array([1, rng.uniform(0.85, 1), rng.uniform(0.85, 1)])

    def made(size: float) -> Shape:
        shape = free(body, space.ellipsoid(centre, size * radii, rough=rough), "liver")
        lobe = (space.x[shape.box] < -10) if right else (space.x[shape.box] > -6)
        return Shape(shape.box, shape.alpha * lobe)

    shape = grown(made, radius)
    return space.paint(shape, hu)


def liver_mass(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Solid: darker than liver (brighter while contrast comes in), never as dark as water."""
    plain = body.person.hu("liver")
    apart = {Phase.ARTERIAL: 42.0, Phase.PORTAL_VENOUS: -44.0, Phase.DELAYED: -36.0}
    hu = plain + apart.get(body.person.phase, -22.0) * rng.uniform(0.8, 1.2)
    return liver_lesion(body, place, rng, max(hu, 28), 0.16)


def liver_cyst(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Water, sharply bounded."""
    return liver_lesion(body, place, rng, rng.uniform(0, 8), 0.0)


def kidney_cyst(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Water, bulging out of the kidney."""
    space = body.space
    _, _, centre = body.belly.kidneys[place.split()[0]]
    radius = max(rng.uniform(7, 22), 1.4 * space.edge_mm)
    turn = rng.uniform(-0.9, 0.9)
    spot = moved(
        centre,
        np.sign(centre[0]) * 23 * np.cos(turn),
        22 * np.sin(turn),
        rng.uniform(-34, 34),
    )
    shape = grown(
        lambda r: free(body, space.ellipsoid(spot, (r, r, r)), "kidney", "soft tissue", "bowel"),
        radius,
    )
    return space.paint(shape, rng.uniform(0, 8), LABEL["kidney"])


def _stone(
    body: DrawnBody, spot: np.ndarray, radius: float, *labels: str
) -> Shape | None:  # fmt: skip
    """The smallest ball from this radius on that holds enough voxels of the grid."""
    space = body.space
    for _ in range(12):
        shape = free(body, space.ellipsoid(spot, (radius, radius, radius)), *labels)
        if int((shape.alpha > 0.5).sum()) >= STONE_VOXELS:
            return shape
        radius *= 1.15
    return None


def kidney_stone(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """A dense stone in the kidney's sinus."""
    _, _, centre = body.belly.kidneys[place.split()[0]]
    space = body.space
    spot = moved(centre, -np.sign(centre[0]) * rng.uniform(4, 16), rng.uniform(-9, 3),
                     rng.uniform(-22, 22))  # fmt: skip
    shape = _stone(body, spot, rng.uniform(2.5, 6.5), "kidney", "soft tissue")
    return shape and space.paint(shape, rng.uniform(700, 1200))


def gallstone(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """A dense stone that lies at the back of the gallbladder."""
    space = body.space
    spot = np.array([-46.0, -48.0, -124.0]) + rng.uniform(-1, 1, 3) * (3, 4, 6)
    shape = _stone(body, spot, rng.uniform(3, 7.5), "gallbladder")
    return shape and space.paint(shape, rng.uniform(260, 800))


def large_spleen(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """The spleen itself, which `Person.spleen` has made large."""
    return body.belly.spleen


def free_fluid(body: DrawnBody, place: str, rng: Rng) -> Shape | None:
    """Fluid where it runs: around the liver and down the right gutter, or in the pelvis."""
    space = body.space
    fat = (space.labels == LABEL["soft tissue"]) & (space.hu < 0) & (body.belly.below > 0.5)
    where = _in_pelvis(space, rng) if place == "pelvis" else _around_liver(body, rng)
    alpha = np.minimum(where, fat & ~body.taken).astype(np.float32)
    # Strands of fat between the loops fill as well; specks do not count.
    smooth = uniform_filter(alpha, 3) * fat
    alpha = np.clip(smooth * 3 - 0.6, 0, 1).astype(np.float32) * ~body.taken
    if not (alpha > 0.5).any():
        return None
    return space.paint(space.everywhere(alpha), rng.uniform(2, 18))


def _in_pelvis(space: Space, rng: Rng) -> np.ndarray:
    """Up to a level, behind and beside the bladder, higher at the sides."""
    top = rng.uniform(-282, -262) + 10 * np.clip(np.abs(space.x) / 50, 0, 1)
    surface = rng.uniform(-34, -6)
    inside = np.clip((top - space.level) / 6 + 0.5, 0, 1) * np.clip((space.y - surface) / 6, 0, 1)
    inside = inside * (space.level > -338) * (space.y < 66)
    return np.asarray(inside, np.float32)


def _around_liver(body: DrawnBody, rng: Rng) -> np.ndarray:
    """A rim around the right lobe, the pouch before the kidney, and the top of the gutter."""
    space = body.space
    rim = rng.uniform(7, 15)
    reach = [max(1, round(2 * rim / float(s))) | 1 for s in space.step]
    near = uniform_filter((body.belly.liver.alpha > 0.5).astype(np.float32), reach) > 0.06
    low = rng.uniform(-200, -165)
    side = near & (space.x < -20) & (space.y > -70)
    gutter = (space.x < -92) & np.broadcast_to(space.level < -100, near.shape)
    return np.asarray((side | gutter) & (space.level > low), np.float32)
