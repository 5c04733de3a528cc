"""The part of the `Viewer` that says what the left mouse button does."""

from __future__ import annotations

from enum import StrEnum

from app.viewmodels.core.signal import Signal


class Tool(StrEnum):
    """Tools of the left mouse button that move or look at the image.

    The tool in hand can also be one that draws: a plain name, which images do not know.
    """

    CROSSHAIR = "crosshair"
    WINDOW = "window"
    ZOOM = "zoom"
    PAN = "pan"
    SCROLL = "scroll"


class ToolChoice:
    """The chosen tool; `tool_changed` follows another choice, and Space pressed or released."""

    def __init__(self) -> None:
        super().__init__()
        self.tool: str = Tool.CROSSHAIR
        self.space_held = False
        #: Whether a lens is over what is under the mouse.
        self.magnified = False
        self.tool_changed: Signal[[]] = Signal()

    def choose_tool(self, tool: str) -> None:
        """Give the left mouse button another meaning."""
        self.tool = tool
        self.tool_changed.emit()

    def hold_space(self, held: bool) -> None:
        """While Space is held, the left button pans."""
        self.space_held = held
        self.tool_changed.emit()

    def swap_magnifier(self) -> None:
        """Switch the lens on or off."""
        self.magnified = not self.magnified
        self.tool_changed.emit()

    def take_tool_of(self, other: ToolChoice) -> None:
        """Use the tool that another viewer uses."""
        self.tool, self.space_held = other.tool, other.space_held
        self.magnified = other.magnified
        self.tool_changed.emit()
