"""The lines of the other planes in a view, and turning those planes by the ends of the lines.

A drag at a line's end turns the other two planes about this view's normal; with Shift it turns this
view and the line's own plane's partner about the line, as a drag in the third view would. Decides
nothing: `Viewer.turn` does.
"""

from __future__ import annotations

import math
from typing import Protocol

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter

from app.imaging.oblique import crossing
from app.imaging.plane import PlaneState
from app.imaging.viewport import Viewport
from app.rendering import axes
from app.rendering.recording import Canvas
from app.viewmodels.images.tools import Tool
from app.viewmodels.images.viewer import Viewer
from app.views.parts import theme
from med2e3.geometry import Plane

#: Degrees that a Shift-drag of one pixel across the line turns: fine enough to set by hand.
DEGREES_A_PIXEL = 0.4


class View(Protocol):
    """What the handles ask of the widget that they are painted on."""

    viewer: Viewer
    plane: Plane

    @property
    def state(self) -> PlaneState | None:
        """The plane that is shown; None while no volume is open."""
        ...

    def viewport(self) -> Viewport | None:
        """How the slice lies on the widget; None while no volume is open."""
        ...

    def room_of_lines(self) -> QRectF:
        """The part of the widget that lines may cross, in logical pixels."""
        ...

    def show_cursor(self, shape: Qt.CursorShape | None = None) -> None:
        """Show a cursor; None: the one of the chosen tool."""
        ...


class AxisHandles:
    """The lines of the other two planes in a view, and the drag that turns those planes."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._held: Plane | None = None
        self._about_line = False
        self._hinting = False

    @property
    def active(self) -> bool:
        """Whether lines can be taken: they are there, and the crosshair tool is in the hand."""
        viewer = self._view.viewer
        usable = viewer.tool is Tool.CROSSHAIR and not viewer.space_held
        straight = all(state.turn.is_straight for state in viewer.planes.values())
        return usable and viewer.crosshair_visible and viewer.can_turn and straight

    @property
    def held(self) -> bool:
        """Whether a line is being dragged."""
        return self._held is not None

    def lines(self) -> dict[Plane, QLineF]:
        """The line of each other plane on the screen."""
        at, state = self._at(), self._view.state
        if at is None or state is None:
            return {}
        inside, found = self._view.room_of_lines(), {}
        for plane, other in self._view.viewer.shown.items():
            direction = crossing(state, other) if plane is not self._view.plane else None
            line = axes.through(inside, at, direction) if direction is not None else None
            if line is not None:
                found[plane] = line
        return found

    def handles(self) -> list[tuple[Plane, QPointF]]:
        """Each point where a line can be taken, with the plane whose line it is."""
        at = self._at()
        return [] if at is None else self._handles(self.lines(), at)

    def paint(self, painter: QPainter) -> None:
        """Turned lines with their handles, or reference lines without a crosshair."""
        viewer, at = self._view.viewer, self._at()
        if at is None:
            return
        if not (viewer.crosshair_visible or viewer.reference_lines):
            return
        colour, lines = QColor(theme.DARK.accent), self.lines()
        if not viewer.crosshair_visible:
            axes.draw_reference(painter, list(lines.values()), colour)
            return
        gap = float(viewer.display.crosshair_gap)
        axes.draw_axes(painter, list(lines.values()), at, colour, gap)
        self.draw_handles(painter)

    def draw_handles(self, painter: Canvas) -> None:
        """The handles of all lines."""
        points = [point for _, point in self.handles()]
        axes.draw_handles(painter, points, QColor(theme.DARK.accent))

    # --- mouse -----------------------------------------------------------------------------

    def press(self, event: QMouseEvent) -> bool:
        """Take a line by its end, if one is there."""
        self._held = None
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = self._plane_at(event.position())
            self._about_line = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        return self._held is not None

    def drag(self, before: QPointF, now: QPointF) -> bool:
        """Turn by a movement of the mouse, while a line is held."""
        at = self._at()
        if self._held is None or at is None:
            return False
        viewer, here = self._view.viewer, self._view.plane
        if self._about_line:
            third = next(p for p in Plane if p not in (here, self._held))
            viewer.turn(third, math.radians(self._across(before, now) * DEGREES_A_PIXEL))
        else:
            turn = QLineF(at, before).angleTo(QLineF(at, now))  # counter-clockwise, 0..360
            viewer.turn(here, -math.radians((turn + 180) % 360 - 180))
        return True

    def release(self) -> None:
        """Let go."""
        self._held = None

    def hint(self, position: QPointF) -> None:
        """Another cursor over the end of a line."""
        near = self._plane_at(position) is not None
        if near != self._hinting:
            self._hinting = near
            self._view.show_cursor(Qt.CursorShape.PointingHandCursor if near else None)

    def _handles(self, lines: dict[Plane, QLineF], at: QPointF) -> list[tuple[Plane, QPointF]]:
        if not self.active:
            return []
        return [(plane, end) for plane, line in lines.items() for end in axes.handles(line, at)]

    def _across(self, before: QPointF, now: QPointF) -> float:
        """Movement at a right angle to the held line, in pixels."""
        line = self.lines().get(self._held) if self._held is not None else None
        if line is None:
            return 0.0
        normal, moved = line.normalVector().unitVector(), now - before
        return normal.dx() * moved.x() + normal.dy() * moved.y()

    def _plane_at(self, position: QPointF) -> Plane | None:
        near = [(QLineF(point, position).length(), plane) for plane, point in self.handles()]
        within = [(distance, plane) for distance, plane in near if distance <= axes.REACH]
        return min(within)[1] if within else None

    def _at(self) -> QPointF | None:
        state, viewport = self._view.state, self._view.viewport()
        if state is None or viewport is None:
            return None
        return QPointF(*viewport.to_screen(*state.crosshair))
