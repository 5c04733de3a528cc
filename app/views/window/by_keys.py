"""What the mouse does in a view, by keys: the crosshair moves, and clicks are made where it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from app.views.images.slice_view import SliceView

#: Rows and columns that each command moves the crosshair by.
STEPS = {
    "crosshair_up": (-1, 0), "crosshair_down": (1, 0),
    "crosshair_left": (0, -1), "crosshair_right": (0, 1),
}  # fmt: skip


def commands(view: Callable[[], SliceView]) -> dict[str, Callable[[], object]]:
    """What each of these commands does in the view that the keys act on."""
    moves: dict[str, Callable[[], object]] = {
        name: partial(_move, view, *step) for name, step in STEPS.items()
    }
    return {**moves, "click_here": lambda: click(view())}


def _move(view: Callable[[], SliceView], down: int, right: int) -> None:
    """Move the crosshair by pixels of the slice; what is being drawn follows it."""
    shown = view()
    state = shown.state
    if state is not None:
        row, column = state.crosshair
        shown.viewer.point(shown.plane, row + down, column + right)
        _send(shown, QEvent.Type.MouseMove, Qt.MouseButton.NoButton)


def click(view: SliceView) -> None:
    """Press and release the left button at the crosshair, as the mouse would."""
    _send(view, QEvent.Type.MouseMove, Qt.MouseButton.NoButton)
    for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
        _send(view, kind, Qt.MouseButton.LeftButton)


def _send(view: SliceView, kind: QEvent.Type, button: Qt.MouseButton) -> None:
    state, viewport = view.state, view.viewport()
    if state is None or viewport is None:
        return
    at = QPointF(*viewport.to_screen(*state.crosshair))
    there = QPointF(view.mapToGlobal(at.toPoint()))
    held = button if kind == QEvent.Type.MouseButtonPress else Qt.MouseButton.NoButton
    modifiers = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(view, QMouseEvent(kind, at, there, button, held, modifiers))
