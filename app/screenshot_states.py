"""The states of the window that are photographed, in one table. Knows no files and no sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.viewmodels.layouts import SHEET, TITLES, Kind
from app.viewmodels.questions import ready_questions
from app.viewmodels.slab import Slab
from app.viewmodels.study import Target
from app.viewmodels.viewer import Tool
from app.viewmodels.waiting import until
from app.viewmodels.work import Message
from app.views.main_window import MainWindow
from app.views.preferences_dialog import PreferencesDialog
from med2e3.geometry import Plane

#: Turns for a cell that is drawn in a job, as the 3D one is: it takes about a second.
RENDERING = 300


#: What is drawn for the picture of measurements: tool, start and end in shares of the view.
MEASURED = (
    ("length_tool", (0.25, 0.3), (0.55, 0.25)),
    ("ellipse_tool", (0.3, 0.5), (0.45, 0.62)),
    ("bidirectional_tool", (0.62, 0.42), (0.78, 0.5)),
)


@dataclass
class Stage:
    """The window, what is open in it, and how many turns of 10 ms a state needs to be painted."""

    window: MainWindow
    target: Target
    settling: int = 8

    def run(self, command: str) -> None:
        """Do what a key would do."""
        self.window.commands[command]()


Act = Callable[[Stage], Awaitable[QWidget | None]]


@dataclass(frozen=True)
class State:
    """One picture: what brings the window there; `act` gives None where the study has no such."""

    act: Act
    needs_study: bool = True


async def back_to_first(stage: Stage, state: State) -> None:
    """No dialog, nothing over the window, the first layout, the study open or closed."""
    window, workspace = stage.window, stage.window.workspace
    if window.habits.dialog is not None:
        window.habits.dialog.reject()
    if window.habits.palette.isVisible():
        window.habits.palette.close_palette()
    window.help.hide()
    for panel in window.panels.values():
        panel.show()
    workspace.notices.dismiss()
    workspace.settings.values.hint_dismissed = True
    window.habits.hint.refresh()
    viewer = workspace.viewer
    viewer.maximise(None)
    workspace.layouts.choose_main(Plane.AXIAL.value)
    workspace.layouts.corner = SHEET
    workspace.layouts.choose(Kind.GRID)
    viewer.straighten()
    viewer.set_slab(Slab())
    book = workspace.annotations
    while book.undo_name:
        book.undo()
    if window.tags is not None:
        window.tags.hide()
    viewer.choose_tool(Tool.CROSSHAIR)
    if not state.needs_study:
        viewer.show(None)
    elif viewer.volume is None:
        await workspace.study.open(stage.target)
    viewer.reset()


# --- what is photographed ----------------------------------------------------------------------


async def _window(stage: Stage) -> QWidget:
    return stage.window


async def _commands(names: tuple[str, ...], stage: Stage) -> QWidget:
    for name in names:
        stage.run(name)
    return stage.window


async def _panels_hidden(stage: Stage) -> QWidget:
    for panel in stage.window.panels.values():
        panel.hide()
    return stage.window


async def _layout(kind: Kind, stage: Stage) -> QWidget:
    stage.window.workspace.layouts.choose(kind)
    return stage.window


async def _cell(name: str, stage: Stage) -> QWidget:
    stage.window.workspace.layouts.choose_main(name)
    stage.window.workspace.layouts.choose(Kind.SINGLE)
    stage.settling = RENDERING if name not in list(Plane) else stage.settling
    return stage.window


async def _palette(text: str, stage: Stage) -> QWidget:
    stage.run("palette")
    stage.window.habits.palette.line.setText(text)
    return stage.window


async def _preferences(page: int, stage: Stage) -> QWidget | None:
    stage.run("preferences")
    dialog = stage.window.habits.dialog
    assert isinstance(dialog, PreferencesDialog)
    dialog.tabs.setCurrentIndex(page)
    return dialog


async def _shortcuts(stage: Stage) -> QWidget | None:
    stage.run("shortcuts")
    return stage.window.habits.dialog


async def _hint(stage: Stage) -> QWidget:
    stage.window.workspace.settings.values.hint_dismissed = False
    stage.window.habits.hint.refresh()
    return stage.window


async def _error(stage: Stage) -> QWidget:
    message = Message(
        "Series 1.2.3: 3 gaps between slices (6.99 mm where 2.00 mm is usual); instances are "
        "probably missing. Open it anyway with resampling, or re-send the series.",
        "GapError: 3 gaps\nslice_0012.dcm, slice_0040.dcm, slice_0041.dcm",
    )
    stage.window.workspace.notices.show(message)
    stage.window.errors.more.setChecked(True)
    return stage.window


async def _turned(stage: Stage) -> QWidget:
    viewer = stage.window.workspace.viewer
    viewer.turn(Plane.AXIAL, 0.3)
    viewer.turn(Plane.CORONAL, 0.2)
    viewer.settle()
    return stage.window


async def _with_3d(stage: Stage) -> QWidget:
    stage.run("toggle_scene")
    stage.settling = RENDERING
    return stage.window


async def _tags(stage: Stage) -> QWidget:
    browser = stage.window.show_tags()
    stage.settling = 40
    return browser


def _drag(view: QWidget, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag with the left button; ends in shares of the view's width and height."""
    first, last = (
        QPoint(round(x * view.width()), round(y * view.height())) for x, y in (start, end)
    )
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(view, left, pos=first)
    for k in range(1, 6):
        QTest.mouseMove(view, first + (last - first) * (k / 5))
    QTest.mouseRelease(view, left, pos=last)


async def _measured(stage: Stage) -> QWidget:
    book = stage.window.workspace.annotations
    await until(book.changed, lambda: book.volume is not None)
    view = stage.window.centre.cells[Plane.AXIAL].view
    for tool, start, end in MEASURED:
        stage.run(tool)
        _drag(view, start, end)
    stage.run("crosshair_tool")
    return stage.window


async def _answered(stage: Stage) -> QWidget | None:
    assistant = stage.window.workspace.assistant
    if assistant.model is None:
        return None
    if not assistant.turns:
        for question in ready_questions(assistant.model)[:2]:
            assistant.ask(question.text, is_report=question.is_report)
            await until(assistant.turns_changed, lambda: assistant.running is None)
    return stage.window


#: Every picture by its name.
STATES: dict[str, State] = {
    "empty": State(_window, needs_study=False),
    "study": State(_window),
    "answered": State(_answered),
    **{f"layout-{kind}": State(partial(_layout, kind)) for kind in Kind},
    **{f"cell-{name}": State(partial(_cell, name)) for name in TITLES},
    "maximised": State(partial(_commands, ("maximise",))),
    "inverted": State(
        partial(
            _commands,
            (
                "invert",
                "preset:lung",
            ),
        )
    ),
    "turned": State(_turned),
    "slab": State(partial(_commands, ("slab",))),
    "with-3d": State(_with_3d),
    "measured": State(_measured),
    "tags": State(_tags),
    "panels-hidden": State(_panels_hidden),
    "palette": State(partial(_palette, "")),
    "palette-search": State(partial(_palette, "lung")),
    "palette-disabled": State(partial(_palette, "draft"), needs_study=False),
    "help": State(partial(_commands, ("help",))),
    "shortcuts": State(_shortcuts),
    **{f"preferences-{k}": State(partial(_preferences, k)) for k in range(5)},
    "hint": State(_hint),
    "error": State(_error),
}
