"""The bowel of a detailed body: a frame of colon with gas and stool, and loops of small bowel.

Knows no findings.
"""

from __future__ import annotations

import numpy as np

from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.canvas import Float, Shape
from med2e3.phantoms.detailed.person import Person, Rng
from med2e3.phantoms.detailed.space import Space, Tube, curve

#: Pieces of the colon in the order of its way: points, radii, share of gas.
COLON = (
    (((-84, -14, -258), (-92, -8, -236), (-98, 2, -190), (-98, 10, -146)), (21, 24, 22, 20), 0.3),
    (((-98, 10, -146), (-90, -22, -136), (-62, -62, -140), (-10, -80, -166), (40, -74, -146),
      (84, -40, -116), (106, 6, -96)), (20, 19, 19, 20, 19, 17, 17), 0.65),
    (((106, 6, -96), (112, 34, -116), (112, 36, -160), (108, 24, -205), (94, 4, -240)),
     (17, 15, 14, 14, 13), 0.25),
    (((94, 4, -240), (72, -20, -262), (40, -22, -276), (16, 12, -262), (-14, 34, -270),
      (0, 58, -288)), (13, 13, 14, 13, 13, 14), 0.35),
    (((0, 58, -288), (0, 74, -312), (0, 66, -338), (0, 62, -360)), (15, 19, 17, 9), 0.3),
)  # fmt: skip


def draw_bowel(space: Space, person: Person, below: Float, rng: Rng) -> None:
    """Paints mesentery, small bowel and colon into the fat of the cavity."""
    _mesentery(space, person, rng)
    for gut in (_jejunum(rng), _loops(rng)):
        _small_bowel(space, person, below, rng, gut)
    for points, radii, gas in COLON:
        _colon_piece(space, person, below, rng, (points, radii, gas))


def _free(space: Space, shape: Shape, below: Float) -> Shape:
    """Where the shape may be: inside the cavity, not in an organ."""
    labels = space.labels[shape.box]
    open_ = (labels == LABEL["soft tissue"]) | (labels == LABEL["bowel"])
    return Shape(shape.box, shape.alpha * below[shape.box] * open_)


def _mesentery(space: Space, person: Person, rng: Rng) -> None:
    """Small vessels that fan out to the bowel."""
    ways = []
    for _ in range(16):
        root = np.array([rng.uniform(-8, 14), -26, rng.uniform(-186, -130)])
        tip = np.array([rng.uniform(-74, 74), rng.uniform(-72, -20), rng.uniform(-262, -120)])
        bow = (root + tip) / 2 + rng.normal(size=3) * 8
        ways.append(curve([root, bow, tip], [2.6, 1.8, 1.2], 5))
    space.paint(space.tubes(ways), min(person.hu("portal vein"), 120))


def _loops(rng: Rng) -> Tube:
    """One long gut that winds through the middle of the belly."""
    rows, points = 6, []
    flip = rng.choice((-1, 1))
    for row in range(rows):
        z = -146 - 23.0 * row
        count = int(rng.integers(6, 9))
        phase, tilt = rng.uniform(0, 6.3), rng.uniform(-0.25, 0.25)
        for k in range(count):
            share = k / (count - 1) * 2 - 1
            x = flip * (share if row % 2 else -share) * (70 - 3 * row)
            y = -36 + 26 * np.sin(2.4 * k + phase) - 12 * (1 - share * share)
            up = tilt * x + 11 * np.cos(1.9 * k + 1.3 * phase)
            points.append((x + rng.normal(0, 8), y + rng.normal(0, 7), z + up + rng.normal(0, 6)))
    return curve(points, rng.uniform(11, 17, len(points)), 4 * len(points))


def _jejunum(rng: Rng) -> Tube:
    """The first loops, left of the middle under the stomach."""
    points = [
        (20 + 64 * (k % 2) + rng.normal(0, 8), -30 + rng.normal(0, 18), -112 - 10 * k)
        for k in range(8)
    ]
    return curve(points, rng.uniform(11, 15, len(points)), 36)


def _small_bowel(space: Space, person: Person, below: Float, rng: Rng, gut: Tube) -> None:
    """Loops with wet folds, a little gas."""
    shape = _free(space, space.tube(gut, rough=0.18), below)
    wall = person.hu("bowel wall") + 6 * space.wobble[shape.box]
    space.paint(shape, wall.astype(np.float32), LABEL["bowel"])
    inner = _free(space, space.tube(gut.wider(-3.2), rough=0.3), below)
    folds = np.sin(space.x[inner.box] * 0.7 + space.y[inner.box] * 0.5)
    fluid = rng.uniform(14, 34) + 16 * folds
    space.paint(inner, fluid.astype(np.float32))
    for _ in range(int(rng.integers(0, 4))):
        spot = gut.points[int(rng.integers(len(gut.points)))] + (0, -5, 0)
        bubble = space.ellipsoid(spot, (9, 5.5, 8), rough=0.2)
        held = space.labels[bubble.box] == LABEL["bowel"]
        space.paint(Shape(bubble.box, bubble.alpha * held), -880)


def _colon_piece(
    space: Space, person: Person, below: Float, rng: Rng,
    piece: tuple[tuple[tuple[float, float, float], ...], tuple[float, ...], float],
) -> None:  # fmt: skip
    """One piece with haustra; stool full of bubbles, gas in front."""
    points, radii, gas = piece
    moved = np.asarray(points, float)
    moved[1:-1] += rng.normal(size=moved[1:-1].shape) * 5
    way = curve(moved, radii, 5 * len(points))
    beads = 1 + 0.16 * np.sin(np.arange(len(way.radii)) * 1.7 + rng.uniform(0, 6))
    way = Tube(way.points, way.radii * beads * rng.uniform(0.85, 1.08))
    shape = _free(space, space.tube(way, rough=0.1), below)
    space.paint(shape, person.hu("bowel wall"), LABEL["bowel"])
    inner = _free(space, space.tube(way.wider(-2.6), rough=0.14), below)
    grain = np.sin(space.x[inner.box] * 0.9) * np.sin(space.y[inner.box] * 1.1 + 1)
    grain = grain * np.sin(np.broadcast_to(space.level[inner.box[0]], grain.shape) * 0.6)
    stool = rng.uniform(-40, 45) - 170 * np.clip(grain + 0.5 * space.wobble[inner.box], 0, 1)
    full = gas + rng.uniform(-0.25, 0.3)
    height = np.interp(
        np.broadcast_to(space.level[inner.box[0]], stool.shape).ravel(), *_by_height(way)
    ).reshape(stool.shape)
    level = height + (full - 0.55) * 24
    air = np.clip((level - space.y[inner.box]) / space.edge_mm + 0.5, 0, 1)
    hu = stool + air * (-940 - stool)
    space.paint(inner, hu.astype(np.float32))


def _by_height(way: Tube) -> tuple[Float, Float]:
    """Heights of a way, ascending, and its y there."""
    order = np.argsort(way.points[:, 2], kind="stable")
    return way.points[order, 2], way.points[order, 1]
