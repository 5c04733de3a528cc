"""What a mouse button or the wheel does in a view, by the preferences. Knows no Qt."""

from __future__ import annotations

from enum import StrEnum

from app.viewmodels.images.tools import Tool
from app.viewmodels.images.viewer import Viewer


class Button(StrEnum):
    """The buttons that can be given a meaning."""

    LEFT = "left"
    MIDDLE = "middle"
    RIGHT = "right"


def tool_for(viewer: Viewer, button: Button, *, shift: bool) -> str | None:
    """What a drag with a button does now; Space and Shift change it for the left one."""
    if button is Button.LEFT:
        if viewer.space_held:
            return Tool.PAN
        if shift:
            return Tool.WINDOW
    means = {
        Button.LEFT: viewer.mouse.mouse_left,
        Button.MIDDLE: viewer.mouse.mouse_middle,
        Button.RIGHT: viewer.mouse.mouse_right,
    }[button]
    if means == "tool":
        return viewer.tool
    return None if means == "nothing" else Tool(means)


def left_is_taken(viewer: Viewer, *, shift: bool) -> bool:
    """Whether Space or Shift gives the left button another meaning than the tool's."""
    return viewer.space_held or shift


def wheel_zooms(viewer: Viewer, *, ctrl: bool) -> bool:
    """Whether the wheel zooms; else it scrolls slices."""
    return (viewer.mouse.wheel == "zoom") is not ctrl


def wheel_sign(viewer: Viewer) -> int:
    """1: turning the wheel away goes towards the first slice; −1: the other way round."""
    return -1 if viewer.mouse.wheel_reversed else 1
