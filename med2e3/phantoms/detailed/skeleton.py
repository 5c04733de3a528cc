"""Bones of a detailed body: spine, ribs, breastbone, shoulders, pelvis and hips.

Bones have a dense shell and a soft core. Knows no organs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.canvas import Float, Shape
from med2e3.phantoms.detailed.person import Person, Rng
from med2e3.phantoms.detailed.space import Space, Tube, curve
from med2e3.phantoms.detailed.trunk import Trunk, coverage

#: Middle of the vertebral bodies: (z, y).
SPINE = np.array(
    [(-400, 96), (-345, 100), (-310, 92), (-275, 74), (-240, 50), (-215, 38), (-180, 32),
     (-140, 34), (-90, 43), (-40, 54), (20, 66), (80, 71), (130, 66), (175, 54), (205, 42),
     (240, 32)], float,
)  # fmt: skip

#: z of the discs from the neck down to the sacrum: T1 and above, twelve thoracic, five lumbar.
DISCS = np.array(
    [240, 222, 205, 186, 167, 147, 127, 106, 85, 63, 41, 18, -6, -32, -67, -103, -140, -178, -216],
    float,
)

SHELL_HU, RIB_HU = 560.0, 420.0


@dataclass(frozen=True, eq=False)
class Spine:
    """Where the spine runs: y of the bodies' middle at a height."""

    path: PchipInterpolator

    def y(self, z: float) -> float:
        """Y of the middle of the bodies at this height."""
        return float(self.path(z))


def spine_of(person: Person) -> Spine:
    """The spine of this person, in the reference frame."""
    order = np.argsort(SPINE[:, 0])
    return Spine(PchipInterpolator(SPINE[order, 0], SPINE[order, 1]))


def draw_skeleton(space: Space, person: Person, trunk: Trunk, rng: Rng) -> Spine:
    """Paints every bone."""
    spine = spine_of(person)
    marrow = rng.uniform(110, 230)  # young and old
    _ribs(space, trunk, marrow)
    _vertebrae(space, person, spine, marrow)
    if space.reaches(-20, 300):
        _breastbone(space, trunk, marrow)
        _shoulders(space, person, marrow)
    if space.reaches(-400, -180):
        _pelvis(space, marrow)
        _hips(space, marrow)
    return spine


def bone(
    space: Space, shape: Shape, core: Shape, marrow: float, label: str, shell: float = SHELL_HU
) -> None:
    """A dense shape with a softer core."""
    space.paint(shape, shell, LABEL[label])
    space.paint(core, marrow)


def _rods(space: Space, ways: Sequence[tuple[Tube, float]], marrow: float, label: str) -> None:
    """Tubes of bone; each comes with the thickness of its shell in mm."""
    outer = space.tubes([way for way, _ in ways])
    bone(space, outer, space.tubes([way.wider(-shell) for way, shell in ways]), marrow, label)


def _ribs(space: Space, trunk: Trunk, marrow: float) -> None:
    """Bands in the chest wall that fall from the spine to the front; cartilage in front."""
    out = -trunk.cavity
    high = np.broadcast_to(space.level > -112, out.shape)
    there = np.nonzero((out > -1) & (out < 11) & high)  # a twentieth of the voxels
    out = out[there]
    x, y, level = np.abs(space.x[there]), space.y[there] - 10, space.z[there[0]]
    ahead = np.arctan2(x, y) / np.float32(np.pi)  # 0 at the spine, 1 at the breastbone
    fall = 78 * np.sin(np.clip(ahead / 0.76, 0, 1) * np.float32(np.pi / 2)) ** 1.3
    fall -= 62 * np.clip((ahead - 0.76) / 0.24, 0, 1)
    # Ribs leave the spine at the discs' heights; their number is the index of that height.
    number = np.interp(level + fall, DISCS[::-1], np.arange(len(DISCS))[::-1])
    offset = number - np.round(number)
    rank = np.round(number) - 1  # 1 is the first rib
    band = (0.245 - np.abs(offset)) * 21
    inside = np.minimum(np.minimum(band, np.minimum(out - 1.2, 8.6 - out)), x - 13)
    # The last two end at the side, those before run up the margin.
    ends = np.select([rank == 12, rank == 11, rank > 7], [0.42, 0.6, 0.84], 1.0)
    exists = (rank >= 1) & (rank <= 12) & (ahead < ends) & (level > -108)
    gristle = np.clip((ahead - 0.74) * 14, 0, 1)
    deep: Float = np.asarray(inside, np.float32)
    alpha = coverage(space, deep) * exists
    core = coverage(space, np.asarray(deep - 2.2, np.float32)) * exists
    value = RIB_HU + (marrow + 30 - RIB_HU) * core
    value = value + gristle * (118 - value)
    space.hu[there] += alpha * (value - space.hu[there])
    hard = (alpha > 0.5) & (gristle < 0.5)
    space.labels[tuple(axis[hard] for axis in there)] = LABEL["rib"]


def _breastbone(space: Space, trunk: Trunk, marrow: float) -> None:
    """Handle, body and tip of the breastbone."""
    known = (2, 6, 12, 26, 70, 112, 118, 124, 150, 168, 174)
    half = np.interp(space.z, known, (2, 7, 16, 19, 16, 15, 13, 20, 29, 33, 4)).astype(np.float32)
    out = -trunk.cavity
    wide = half[:, None, None] - np.abs(space.x)
    front = (space.y < -20) & (space.level > 4) & (space.level < 174)
    inside = np.minimum(np.minimum(wide, out - 1.0), 12.5 - out)
    alpha = coverage(space, inside) * front
    core = coverage(space, inside - 2.2) * front
    space.paint(space.everywhere(alpha.astype(np.float32)), 400, LABEL["sternum"])
    space.paint(space.everywhere(core.astype(np.float32)), marrow * 0.8)


def _vertebrae(space: Space, person: Person, spine: Spine, marrow: float) -> None:
    """Bodies, discs, canal, arches and processes."""
    z = space.z
    box = space.box((0, 58, 0), (30, 66, 600))
    x, level = space.x[box], space.level
    y = space.y[box] - spine.path(z).astype(np.float32)[:, None, None]
    slope = spine.path.derivative()(z).astype(np.float32)[:, None, None]
    height = np.clip(level + slope * y, DISCS[-1], DISCS[0])
    number = np.interp(height.ravel(), DISCS[::-1], np.arange(len(DISCS))[::-1]).reshape(y.shape)
    near = np.abs(number - np.round(number)).astype(np.float32) * 2  # 0 in a disc, 1 mid-body
    half = np.interp(z, (-220, -90, 60, 220), (25, 21.5, 15.5, 13)).astype(np.float32)
    deep = np.interp(z, (-220, -90, 60, 220), (17, 16, 14, 9)).astype(np.float32)
    a, b = half[:, None, None], deep[:, None, None]
    waist = 1 - 0.09 * near**2
    q = (x / (a * waist)) ** 2 + (y / (b * waist)) ** 2
    # The back of a body is hollow where the cord runs.
    dent = 5 * np.exp(-((x / 11) ** 2)) * np.clip(y / 8, 0, 1)
    inside: Float = np.asarray((1 - np.sqrt(q)) * b - dent * 0.6, np.float32)
    alpha = coverage(space, inside) * (level > -222)
    core = coverage(space, np.asarray(inside - 2.0, np.float32))
    thick = np.float32(0.5 * space.slab_mm[0] / 28)
    disc = np.clip((0.30 - near) / (0.1 + thick) + 0.5, 0, 1)
    plate = np.clip(1 - np.abs(near - 0.36) / (0.1 + thick), 0, 1)
    body = marrow + 26 * space.wobble[box] + (SHELL_HU - 130 - marrow) * (1 - core) + 190 * plate
    value = body + disc * (person.hu("disc") + 8 - body)
    space.paint(Shape(box, alpha.astype(np.float32)), value.astype(np.float32), LABEL["spine"])
    ways: list[tuple[Tube, float]] = []
    for top, low in pairwise(DISCS):
        if z.min() - 60 < (top + low) / 2 < z.max() + 60:
            ways += _arch(spine, float(top), float(low))
    _rods(space, ways, marrow, "spine")
    canal = curve([(0, spine.y(v) + _depth(v) + 9, v) for v in np.linspace(-300, 240, 19)], 8.0, 28)
    space.paint(space.tube(canal), -20)
    cord = curve([(0, spine.y(v) + _depth(v) + 9, v) for v in np.linspace(-265, 240, 17)], 6.4, 26)
    space.paint(space.tube(cord), person.hu("cord"))


def _depth(z: float) -> float:
    """Half the depth of a body at this height."""
    return float(np.interp(z, (-220, -90, 60, 220), (17, 16, 14, 9)))


def _arch(spine: Spine, top: float, low: float) -> list[tuple[Tube, float]]:
    """One vertebra's pedicles, laminae, spinous and transverse processes, and joints."""
    mid = (top + low) / 2
    back = spine.y(mid) + _depth(mid)
    lumbar = mid < -60
    side = 27.0 if not lumbar else 38.0
    drop = 0.45 * (top - low) + (9 if not lumbar else 2)
    tip = (0, back + (38 if not lumbar else 40), mid - drop)
    ways = [(curve([(0, back + 21, mid - 4), tip], [3.8, 4.4 if lumbar else 3.0], 3), 1.6)]
    if lumbar:
        ways.append((curve([(0, back + 22, mid - 14), tip], [4.0, 4.4], 3), 1.6))
    for sign in (-1, 1):
        root = (sign * 13, back + 5, mid + 5)
        joint = (sign * 14, back + 13, mid + 1)
        ways += [
            (curve([(sign * 12, back - 5, mid + 5), joint], [4.6, 5.0], 3), 1.8),
            (curve([joint, (0, back + 20, mid - 5)], [4.4, 3.8], 3), 1.5),
            (curve([(sign * 14, back + 14, mid + 8), (sign * 15, back + 15, mid - 14)], 4.2, 3),
             1.4),
            (curve([root, (sign * side, back + (16 if not lumbar else 8), mid + 4)], [4.0, 3.2], 3),
             1.5),
        ]  # fmt: skip
    return ways


def _shoulders(space: Space, person: Person, marrow: float) -> None:
    """Collar bones, shoulder blades and the heads of the arms' bones."""
    raised = 12 if person.arms == "up" else 0
    for side in (-1, 1):
        collar = [(side * 20, -62, 168), (side * 62, -66, 176), (side * 108, -36, 186 + raised),
                  (side * 148, 4, 190 + raised)]  # fmt: skip
        ways = [(curve(collar, [9.5, 6.5, 5.5, 7], 9), 2.2)]
        spine_ = [(side * 74, 104, 138), (side * 118, 92, 158 + raised),
                  (side * 158, 46, 186 + raised), (side * 164, 18, 190 + raised)]  # fmt: skip
        ways.append((curve(spine_, [4, 5, 6, 7], 9), 1.8))
        _rods(space, ways, marrow, "rib")
        _blade(space, side, raised)
        head = (side * 164, 18, 162 + 1.4 * raised)
        bone(space, space.ellipsoid(head, (23, 23, 23)), space.ellipsoid(head, (20, 20, 20)),
             marrow, "rib")  # fmt: skip
        neck = curve([(side * 128, 46, 160 + raised), (side * 142, 34, 160 + raised)], [11, 13], 3)
        _rods(space, [(neck, 2.2)], marrow, "rib")
        far = (186, -4, 320) if person.arms == "up" else (166 + 34 + person.fat_mm, 28, -20)
        shaft = curve([(side * 166, 18, head[2]), (side * far[0], far[1], far[2])], [14, 11], 6)
        _rods(space, [(shaft, 4.5)], 10, "rib")


def _blade(space: Space, side: int, raised: float) -> None:
    """The flat of a shoulder blade: a thin triangle on the ribs, turned out with a raised arm."""
    out = raised * 0.9
    upper = np.array([(72, 88, 172), (112, 76, 172), (132, 50, 162)], float)
    lower = np.array([(88 + out, 110, 52), (92 + out, 108, 50), (98 + out, 104, 52)], float)
    rows = []
    for share in np.linspace(0, 1, 13):
        row = upper + share * (lower - upper)
        row[:, 1] += 10 * np.sin(np.pi * share)
        row[:, 0] *= side
        width = 2.4 if share > 0.1 else 3.2
        rows.append(curve(row, [width, 2.0, 4.6], 5))
    space.paint(space.tubes(rows), 430, LABEL["rib"])


def _pelvis(space: Space, marrow: float) -> None:
    """Wings of the iliac bones, sacrum and coccyx."""
    for side in (-1, 1):
        rows = []
        for share in np.linspace(0, 1, 11):
            z = -200 - 104 * share
            back = np.array([40 + 14 * share, 84 - 16 * share, z - 8 * (1 - share)])
            mid = np.array([104 - 18 * share, 48 - 14 * share, z + 6 * (1 - share)])
            front = np.array([130 - 40 * share, -34 + 26 * share, z - 34 * (1 - share)])
            row = np.stack([back, mid, front])
            row[:, 0] *= side
            rows.append((curve(row, [9 - share, 4.6 + 5 * share, 7 + 6 * share], 8), 2.0))
        wing = space.tubes([way for way, _ in rows])
        core = space.tubes([way.wider(-shell - 0.4) for way, shell in rows])
        bone(space, wing, core, marrow + 40, "pelvis", 470)
    for k in range(6):
        share = k / 5
        z, y = -226 - 84 * share, 46 + 42 * share**0.8
        wide, deep = 50 - 32 * share, 19 - 9 * share
        tilt = _tilted(0.55 + 0.5 * share)
        outer = space.ellipsoid((0, y + 6, z), (wide, deep, 15), axes=tilt, square=True)
        inner = space.ellipsoid((0, y + 6, z), (wide - 3, deep - 3, 14), axes=tilt, square=True)
        bone(space, outer, inner, marrow, "pelvis", 420)
    tail = curve([(0, 94, -312), (0, 100, -335), (0, 92, -352)], [7, 5, 3], 5)
    _rods(space, [(tail, 1.6)], marrow, "pelvis")


def _tilted(angle: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Axes turned about x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([(1, 0, 0), (0, c, s), (0, -s, c)])


def _hips(space: Space, marrow: float) -> None:
    """Sockets, heads and necks of the thigh bones, pubic and sitting bones."""
    for side in (-1, 1):
        cup = (side * 88, 10, -318)
        bone(space, space.ellipsoid(cup, (34, 34, 34)), space.ellipsoid(cup, (31, 31, 31)), marrow,
             "pelvis")  # fmt: skip
        outward = (side * 104, 6, -330)
        space.paint(space.ellipsoid(outward, (30, 40, 34)), 55)
        head = (side * 91, 9, -319)
        space.paint(space.ellipsoid(head, (26.5, 26.5, 26.5)), 70)
        bone(space, space.ellipsoid(head, (24, 24, 24)), space.ellipsoid(head, (21.5, 21.5, 21.5)),
             marrow + 120, "pelvis")  # fmt: skip
        neck = curve([(side * 96, 10, -322), (side * 128, 22, -338), (side * 140, 26, -372)],
                     [15, 17, 19], 7)  # fmt: skip
        trochanter = curve([(side * 142, 30, -316), (side * 144, 28, -350)], [10, 14], 4)
        pubis = curve([(side * 64, -22, -314), (side * 34, -44, -330), (side * 8, -46, -342)],
                      [10, 7.5, 10], 7)  # fmt: skip
        sit = curve([(side * 78, 36, -322), (side * 66, 50, -352), (side * 58, 46, -380)],
                    [13, 14, 16], 6)  # fmt: skip
        _rods(space, [(neck, 3.5), (trochanter, 2.4), (pubis, 2.2), (sit, 2.4)], marrow, "pelvis")
