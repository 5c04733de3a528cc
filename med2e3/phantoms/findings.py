"""What can be wrong with a phantom: kinds of finding, where each may lie, and how it is painted.

Every kind has a name, an organ and a fixed list of places; a painted finding has its exact extent.
Knows nothing of questions or reports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from med2e3.phantoms.anatomy import LABEL, Body, Phase, Region, Torso
from med2e3.phantoms.canvas import Canvas, Point, Shape

Rng = np.random.Generator

LOBES = ("right upper lobe", "right lower lobe", "left upper lobe", "left lower lobe")
SIDES = ("right side", "left side", "both sides")
KIDNEYS = ("right kidney", "left kidney")
LIVER_LOBES = ("right lobe of the liver", "left lobe of the liver")


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    `name` as in questions; `article` goes before it ("" for none); `group` is the word that several
    kinds share ("cyst" of liver and kidney), or "". `places` by region; a place is read after "in
    the" or, where it starts with a preposition of its own, as it stands.
    """

    name: str
    article: str
    organ: str
    group: str
    places: dict[Region, tuple[str, ...]]

    @property
    def regions(self) -> tuple[Region, ...]:
        """Where on the torso it may occur."""
        return tuple(self.places)

    @property
    def all_places(self) -> tuple[str, ...]:
        """Every place of this kind, in any region."""
        return tuple(dict.fromkeys(p for places in self.places.values() for p in places))

    def with_article(self) -> str:
        """The name as it stands after "there is"."""
        return f"{self.article} {self.name}".strip()


CHEST, ABDOMEN = Region.CHEST, Region.ABDOMEN

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("lung nodule", "a", "lung", "nodule", {CHEST: LOBES}),
        Kind("consolidation", "a", "lung", "", {CHEST: LOBES}),
        Kind("pleural effusion", "a", "pleura", "effusion", {CHEST: SIDES}),
        Kind("pneumothorax", "a", "pleura", "", {CHEST: SIDES[:2]}),
        Kind(
            "pericardial effusion", "a", "pericardium", "effusion", {CHEST: ("around the heart",)}
        ),
        Kind(
            "aortic aneurysm", "an", "aorta", "aneurysm",
            {CHEST: ("ascending aorta", "descending aorta"), ABDOMEN: ("abdominal aorta",)},
        ),
        Kind(
            "aortic calcification", "an", "aorta", "calcification",
            {CHEST: ("ascending aorta", "descending aorta"), ABDOMEN: ("abdominal aorta",)},
        ),
        Kind(
            "bone lesion", "a", "bone", "lesion",
            {CHEST: ("thoracic spine", "sternum"), ABDOMEN: ("lumbar spine", "right iliac bone",
                                                            "left iliac bone")},
        ),
        Kind("liver mass", "a", "liver", "mass", {ABDOMEN: LIVER_LOBES}),
        Kind("liver cyst", "a", "liver", "cyst", {ABDOMEN: LIVER_LOBES}),
        Kind("kidney cyst", "a", "kidney", "cyst", {ABDOMEN: KIDNEYS}),
        Kind("kidney stone", "a", "kidney", "stone", {ABDOMEN: KIDNEYS}),
        Kind("gallstone", "a", "gallbladder", "stone", {ABDOMEN: ("gallbladder",)}),
        Kind("enlarged spleen", "an", "spleen", "", {ABDOMEN: ("spleen",)}),
        Kind("free fluid", "", "peritoneum", "fluid", {ABDOMEN: ("pelvis", "right upper abdomen")}),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Painted:
    """A finding on the canvas: its extent and its longest diameter in mm."""

    shape: Shape
    size_mm: float


Painter = Callable[[Canvas, Body, Torso, str, Rng], Painted | None]


def possible(kind: Kind, region: Region, phase: Phase) -> bool:
    """Whether this kind can be told on such a scan: excreted contrast hides stones."""
    return region in kind.places and not (kind.name == "kidney stone" and phase is Phase.DELAYED)


def paint(
    kind: Kind, canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng
) -> Painted | None:  # fmt: skip
    """Paints a finding of this kind at this place; None where it found no room on the grid."""
    return PAINTERS[kind.name](canvas, body, torso, place, rng)


def _in_lobe(canvas: Canvas, body: Body, place: str, rng: Rng, clear: float) -> Point | None:
    """A point of lung in the lobe, `clear` mm from the lung's surface."""
    x0 = -72.0 if place.startswith("right") else 73.0
    low, high = (138, 200) if "upper" in place else (28, 86)
    for _ in range(40):
        dx, dy = rng.uniform(-46, 46), rng.uniform(-66, 66)
        if (dx / (62 - clear)) ** 2 + (dy / (84 - clear)) ** 2 > 0.8:
            continue
        point = body.at(x0 + dx, 4 + dy, rng.uniform(low, high))
        if canvas.label_at(point) == LABEL["lung"]:
            return point
    return None


def _nodule(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """A round, slightly irregular nodule of soft tissue."""
    radius = rng.uniform(6, 14)
    centre = _in_lobe(canvas, body, place, rng, radius + 4)
    if centre is None:
        return None
    shape = canvas.ellipsoid(centre, (radius, radius, radius), 0.15)
    # Labelled, so that fluid or air drawn later goes around it.
    return Painted(canvas.paint(shape, rng.uniform(20, 60), LABEL["soft tissue"]), 2 * radius)


def _consolidation(
    canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng
) -> Painted | None:
    """Patchy dense lung with spared air."""
    centre = _in_lobe(canvas, body, place, rng, 16)
    if centre is None:
        return None
    radii = (rng.uniform(22, 34), rng.uniform(22, 34), rng.uniform(18, 28))
    shape = canvas.ellipsoid(centre, radii, 0.7).times(torso.lungs[place.split()[0]])
    hu = -60 - 260 * np.clip(canvas.wobble[shape.box] * 1.8, -0.3, 1)
    return Painted(canvas.paint(shape, hu.astype(np.float32)), 2 * max(radii))


def _effusion(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """Fluid along the back and base of one lung or both."""
    sides = ("right", "left") if place == "both sides" else (place.split()[0],)
    depth = rng.uniform(22, 48)
    total = np.zeros(canvas.hu.shape, np.float32)
    for side in sides:
        lung = torso.lungs[side]
        back = body.at(0, 84, 0)[1] - depth * rng.uniform(0.85, 1.1)
        flat = canvas.y[lung.box[1:]]
        # The fluid's edge climbs along the chest wall and thins upwards.
        rise = np.clip(canvas.z[lung.box[0]] / body.stretch, -60, 200)[:, None, None] * 0.28
        cover = np.clip((flat - back - rise) / canvas.edge_mm + 0.5, 0, 1).astype(np.float32)
        canvas.paint(
            Shape(lung.box, cover * lung.alpha * _lung_only(canvas, lung)), body.hu("fluid")
        )
        total[lung.box] = np.maximum(total[lung.box], cover * lung.alpha * _lung_only(canvas, lung))
    return Painted(canvas.everywhere(total), 2 * depth)


def _lung_only(canvas: Canvas, shape: Shape) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where the shape's box still is lung: not the organs painted over it."""
    return np.asarray(canvas.labels[shape.box] == LABEL["lung"])


def _pneumothorax(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """Air over the front and the apex of one lung, without vessels, behind a thin pleural line."""
    lung = torso.lungs[place.split()[0]]
    depth = rng.uniform(34, 54)
    front = body.at(0, -80, 0)[1] + depth
    z = canvas.z[lung.box[0]] / body.stretch
    climb = ((z - 185) * 0.6)[:, None, None]  # thins downwards and ends above the base
    ahead = (front + climb - canvas.y[lung.box[1:]]).astype(np.float32)
    cover = np.clip(ahead / canvas.edge_mm + 0.5, 0, 1) * lung.alpha * _lung_only(canvas, lung)
    line = np.clip(1.2 - np.abs(ahead) / canvas.edge_mm, 0, 1) * lung.alpha
    canvas.paint(Shape(lung.box, cover.astype(np.float32)), -998)
    canvas.paint(Shape(lung.box, (line * _lung_only(canvas, lung)).astype(np.float32)), -350)
    return Painted(Shape(lung.box, cover.astype(np.float32)), depth)


def _pericardial(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """A rim of fluid around the heart."""
    rim = rng.uniform(11, 18)
    rx, ry, rz = body.size(55, 44, 48)
    # It collects below: the sac lies lower than the heart.
    sac = canvas.ellipsoid(body.at(18, -28, 44 - 14), (rx + rim, ry + rim, rz), 0.1)
    shape = sac.minus(torso.heart)
    taken = np.isin(canvas.labels[shape.box], [LABEL["lung"], LABEL["soft tissue"]])
    shape = Shape(shape.box, (shape.alpha * taken).astype(np.float32))
    return Painted(canvas.paint(shape, body.hu("fluid") + 4), rim)


def _aorta_centre(body: Body, place: str, rng: Rng) -> Point:
    """A point on the aorta's midline."""
    if place == "ascending aorta":
        return body.at(-10, -24, rng.uniform(96, 130))
    if place == "descending aorta":
        return body.at(18, 47, rng.uniform(45, 110))
    return body.at(9, 43, rng.uniform(-165, -95))


def _aneurysm(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """A wide aorta: lumen, and thrombus on one side."""
    centre = _aorta_centre(body, place, rng)
    radius, length = rng.uniform(25, 33), rng.uniform(26, 40)
    shape = canvas.ellipsoid(centre, (radius, radius, length), 0.08)
    keep = ~np.isin(canvas.labels[shape.box], [LABEL["spine"], LABEL["trachea"]])
    shape = Shape(shape.box, shape.alpha * keep)
    canvas.paint(shape, 42, LABEL["aorta"])
    shift = rng.uniform(-5, 5, 2)
    lumen = canvas.ellipsoid(
        (centre[0] + shift[0], centre[1] + shift[1], centre[2]),
        (radius * 0.72, radius * 0.72, length * 1.05),
    )
    canvas.paint(lumen.times(shape), body.hu("aorta"))
    return Painted(shape, 2 * radius)


def _calcification(
    canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng
) -> Painted | None:
    """Plaques on the wall of a stretch of aorta."""
    centre = _aorta_centre(body, place, rng)
    wall = {"ascending aorta": 14.5, "descending aorta": 12.0}.get(place, 10.5)
    total = np.zeros(canvas.hu.shape, np.float32)
    length = rng.uniform(15, 32)
    for _ in range(int(rng.integers(5, 8))):
        turn, z = rng.uniform(0, 2 * np.pi), centre[2] + rng.uniform(-length, length)
        spot = (centre[0] + wall * np.cos(turn), centre[1] + wall * np.sin(turn), z)
        radius = rng.uniform(3.2, 5.2)
        plaque = canvas.ellipsoid(spot, (radius, radius, radius * 1.8))
        canvas.paint(plaque, 850)
        np.maximum(total[plaque.box], plaque.alpha, out=total[plaque.box])
    return Painted(canvas.everywhere(total), 2 * length)


#: Middles of the bones that may hold a lesion, for the reference torso.
BONE_PLACES = {
    "sternum": (0.0, -97.0, (80.0, 170.0)),
    "right iliac bone": (-92.0, 46.0, (-255.0, -215.0)),
    "left iliac bone": (92.0, 46.0, (-255.0, -215.0)),
    "thoracic spine": (0.0, 72.0, (40.0, 200.0)),
    "lumbar spine": (0.0, 72.0, (-210.0, -60.0)),
}


def _bone(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """A destroyed or a dense spot, larger than the bone is thick."""
    x, y, (low, high) = BONE_PLACES[place]
    radius = rng.uniform(10, 16)
    shape = canvas.ellipsoid(body.at(x, y, rng.uniform(low, high)), (radius, radius, radius), 0.3)
    canvas.paint(shape, 45 if rng.random() < 0.5 else 1000)
    return Painted(shape, 2 * radius)


def _liver_point(canvas: Canvas, body: Body, place: str, rng: Rng) -> Point | None:
    """A point inside one lobe of the liver."""
    x, y, z = (-70, -2, -58) if place.startswith("right") else (-2, -44, -48)
    spread = (40, 50, 42) if place.startswith("right") else (24, 18, 18)
    for _ in range(40):
        dx, dy, dz = rng.uniform(-1, 1, 3)
        point = body.at(x + dx * spread[0], y + dy * spread[1], z + dz * spread[2])
        if canvas.label_at(point) == LABEL["liver"]:
            return point
    return None


def _liver_lesion(
    canvas: Canvas, body: Body, place: str, rng: Rng, hu: float, rough: float
) -> Painted | None:
    """A round lesion that stays inside the liver."""
    centre = _liver_point(canvas, body, place, rng)
    if centre is None:
        return None
    radius = rng.uniform(10, 24 if place.startswith("right") else 18)
    shape = canvas.ellipsoid(centre, (radius, radius, radius), rough)
    inside = canvas.labels[shape.box] == LABEL["liver"]
    shape = Shape(shape.box, shape.alpha * inside)
    return Painted(canvas.paint(shape, hu), 2 * radius)


def _liver_mass(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """Solid: darker than liver, never as dark as water."""
    hu = {Phase.ARTERIAL: 118.0, Phase.PORTAL_VENOUS: 66.0, Phase.DELAYED: 52.0}.get(
        body.phase, 34.0
    )
    return _liver_lesion(canvas, body, place, rng, hu + rng.uniform(-5, 5), 0.4)


def _liver_cyst(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """Water, sharply bounded."""
    return _liver_lesion(canvas, body, place, rng, rng.uniform(0, 6), 0.0)


def _kidney_cyst(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """Water, bulging out of the kidney."""
    centre = torso.kidneys[place.split()[0]]
    radius = rng.uniform(11, 22)
    outward = np.sign(centre[0])
    spot = (
        centre[0] + outward * 24,
        centre[1] + rng.uniform(-16, 10),
        centre[2] + rng.uniform(-34, 34),
    )
    shape = canvas.ellipsoid(spot, (radius, radius, radius))
    free = ~np.isin(canvas.labels[shape.box], [LABEL["liver"], LABEL["spleen"], LABEL["rib"]])
    shape = Shape(shape.box, shape.alpha * free)
    return Painted(canvas.paint(shape, rng.uniform(0, 6), LABEL["kidney"]), 2 * radius)


def _kidney_stone(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """A dense stone at the kidney's sinus."""
    centre = torso.kidneys[place.split()[0]]
    radius = rng.uniform(4.5, 8)
    spot = (
        centre[0] + rng.uniform(-8, 8),
        centre[1] + rng.uniform(-8, 8),
        centre[2] + rng.uniform(-26, 26),
    )
    shape = canvas.ellipsoid(spot, (radius, radius, radius))
    return Painted(canvas.paint(shape, 1000), 2 * radius)


def _gallstone(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """A dense stone on the floor of the gallbladder."""
    radius = rng.uniform(5, 9)
    spot = body.at(-42 + rng.uniform(-4, 4), -44, -116 + rng.uniform(-12, 12))
    shape = canvas.ellipsoid(spot, (radius, radius, radius))
    return Painted(canvas.paint(shape, rng.uniform(300, 700)), 2 * radius)


def _spleen(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """The spleen itself, which `Body.spleen` has made large."""
    return Painted(torso.spleen, 2 * body.size(30, 40, 48)[2] * body.spleen)


def _free_fluid(canvas: Canvas, body: Body, torso: Torso, place: str, rng: Rng) -> Painted | None:
    """Fluid over the liver, or in the floor of the pelvis around the bladder."""
    depth = rng.uniform(10, 16)
    if place == "pelvis":
        rx, ry, rz = body.size(52, 40, 28)
        pool = canvas.ellipsoid(body.at(0, 4, -268), (rx + depth, ry, rz), 0.3)
        allowed = [LABEL["soft tissue"], LABEL["bowel"]]
    else:
        # Below and beside the liver's lower tip, where fluid collects first.
        rx, ry, rz = body.size(40, 44, 36)
        pool = canvas.ellipsoid(
            body.at(-78, 6, -112), (rx + depth, ry + depth, rz + depth), 0.14
        ).minus(torso.liver)
        allowed = [LABEL["soft tissue"]]
    pool = pool.times(torso.cavity)
    free = np.isin(canvas.labels[pool.box], allowed)
    pool = Shape(pool.box, (pool.alpha * free).astype(np.float32))
    return Painted(canvas.paint(pool, body.hu("fluid")), depth)


#: Who paints which kind.
PAINTERS: dict[str, Painter] = {
    "lung nodule": _nodule,
    "consolidation": _consolidation,
    "pleural effusion": _effusion,
    "pneumothorax": _pneumothorax,
    "pericardial effusion": _pericardial,
    "aortic aneurysm": _aneurysm,
    "aortic calcification": _calcification,
    "bone lesion": _bone,
    "liver mass": _liver_mass,
    "liver cyst": _liver_cyst,
    "kidney cyst": _kidney_cyst,
    "kidney stone": _kidney_stone,
    "gallstone": _gallstone,
    "enlarged spleen": _spleen,
    "free fluid": _free_fluid,
}
