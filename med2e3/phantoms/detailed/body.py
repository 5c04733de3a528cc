"""A whole detailed body on its grid: which part is painted when, and what findings may refer to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from med2e3.phantoms.detailed.abdomen import Belly, draw_upper_belly
from med2e3.phantoms.detailed.benign import draw_look_alikes
from med2e3.phantoms.detailed.bowel import draw_bowel
from med2e3.phantoms.detailed.person import Person, Rng
from med2e3.phantoms.detailed.skeleton import Spine, draw_skeleton
from med2e3.phantoms.detailed.space import Space
from med2e3.phantoms.detailed.thorax import Chest, draw_chest
from med2e3.phantoms.detailed.trunk import Trunk, draw_trunk


@dataclass(eq=False)
class DrawnBody:
    """A person painted on a grid.

    `taken` are the voxels that a finding holds already: no other one may have them.
    """

    space: Space
    person: Person
    trunk: Trunk
    spine: Spine
    chest: Chest
    belly: Belly
    taken: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.taken = np.zeros(self.space.hu.shape, bool)


def draw_body(space: Space, person: Person, rng: Rng) -> DrawnBody:
    """Paints a healthy person, with what looks like a finding and is none."""
    space.roughen(rng)
    trunk = draw_trunk(space, person, rng)
    spine = draw_skeleton(space, person, trunk, rng)
    chest = draw_chest(space, person, trunk, spine, rng)
    belly = draw_upper_belly(space, person, trunk, spine, rng)
    if space.reaches(-400, -64):
        draw_bowel(space, person, belly.below, rng)
    draw_look_alikes(space, person, chest, rng)
    return DrawnBody(space, person, trunk, spine, chest, belly)
