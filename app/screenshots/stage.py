"""The window as the pictures of it use it: what a state is, and the way back to the first one.

Knows no states, no files and no sizes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from itertools import pairwise

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QMouseEvent
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from app.imaging.slab import Slab
from app.viewmodels.images.tools import Tool
from app.viewmodels.study.study import Target
from app.viewmodels.window.layouts import SHEET, Kind
from app.viewmodels.window.workspace import Workspace
from app.views.window.main_window import MainWindow
from med2e3.geometry import Plane

#: Turns for a cell that is drawn in a job, as the 3D one is: it takes about a second.
RENDERING = 300

LEFT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


@dataclass
class Stage:
    """The window, what is open in it, and how many turns of 10 ms a state needs to be painted.

    `afterwards` is what a state leaves to be done before the next one.
    """

    window: MainWindow
    target: Target
    settling: int = 8
    afterwards: list[Callable[[], object]] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        """The state behind the window."""
        return self.window.workspace

    def run(self, command: str) -> None:
        """Do what a key would do."""
        self.window.commands[command]()

    def action(self, command: str) -> QAction:
        """The action of a command, as menus and buttons have it."""
        return self.window.actions_by_name[command]

    def popped(self, menu: QMenu) -> QMenu:
        """A menu, open as after a click on its button."""
        menu.popup(QPoint(0, 0))
        self.afterwards.append(menu.close)
        return menu

    def resized(self, width: int, height: int) -> None:
        """The window in another size, until the next state."""
        before = self.window.size()
        self.window.resize(width, height)
        self.afterwards.append(lambda: self.window.resize(before))


Act = Callable[[Stage], Awaitable[QWidget | None]]


@dataclass(frozen=True)
class State:
    """One picture: what brings the window there; `act` gives None where the study has no such."""

    act: Act
    needs_study: bool = True


async def as_it_is(stage: Stage) -> QWidget:
    """The whole window; nothing is done."""
    return stage.window


async def after(names: Sequence[str], stage: Stage) -> QWidget:
    """The whole window after these commands."""
    for name in names:
        stage.run(name)
    return stage.window


async def back_to_first(stage: Stage, state: State) -> None:
    """No dialog, nothing over the window, the first layout, the study open or closed."""
    window, workspace = stage.window, stage.workspace
    if window.dialogs.shown is not None:
        window.dialogs.shown.reject()  # before what it shows is changed back
    while stage.afterwards:
        if isawaitable(work := stage.afterwards.pop()()):
            await work
    if window.dialogs.palette.isVisible():
        window.dialogs.palette.close_palette()
    window.help.hide()
    for panel in window.panels.values():
        panel.show()
    workspace.notices.dismiss()
    workspace.settings.set("hint_dismissed", True)
    window.assistant.tabs.setCurrentIndex(0)
    viewer = workspace.viewer
    viewer.maximise(None)
    workspace.layouts.choose_main(Plane.AXIAL.value)
    workspace.layouts.corner = SHEET
    workspace.layouts.choose(Kind.GRID)
    workspace.cine.stop()
    workspace.compare.close()
    workspace.scene.reset()
    viewer.straighten()
    viewer.set_slab(Slab())
    while workspace.steps.undo_name:
        workspace.steps.undo()
    if window.tags is not None:
        window.tags.hide()
    viewer.choose_tool(Tool.CROSSHAIR)
    if not state.needs_study:
        viewer.show(None)
    elif viewer.volume is None:
        await workspace.study.open(stage.target)
    viewer.reset()


def drag(view: QWidget, *places: tuple[float, float], release: bool = True) -> None:
    """Drag with the left button through places in shares of the view's width and height."""
    kinds = QEvent.Type
    points = [_point(view, at) for at in places]
    _mouse(view, kinds.MouseButtonPress, points[0], LEFT, LEFT)
    for first, last in pairwise(points):
        for k in range(1, 6):
            _mouse(view, kinds.MouseMove, first + (last - first) * (k / 5), NO_BUTTON, LEFT)
    if release:
        _mouse(view, kinds.MouseButtonRelease, points[-1], LEFT, NO_BUTTON)


def click(view: QWidget, at: tuple[float, float]) -> None:
    """Move there with the button up, then press and let go."""
    place, kinds = _point(view, at), QEvent.Type
    _mouse(view, kinds.MouseMove, place, NO_BUTTON, NO_BUTTON)
    _mouse(view, kinds.MouseButtonPress, place, LEFT, LEFT)
    _mouse(view, kinds.MouseButtonRelease, place, LEFT, NO_BUTTON)


def _point(view: QWidget, share: tuple[float, float]) -> QPointF:
    return QPointF(share[0] * view.width(), share[1] * view.height())


def _mouse(
    view: QWidget, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, held: Qt.MouseButton
) -> None:
    """One event, sent at once: `QTest` would turn the loop, in which this coroutine runs."""
    there = QPointF(view.mapToGlobal(at.toPoint()))
    event = QMouseEvent(kind, at, there, button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(view, event)
