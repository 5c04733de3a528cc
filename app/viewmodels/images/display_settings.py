"""The part of the `Viewer` that says what is drawn over the images besides their pixels."""

from __future__ import annotations

from app.settings import Corners, Display, Mouse
from app.viewmodels.core.signal import Signal


class DisplaySettings:
    """Crosshair, reference lines, corner text and the preferences of display.

    `display_changed` follows each change. The settings belong to the reader and not to the look:
    another volume is shown with the same ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.corners, self.display, self.mouse = Corners(), Display(), Mouse()
        self.crosshair_visible = self.display.crosshair
        self.corner_text = self.corners.corner_text
        self.reference_lines = False
        self.display_changed: Signal[[]] = Signal()

    def dress(self, corners: Corners, display: Display, mouse: Mouse) -> None:
        """Show and handle images by other preferences."""
        self.corners, self.display, self.mouse = corners, display, mouse
        self.crosshair_visible, self.corner_text = display.crosshair, corners.corner_text
        self.display_changed.emit()

    def take_display_of(self, other: DisplaySettings) -> None:
        """Use the display settings that another viewer uses."""
        self.reference_lines = other.reference_lines
        self.corners, self.display, self.mouse = other.corners, other.display, other.mouse
        self.crosshair_visible, self.corner_text = other.crosshair_visible, other.corner_text
        self.display_changed.emit()

    def toggle_crosshair(self) -> None:
        """Show or hide the lines through the common point."""
        self.crosshair_visible = not self.crosshair_visible
        self.display_changed.emit()

    def toggle_reference_lines(self) -> None:
        """Show or hide, where the crosshair is hidden, where the other planes cross a view."""
        self.reference_lines = not self.reference_lines
        self.display_changed.emit()

    def toggle_corner_text(self) -> None:
        """Show or hide the text in the corners of the views."""
        self.corner_text = not self.corner_text
        self.display_changed.emit()
