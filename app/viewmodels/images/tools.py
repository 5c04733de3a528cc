"""The part of the `Viewer` that says what the left mouse button does."""

from __future__ import annotations

from enum import StrEnum

from app.viewmodels.core.signal import Signal


class Tool(StrEnum):
    """What the left mouse button does in a view."""

    CROSSHAIR = "crosshair"
    WINDOW = "window"
    ZOOM = "zoom"
    PAN = "pan"
    LENGTH = "length"
    ANGLE = "angle"
    COBB = "cobb"
    BIDIRECTIONAL = "bidirectional"
    ELLIPSE = "ellipse"
    RECTANGLE = "rectangle"
    FREEHAND = "freehand"
    PROBE = "probe"
    ARROW = "arrow"
    NOTE = "note"
    AUTO_WINDOW = "auto_window"


#: Tools that move or look at the image; `app.viewmodels.annotation` knows what the others do.
VIEW_TOOLS = (Tool.CROSSHAIR, Tool.WINDOW, Tool.ZOOM, Tool.PAN)


class ToolChoice:
    """The chosen tool; `tool_changed` follows another choice, and Space pressed or released."""

    def __init__(self) -> None:
        super().__init__()
        self.tool = Tool.CROSSHAIR
        self.space_held = False
        self.tool_changed: Signal[[]] = Signal()

    def choose_tool(self, tool: Tool) -> None:
        """Give the left mouse button another meaning."""
        self.tool = tool
        self.tool_changed.emit()

    def hold_space(self, held: bool) -> None:
        """While Space is held, the left button pans."""
        self.space_held = held
        self.tool_changed.emit()

    def take_tool_of(self, other: ToolChoice) -> None:
        """Use the tool that another viewer uses."""
        self.tool, self.space_held = other.tool, other.space_held
        self.tool_changed.emit()
