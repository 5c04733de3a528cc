"""A volume as the model might have been shown it: empty, shuffled, shifted, cropped, windowed.

All are made of the grid that the model was shown, and each is encoded once for all questions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from med2e3.engine import Session
from med2e3.engine.interruption import StopCheck
from med2e3.evidence.probing import grid_of, slices_of, with_grid

#: How far crop and window are moved: a twentieth of each edge, a tenth of the width.
CROP, WINDOW = 0.05, 0.10


def _zoomed(grid: Tensor, factor: float) -> Tensor:
    """The middle of the grid (1, S, H, W) at `factor` of its size, or with black around it."""
    theta = torch.eye(3, 4)[None] * factor
    places = functional.affine_grid(theta, [1, *grid.shape], align_corners=False)
    sampled = functional.grid_sample(
        grid[None].float(), places, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return sampled[0].to(grid.dtype)


def _windowed(grid: Tensor, factor: float) -> Tensor:
    """Greys of a window of `factor` times the width; what the first one cut off stays cut off."""
    return ((grid - 0.5) / factor + 0.5).clamp(0, 1)


def _shifted(grid: Tensor) -> Tensor:
    """Every slice one further; the first stands twice."""
    return torch.cat([grid[:, :1], grid[:, :-1]], dim=1)


#: The one change that moves the scores along.
SHIFT = "shift by one slice"

#: Small changes after which neither answer nor scores should differ much.
STABILITY: dict[str, Callable[[Tensor], Tensor]] = {
    SHIFT: _shifted,
    "crop −5 %": lambda grid: _zoomed(grid, 1 - CROP),
    "crop +5 %": lambda grid: _zoomed(grid, 1 + CROP),
    "window −10 %": lambda grid: _windowed(grid, 1 - WINDOW),
    "window +10 %": lambda grid: _windowed(grid, 1 + WINDOW),
}

#: Changes after which an answer that rests on the image should differ.
BLANK, SHUFFLED = "blank volume", "shuffled slices"


class Conditions:
    """Sessions of one volume under each condition, encoded when first asked for."""

    def __init__(self, session: Session, seed: int = 0) -> None:
        self.session = session
        self.seed = seed
        self._made: dict[str, Session] = {}

    def __call__(self, name: str, cancelled: StopCheck | None = None) -> Session:
        """The session of a condition, encoded. Raises `Cancelled`."""
        if name not in self._made:
            self._made[name] = with_grid(self.session, self._grid(name))
        self._made[name].computed(cancelled=cancelled)
        return self._made[name]

    def _grid(self, name: str) -> Tensor:
        grid = grid_of(self.session)
        if name == BLANK:
            return torch.zeros_like(grid)
        if name == SHUFFLED:
            order = np.random.default_rng(self.seed).permutation(slices_of(self.session))
            return grid[:, order.tolist()]
        return STABILITY[name](grid)
