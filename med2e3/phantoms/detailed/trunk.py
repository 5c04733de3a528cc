"""The trunk of a detailed body: skin, fat, muscles, arms, the two cavities, and the couch.

Outlines are closed curves around the long axis whose breadth and depth follow tables. The diaphragm
parts the cavity. Knows no organ inside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.canvas import Float, Shape
from med2e3.phantoms.detailed.person import Person, Rng
from med2e3.phantoms.detailed.space import Space, curve

#: (z, half breadth, front y, back y): the inside of the chest wall, the belly and the pelvis.
CAVITY = np.array(
    [(-390, 38, -40, 92), (-345, 52, -52, 94), (-310, 60, -64, 94), (-270, 84, -80, 86),
     (-235, 112, -90, 74), (-200, 123, -97, 64), (-150, 122, -100, 62), (-100, 127, -99, 68),
     (-50, 132, -96, 78), (0, 135, -92, 85), (50, 131, -87, 88), (100, 117, -77, 87),
     (140, 96, -64, 81), (165, 77, -50, 74), (185, 57, -34, 66), (198, 38, -18, 57),
     (210, 16, 6, 46), (230, 3, 20, 30)], float,
)  # fmt: skip

#: The same of what muscles and bones of the wall fill.
WALL = np.array(
    [(-390, 158, -74, 112), (-345, 162, -80, 118), (-310, 160, -86, 118), (-270, 152, -96, 112),
     (-235, 145, -103, 104), (-200, 137, -108, 98), (-150, 133, -111, 96), (-100, 138, -110, 100),
     (-50, 144, -108, 106), (0, 149, -104, 111), (50, 151, -102, 114), (100, 152, -98, 114),
     (140, 162, -88, 112), (160, 176, -78, 106), (174, 182, -64, 100), (188, 156, -50, 92),
     (200, 108, -44, 84), (214, 72, -42, 78), (235, 60, -42, 70), (260, 58, -42, 66)], float,
)  # fmt: skip

#: Share of the flank's fat over each height, at the sides, in front and behind.
FAT = np.array(
    [(-390, 1.3, 0.7, 1.2), (-310, 1.35, 0.9, 1.3), (-250, 1.3, 1.1, 1.2), (-200, 1.2, 1.2, 1.0),
     (-130, 1.0, 1.15, 0.75), (-50, 0.8, 0.8, 0.6), (50, 0.62, 0.5, 0.55), (140, 0.45, 0.4, 0.5),
     (190, 0.35, 0.3, 0.6), (260, 0.3, 0.3, 0.4)], float,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trunk:
    """Distances in mm, positive inside: of the skin, of the wall, of the cavity's lining.

    `diaphragm` is how far above it a voxel lies, along z.
    """

    skin: Float
    wall: Float
    cavity: Float
    diaphragm: Float


def _outline(space: Space, table: Float, power: float) -> Float:
    """Distance inside a closed outline that a table (z, breadth, front, back) gives."""
    a, front, back = (
        np.interp(space.z, table[:, 0], table[:, k]).astype(np.float32)[:, None, None]
        for k in (1, 2, 3)
    )
    y = space.y - (front + back) / 2
    r = np.hypot(space.x, y) + np.float32(1e-3)
    q = (np.abs(space.x) / a) ** np.float32(power) + (np.abs(y) * 2 / (back - front)) ** np.float32(
        power
    )
    inside: Float = r * (q ** np.float32(-1 / power) - 1)
    return inside


def coverage(space: Space, distance: Float) -> Float:
    """Coverage 0..1 from a distance that is positive inside."""
    alpha: Float = np.clip(distance * np.float32(1 / space.edge_mm) + np.float32(0.5), 0, 1)
    return alpha


def draw_trunk(space: Space, person: Person, rng: Rng) -> Trunk:
    """Paints all that is not inside the cavity, but for bones; the cavity is full of fat."""
    wall_table = WALL.copy()
    cavity_table = CAVITY.copy()
    belly = np.exp(-(((CAVITY[:, 0] + 150) / 80) ** 2)) * 26 * person.visceral
    cavity_table[:, 2] -= belly
    cavity_table[:, 1] += belly * 0.35
    belly = np.interp(WALL[:, 0], CAVITY[:, 0], belly)
    wall_table[:, 2] -= belly
    wall_table[:, 1] += belly * 0.35
    skin_table = wall_table.copy()
    for k, sign in ((1, 1), (2, -1), (3, 1)):
        share = np.interp(WALL[:, 0], FAT[:, 0], FAT[:, k])
        skin_table[:, k] += sign * (2 + share * person.fat_mm)
    hips = 6 * np.exp(-(((WALL[:, 0] + 310) / 50) ** 2)) * person.female
    skin_table[:, 1] += hips
    skin = _outline(space, skin_table, 2.5)
    wall = _outline(space, wall_table, 2.4)
    cavity = _outline(space, cavity_table, 2.3)
    if person.female:
        skin = _with_breasts(space, person, rng, skin)
    _paint_layers(space, person, skin, wall)
    _arms(space, person, rng)
    _muscles_of_back(space, person)
    _rectus(space, person, wall, cavity)
    trunk = Trunk(skin, wall, cavity, space.level - _diaphragm(space))
    _cavity(space, person, trunk)
    if person.couch:
        _couch(space, rng)
    return trunk


def _with_breasts(space: Space, person: Person, rng: Rng, skin: Float) -> Float:
    """The skin's distance with both breasts; they fall to the sides of who lies on the back."""
    size = rng.uniform(0.7, 1.0) + 0.012 * person.fat_mm
    whole = skin
    for side in (-1, 1):
        centre, radii = (side * 82, -92, 66), (52 * size, 30 * size, 46 * size)
        q = ((space.x - centre[0]) / radii[0]) ** 2 + ((space.y - centre[1]) / radii[1]) ** 2
        q = q + ((space.level - centre[2]) / radii[2]) ** 2
        whole = np.maximum(whole, (1 - q) * np.float32(radii[1] / 2))
    return np.asarray(whole, np.float32)


def _paint_layers(space: Space, person: Person, skin: Float, wall: Float) -> None:
    """Fat with strands, a thin skin, and muscle with planes of fat in it."""
    body = coverage(space, skin)
    strand = np.clip(1 - np.abs(space.wobble) * 14, 0, 1) * np.clip(skin / 12, 0, 1)
    fat = person.hu("fat") + 36 * strand + 6 * space.wobble
    space.hu += body * (fat + 1000)
    rim = np.clip(1.15 - np.abs(skin - 1.2) / space.edge_mm, 0, 1) * min(1, 2.4 / space.edge_mm)
    space.hu += rim * body * np.float32(110)
    plane = np.clip(1 - np.abs(space.wobble - 0.25) * 16, 0, 1)
    muscle = person.hu("muscle") - plane * (18 + 60 * person.visceral)
    space.hu += coverage(space, wall) * (muscle - space.hu)
    space.labels[body > 0.5] = LABEL["soft tissue"]
    if person.female:
        _glands(space, person)


def _glands(space: Space, person: Person) -> None:
    """Strands of gland in the breasts, and nipples."""
    for side in (-1, 1):
        gland = space.ellipsoid((side * 80, -104, 66), (34, 16, 28), rough=0.5)
        mottled = gland.alpha * np.clip(0.5 + space.wobble[gland.box], 0, 1)
        space.paint(Shape(gland.box, mottled.astype(np.float32)), person.hu("gland"))


def _arms(space: Space, person: Person, rng: Rng) -> None:
    """Upper arms, raised or beside the trunk, and what fills the armpits."""
    for side in (-1, 1):
        hole = space.ellipsoid((side * 128, 8, 128), (26, 32, 34), rough=0.2)
        space.paint(hole, person.hu("fat"))
        if person.arms == "up":
            way = np.array([(150, 20, 182), (176, 6, 215), (186, -4, 290)], float)
            wide = np.array([46.0, 44, 40])
        else:
            gap = 34 + person.fat_mm
            way = np.array(
                [(160, 20, 168), (166 + gap, 26, 60), (164 + gap, 30, -90), (160 + gap, 6, -330)],
                float,
            )
            wide = np.array([46.0, 40, 34, 27])
        way[:, 0] *= side
        limb = curve(way, wide + 0.3 * person.fat_mm, 9)
        skin = space.tube(limb)
        new = Shape(skin.box, skin.alpha * (space.hu[skin.box] < -400))
        space.paint(new, person.hu("fat"), LABEL["soft tissue"])
        flesh = space.tube(curve(way, wide - 8, 9))
        space.paint(flesh, person.hu("muscle"), LABEL["soft tissue"])


def _muscles_of_back(space: Space, person: Person) -> None:
    """Fat planes that part the long muscles of the back from what lies beside them."""
    for side in (-1, 1):
        way = [(side * 36, 80, -330), (side * 35, 70, -200), (side * 34, 78, -60),
               (side * 32, 100, 60), (side * 26, 88, 180)]  # fmt: skip
        space.paint(space.tube(curve(way, [24, 27, 24, 18, 15], 9)), -70)
        inner = space.tube(curve(way, [22, 25, 22, 15, 12], 9), rough=0.06)
        streaks = person.hu("muscle") - 90 * np.clip(np.abs(space.wobble[inner.box]) * 2 - 1, 0, 1)
        space.paint(inner, streaks.astype(np.float32))


def _rectus(space: Space, person: Person, wall: Float, cavity: Float) -> None:
    """The belly's wall in front: two straight muscles, a white line, thin layers at the sides."""
    low = np.clip((60 - space.level) / 20, 0, 1) * np.clip((space.level + 330) / 20, 0, 1)
    front = np.clip((-space.y - 30) / 14, 0, 1) * low
    out = -cavity
    gap = np.clip(1 - np.abs(np.abs(space.x) - 66) / 7, 0, 1) + np.clip(
        1 - np.abs(space.x) / 6, 0, 1
    )
    space.hu += (gap * front * coverage(space, np.minimum(out, wall))) * (-85 - space.hu)
    layer = (
        np.clip(1 - np.abs(out - 6.5) / 1.6, 0, 1) * low * np.clip(np.abs(space.x) / 25 - 3, 0, 1)
    )
    space.hu += (0.5 * layer * coverage(space, wall)) * (-90 - space.hu)


def _diaphragm(space: Space) -> Float:
    """Height (z) of the diaphragm over every place: two domes and the tendon under the heart."""
    x, y = space.x, space.y
    fall = 46 + np.clip(y / 85, -1, 1) * 20
    domes = []
    for centre, top in ((-68.0, 14.0), (68.0, 5.0)):
        q = ((x - centre) / 67) ** 2 + ((y + 6) / 90) ** 2
        domes.append(top - fall * (q * np.sqrt(q)))
    tendon = -2 - 0.006 * x * x - 44 * np.clip((y - 4) / 70, 0, 1) ** 2
    height: Float = np.maximum(np.maximum(domes[0], domes[1]), tendon)
    return height


def _cavity(space: Space, person: Person, trunk: Trunk) -> None:
    """Fat inside; the diaphragm as a thin dome of muscle."""
    inside = coverage(space, trunk.cavity)
    mesh = np.clip(1 - np.abs(space.wobble) * 10, 0, 1) * 24
    space.hu += inside * (person.hu("fat") - 2 + mesh - space.hu)
    leaf = np.clip(1.3 - np.abs(trunk.diaphragm + 2) / (2.2 + 0.3 * space.slab_mm[0]), 0, 1)
    space.hu += (0.75 * leaf * inside) * (person.hu("muscle") - space.hu)


def _couch(space: Space, rng: Rng) -> None:
    """The table under the lowest of the back: two shells of carbon around foam, straight in z."""
    held = (space.labels > 0).any(axis=(0, 2))
    lowest = space.scanner_y[held].max() if held.any() else 120.0
    y = space.scanner_y[:, None] + (space.scanner_x[None, :] / 66) ** 2
    top = float(lowest) + rng.uniform(1, 5)
    within = np.abs(space.scanner_x[None, :]) < 215
    flat = np.zeros(y.shape, np.float32)
    flat[(y > top) & (y < top + 24) & within] = 75
    for depth in (0.0, 24.0):
        shell = np.clip(1.4 - np.abs(y - top - depth) / space.edge_mm, 0, 1) * within
        flat = np.maximum(flat, shell * np.float32(rng.uniform(560, 820)))
    space.hu += (space.hu < -900) * flat
