"""What a reader does in a session, step by step, with a real mouse and keyboard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QLineEdit, QMenu

from app.application import Application
from app.viewmodels.assistant.assistant import ModelState
from app.views.images.slice_view import SliceView
from med2e3.geometry import Plane
from tests.app.reading.hands import ANSWER, MIDDLE, RIGHT, Hands, photograph

#: Seconds that anything may take before the session has failed.
LONGEST = 120.0


@dataclass
class Session:
    """The window, the hands at it, and what is read."""

    application: Application
    hands: Hands
    study: Path
    folder: Path
    taken: list[Path] = field(default_factory=list)

    @property
    def window(self) -> Any:
        """The main window."""
        return self.application.window

    @property
    def workspace(self) -> Any:
        """The state behind it."""
        return self.application.workspace

    def view(self, plane: Plane = Plane.AXIAL) -> SliceView:
        """The view of a plane."""
        view = self.window.centre.cells[plane].view
        assert isinstance(view, SliceView)
        return view

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds. Raises `TimeoutError` where it never does."""

        async def wait() -> None:
            while not holds():
                await asyncio.sleep(0.01)

        await asyncio.wait_for(wait(), LONGEST)

    async def command(self, *keys: str) -> None:
        """Press keys in the main window, with the images in front of the reader."""
        await self.hands.turn_to(self.window)
        self.view().setFocus()
        await self.hands.key(*keys)

    async def dialog(self, kind: type[QDialog] = QDialog) -> Any:
        """The dialog that has opened, with the keys."""
        found: list[QDialog] = []

        def opened() -> bool:
            found[:] = [w for w in QApplication.topLevelWidgets() if w.isVisible()]
            found[:] = [w for w in found if isinstance(w, kind) and w is not self.window]
            return bool(found)

        await self.until(opened)
        await self.hands.turn_to(found[-1])
        return found[-1]

    async def settled(self) -> None:
        """Wait until the picture is as it stays: no job for the images runs."""
        await self.hands.rest(3 * ANSWER)


Act = Callable[[Session], Awaitable[object]]

#: What is done, in order, with the name of its picture.
STEPS: list[tuple[str, Act]] = []


def step(name: str) -> Callable[[Act], Act]:
    """Make a function the next step."""

    def add(act: Act) -> Act:
        STEPS.append((name, act))
        return act

    return add


@step("opening-page")
async def _opening_page(s: Session) -> None:
    await s.until(lambda: s.workspace.assistant.model_state is ModelState.READY)


@step("menu-of-opening")
async def _menu_of_opening(s: Session) -> None:
    button = s.window.tools.open_button
    await s.hands.click_at(button, QPoint(button.width() - 6, button.height() // 2))
    assert isinstance(QApplication.activePopupWidget(), QMenu)


@step("open-dialog")
async def _open_dialog(s: Session) -> None:
    await s.hands.key("Escape")
    await s.command("ctrl+shift+o")
    dialog = await s.dialog(QFileDialog)
    line = dialog.findChild(QLineEdit, "fileNameEdit")
    await s.hands.click(line, times=3)
    await s.hands.write(str(s.study))


@step("opened")
async def _opened(s: Session) -> None:
    await s.hands.key("Return")
    viewer = s.workspace.viewer
    await s.until(lambda: viewer.volume is not None and not viewer.previewing)
    await s.until(lambda: s.workspace.annotations.volume is not None)
    await s.hands.rest(1.5)  # 3D is drawn in a job


@step("scrolled")
async def _scrolled(s: Session) -> None:
    before = s.workspace.viewer.planes[Plane.AXIAL].slice_index
    await s.hands.wheel(s.view(), -5)
    assert s.workspace.viewer.planes[Plane.AXIAL].slice_index != before


@step("lung-window")
async def _lung(s: Session) -> None:
    await s.command("2")
    assert s.workspace.viewer.preset == "lung"


@step("window-dragged")
async def _window(s: Session) -> None:
    await s.hands.drag(s.view(), ((0.5, 0.5), (0.62, 0.42)), held="shift")
    assert not s.workspace.viewer.preset
    await s.hands.move(s.view(), (0.45, 0.4))


@step("menu-of-windows")
async def _windows(s: Session) -> None:
    await s.command("1")
    await s.hands.click(s.window.tools.presets)
    assert QApplication.activePopupWidget() is not None


@step("zoomed-and-moved")
async def _zoomed(s: Session) -> None:
    await s.hands.key("Escape")
    await s.hands.wheel(s.view(), 3, held="ctrl")
    await s.hands.drag(s.view(), ((0.5, 0.5), (0.6, 0.58)), button=MIDDLE)
    assert s.workspace.viewer.planes[Plane.AXIAL].zoom > 1.0


@step("fit-again")
async def _fit(s: Session) -> None:
    await s.command("r")
    assert s.workspace.viewer.planes[Plane.AXIAL].zoom == 1.0


@step("crosshair")
async def _crosshair(s: Session) -> None:
    await s.command("c")
    await s.hands.click(s.view(), (0.42, 0.46))


@step("planes-turned")
async def _turned(s: Session) -> None:
    view = s.view()
    for _, at in view.axes.handles()[:1]:  # a view of few pixels has no room for any
        start = at.x() / view.width(), at.y() / view.height()
        await s.hands.drag(view, (start, (start[0] + 0.08, start[1] + 0.08)))
        assert s.workspace.viewer.is_turned


@step("straight")
async def _straight(s: Session) -> None:
    await s.command("o")
    assert not s.workspace.viewer.is_turned


@step("slab")
async def _slab(s: Session) -> None:
    await s.command("s", "bracketright", "bracketright")


@step("length")
async def _length(s: Session) -> None:
    await s.command("s", "l")
    await s.hands.drag(s.view(), ((0.3, 0.35), (0.6, 0.3)))
    assert len(s.workspace.annotations.document.annotations) == 1


@step("ellipse-and-diameters")
async def _ellipse(s: Session) -> None:
    await s.command("e")
    await s.hands.drag(s.view(), ((0.35, 0.52), (0.5, 0.64)))
    await s.command("b")
    await s.hands.drag(s.view(), ((0.58, 0.42), (0.74, 0.5)))
    assert len(s.workspace.annotations.document.annotations) == 3


@step("note")
async def _note(s: Session) -> None:
    await s.command("n")
    await s.hands.click(s.view(), (0.62, 0.66))
    await s.hands.write("compare with prior")
    await s.hands.key("Return")
    await s.command("c", "k")


@step("measurements")
async def _measurements(s: Session) -> None:
    tabs = s.window.assistant.tabs
    bar = tabs.tabBar()
    await s.hands.click_at(bar, bar.tabRect(bar.count() - 1).center())
    assert tabs.currentWidget() is s.window.measurements


@step("image-menu")
async def _menu(s: Session) -> None:
    await s.hands.click(s.view(), (0.45, 0.33), button=RIGHT)
    assert isinstance(QApplication.activePopupWidget(), QMenu)


@step("region")
async def _region(s: Session) -> None:
    await s.hands.key("Escape")
    await s.command("shift+e")
    await s.dialog()
    growing = s.workspace.growing
    await s.until(lambda: growing.region is not None and not growing.busy)


@step("region-kept")
async def _kept(s: Session) -> None:
    await s.hands.click(s.window.growing.keep)
    assert s.workspace.overlays.layers


@step("brush")
async def _brush(s: Session) -> None:
    await s.command("shift+b")
    await s.dialog()
    before = len(s.workspace.overlays.layers)
    await s.hands.drag(s.view(), ((0.35, 0.55), (0.45, 0.6), (0.5, 0.55)))
    assert len(s.workspace.overlays.layers) == before + 1
    await s.hands.rest(0.5)


@step("wiped-and-undone")
async def _wiped(s: Session) -> None:
    await s.hands.drag(s.view(), ((0.4, 0.5), (0.42, 0.66)), held="ctrl")
    await s.command("ctrl+z", "c")
    assert s.window.brush is not None


@step("asking")
async def _asking(s: Session) -> None:
    await s.command("ctrl+l")
    await s.hands.write("Is there a nodule?")
    await s.hands.key("Return")
    assert s.workspace.assistant.turns


@step("answered")
async def _answered(s: Session) -> None:
    await s.until(lambda: s.workspace.assistant.running is None)
    assert s.workspace.assistant.turns[-1].text


@step("scores")
async def _scores(s: Session) -> None:
    bar = s.window.assistant.tabs.tabBar()
    await s.hands.click_at(bar, bar.tabRect(1).center())
    await s.command("period")


@step("evidence")
async def _evidence(s: Session) -> None:
    bar = s.window.assistant.tabs.tabBar()
    await s.hands.click_at(bar, bar.tabRect(2).center())


@step("draft")
async def _draft(s: Session) -> None:
    await s.command("ctrl+r")
    await s.hands.rest(0.5)
    question = s.window.assistant.ask_box.draft_question.shown
    if question is not None:  # the series is no phantom
        photograph(s.folder / "question-before-a-draft.png")
        await s.hands.click(question.buttons()[0])
    await s.until(lambda: s.workspace.assistant.turns[-1].is_report)
    await s.until(lambda: s.workspace.assistant.running is None)


@step("report-corrected")
async def _corrected(s: Session) -> None:
    editor = s.window.assistant.report.editor
    bar = s.window.assistant.tabs.tabBar()
    await s.hands.click_at(bar, bar.tabRect(0).center())
    await s.hands.click(editor)
    await s.hands.key("ctrl+End")
    await s.hands.write(" No prior for comparison.")
    assert editor.toPlainText().endswith("No prior for comparison.")


@step("report-tall")
async def _tall(s: Session) -> None:
    await s.command("ctrl+alt+t")


@step("3d")
async def _scene(s: Session) -> None:
    await s.command("ctrl+alt+t")
    layouts = s.workspace.layouts
    if "3d" not in layouts.places():
        await s.command("v")
    cell = s.window.centre.cell("3d")
    await s.hands.rest(1.0)
    await s.hands.click(cell.view, times=2)
    await s.hands.drag(cell.view, ((0.5, 0.5), (0.65, 0.45)))
    await s.hands.rest(1.5)


@step("side-by-side")
async def _beside(s: Session) -> None:
    scene = s.window.centre.cell("3d")
    await s.hands.click(scene.view, times=2)
    s.workspace.side_by_side.choose(1, 2)
    await s.hands.rest(0.5)


@step("one-large")
async def _large(s: Session) -> None:
    await s.command("alt+c", "alt+3")


@step("palette")
async def _palette(s: Session) -> None:
    await s.command("alt+2", "ctrl+k")
    await s.hands.write("mip")


@step("preferences")
async def _preferences(s: Session) -> None:
    await s.hands.key("Escape")
    await s.command("ctrl+comma")
    await s.dialog()


@step("shortcuts")
async def _shortcuts(s: Session) -> None:
    await s.hands.key("Escape")
    await s.command("ctrl+alt+k")
    await s.dialog()


@step("help")
async def _help(s: Session) -> None:
    await s.hands.key("Escape")
    await s.command("F1")
    assert s.window.help.isVisible()


@step("tags")
async def _tags(s: Session) -> None:
    await s.hands.key("Escape")
    await s.command("ctrl+i")
    await s.hands.rest(0.5)


@step("left-out")
async def _left_out(s: Session) -> None:
    if s.window.tags is not None:
        s.window.tags.hide()
    await s.command("ctrl+shift+i")
    await s.hands.rest(0.3)


@step("dose-page")
async def _dose_page(s: Session) -> None:
    await _close_dialogs(s)
    await _click_series(s, "dose page")


@step("dose-report")
async def _dose_report(s: Session) -> None:
    await _click_series(s, "dose report")


async def _click_series(s: Session, words: str) -> None:
    """Click the series of the list that is called so, where there is one."""
    tree = s.window.series.tree
    found = next((item for item in tree.items if words in item.text(0)), None)
    if found is not None:
        tree.scrollToItem(found)
        await s.hands.click_at(tree.viewport(), tree.visualItemRect(found).center())
        await s.hands.rest(0.5)


@step("saving-a-view")
async def _saving(s: Session) -> None:
    await s.command("ctrl+shift+s")
    await s.dialog(QFileDialog)


@step("closed")
async def _closed(s: Session) -> None:
    await _close_dialogs(s)
    await s.command("ctrl+shift+w")
    await s.until(lambda: s.workspace.viewer.volume is None)


async def _close_dialogs(s: Session) -> None:
    for one in QApplication.topLevelWidgets():
        if isinstance(one, QDialog) and one.isVisible():
            await s.hands.turn_to(one)
            await s.hands.key("Escape")
