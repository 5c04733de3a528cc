"""The part of the `Viewer` that turns values into colours: window, inversion, colour map."""

from __future__ import annotations

from dataclasses import replace

from app.imaging import windows
from app.imaging.colour_names import ColourMap
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.undo import Step
from app.viewmodels.images.look import Greys
from app.viewmodels.images.screen import Screen
from med2e3.volume import Window


class GreyScale(Screen):
    """One window and one colour map for all planes; `window_changed` follows each change."""

    def __init__(self) -> None:
        super().__init__()
        self.dragging_window = False
        #: Number of drags of the window that have ended: changes within one drag belong together.
        self.drags = 0
        self.window_changed: Signal[[]] = Signal()

    @property
    def greys(self) -> Greys:
        """How values are shown now."""
        return self.look.greys

    @property
    def window(self) -> Window:
        """The values between black and white."""
        return self.look.greys.window

    @property
    def inverted(self) -> bool:
        """Whether low values are bright, or a colour map runs from its other end."""
        return self.look.greys.inverted

    @property
    def colours(self) -> ColourMap:
        """The colour map before inversion."""
        return self.look.greys.colours

    @property
    def first_greys(self) -> Greys:
        """How values were shown when the volume opened."""
        return Greys(self.look.first_window)

    @property
    def preset(self) -> str:
        """The preset in use, or an empty string."""
        if self.window == self.look.full_range:
            return windows.FULL_RANGE
        return windows.name_of(self.window)

    @property
    def colours_shown(self) -> ColourMap:
        """The map in use; inverted grey counts as a map of its own."""
        is_inverted_grey = self.inverted and self.colours is ColourMap.GREY
        return ColourMap.INVERTED_GREY if is_inverted_grey else self.colours

    def show_greys(self, greys: Greys) -> None:
        """Show values in this window, inversion and colour map, as a step that can be undone."""
        before = self.greys
        self.look = replace(self.look, greys=greys)
        self.window_changed.emit()
        if greys != before:
            self._push_greys(before, greys)

    def set_window(self, window: Window) -> None:
        """Show all planes with this window."""
        self.show_greys(replace(self.greys, window=window))

    def open_with(self, window: Window) -> None:
        """Show a series that has just opened with this window, and go back to it at a reset."""
        greys = replace(self.greys, window=window)
        self.look = replace(self.look, first_window=window, window_told=True, greys=greys)
        self.window_changed.emit()

    def use_preset(self, name: str) -> None:
        """Show all planes with a preset of `windows.PRESETS`.

        A volume that is still filling has no full range yet: that preset does nothing then.
        """
        if self.volume is None or (name == windows.FULL_RANGE and self.previewing):
            return
        window = windows.preset(name, self.volume)
        self.look = replace(self.look, full_range=window if name == windows.FULL_RANGE else None)
        self.set_window(window)

    def drag_window(self, dx: float, dy: float) -> None:
        """Change the window by a mouse movement in pixels."""
        self.dragging_window = True
        self.set_window(windows.dragged(self.window, dx, dy))

    def end_drag(self) -> None:
        """The mouse button was released: what follows is another drag."""
        self.drags += self.dragging_window
        self.dragging_window = False

    def use_colours(self, colours: ColourMap) -> None:
        """Show all planes in a colour map, not inverted; another volume opens in grey again."""
        inverted = colours is ColourMap.INVERTED_GREY
        plain = ColourMap.GREY if inverted else colours
        self.show_greys(replace(self.greys, inverted=inverted, colours=plain))

    def invert(self) -> None:
        """Swap black and white, or the two ends of the colour map."""
        self.show_greys(replace(self.greys, inverted=not self.inverted))

    def _push_greys(self, before: Greys, after: Greys) -> None:
        """Let the reader undo a change; the changes of one drag are one step."""
        name = "window" if before.window != after.window else "invert or colours"
        key = ("window", self.drags) if self.dragging_window else None
        undo, redo = (lambda: self.show_greys(before)), (lambda: self.show_greys(after))
        self.steps.push(Step(name, undo, redo, key))
