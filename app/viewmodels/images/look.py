"""All that is seen of one volume, as a value that is replaced whole.

A volume that is being opened is seen by a second look: `Viewer.preview` begins it, cancelling
forgets it, and completing it carries over what the reader did meanwhile. Preferences and the tool
in the hand belong to the reader and stay out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from app.imaging import windows
from app.imaging.colour_names import ColourMap
from app.imaging.plane import PlaneState
from app.imaging.sampler import Sampler
from app.imaging.slab import Slab
from med2e3.geometry import Plane
from med2e3.volume import Volume, Window

Float = NDArray[np.float64]

#: The window that is shown while no volume is: soft tissue, as the first preset.
NO_VOLUME_WINDOW = Window(40, 400)


@dataclass(frozen=True)
class Greys:
    """How values become colours, in all planes."""

    window: Window = NO_VOLUME_WINDOW
    inverted: bool = False
    colours: ColourMap = ColourMap.GREY


@dataclass(frozen=True, eq=False)
class Look:
    """One volume and how it is looked at; without a volume there are no planes.

    Each look owns its plane states, which hold the zoom, the pan and the pixels of their plane:
    nothing that happens in one look changes another. `planes` are the stored slices in the three
    anatomical planes, `turned` the oblique ones shown in their place. `crosshair_mm` (3,) is the
    common point in LPS mm. `first_window` is the one a reset goes back to; `window_told` says that
    it was chosen for this series and not computed from its voxels. `full_range` is the last window
    that spanned all values. `filling` says that voxels are still being read into the volume.
    """

    volume: Volume | None = None
    planes: Mapping[Plane, PlaneState] = field(default_factory=dict)
    turned: Mapping[Plane, PlaneState] = field(default_factory=dict)
    sampler: Sampler | None = None
    crosshair_mm: Float = field(default_factory=lambda: np.zeros(3))
    slab: Slab = field(default_factory=Slab)
    greys: Greys = field(default_factory=Greys)
    first_window: Window = NO_VOLUME_WINDOW
    window_told: bool = False
    full_range: Window | None = None
    unit: str = "HU"
    maximised: Plane | None = None
    filling: bool = False

    @classmethod
    def first(
        cls, volume: Volume | None, maximised: Plane | None = None, *, filling: bool = False
    ) -> Look:
        """The first look at a volume: its middle, in its own window; None: at nothing."""
        if volume is None:
            return cls(maximised=maximised)
        window = windows.initial(volume)
        look = cls(
            volume,
            _planes_of(volume),
            crosshair_mm=volume.geometry.centre_mm,
            greys=Greys(window),
            first_window=window,
            unit=windows.unit_of(volume),
            maximised=maximised,
            filling=filling,
        )
        look.place()
        return look

    @property
    def shown(self) -> Mapping[Plane, PlaneState]:
        """What the views show: oblique planes where there are any, else the stored slices."""
        return self.turned or self.planes

    @property
    def states(self) -> tuple[PlaneState, ...]:
        """All plane states, shown or not."""
        return (*self.planes.values(), *self.turned.values())

    def place(self) -> None:
        """Bring every plane to the crosshair."""
        for state in self.states:
            state.place(self.crosshair_mm)

    def mark_moving(self, *, moving: bool) -> None:
        """Let the planes shown be coarse while they move, or demand exact pixels."""
        for state in self.shown.values():
            state.moving = moving

    def has_grid_of(self, volume: Volume) -> bool:
        """Whether `volume` has the voxel grid of the one seen: it is the same series, whole."""
        if self.volume is None:
            return False
        mine, other = self.volume.geometry, volume.geometry
        return mine.shape == other.shape and np.array_equal(mine.affine_lps, other.affine_lps)

    def completed(self, volume: Volume) -> Look:
        """The same look at the whole volume: `volume` is what filled behind this preview.

        Place, zoom, slab and greys stay. A window that nobody has touched is computed anew, since a
        preview is filled with air; oblique planes straighten, since they were sampled from it.
        """
        planes = _planes_of(volume)
        for plane, state in self.planes.items():
            planes[plane].zoom, planes[plane].centre = state.zoom, state.centre
            planes[plane].slab = self.slab
            planes[plane].lie(state.turn)
        greys, first = self.greys, self.first_window
        if greys.window == first and not self.window_told:
            first = windows.initial(volume)
            greys = replace(greys, window=first)
        look = replace(
            self,
            volume=volume,
            planes=planes,
            turned={},
            sampler=None,
            greys=greys,
            first_window=first,
            unit=windows.unit_of(volume),
            filling=False,
        )
        look.mark_moving(moving=True)
        look.place()
        return look


def _planes_of(volume: Volume) -> dict[Plane, PlaneState]:
    return {plane: PlaneState(plane, volume) for plane in Plane}
