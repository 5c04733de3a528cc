"""The `Viewer`: the volume on the screen and how it is looked at. Knows no widgets.

The `Viewer` is made of parts, one file a topic, each with signals of its own: `grey_scale`,
`navigation`, `turned_planes`, `tools` and `display_settings`. All that is seen of the volume is one
`Look`. This module opens volumes: it replaces one look by another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.imaging import linear
from app.imaging.raster import Reslice
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.display_settings import DisplaySettings
from app.viewmodels.images.grey_scale import GreyScale
from app.viewmodels.images.look import Look
from app.viewmodels.images.tools import ToolChoice
from app.viewmodels.images.turned_planes import TurnedPlanes
from med2e3.geometry import Plane
from med2e3.volume import Volume

#: Brings back what belonged to the look before a preview and is kept outside of it.
Restore = Callable[[], object]


class Viewer(GreyScale, TurnedPlanes, ToolChoice, DisplaySettings):
    """The open volume and how it is looked at.

    Opening is a transaction. `preview` begins it with a volume that is still filling, `show`
    completes it, and `drop_preview` gives it up; `show` alone opens a volume at once.
    `volume_changed` follows each of these steps. `first_seen` precedes it where the volume was not
    on the screen before: at a preview, and where a volume opens at once.
    """

    def __init__(self, *, reslice: Reslice = linear.reslice) -> None:
        """`reslice` reads the exact pictures of turned planes."""
        super().__init__()
        self.reslice = reslice
        self._before: Look | None = None
        self._savers: list[Callable[[], Restore]] = []
        self._restores: list[Restore] = []
        self.first_seen: Signal[[]] = Signal()
        self.volume_changed: Signal[[]] = Signal()
        self.volume_changed.connect(self._enter_steps)  # before others do something with it
        self.voxels_filled: Signal[[]] = Signal()
        self.maximised_changed: Signal[[]] = Signal()

    def holds(self, tool: str) -> bool:
        """Whether a tool is in the hand, and there is a whole volume to use it on."""
        return self.tool == tool and self.volume is not None and not self.previewing

    # --- opening ---------------------------------------------------------------------------

    @property
    def open_volume(self) -> Volume | None:
        """The volume that is open; during a preview still the one that was shown before it."""
        return (self._before or self.look).volume

    def on_preview(self, save: Callable[[], Restore]) -> None:
        """Call `save` as a preview begins, and what it returns if the preview is dropped.

        So a layout or a comparison comes back with the volume that it belonged to.
        """
        self._savers.append(save)

    def preview(self, volume: Volume) -> None:
        """Show a volume that is still filling; `drop_preview` brings back what was shown."""
        if self._before is None:
            self._before = self.look
            self._restores = [save() for save in self._savers]
        self._start(Look.first(volume, self.maximised, filling=True))

    def take_filled(self) -> None:
        """Forget all kept pixels: more voxels of the preview have arrived."""
        for state in self.look.states:
            state.forget_pixels()
        self.voxels_filled.emit()

    def show(self, volume: Volume | None) -> None:
        """Open a volume, or none. One that was previewed keeps its place, any other starts anew."""
        seen, self._before, self._restores = self.look, None, []
        if volume is not None and seen.filling and seen.has_grid_of(volume):
            self.look = seen.completed(volume)
            self.volume_changed.emit()
        else:
            self._start(Look.first(volume, self.maximised))

    def drop_preview(self) -> None:
        """Show again what was shown before the preview, exactly as it was."""
        if self._before is None:
            return
        self.look, self._before, self.readout = self._before, None, None
        restores, self._restores = self._restores, []
        for restore in restores:
            restore()
        self.volume_changed.emit()

    def _start(self, look: Look) -> None:
        self.look, self.readout = look, None
        self.first_seen.emit()
        self.volume_changed.emit()

    def _enter_steps(self) -> None:
        """Steps belong to the open volume; none are done or undone while another one opens."""
        self.steps.enter(self.volume, opening=self.previewing)

    # --- the view as a whole ---------------------------------------------------------------

    @property
    def maximised(self) -> Plane | None:
        """The plane that fills the centre; None: all of them are there."""
        return self.look.maximised

    def maximise(self, plane: Plane | None) -> None:
        """Let one plane fill the centre; the same plane again, or None, shows all planes."""
        self.look = replace(self.look, maximised=None if plane == self.maximised else plane)
        self.maximised_changed.emit()

    def reset(self) -> None:
        """Fit every plane, with the window that the volume opened with; the colour map stays."""
        if self.volume is not None:
            self.fit()
            self.reset_window()

    def reset_window(self) -> None:
        """The window that the volume opened with; zoom, pan and colour map stay."""
        if self.volume is not None:
            self.show_greys(replace(self.first_greys, colours=self.colours))
