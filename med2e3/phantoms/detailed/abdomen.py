"""The belly of a detailed body: liver, spleen, stomach, kidneys and the rest, with their vessels.

Organs are painted from behind to the front; each leaves room for the next. Knows no findings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from med2e3.phantoms.anatomy import LABEL, Phase
from med2e3.phantoms.canvas import Float, Shape
from med2e3.phantoms.detailed.person import Person, Rng
from med2e3.phantoms.detailed.skeleton import Spine
from med2e3.phantoms.detailed.space import Space, Tube, curve, moved, union
from med2e3.phantoms.detailed.trunk import Trunk, coverage


@dataclass(frozen=True, eq=False)
class Belly:
    """Shapes and places that findings of the belly refer to.

    `kidneys` by side: the kidney, its sinus and its middle; `gallbladder` is the inside of it.
    """

    liver: Shape
    spleen: Shape
    kidneys: dict[str, tuple[Shape, Shape, np.ndarray[tuple[int], np.dtype[np.float64]]]]
    gallbladder: Shape
    bladder: Shape
    aorta: Tube
    below: Float


def draw_upper_belly(
    space: Space, person: Person, trunk: Trunk, spine: Spine, rng: Rng
) -> Belly:  # fmt: skip
    """Paints all organs below the diaphragm but the bowel."""
    below = coverage(space, np.minimum(-trunk.diaphragm - 2.0, trunk.cavity - 2.0))
    _psoas(space, person, spine)
    kidneys = _kidneys(space, person, spine, rng)
    aorta = _aorta(space, person, spine)
    spleen = _spleen(space, person, below, rng)
    _stomach(space, person, below, rng)
    liver = _liver(space, person, below, rng)
    gallbladder = _gallbladder(space, person, rng)
    _pancreas(space, person, rng)
    _portal_vessels(space, person)
    bladder = _bladder(space, person, rng)
    return Belly(liver, spleen, kidneys, gallbladder, bladder, aorta, below)


def _psoas(space: Space, person: Person, spine: Spine) -> None:
    """Muscles beside the lower spine, to the hips; crura of the diaphragm."""
    for side in (-1, 1):
        way = [
            (side * 26, spine.y(-95) + 6, -95),
            (side * 38, spine.y(-150) + 10, -150),
            (side * 50, spine.y(-200) + 12, -200),
            (side * 72, 18, -260),
            (side * 92, -14, -318),
        ]
        muscle = space.tube(curve(way, [9, 17, 22, 19, 15], 13))
        space.paint(muscle, person.hu("muscle"), LABEL["soft tissue"])
        iliacus = curve([(side * 96, 40, -215), (side * 92, 22, -260), (side * 92, -8, -310)],
                        [11, 14, 13], 7)  # fmt: skip
        space.paint(space.tube(iliacus), person.hu("muscle"), LABEL["soft tissue"])
        crus = curve([(side * 12, spine.y(0) - 20, 2), (side * 14, spine.y(-60) - 20, -60),
                      (side * 12, spine.y(-110) - 20, -110)], [5, 5, 3], 7)  # fmt: skip
        space.paint(space.tube(crus), person.hu("muscle"), LABEL["soft tissue"])


def _kidneys(
    space: Space, person: Person, spine: Spine, rng: Rng
) -> dict[str, tuple[Shape, Shape, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """Both kidneys with cortex, medulla, sinus fat and pelvis; adrenals above them."""
    made = {}
    for side, sign, z in (("right", -1, -128.0), ("left", 1, -116.0)):
        centre = np.array(
            [sign * (66 + rng.uniform(-3, 3)), spine.y(z) + 12 + rng.uniform(-3, 3), z]
        )
        centre[2] += rng.uniform(-6, 6)
        lean = np.array([(0.80, 0.56 * sign, 0.2 * sign), (-0.56 * sign, 0.82, 0.1),
                         (-0.13 * sign, -0.2, 0.97)])  # fmt: skip
        lean = np.linalg.qr(lean.T)[0].T
        notch = moved(centre, -sign * 21, -8, 0)
        sinus = space.ellipsoid(notch, (17, 11, 21), axes=lean, rough=0.2)
        whole = space.ellipsoid(centre, (27, 26, 52), axes=lean, rough=0.04).minus(sinus)
        space.paint(whole, person.hu("cortex"), LABEL["kidney"])
        _pyramids(space, person, centre, lean, notch)
        space.paint(space.ellipsoid(notch, (15, 9, 19), axes=lean, rough=0.25), -85)
        pelvis = curve([moved(centre, -sign * 11, -3, 6), moved(notch, -sign * 4, -3, -4),
                        moved(notch, -sign * 12, -4, -24)], [4, 6, 2.5], 6)  # fmt: skip
        space.paint(space.tube(pelvis), person.hu("renal pelvis"))
        _ureter(space, person, notch, sign)
        made[side] = (whole, sinus, centre)
    for points in (((-30, 40, -78), (-36, 50, -92)), ((-30, 40, -78), (-28, 50, -96)),
                   ((34, 34, -80), (44, 40, -96)), ((34, 34, -80), (30, 42, -98))):  # fmt: skip
        space.paint(space.tube(curve(points, 3.0, 4)), person.hu("adrenal"))
    return made


def _pyramids(
    space: Space, person: Person, centre: np.ndarray, lean: np.ndarray, notch: np.ndarray
) -> None:
    """The medulla's pyramids, darker than the cortex while contrast comes in."""
    for z in (-30, -15, 0, 15, 30):
        for tilt in (-0.7, 0.7):
            spot = centre + lean.T @ np.array([5 * tilt + 2, 12 * tilt, z])
            spot = spot + 0.12 * (notch - centre)
            cone = space.ellipsoid(spot, (9, 8, 7.5), axes=lean)
            space.paint(Shape(cone.box, cone.alpha * (space.labels[cone.box] == LABEL["kidney"])),
                        person.hu("medulla"))  # fmt: skip


def _ureter(space: Space, person: Person, notch: np.ndarray, sign: int) -> None:
    start = notch + np.array([-sign * 12, -4, -24])
    rest = [(sign * 34, 14, -190), (sign * 44, 22, -240), (sign * 40, 40, -290),
            (sign * 14, 22, -322)]  # fmt: skip
    way = np.vstack([start, np.array(rest, float)])
    hu = person.hu("renal pelvis") if person.phase is Phase.DELAYED else 25
    space.paint(space.tube(curve(way, 2.0, 12)), hu)


def _aorta(space: Space, person: Person, spine: Spine) -> Tube:
    """Aorta, its branches, the vena cava and the iliac vessels."""
    front = {z: spine.y(z) - 30 for z in (-58, -90, -140, -196)}
    aorta = curve([(14, front[-58] + 3, -58), (12, front[-90], -90), (9, front[-140], -140),
                   (4, front[-196], -196)], [10.5, 10, 9.3, 8.6], 12)  # fmt: skip
    cava = curve([(-26, 20, -24), (-26, 20, -60), (-25, front[-90] + 6, -90),
                  (-23, front[-140] + 5, -140), (-20, front[-196] + 8, -200)],
                 [12, 12, 11.5, 10.5, 10], 14)  # fmt: skip
    upper = Tube(cava.points[:9], cava.radii[:9])
    lower = Tube(cava.points[7:], cava.radii[7:])
    space.paint(space.tube(lower), person.hu("infrarenal vein"))
    space.paint(space.tube(upper), person.hu("vein"))
    for side in (-1, 1):
        kidney = (side * 48, 40, -124)
        vein = [kidney, (side * 34, 12, -112), (-16 if side < 0 else 4, front[-90] - 8, -108),
                (-24, front[-90] + 4, -106)]  # fmt: skip
        space.paint(space.tube(curve(vein, 5.0, 8)), person.hu("renal vein"))
        iliac = [(-16, front[-196] + 9, -198), (side * 40, 36, -245), (side * 62, 6, -286),
                 (side * 76, -34, -330), (side * 80, -50, -370)]  # fmt: skip
        space.paint(space.tube(curve(iliac, [9, 8, 7, 7, 7], 11)), person.hu("infrarenal vein"))
        artery = [(9, front[-90] + 2, -112), (side * 28, 22, -116), kidney]
        space.paint(space.tube(curve(artery, 3.4, 6)), person.hu("aorta"))
        iliac = [(4, front[-196], -194), (side * 34, 16, -235), (side * 58, -4, -280),
                 (side * 70, -44, -330), (side * 74, -56, -370)]  # fmt: skip
        space.paint(space.tube(curve(iliac, [7, 6, 5.4, 5, 5], 11)), person.hu("aorta"))
        inner = [(side * 36, 18, -238), (side * 44, 44, -272), (side * 40, 58, -304)]
        space.paint(space.tube(curve(inner, [4.6, 4, 3.4], 6)), person.hu("aorta"))
    for points, radius in (
        (((11, front[-90] - 4, -84), (8, -16, -86), (-24, -20, -92)), 4.0),
        (((8, -16, -86), (50, 2, -80), (84, 26, -72)), 3.4),
        (((10, front[-90] - 4, -98), (6, -24, -122), (2, -34, -168), (-14, -30, -206)), 4.2),
    ):
        space.paint(space.tube(curve(points, radius, 8)), person.hu("aorta"))
    space.paint(space.tube(aorta), person.hu("aorta"), LABEL["aorta"])
    return aorta


def _spleen(space: Space, person: Person, below: Float, rng: Rng) -> Shape:
    """A curved organ behind the stomach, under the left dome."""
    s = person.spleen
    lean = np.linalg.qr(np.array([(0.88, -0.46, -0.1), (0.42, 0.86, -0.3), (0.2, 0.22, 0.95)]).T)[0]
    centre = np.array([104 - 10 * (s - 1), 40 - 12 * (s - 1), -56 - 26 * (s - 1)])
    shape = space.ellipsoid(centre, (24 * s, 46 * s, 46 * s), axes=lean.T, rough=0.06)
    hollow = space.ellipsoid(moved(centre, -34 * s, -22, 2), (28, 34, 52), rough=0.1)
    shape = shape.minus(hollow)
    shape = Shape(shape.box, shape.alpha * below[shape.box])
    # While contrast comes in, red and white pulp fill at different speeds.
    mottle = 0.26 * space.wobble[shape.box] * (person.phase is Phase.ARTERIAL)
    space.paint(shape, (person.hu("spleen") * (1 + mottle)).astype(np.float32), LABEL["spleen"])
    del rng
    return shape


def _stomach(space: Space, person: Person, below: Float, rng: Rng) -> None:
    """Stomach and duodenum: folds around food and water, gas in front."""
    big = rng.uniform(0.78, 1.12)
    way = [(58, 22, -26), (64, -8, -48), (54, -38, -78), (26, -58, -104), (-6, -54, -112),
           (-28, -38, -108)]  # fmt: skip
    wide = np.array([33 * big, 34 * big, 31 * big, 23 * big, 17, 11])
    organ = curve(way, wide, 13)
    shape = space.tube(organ, rough=0.1)
    shape = Shape(shape.box, shape.alpha * below[shape.box])
    space.paint(shape, person.hu("bowel wall"), LABEL["stomach"])
    inner = space.tube(organ.wider(-4.5), rough=0.16)
    inner = inner.times(shape)
    level = rng.uniform(-50, -14)
    gas = np.clip((level - space.y[inner.box]) / space.edge_mm + 0.5, 0, 1)
    food = rng.uniform(5, 45) + rng.uniform(0, 50) * space.wobble[inner.box]
    space.paint(inner, (food + gas * (-960 - food)).astype(np.float32))
    bow = [(-28, -38, -108), (-46, -10, -114), (-48, 8, -140), (-36, 12, -162), (4, 4, -164),
           (24, -8, -146)]  # fmt: skip
    space.paint(space.tube(curve(bow, 12, 12), rough=0.12), person.hu("bowel wall"), LABEL["bowel"])
    space.paint(space.tube(curve(bow, 8, 12), rough=0.2), rng.uniform(10, 32))


def _liver(space: Space, person: Person, below: Float, rng: Rng) -> Shape:
    """Liver under the right dome, with fissure, veins, and the dents of its neighbours."""
    right = space.ellipsoid((-70, -4, -54), (84, 98, 86), square=True)
    lean = np.linalg.qr(np.array([(0.97, 0.05, 0.22), (-0.06, 1.0, 0.1), (-0.2, -0.1, 0.97)]).T)[
        0
    ].T
    left = space.ellipsoid((14, -54, -44), (78, 42, 46), axes=lean)
    whole = union(space, [right, left]).alpha
    # The lower border climbs from the right flank to the left.
    out = np.clip((space.x + 118) / 150, 0, 1.3)
    edge = space.level + 142 - 112 * out * np.sqrt(out) + 0.16 * space.y + 9 * space.wobble
    whole *= coverage(space, edge * np.float32(0.75))
    medial = (space.y + 6) * 0.55 + space.x + 16 + 10 * space.wobble
    whole *= 1 - np.clip((space.y + 18) / 14, 0, 1) * np.clip(medial / 12, 0, 1)
    fat = curve([(-10, -96, -96), (-8, -72, -78), (-6, -46, -66)], [4, 3.5, 2.5], 6)
    cut = space.tube(fat)
    whole[cut.box] *= 1 - cut.alpha
    for spot, radii in (((-66, 50, -132), (38, 34, 46)), ((-30, -30, -124), (26, 30, 26)),
                        ((-26, 26, -60), (13, 13, 80))):  # fmt: skip
        dent = space.ellipsoid(spot, radii)
        whole[dent.box] *= 1 - dent.alpha
    keep = ~np.isin(
        space.labels, [LABEL["spine"], LABEL["aorta"], LABEL["spleen"], LABEL["kidney"]]
    )
    liver = space.everywhere((whole * below * keep).astype(np.float32))
    fatty = -rng.uniform(15, 40) if rng.random() < 0.15 else 0.0
    hu = person.hu("liver") + fatty + 4 * space.wobble
    space.paint(liver, hu.astype(np.float32), LABEL["liver"])
    space.paint(space.tube(curve([(-26, 20, -24), (-26, 20, -60), (-26, 18, -86)], 12, 6)),
                person.hu("vein"))  # fmt: skip
    _liver_vessels(space, person, rng)
    return liver


def _liver_vessels(space: Space, person: Person, rng: Rng) -> None:
    """Three hepatic veins that meet under the dome, and the portal vein's branches."""
    trees = [
        ("vein", (-28, 18, -16), (-104, 10, -60), 4.6),
        ("vein", (-27, 12, -16), (-62, -40, -62), 4.4),
        ("vein", (-24, 10, -16), (14, -48, -40), 4.0),
        ("portal vein", (-34, -10, -84), (-92, -24, -78), 5.6),
        ("portal vein", (-40, -10, -82), (-96, 30, -88), 5.0),
        ("portal vein", (-30, -16, -80), (6, -50, -52), 4.6),
    ]  # fmt: skip
    for name, root, aim, radius in trees:
        start, end = np.array(root, float), np.array(aim, float) + rng.normal(size=3) * 6
        bow = (start + end) / 2 + rng.normal(size=3) * 5
        ways = [curve([start, bow, end], [radius, 0.7 * radius, 0.4 * radius], 7)]
        for share in (0.45, 0.65, 0.8):
            tip = end + rng.normal(size=3) * (20, 18, 18)
            from_ = start + share * (end - start)
            ways.append(curve([from_, (from_ + tip) / 2, tip], [0.5 * radius, 1.6, 1.0], 4))
        rod = space.tubes(ways)
        inside = space.labels[rod.box] == LABEL["liver"]
        space.paint(Shape(rod.box, rod.alpha * inside * np.float32(0.85)), person.hu(name))


def _gallbladder(space: Space, person: Person, rng: Rng) -> Shape:
    """A pear under the liver; returns its inside."""
    full = rng.uniform(0.85, 1.15)
    way = curve([(-34, -22, -104), (-42, -40, -118), (-50, -60, -132)],
                [5 * full, 11 * full, 14.5 * full], 9)  # fmt: skip
    space.paint(space.tube(way.wider(1.6)), person.hu("bowel wall"), LABEL["gallbladder"])
    return space.paint(space.tube(way), person.hu("gallbladder"), LABEL["gallbladder"])


def _pancreas(space: Space, person: Person, rng: Rng) -> None:
    """Head in the duodenum's bow, neck, body and tail towards the spleen; lobed, with fat."""
    thin = rng.uniform(0.75, 1.1)
    way = [(-32, -8, -136), (-26, -14, -118), (-2, -24, -104), (30, -16, -94), (62, 8, -84),
           (82, 24, -76)]  # fmt: skip
    organ = space.tube(curve(way, np.array([13, 14, 8, 9.5, 9.5, 8]) * thin, 13), rough=0.28)
    free = np.isin(
        space.labels[organ.box], [LABEL["soft tissue"], LABEL["bowel"], LABEL["stomach"]]
    )
    lobed = person.hu("pancreas") - 40 * np.clip(space.wobble[organ.box] - 0.2, 0, 1)
    space.paint(Shape(organ.box, organ.alpha * free), lobed.astype(np.float32), LABEL["pancreas"])


def _portal_vessels(space: Space, person: Person) -> None:
    """Portal, splenic and mesenteric veins."""
    blood = person.hu("portal vein")
    for points, radius in (
        (((-34, -10, -84), (-18, -16, -98), (-4, -20, -110)), 6.5),
        (((-4, -20, -110), (36, -8, -98), (86, 28, -76)), 4.4),
        (((-4, -20, -110), (-8, -30, -150), (-18, -34, -200)), 5.4),
    ):
        space.paint(space.tube(curve(points, radius, 8)), blood)


def _bladder(space: Space, person: Person, rng: Rng) -> Shape:
    """Bladder, and prostate or womb behind it; excreted contrast sinks in the late phase."""
    full = rng.uniform(0.75, 1.1)
    centre = (0, -22, -312 + 8 * full)
    shape = space.ellipsoid(centre, (42 * full, 32 * full, 30 * full), rough=0.03)
    if person.female:
        womb = space.ellipsoid((4, 24, -298), (25, 20, 28), rough=0.12)
        space.paint(womb, person.hu("muscle") + 22, LABEL["soft tissue"])
    else:
        gland = space.ellipsoid((0, 0, -342), (22, 17, 16), rough=0.1)
        space.paint(gland, person.hu("muscle") + 8, LABEL["soft tissue"])
    wall = space.ellipsoid(centre, (42 * full + 3, 32 * full + 3, 30 * full + 3), rough=0.03)
    space.paint(wall, person.hu("muscle"), LABEL["soft tissue"])
    space.paint(shape, person.hu("bladder"), LABEL["bladder"])
    if person.phase is Phase.DELAYED:
        level = np.clip((space.y[shape.box] + 12) / space.edge_mm + 0.5, 0, 1)
        space.paint(Shape(shape.box, shape.alpha * level.astype(np.float32)), 420)
    return shape
