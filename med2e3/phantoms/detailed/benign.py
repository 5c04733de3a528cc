"""What looks like a finding and is none: granulomas, phleboliths, an accessory spleen and the like.

None of it is said in the truth. Each stays smaller or denser than the finding that it mimics.
"""

from __future__ import annotations

import numpy as np

from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.canvas import Shape
from med2e3.phantoms.detailed.person import Person, Rng
from med2e3.phantoms.detailed.space import Space, Tube, moved
from med2e3.phantoms.detailed.thorax import Chest


def draw_look_alikes(space: Space, person: Person, chest: Chest, rng: Rng) -> None:
    """Paints some of them, by chance."""
    if rng.random() < 0.35:
        _granulomas(space, rng)
    if rng.random() < 0.45:
        _settled_lung(space, chest, rng)
    if rng.random() < 0.4:
        _phleboliths(space, rng)
    if rng.random() < 0.2:
        spot = (80 + rng.uniform(-6, 6), 18 + rng.uniform(-6, 6), -66 + rng.uniform(-10, 6))
        _ball(space, spot, 5.5, person.hu("spleen"), ("soft tissue",))
    if person.female is False:
        for side in (-1, 1):
            nipple = space.near(np.array([[side * 92.0, -60.0, 66.0]]))[0]
            _on_the_skin(space, nipple)


def _ball(
    space: Space, spot: tuple[float, float, float], radius: float, hu: float,
    where: tuple[str, ...],
) -> None:  # fmt: skip
    """A ball in tissue of these labels only."""
    ball = space.ellipsoid(spot, (radius, radius, radius))
    held = np.isin(space.labels[ball.box], [LABEL[name] for name in where])
    space.paint(Shape(ball.box, ball.alpha * held), hu)


def _granulomas(space: Space, rng: Rng) -> None:
    """One or two specks of chalk in the lung: denser than any nodule, and below 5 mm."""
    for _ in range(int(rng.integers(1, 3))):
        spot = np.array([rng.choice((-1, 1)) * rng.uniform(50, 105), rng.uniform(-50, 60),
                         rng.uniform(-20, 160)])  # fmt: skip
        speck = space.tube(Tube(np.stack([spot, moved(spot, 0.0, 0.0, 0.5)]), np.array([1.7, 1.7])))
        held = space.labels[speck.box] == LABEL["lung"]
        space.paint(Shape(speck.box, speck.alpha * held), 650)


def _settled_lung(space: Space, chest: Chest, rng: Rng) -> None:
    """A haze along the back of both lungs, of who lies still."""
    back = rng.uniform(70, 78)
    for lung in chest.lungs.values():
        haze = np.clip((space.y[lung.box] - back) / 9, 0, 1) * lung.alpha
        haze *= np.clip((110 - space.level) / 40, 0, 1)[lung.box[0]]
        held = space.labels[lung.box] == LABEL["lung"]
        space.hu[lung.box] += (haze * held * np.float32(rng.uniform(120, 260))).astype(np.float32)


def _phleboliths(space: Space, rng: Rng) -> None:
    """Round specks of chalk in the veins of the pelvis."""
    for _ in range(int(rng.integers(1, 4))):
        spot = (rng.choice((-1, 1)) * rng.uniform(38, 56), rng.uniform(16, 46),
                rng.uniform(-338, -306))  # fmt: skip
        _ball(space, spot, rng.uniform(1.6, 2.4), 600, ("soft tissue",))


def _on_the_skin(space: Space, near: np.ndarray) -> None:
    """A wart of skin at the front, at this height and side."""
    k, _, i = (int(n) for n in near)
    if not (0 <= k < space.hu.shape[0] and 0 <= i < space.hu.shape[2]):
        return
    held = np.flatnonzero(space.labels[k, :, i])
    if len(held):
        j = max(int(held[0]) - 1, 0)
        space.hu[k, j, i] = np.float32(-150)
