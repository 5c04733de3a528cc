"""The chest of a detailed body: lungs with lobes, airways and vessels, heart, great vessels.

Lungs fill what the mediastinum leaves of the cavity above the diaphragm. Knows no findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.canvas import Float, Shape
from med2e3.phantoms.detailed.person import Person, Rng
from med2e3.phantoms.detailed.skeleton import Spine
from med2e3.phantoms.detailed.space import Space, Tube, curve, moved
from med2e3.phantoms.detailed.trunk import Trunk, coverage

SIDES = {"right": -1, "left": 1}

#: Axes of the heart: long axis to the left, front and below; the two across it.
HEART_AXES = np.array([(0.68, -0.57, -0.46), (0.40, 0.82, -0.42), (0.61, 0.10, 0.78)])
HEART_CENTRE, HEART_RADII = np.array([16.0, -30.0, 53.0]), (58.0, 44.0, 43.0)

Way = tuple[Sequence[tuple[float, float, float]], Sequence[float] | float, int]


@dataclass(frozen=True, eq=False)
class Chest:
    """Shapes and ways that findings of the chest refer to.

    `lungs` by side; `fissure` is how far (mm) a voxel lies above the oblique fissure of its side;
    `heart` with its chambers, `sac` around it; `aorta` by part.
    """

    lungs: dict[str, Shape]
    fissure: Float
    heart: Shape
    sac: Shape
    aorta: dict[str, Tube]
    veins: dict[str, Tube]


def oblique_fissure(space: Space) -> Float:
    """How far above the oblique fissure a voxel lies: positive in the upper lobes."""
    tilt = 1.12 * space.y - 0.10 * np.abs(space.x)
    return np.asarray(space.level - (62 + tilt), np.float32)


def thoracic_aorta(spine: Spine) -> dict[str, Tube]:
    """Ways of the aorta in the chest, by part."""
    down = [(22.0, spine.y(z) - (4 if z > 40 else 9), z) for z in (128, 100, 60, 20, -20, -62)]
    down[-1] = (14.0, spine.y(-62) - 27, -62)
    down[-2] = (19.0, spine.y(-20) - 18, -20)
    arch = [(-9.0, -28.0, 122.0), (-2, -12, 143), (10, 14, 148), (21, 40, 140), down[0]]
    return {
        "ascending aorta": curve([(2, -22, 66), (-6, -28, 82), (-12, -30, 104), arch[0]],
                                 [16, 16, 15.5, 15], 9),
        "arch": curve(arch, [15, 14, 13, 12.5, 12], 10),
        "descending aorta": curve(down, [12, 12, 11.5, 11.5, 11, 10.5], 14),
    }  # fmt: skip


def draw_chest(space: Space, person: Person, trunk: Trunk, spine: Spine, rng: Rng) -> Chest:
    """Paints everything above the diaphragm."""
    aorta = thoracic_aorta(spine)
    veins = _great_veins(person)
    arteries = _pulmonary_trunk()
    airway = _airway()
    heart, sac = _heart_outline(space)
    full = [*aorta.values(), *veins.values(), *arteries, *airway]
    lungs = _lungs(space, person, trunk, rng, full, sac)
    _soft_middle(space, person, spine)
    _paint_heart(space, person, heart)
    for way in arteries:
        space.paint(space.tube(way), person.hu("pulmonary artery"))
    for name, way in veins.items():
        space.paint(space.tube(way), person.hu(name.split("#", 1)[0]))
    for way in aorta.values():
        space.paint(space.tube(way), person.hu("aorta"), LABEL["aorta"])
    _head_vessels(space, person)
    for way in airway:
        wall = space.tube(way.wider(1.6))
        space.paint(Shape(wall.box, wall.alpha * np.float32(0.7)), 10)
        space.paint(space.tube(way), -985, LABEL["trachea"])
    fissure = oblique_fissure(space)
    _trees(space, person, rng, fissure)
    return Chest(lungs, fissure, heart, sac, aorta, veins)


def _heart_outline(space: Space) -> tuple[Shape, Shape]:
    """The heart, and the sac with its fat."""
    heart = space.ellipsoid(HEART_CENTRE, HEART_RADII, axes=HEART_AXES, rough=0.05)
    radii = np.array(HEART_RADII) + 6.5
    return heart, space.ellipsoid(
        moved(HEART_CENTRE, 2, -2, -2), radii, axes=HEART_AXES, rough=0.05
    )


def _paint_heart(space: Space, person: Person, heart: Shape) -> None:
    """Muscle, four chambers, and the fat of the grooves."""
    space.paint(heart, person.hu("myocardium"), LABEL["heart"])
    long, across, up = HEART_AXES
    chambers = (
        ("left heart", HEART_CENTRE + 16 * long + 12 * across - 2 * up, (33, 20, 20)),
        ("right heart", HEART_CENTRE + 12 * long - 24 * across - 10 * up, (35, 13, 24)),
        ("right heart", HEART_CENTRE - 34 * long - 14 * across - 2 * up, (18, 21, 26)),
        ("left heart", HEART_CENTRE - 20 * long + 24 * across + 8 * up, (22, 15, 24)),
        ("right heart", HEART_CENTRE + 8 * long - 22 * across + 18 * up, (14, 11, 20)),
    )
    for name, centre, radii in chambers:
        room = space.ellipsoid(centre, radii, axes=HEART_AXES, rough=0.12)
        inside = Shape(room.box, room.alpha).times(heart)
        space.paint(inside, person.hu(name))
    groove = HEART_CENTRE - 6 * long
    for sign in (-1, 1):
        ring = [groove + sign * 36 * up * 1.1 + 2 * across, groove - sign * 0 * up - 42 * across]
        way = space.tube(curve(ring, [5, 4], 4))
        space.paint(way.times(heart), -70)


def _great_veins(person: Person) -> dict[str, Tube]:
    """Ways of the large veins and the names of their blood; what follows # tells two apart."""
    return {
        "injected vein": curve(
            [(-27, -24, 172), (-29, -22, 140), (-29, -18, 108), (-27, -16, 72)],
            [9, 10, 10, 10.5], 9,
        ),
        "injected vein#left": curve(
            [(66, -34, 188), (34, -40, 172), (4, -44, 160), (-27, -26, 156)], [6.5, 7, 7.5, 8], 9
        ),
        "vein": curve([(-26, -4, 44), (-26, 8, 16), (-26, 20, -30)], [12, 12, 12], 6),
        "vein#azygos": curve(
            [(-6, 46, -50), (-6, 50, 60), (-7, 46, 112), (-12, 34, 126), (-24, 4, 126),
             (-28, -12, 118)], [3.6, 4.2, 4.8, 5, 5, 5], 16,
        ),
    }  # fmt: skip


def _pulmonary_trunk() -> list[Tube]:
    """The lungs' artery and its two branches, and the four veins."""
    return [
        curve([(26, -50, 78), (24, -40, 98), (18, -20, 112)], [14, 14, 13], 6),
        curve([(18, -20, 112), (-6, -4, 106), (-32, 8, 100), (-48, 16, 84)], [12, 11.5, 11, 8], 9),
        curve([(18, -20, 112), (32, 2, 116), (46, 20, 108), (52, 30, 84)], [12, 11, 10, 8], 9),
        *(curve([(s * 16 + 6, 6, 66 + up), (s * 52, -4 + up, 84 + 1.4 * up)], [8, 6], 5)
          for s in (-1, 1) for up in (-12, 6)),
    ]  # fmt: skip


def _airway() -> list[Tube]:
    """Windpipe and main bronchi, to the lobes."""
    return [
        curve([(0, 20, 240), (0, 22, 200), (1, 20, 150), (-1, 18, 118)], [8.8, 8.8, 8.6, 9], 9),
        curve([(-1, 18, 118), (-22, 20, 98), (-40, 24, 82), (-46, 30, 58)], [7.5, 7, 6, 4.8], 9),
        curve([(-24, 20, 100), (-44, 20, 110)], [5, 4.2], 3),
        curve([(-40, 22, 74), (-54, 4, 60)], [4, 3.2], 4),
        curve([(-1, 18, 118), (22, 24, 98), (42, 30, 88), (48, 38, 62)], [7.5, 6.4, 5.8, 4.6], 9),
        curve([(40, 28, 90), (54, 12, 98)], [5, 4], 4),
    ]


def _lungs(
    space: Space, person: Person, trunk: Trunk, rng: Rng, ways: Sequence[Tube], sac: Shape
) -> dict[str, Shape]:
    """Both lungs: the cavity above the diaphragm without the mediastinum."""
    inside = np.minimum(trunk.cavity - 1.0, trunk.diaphragm * np.float32(0.75))
    inside = np.minimum(inside, _middle_gap(space))
    alpha = coverage(space, inside)
    for hull in (space.tubes([way.wider(4.5) for way in ways]), sac):
        alpha[hull.box] *= 1 - hull.alpha
    taken = (space.labels == LABEL["spine"]) | (space.labels == LABEL["rib"])
    alpha[taken] = 0
    # Blood settles: the lung is denser behind, in whom it lies.
    level = person.hu("lung") + rng.uniform(-25, 20) + 0.28 * np.clip(space.y, -80, 90)
    texture = level + 22 * space.wobble
    lungs = {}
    for side, sign in SIDES.items():
        own = space.everywhere((alpha * (space.x * sign > 0)).astype(np.float32))
        space.paint(own, texture, LABEL["lung"])
        lungs[side] = own
    return lungs


def _middle_gap(space: Space) -> Float:
    """Distance from the fat behind the breastbone and in front of the spine."""
    level = space.level
    x, y = np.abs(space.x), space.y
    front = 3 + 16 * np.clip((level - 92) / 60, 0, 1) * np.clip((10 - y) / 40, 0, 1)
    front = front + 14 * np.clip((-y - 60) / 30, 0, 1) * np.clip((60 - level) / 60, 0, 1)
    behind = 19 * np.clip((y - 38) / 10, 0, 1)
    top = 30 * np.clip((level - 150) / 40, 0, 1) * np.clip((48 - y) / 30, 0, 1)
    return np.asarray(x - np.maximum(np.maximum(front, behind), top), np.float32)


def _soft_middle(space: Space, person: Person, spine: Spine) -> None:
    """Oesophagus, thyroid, small nodes, and the thin line where the lungs meet."""
    gullet = [(4, 36, 210), (5, 36, 150), (4, 38, 100), (10, spine.y(40) - 28, 40),
              (16, 30, 0), (22, 22, -22)]  # fmt: skip
    space.paint(space.tube(curve(gullet, [7, 7.5, 7, 8, 8, 9], 14), rough=0.1), 40)
    for side in (-1, 1):
        lobe = space.ellipsoid((side * 20, 4, 206), (10, 12, 24), rough=0.2)
        space.paint(lobe, person.hu("thyroid"))
    for spot in ((-12, 2, 128), (12, 4, 126), (-22, 24, 112), (30, -4, 132)):
        space.paint(space.ellipsoid(spot, (5, 3.6, 5)), 40)


def _head_vessels(space: Space, person: Person) -> None:
    """Arteries and veins from the arch to neck and arms."""
    blood = person.hu("aorta")
    for points, radius in (
        (((-6, -16, 148), (-16, -8, 172), (-24, -2, 186)), 6.5),
        (((-24, -2, 186), (-28, 8, 240)), 4.2),
        (((-24, -2, 186), (-58, 4, 198), (-120, 16, 184)), 4.4),
        (((6, 4, 152), (18, 4, 180), (26, 10, 240)), 4.2),
        (((16, 24, 150), (26, 22, 176), (58, 12, 196), (120, 18, 184)), 4.6),
    ):
        space.paint(space.tube(curve(points, radius, 8)), blood)
    for side in (-1, 1):
        vein = person.hu("injected vein" if side < 0 else "vein")
        way = [(side * 27, -26, 172), (side * 62, -36, 190), (side * 122, -4, 176)]
        space.paint(space.tube(curve(way, 5.5, 7)), vein)
        neck = [(side * 27, -26, 172), (side * 34, -4, 206), (side * 36, 4, 240)]
        space.paint(space.tube(curve(neck, 6.0, 6)), person.hu("vein"))


def _trees(space: Space, person: Person, rng: Rng, fissure: Float) -> None:
    """Vessels and airways that branch through each lobe, thinner outwards, and the fissures."""
    lung = space.labels == LABEL["lung"]
    line = np.clip(1.0 - np.abs(fissure) / (0.7 * space.edge_mm + 0.35 * space.slab_mm[0]), 0, 1)
    minor = np.abs(space.level - 84 + 0.05 * space.y)
    minor = np.clip(1.0 - minor / (0.7 * space.edge_mm + 0.35 * space.slab_mm[0]), 0, 1)
    minor = minor * (space.x < 0) * (fissure > 0)
    thin = np.maximum(line, minor) * lung * min(1.0, 2.0 / space.edge_mm)
    space.hu += thin * np.float32(130)
    drawn: list[tuple[Tube, float]] = []
    for side, sign in SIDES.items():
        for name, (hilum, reach) in LOBE_TREES.items():
            if (side == "left" and name == "middle") or not space.reaches(hilum[2] - 80, 300):
                continue
            root = np.array(hilum, float) * (sign, 1, 1)
            drawn += _branches(rng, root, np.array(reach, float) * (sign, 1, 1), 5.0, 3)
        drawn += _veins(rng, sign)
    for artery, blood in ((1.0, "pulmonary artery"), (0.0, "lung vein")):
        rod = space.tubes([way for way, kind in drawn if kind == artery])
        inside = space.labels[rod.box] == LABEL["lung"]
        space.paint(Shape(rod.box, rod.alpha * inside), min(person.hu(blood), 180))
    if space.reaches(0, 300):
        _segment_airways(space, rng)


#: Of each lobe: where its artery enters (for a left lung), and the middle of what it feeds.
LOBE_TREES = {
    "upper": ((50.0, 14.0, 112.0), (74.0, -4.0, 158.0)),
    "front": ((54.0, 4.0, 100.0), (82.0, -46.0, 112.0)),
    "middle": ((54.0, 6.0, 70.0), (84.0, -50.0, 42.0)),
    "lower": ((52.0, 32.0, 74.0), (84.0, 50.0, 28.0)),
    "basal": ((54.0, 38.0, 56.0), (84.0, 26.0, -4.0)),
}


def _branches(
    rng: Rng, root: np.ndarray, target: np.ndarray, radius: float, depth: int
) -> list[tuple[Tube, float]]:
    """A tree from the root towards and around the target; 1 for the blood of arteries."""
    way = target - root
    bow = root + 0.55 * way + rng.normal(size=3) * 0.10 * np.linalg.norm(way)
    made = [(curve([root, bow, target], [radius, 0.85 * radius, 0.7 * radius], 5), 1.0)]
    if depth == 0:
        return made
    for start in (bow, target, target):
        turn = rng.normal(size=3)
        turn -= way * (turn @ way) / max(float(way @ way), 1e-6)
        turn /= max(float(np.linalg.norm(turn)), 1e-6)
        length = float(np.linalg.norm(way)) * rng.uniform(0.42, 0.62)
        ahead = way / np.linalg.norm(way)
        aim = start + length * (ahead * rng.uniform(0.45, 0.8) + turn * rng.uniform(0.5, 0.9))
        made += _branches(rng, start, aim, 0.68 * radius, depth - 1)
    return made


def _veins(rng: Rng, sign: int) -> list[tuple[Tube, float]]:
    """Veins of one lung, which run between the arteries to the left atrium."""
    made = []
    for root, aim in (
        ((52, -2, 92), (92, -30, 140)), ((52, -8, 86), (74, -66, 66)), ((50, 10, 62), (88, 30, 18)),
        ((50, 10, 62), (70, 62, 40)),
    ):  # fmt: skip
        start, end = np.array(root, float) * (sign, 1, 1), np.array(aim, float) * (sign, 1, 1)
        end = end + rng.normal(size=3) * 10
        made += [(way, 0.0) for way, _ in _branches(rng, start, end, 4.2, 2)]
    return made


def _segment_airways(space: Space, rng: Rng) -> None:
    """Bronchi of the segments: thin walls around air, beside the arteries."""
    ways = []
    for sign in (-1, 1):
        for root, aim in (
            ((46, 18, 110), (64, 22, 150)), ((48, 16, 108), (66, -24, 128)),
            ((50, 6, 62), (72, -34, 44)), ((48, 34, 56), (64, 56, 66)),
            ((48, 36, 52), (62, 60, 14)),
            ((48, 34, 50), (74, 32, 8)), ((48, 32, 50), (66, 6, 14)),
        ):  # fmt: skip
            start, end = np.array(root, float) * (sign, 1, 1), np.array(aim, float) * (sign, 1, 1)
            end = end + rng.normal(size=3) * 4
            bow = (start + end) / 2 + rng.normal(size=3) * 3
            ways.append(curve([start, bow, end], [3.2, 2.6, 1.9], 5))
    wall = space.tubes([way.wider(1.2) for way in ways])
    inside = space.labels[wall.box] == LABEL["lung"]
    space.paint(Shape(wall.box, wall.alpha * inside * np.float32(0.45)), -250)
    lumen = space.tubes(ways)
    inside = space.labels[lumen.box] == LABEL["lung"]
    space.paint(Shape(lumen.box, lumen.alpha * inside), -975)
