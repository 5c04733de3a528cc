"""The part of the `Viewer` that says what is drawn over the images besides their pixels."""

from __future__ import annotations

from app.viewmodels.core.signal import Signal
from app.viewmodels.images.display import Display


class DisplaySettings:
    """Crosshair, reference lines, corner text and the preferences of display.

    `display_changed` follows each change. The settings belong to the reader and not to the look:
    another volume is shown with the same ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.display = Display()
        self.crosshair_visible = True
        self.corner_text = True
        self.reference_lines = False
        self.display_changed: Signal[[]] = Signal()

    def dress(self, display: Display, *, crosshair: bool, corner_text: bool) -> None:
        """Show images by other preferences."""
        self.display = display
        self.crosshair_visible, self.corner_text = crosshair, corner_text
        self.display_changed.emit()

    def take_display_of(self, other: DisplaySettings) -> None:
        """Use the display settings that another viewer uses."""
        self.reference_lines = other.reference_lines
        self.dress(other.display, crosshair=other.crosshair_visible, corner_text=other.corner_text)

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
