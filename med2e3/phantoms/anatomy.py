"""The torso of a phantom: organs, vessels and bones in HU, by contrast phase.

Body frame in mm: x to the patient's left, y to posterior, z to superior; z = 0 is about the top of
the diaphragm. Values are typical of adults, not of anyone. Knows nothing of findings but a large
spleen, which is anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from med2e3.phantoms.canvas import Canvas, Point, Shape


class Phase(StrEnum):
    """Contrast phases, named as in the phase questions."""

    NON_CONTRAST = "non-contrast"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal venous"
    DELAYED = "delayed"


class Region(StrEnum):
    """What part of the torso is scanned."""

    CHEST = "chest"
    ABDOMEN = "abdomen"


#: Names of the labels that `Phantom.labels` holds; the index is the label.
ORGANS = (
    "background", "soft tissue", "lung", "heart", "aorta", "liver", "spleen", "kidney", "stomach",
    "gallbladder", "bladder", "bowel", "spine", "rib", "trachea", "pancreas", "sternum", "pelvis",
)  # fmt: skip
LABEL = {name: number for number, name in enumerate(ORGANS)}

#: HU in the four phases (non-contrast, arterial, portal venous, delayed).
TISSUE_HU: dict[str, tuple[float, float, float, float]] = {
    "fat": (-100, -100, -98, -98),
    "muscle": (50, 56, 62, 60),
    "aorta": (42, 330, 165, 108),
    "left heart": (42, 290, 158, 106),
    "right heart": (42, 210, 150, 106),
    "myocardium": (46, 95, 108, 88),
    "pulmonary artery": (42, 240, 150, 106),
    "vein": (40, 85, 155, 106),
    "liver": (56, 68, 112, 90),
    "spleen": (48, 118, 118, 90),
    "cortex": (33, 185, 178, 128),
    "medulla": (33, 70, 168, 132),
    "renal pelvis": (4, 4, 10, 330),
    "pancreas": (42, 98, 84, 68),
    "gallbladder": (8, 8, 9, 9),
    "bladder": (4, 4, 8, 30),
    "bowel wall": (38, 62, 78, 60),
    "cortical bone": (620, 620, 620, 620),
    "marrow": (170, 172, 178, 176),
    "disc": (75, 75, 80, 80),
    "lung": (-845, -835, -830, -835),
    "fluid": (8, 8, 9, 9),
}
PHASES = tuple(Phase)


@dataclass(frozen=True)
class Body:
    """Sizes of one patient and the HU of one scan.

    `inner` (x, y): half axes of the trunk's cavity in mm; `fat_mm` under the skin; `stretch` along
    z; `spleen` scales that organ.
    """

    inner: tuple[float, float]
    fat_mm: float
    stretch: float
    phase: Phase
    enhancement: float
    spleen: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, phase: Phase, large_spleen: bool) -> Body:
        """A random adult."""
        size = rng.uniform(0.9, 1.12)
        return cls(
            inner=(140 * size * rng.uniform(0.96, 1.04), 92 * size * rng.uniform(0.95, 1.08)),
            fat_mm=float(rng.choice((1.0, 1.6)) * rng.uniform(8, 20)),
            stretch=rng.uniform(0.94, 1.06),
            phase=phase,
            enhancement=rng.uniform(0.92, 1.08),
            spleen=rng.uniform(1.5, 1.75) if large_spleen else rng.uniform(0.85, 1.05),
        )

    def hu(self, tissue: str) -> float:
        """The tissue's HU; how much contrast raised it varies from patient to patient."""
        plain = TISSUE_HU[tissue][0]
        value = TISSUE_HU[tissue][PHASES.index(self.phase)]
        return plain + (value - plain) * self.enhancement

    def at(self, x: float, y: float, z: float) -> Point:
        """A place given for the reference torso (inner half axes 140 × 92 mm), in this body."""
        return (x * self.inner[0] / 140, y * self.inner[1] / 92, z * self.stretch)

    def size(self, x: float, y: float, z: float) -> Point:
        """Half sizes given for the reference torso, in this body."""
        return self.at(x, y, z)


@dataclass(frozen=True, eq=False)
class Torso:
    """Shapes that findings refer to."""

    lungs: dict[str, Shape]
    kidneys: dict[str, Point]
    heart: Shape
    liver: Shape
    cavity: Shape
    spleen: Shape


def draw_torso(canvas: Canvas, body: Body, rng: np.random.Generator) -> Torso:
    """Paints the whole torso, chest and abdomen: the grid decides what of it is scanned."""
    _trunk(canvas, body, rng)
    lungs = _lungs(canvas, body, rng)
    heart = _mediastinum(canvas, body)
    cavity = _abdominal_cavity(canvas, body)
    _bowel(canvas, body, rng)
    liver, spleen = _upper_abdomen(canvas, body, rng)
    kidneys = _retroperitoneum(canvas, body, rng)
    _vessels(canvas, body)
    _spine(canvas, body)
    _pelvis(canvas, body)
    return Torso(lungs, kidneys, heart, liver, cavity, spleen)


def _trunk(canvas: Canvas, body: Body, rng: np.random.Generator) -> None:
    """Skin, fat, muscle wall with ribs, and the scanner's table."""
    ix, iy = body.inner
    # The back is thicker than the front, so the outline sits a little further back.
    outer = body.size(0, 0, 0)
    q2 = (canvas.x / (ix + 16 + body.fat_mm)) ** 2
    q2 = q2 + ((canvas.y - 14) / (iy + 24 + body.fat_mm)) ** 2
    edge = np.float32((iy + 24) / (2 * canvas.edge_mm))
    skin = np.clip((1 - q2) * edge + 0.5, 0, 1).astype(np.float32)
    q_muscle = (canvas.x / (ix + 15)) ** 2 + ((canvas.y - 12) / (iy + 22)) ** 2
    muscle = np.clip((1 - q_muscle) * edge + 0.5, 0, 1).astype(np.float32)
    flat = -1000 + skin * (body.hu("fat") + 1000)
    rim = np.clip(1 - np.abs(q2 - 1) * edge, 0, 1) * (q2 < 1)
    flat = flat + rim * 90
    flat = flat + muscle * (body.hu("muscle") - flat)
    canvas.hu[:] = flat
    canvas.labels[:] = (skin > 0.5).astype(np.uint8)
    if rng.random() < 0.6:
        back = 14 + iy + 24 + body.fat_mm + rng.uniform(4, 8)
        depth = np.abs(canvas.y - back + canvas.x**2 / 2600)
        table = np.clip(2.5 - depth / canvas.edge_mm, 0, 1) * (np.abs(canvas.x) < 190)
        canvas.hu += (table * rng.uniform(350, 650)).astype(np.float32)
    _ribs(canvas, body, outer[2])


def _ribs(canvas: Canvas, body: Body, shift: float) -> None:
    """Oblique rings of bone in the chest wall, and the sternum."""
    ix, iy = body.inner
    q2 = (canvas.x / (ix + 5)) ** 2 + ((canvas.y - 4) / (iy + 8)) ** 2
    wall = np.clip(1.7 - np.abs(q2 - 1) * iy / (2 * max(canvas.edge_mm, 2.2)) * 1.1, 0, 1)
    wall = wall * (np.abs(canvas.x) > 22)
    # A rib falls from the spine to the front by about 60 mm; pitch about 27 mm.
    slope = (-canvas.y * 0.55 - np.abs(canvas.x) * 0.1).astype(np.float32)
    z = ((canvas.z + shift) / body.stretch).astype(np.float32)[:, None, None]
    band = np.abs((z - slope + 500) % 27 - 13.5)
    rib = np.clip((6.5 - band) / canvas.edge_mm + 0.5, 0, 1) * wall
    rib *= np.clip((z + 95 + np.abs(slope)) / 8, 0, 1) * np.clip((250 - z) / 8, 0, 1)
    shape = canvas.everywhere(rib.astype(np.float32))
    canvas.paint(shape, 430, LABEL["rib"])
    sternum = canvas.ellipsoid(body.at(0, -97, 125), body.size(19, 7, 85))
    canvas.paint(sternum, 260, LABEL["sternum"])


def _lungs(canvas: Canvas, body: Body, rng: np.random.Generator) -> dict[str, Shape]:
    """Both lungs with vessels, and the airways."""
    lungs = {}
    texture = np.float32(28) * canvas.wobble
    for side, x in (("right", -72.0), ("left", 73.0)):
        shape = canvas.column(body.at(x, 4, 70), body.size(62, 84, 180), -50 * body.stretch)
        hu = body.hu("lung") + rng.uniform(-15, 15) + texture[shape.box]
        lungs[side] = canvas.paint(shape, hu, LABEL["lung"])
        _lung_vessels(canvas, body, rng, x)
    return lungs


def _lung_vessels(canvas: Canvas, body: Body, rng: np.random.Generator, x: float) -> None:
    """Branches from the hilum into one lung, thinner outwards."""
    hilum = np.array([np.sign(x) * 34, 5.0, 98.0])
    for _ in range(9):
        direction = rng.normal(size=3) * (0.8, 1.0, 1.25)
        direction[0] = np.sign(x) * (abs(direction[0]) + 0.35)
        direction /= np.linalg.norm(direction)
        middle = hilum + direction * rng.uniform(22, 34)
        _vessel(canvas, body, hilum, middle, 4.2)
        for _ in range(2):
            turn = direction + rng.normal(size=3) * 0.45
            end = middle + turn * rng.uniform(20, 42)
            _vessel(canvas, body, middle, end, 2.4)


def _vessel(
    canvas: Canvas,
    body: Body,
    start: np.ndarray[tuple[int], np.dtype[np.float64]],
    end: np.ndarray[tuple[int], np.dtype[np.float64]],
    radius: float,
) -> None:
    """A vessel inside lung tissue only."""
    a, b = body.at(*start.tolist()), body.at(*end.tolist())
    rod = canvas.capsule(a, b, radius)
    inside = canvas.labels[rod.box] == LABEL["lung"]
    canvas.paint(Shape(rod.box, rod.alpha * inside * np.float32(0.8)), 40)


def _mediastinum(canvas: Canvas, body: Body) -> Shape:
    """Fat between the lungs, heart with chambers, great vessels, airways; returns the heart."""
    at, size, hu = body.at, body.size, body.hu
    canvas.paint(
        canvas.ellipsoid(at(0, -8, 110), size(30, 76, 165), 0.1), -75, LABEL["soft tissue"]
    )
    canvas.paint(canvas.ellipsoid(at(14, -30, 42), size(62, 52, 56), 0.1), -80, 1)
    heart = canvas.ellipsoid(at(18, -30, 44), size(55, 44, 48), 0.12)
    canvas.paint(heart, hu("myocardium"), LABEL["heart"])
    canvas.paint(canvas.ellipsoid(at(38, -30, 36), size(24, 23, 28), 0.2), hu("left heart"))
    canvas.paint(canvas.ellipsoid(at(20, -2, 58), size(24, 15, 18), 0.2), hu("left heart"))
    canvas.paint(canvas.ellipsoid(at(-18, -38, 42), size(20, 24, 30), 0.2), hu("right heart"))
    canvas.paint(canvas.ellipsoid(at(12, -56, 48), size(22, 13, 26), 0.2), hu("right heart"))
    trunk = canvas.capsule(at(16, -38, 84), at(14, -14, 104), 12)
    canvas.paint(trunk, hu("pulmonary artery"))
    for x in (-44, 48):
        branch = canvas.capsule(at(12, -12, 104), at(x, 8, 102), 8)
        canvas.paint(branch, hu("pulmonary artery"))
    canvas.paint(canvas.capsule(at(-30, -20, 80), at(-28, -18, 190), 8.5), hu("vein"))
    for x in (-20, 20):
        canvas.paint(canvas.ellipsoid(at(1.6 * x, -4, 212), size(14, 11, 26), 0.2), hu("muscle"))
        canvas.paint(canvas.capsule(at(x * 1.3, -10, 190), at(x * 1.4, -14, 260), 5), hu("aorta"))
    airway = canvas.capsule(at(0, 10, 118), at(0, 2, 270), 9)
    canvas.paint(airway, -990, LABEL["trachea"])
    for x in (-38, 40):
        canvas.paint(canvas.capsule(at(0, 10, 118), at(x, 14, 96), 6), -985, LABEL["trachea"])
    canvas.paint(canvas.capsule(at(8, 36, 10), at(4, 30, 230), 6.5), 38)
    return heart


def _abdominal_cavity(canvas: Canvas, body: Body) -> Shape:
    """The diaphragm and below it the cavity filled with fat."""
    ix, iy = body.inner
    centre = body.at(0, -4, -95)
    muscle = canvas.column(centre, (ix - 1, iy - 1, 106), -400)
    canvas.paint(muscle, body.hu("muscle"), LABEL["soft tissue"])
    cavity = canvas.column(centre, (ix - 5, iy - 5, 102), -400)
    canvas.paint(cavity, body.hu("fat"), LABEL["soft tissue"])
    return cavity


def _bowel(canvas: Canvas, body: Body, rng: np.random.Generator) -> None:
    """Loops of small bowel, and the colon with gas and stool."""
    wall = body.hu("bowel wall")
    for _ in range(16):
        x, y = rng.uniform(-85, 85), rng.uniform(-68, 0)
        centre = body.at(x, y, rng.uniform(-250, -128))
        radii = (rng.uniform(14, 26), rng.uniform(11, 17), rng.uniform(12, 22))
        canvas.paint(canvas.ellipsoid(centre, radii, 0.35), wall, LABEL["bowel"])
        inside = (radii[0] * 0.72, radii[1] * 0.66, radii[2] * 0.7)
        gas = rng.random() < 0.25
        canvas.paint(canvas.ellipsoid(centre, inside, 0.3), -900 if gas else rng.uniform(12, 30))
    for x, top in ((-108.0, -120.0), (108.0, -95.0)):
        low, high = body.at(x, 12, -235), body.at(x, 8, top)
        canvas.paint(canvas.capsule(low, high, 20), wall, LABEL["bowel"])
        canvas.paint(canvas.capsule(low, high, 16), rng.uniform(-120, 20))
        for _ in range(4):
            centre = body.at(x, 4, rng.uniform(-235, top))
            canvas.paint(canvas.ellipsoid(centre, (12, 9, 15), 0.3), -920)


def _upper_abdomen(canvas: Canvas, body: Body, rng: np.random.Generator) -> tuple[Shape, Shape]:
    """Stomach, liver with veins, gallbladder, spleen, pancreas; returns liver and spleen."""
    at, size, hu = body.at, body.size, body.hu
    stomach = canvas.ellipsoid(at(52, -36, -52), size(46, 36, 44), 0.15)
    canvas.paint(stomach, hu("bowel wall"), LABEL["stomach"])
    content = canvas.ellipsoid(at(52, -36, -52), size(41, 31, 39), 0.15)
    level = np.clip((at(0, -44, 0)[1] - canvas.y[content.box[1:]]) / canvas.edge_mm, 0, 1)
    canvas.paint(content, (22 - 930 * level).astype(np.float32))
    spleen_size = size(30, 40, 48)
    grown = (
        spleen_size[0] * body.spleen,
        spleen_size[1] * body.spleen,
        spleen_size[2] * body.spleen,
    )
    spleen = canvas.ellipsoid(
        at(100 - 8 * (body.spleen - 1), 34, -52 - 14 * (body.spleen - 1)), grown, 0.15
    )
    mottle = 1 + 0.22 * canvas.wobble[spleen.box] * (body.phase is Phase.ARTERIAL)
    inside = canvas.column(at(0, -4, -95), size(134, 86, 100), -400)
    spleen = canvas.paint(
        spleen.times(inside), (hu("spleen") * mottle).astype(np.float32), LABEL["spleen"]
    )
    right = canvas.ellipsoid(at(-68, -2, -66), size(74, 84, 82), 0.14)
    left = canvas.ellipsoid(at(-4, -44, -48), size(64, 38, 38), 0.2)
    whole = np.zeros(canvas.hu.shape, np.float32)
    for part in (right, left):
        np.maximum(whole[part.box], part.alpha, out=whole[part.box])
    liver = canvas.everywhere(whole).times(inside)
    canvas.paint(liver, hu("liver"), LABEL["liver"])
    _liver_veins(canvas, body, rng)
    canvas.paint(
        canvas.ellipsoid(at(-42, -50, -116), size(15, 18, 26), 0.1),
        hu("gallbladder"),
        LABEL["gallbladder"],
    )
    for a, b, r in (((-20, -4, -98), (20, -14, -92), 13.0), ((20, -14, -92), (78, 16, -74), 10.0)):
        canvas.paint(canvas.capsule(at(*a), at(*b), r), hu("pancreas"), LABEL["pancreas"])
    return liver, spleen


def _liver_veins(canvas: Canvas, body: Body, rng: np.random.Generator) -> None:
    """Hepatic and portal veins."""
    at = body.at
    for end in ((-105, -30, -40), (-60, -55, -35), (-10, -50, -30), (-110, 20, -50)):
        jitter = rng.uniform(-12, 12, 3)
        tip = at(end[0] + jitter[0], end[1] + jitter[1], end[2] + jitter[2])
        canvas.paint(canvas.capsule(at(-28, 16, -22), tip, 4.0), body.hu("vein"))
    for end in ((-95, 0, -85), (-40, -48, -62)):
        canvas.paint(canvas.capsule(at(-30, -4, -88), at(*end), 5.0), body.hu("vein"))
    canvas.paint(canvas.capsule(at(-30, -4, -88), at(10, -6, -104), 6.5), body.hu("vein"))


def _retroperitoneum(canvas: Canvas, body: Body, rng: np.random.Generator) -> dict[str, Point]:
    """Kidneys, psoas muscles, bladder; returns the kidneys' centres."""
    at, size, hu = body.at, body.size, body.hu
    centres = {}
    for side, x, z in (("right", -62.0, -128.0), ("left", 62.0, -116.0)):
        psoas = canvas.ellipsoid(at(0.62 * x, 58, -175), size(21, 22, 95), 0.1)
        canvas.paint(psoas, hu("muscle"), LABEL["soft tissue"])
        centre = at(x + rng.uniform(-4, 4), 42, z + rng.uniform(-8, 8))
        centres[side] = centre
        rx, ry, rz = size(29, 30, 52)
        canvas.paint(canvas.ellipsoid(centre, (rx, ry, rz), 0.08), hu("cortex"), LABEL["kidney"])
        canvas.paint(
            canvas.ellipsoid(centre, (rx * 0.66, ry * 0.66, rz * 0.75), 0.3), hu("medulla")
        )
        sinus = (centre[0] - np.sign(x) * 10, centre[1] - 4, centre[2])
        canvas.paint(canvas.ellipsoid(sinus, (rx * 0.5, ry * 0.42, rz * 0.45), 0.3), -70)
        canvas.paint(canvas.ellipsoid(sinus, (rx * 0.26, ry * 0.22, rz * 0.3)), hu("renal pelvis"))
    bladder = canvas.ellipsoid(at(0, -26, -272), size(44, 38, 34), 0.06)
    canvas.paint(bladder, hu("bladder"), LABEL["bladder"])
    if body.phase is Phase.DELAYED:
        layer = np.clip((canvas.y[bladder.box[1:]] - at(0, -22, 0)[1]) / canvas.edge_mm, 0, 1)
        canvas.paint(Shape(bladder.box, bladder.alpha * layer.astype(np.float32)), 300)
    return centres


def _vessels(canvas: Canvas, body: Body) -> None:
    """Aorta from the valve to the bifurcation, iliac arteries, vena cava."""
    at = body.at
    path: tuple[Point, ...] = (
        (-6, -24, 70), (-12, -24, 140), (-2, -6, 162), (16, 26, 158), (20, 46, 130), (18, 48, 0),
        (10, 44, -60), (8, 42, -195),
    )  # fmt: skip
    radii = (15.0, 14.5, 13.5, 12.5, 12.0, 11.0, 10.0)
    for start, end, radius in zip(path[:-1], path[1:], radii, strict=True):
        canvas.paint(canvas.capsule(at(*start), at(*end), radius), body.hu("aorta"), LABEL["aorta"])
    for x in (-42, 46):
        canvas.paint(canvas.capsule(at(8, 42, -195), at(x, 26, -290), 6.5), body.hu("aorta"))
    for z0, z1 in ((60, -22), (-22, -190)):
        top, end = at(-26, 10 if z0 > 0 else 26, z0), at(-24, 32, z1)
        canvas.paint(canvas.capsule(top, end, 11), body.hu("vein"))


def _spine(canvas: Canvas, body: Body) -> None:
    """Vertebral bodies and discs, canal, arches, back muscles."""
    at, hu = body.at, body.hu
    for x in (-36, 36):
        muscle = canvas.capsule(at(x, 104, -330), at(x, 104, 280), 24)
        canvas.paint(muscle, hu("muscle"), LABEL["soft tissue"])
    z = canvas.z / body.stretch
    pitch = np.where(z > -20, 24.0, 32.0)
    along = np.abs((z + 500) % pitch - pitch / 2) / (pitch / 2)  # 0 mid-body, 1 mid-disc
    bone = np.clip((0.76 - along) * 14, 0, 1).astype(np.float32)[:, None, None]
    plate = np.clip(1 - np.abs(along - 0.7) * 9, 0, 1).astype(np.float32)[:, None, None]
    column = canvas.column(at(0, 72, 300), (19, 15.5, 30), -400)
    core = canvas.column(at(0, 72, 300), (16, 12.5, 30), -400)
    zs = column.box[0]
    marrow = (
        hu("marrow")
        + 250 * plate[zs]
        + (hu("cortical bone") - 180 - hu("marrow")) * (1 - _coverage(core, column))
    )
    value = hu("disc") + bone[zs] * (marrow - hu("disc"))
    canvas.paint(column, value.astype(np.float32), LABEL["spine"])
    arch = canvas.column(at(0, 95, 300), (16, 13, 30), -400)
    canvas.paint(Shape(arch.box, arch.alpha * bone[arch.box[0]]), 380, LABEL["spine"])
    canvas.paint(canvas.column(at(0, 92, 300), (8, 7.5, 30), -400), 28)
    tips = (((0, 104), (0, 120), 3.5), ((0, 96), (-32, 100), 4.0), ((0, 96), (32, 100), 4.0))
    for (x0, y0), (x1, y1), radius in tips:
        rod = canvas.capsule(at(x0, y0, 320), at(x1, y1, 320), radius)
        flat = canvas.capsule(at(x0, y0, float(z[0])), at(x1, y1, float(z[0])), radius)
        del rod
        _extrude(canvas, flat, bone)


def _coverage(inner: Shape, outer: Shape) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The inner shape's coverage on the outer shape's box."""
    return Shape(outer.box, np.ones_like(outer.alpha)).times(inner).alpha


def _extrude(
    canvas: Canvas, shape: Shape, along: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    """Repeats the largest section of a shape along z, weighted by `along` (Z, 1, 1); in bone."""
    if not shape.alpha.size:
        return
    section = shape.alpha.max(axis=0)
    box = (slice(0, len(canvas.z)), shape.box[1], shape.box[2])
    weight = np.clip(along * 2 - 1, 0, 1)
    canvas.paint(Shape(box, section * weight), 360, LABEL["spine"])


def _pelvis(canvas: Canvas, body: Body) -> None:
    """Iliac wings and sacrum."""
    at, size = body.at, body.size
    for x in (-1, 1):
        for z, shift in ((-205, 98), (-232, 92), (-262, 84), (-292, 78)):
            wing = canvas.ellipsoid(at(x * shift, 46 - (z + 205) * 0.1, z), size(11, 40, 22), 0.3)
            canvas.paint(wing, 420, LABEL["pelvis"])
            core = canvas.ellipsoid(at(x * shift, 46 - (z + 205) * 0.1, z), size(7, 35, 19), 0.3)
            canvas.paint(core, 190)
    sacrum = canvas.ellipsoid(at(0, 84, -262), size(48, 17, 48), 0.3)
    canvas.paint(sacrum, 400, LABEL["pelvis"])
    canvas.paint(canvas.ellipsoid(at(0, 84, -262), size(43, 12, 43), 0.3), 170)
