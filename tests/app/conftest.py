"""The real window, driven offscreen, with a model that says what a test tells it to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qasync
import shiboken6
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.application import Application
from app.viewmodels.core.settings import Settings
from app.viewmodels.study.study import Target
from app.viewmodels.window.layouts import SHEET
from app.views.images.slice_view import SliceView
from app.views.parts import theme
from med2e3.geometry import Plane
from med2e3.io import write_dicom_series, write_nifti
from tests.app.bodies import phantom
from tests.app.fakes import FakeEngine


@pytest.fixture
def engine() -> Any:
    """What the model says and does in this test."""
    return FakeEngine()


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    """The phantom as a NIfTI file."""
    return write_nifti(phantom(), tmp_path / "phantom.nii.gz")


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    """The phantom as a DICOM series."""
    folder = tmp_path / "series"
    write_dicom_series(phantom(), folder, seed="phantom")
    return folder


class Gui:
    """The application under test, and hands to drive it."""

    def __init__(
        self,
        loop: Any,
        engine: Any,
        settings: Settings,
        annotations_at: Path | None = None,
        reports_at: Path | None = None,
    ) -> None:
        self.loop = loop
        self.engine = engine
        if not settings.values.corner:  # 3D, which it starts with, would take longer than a test
            settings.values.put("corner", SHEET)
        self.application = self.run(self._make(settings, annotations_at, reports_at))
        self.window = self.application.window
        self.workspace = self.application.workspace
        self.viewer = self.workspace.viewer
        self.assistant = self.workspace.assistant
        self.study = self.workspace.study

    async def _make(self, settings: Settings, *folders: Path | None) -> Application:
        application = Application(self.loop, settings, self.engine.load, *folders)
        application.window.resize(1280, 800)
        application.window.show()
        return application

    def run(self, work: Coroutine[Any, Any, Any], seconds: float = 20) -> Any:
        """Run a coroutine in the window's loop.

        qasync's own `run_until_complete` handles events once more after the loop has ended, and a
        task that is due then finds no running loop.
        """
        task = self.loop.create_task(asyncio.wait_for(work, seconds))
        task.add_done_callback(lambda _: self.loop.stop())
        self.loop.run_forever()
        return task.result()

    def do(self, act: Callable[[], Any]) -> Any:
        """Do something as the loop would: inside it, with what follows from it."""

        async def work() -> Any:
            result = act()
            await asyncio.sleep(0)
            return result

        return self.run(work())

    def until(self, holds: Callable[[], Any]) -> None:
        """Let the loop run until something holds."""

        async def work() -> None:
            while not holds():
                await asyncio.sleep(0.002)

        self.run(work())

    def open(self, path: Path) -> bool:
        return bool(self.run(self.study.open(Target(path))))

    def load_model(self, name: str = "demo") -> None:
        self.run(self.assistant.load_model(name))

    def ask(self, question: str = "Is there a nodule?") -> Any:
        """Type a question, press Return, wait for the end."""
        turn = self.start(question)
        self.until(lambda: not turn.running)
        return turn

    def start(self, question: str) -> Any:
        line = self.window.assistant.ask_box.line

        def act() -> None:
            line.setFocus()
            QTest.keyClicks(line, question)
            QTest.keyClick(line, Qt.Key.Key_Return)

        self.do(act)
        return self.assistant.turns[-1]

    def view(self, plane: Plane) -> SliceView:
        return self.window.centre.cells[plane].view

    def pixels(self, widget: QWidget) -> np.ndarray:
        """(rows, columns, 3) of what the widget shows."""
        self.do(lambda: None)
        image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        raw = np.frombuffer(image.constBits(), np.uint8)
        rows = raw.reshape(image.height(), image.bytesPerLine())
        return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()

    def move(self, widget: QWidget, at: tuple[float, float]) -> None:
        """Move the mouse there, with no button held."""
        point, none = QPointF(*at), Qt.MouseButton.NoButton
        there = QPointF(widget.mapToGlobal(point.toPoint()))
        kind, modifiers = QEvent.Type.MouseMove, Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, point, there, none, none, modifiers)
        self.do(lambda: QApplication.sendEvent(widget, event))

    def drag(
        self,
        widget: QWidget,
        start: tuple[float, float],
        end: tuple[float, float],
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        """Press, move in five steps, release."""
        none = Qt.MouseButton.NoButton
        points = [
            QPointF(start[0] + (end[0] - start[0]) * k / 5, start[1] + (end[1] - start[1]) * k / 5)
            for k in range(6)
        ]
        events = [(QEvent.Type.MouseButtonPress, points[0], button, button)]
        events += [(QEvent.Type.MouseMove, point, none, button) for point in points[1:]]
        events.append((QEvent.Type.MouseButtonRelease, points[-1], button, none))

        def act() -> None:
            for kind, point, which, held in events:
                there = QPointF(widget.mapToGlobal(point.toPoint()))
                event = QMouseEvent(kind, point, there, which, held, modifiers)
                QApplication.sendEvent(widget, event)

        self.do(act)

    def wheel(
        self,
        widget: QWidget,
        notches: int,
        modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
        at: tuple[float, float] | None = None,
    ) -> None:
        """Turn the wheel; positive is away from the hand."""
        middle = widget.rect().center()
        point = QPointF(*(at or (middle.x(), middle.y())))
        there = QPointF(widget.mapToGlobal(point.toPoint()))
        nothing, buttons = QPoint(), Qt.MouseButton.NoButton
        phase = Qt.ScrollPhase.NoScrollPhase
        event = QWheelEvent(
            point, there, nothing, QPoint(0, 120 * notches), buttons, modifiers, phase, False
        )
        self.do(lambda: QApplication.sendEvent(widget, event))

    def key(self, key: Qt.Key, widget: QWidget | None = None) -> None:
        self.do(lambda: QTest.keyClick(widget or self.view(Plane.AXIAL), key))


@pytest.fixture
def loop(qapp: QApplication) -> Iterator[Any]:
    """One event loop for Qt and asyncio."""
    theme.apply(qapp, "dark")
    qapp.setQuitOnLastWindowClosed(False)
    with qasync.QEventLoop(qapp) as made:
        yield made
    # qasync lets timers of cancelled calls run on, for up to the 20 s of `Gui.run`. Where a worker
    # of a later test collects garbage, their object would die in that thread, and Qt would call it.
    shiboken6.delete(made._timer)


@pytest.fixture
def gui(loop: Any, engine: Any) -> Iterator[Gui]:
    """The window; at the end every thread of it must be gone."""
    made = Gui(loop, engine, Settings(None))
    yield made
    made.engine.gate.set()
    assert made.run(made.application.close())
    assert not [t for t in threading.enumerate() if t.name.startswith("viewer-")]


@pytest.fixture
def open_gui(gui: Gui, nifti: Path) -> Gui:
    """The window with the phantom open and the model loaded."""
    assert gui.open(nifti)
    gui.load_model()
    return gui
