"""The window: toolbar, bars, series, images, assistant, status line; keys, drops and closing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeyEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QMainWindow, QSplitter, QVBoxLayout, QWidget

from app.viewmodels.core.patients import file_stem
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.work import Message
from app.viewmodels.images.brush import BRUSH
from app.viewmodels.images.clicking import CLICKS
from app.viewmodels.images.layers import Layer
from app.viewmodels.study.study import Target
from app.viewmodels.window.commands import COMMANDS
from app.viewmodels.window.workspace import Workspace
from app.views.annotation.measurements_panel import MeasurementsPanel
from app.views.assistant.assistant_panel import AssistantPanel
from app.views.images.brush_dialog import BrushDialog
from app.views.images.click_dialog import ClickDialog
from app.views.images.grow_dialog import GrowDialog
from app.views.images.overlay_panel import OverlayPanel
from app.views.parts.accessible import name_all, order_tabs
from app.views.parts.column import Column
from app.views.parts.file_dialogs import Saver, ask_for_folder
from app.views.parts.icons import application_icon
from app.views.parts.keys import is_typed
from app.views.parts.panels import Panels
from app.views.study.empty_state import EmptyState
from app.views.study.series_panel import SeriesPanel
from app.views.study.tag_browser import TagBrowser
from app.views.window import actions, by_keys, window_memory
from app.views.window.bars import BarsOverImages, ErrorBar, LoadingBar, WarningBar
from app.views.window.centre import Centre
from app.views.window.close_question import CloseQuestion
from app.views.window.deidentify_dialog import DeidentifyDialog
from app.views.window.help_overlay import HelpOverlay
from app.views.window.hint import Hint
from app.views.window.image_menu import ImageMenu
from app.views.window.key_bindings import KeyBindings
from app.views.window.pictures import Pictures
from app.views.window.second_window import SecondWindow
from app.views.window.status import StatusLine
from app.views.window.toolbar import ToolBar
from app.views.window.window_dialogs import WindowDialogs
from med2e3.words import person_name

#: First widths of series list, images and assistant, in logical pixels.
WIDTHS = (240, 680, 360)

#: Said where no server segments by clicks.
NO_SERVER = (
    "No server for segmenting by clicks stands in the preferences (page Images), so the region is "
    "found by its values."
)


class MainWindow(QMainWindow):
    """The main window, with every view of the workspace in it."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.closed: Signal[[]] = Signal()
        self.setWindowTitle("Med-2E3 viewer")
        self.setWindowIcon(application_icon())
        self.setAcceptDrops(True)
        self.tags: TagBrowser | None = None
        self.growing: GrowDialog | None = None
        self.brush: BrushDialog | None = None
        self.clicks: ClickDialog | None = None
        self.commands = self._commands()
        self.actions_by_name = self._actions()
        self.tools = ToolBar(workspace, self.actions_by_name)
        self.addToolBar(self.tools)
        saver = Saver(self, workspace.exporter, self._stem)
        self.series = SeriesPanel(workspace.study, workspace.viewer, workspace.pictures)
        empty = EmptyState(workspace.study, workspace.settings, self.commands)
        self.centre = Centre(workspace, empty)
        self.assistant = AssistantPanel(
            workspace.assistant,
            workspace.viewer,
            workspace.report,
            workspace.evidence,
            workspace.word_maps,
            saver,
            self._model_actions(),
        )
        self.measurements = MeasurementsPanel(workspace, saver, self.actions_by_name)
        self.assistant.tabs.addTab(self.measurements, "Measurements")
        self.pictures = Pictures(workspace, self.centre, saver)
        self.image_menu = ImageMenu(workspace, self.actions_by_name)
        self.centre.serve_views(self.image_menu.serve)
        self.errors = ErrorBar(workspace.notices)
        self.warnings = WarningBar(workspace.viewer)
        self.loading = LoadingBar(workspace.study)
        self.hint = Hint(workspace)
        self.splitter = self._lay_out(OverlayPanel(workspace.overlays, saver, self._paint_on))
        self.setStatusBar(StatusLine(workspace.viewer, workspace.pictures, workspace.overlays))
        self.help = HelpOverlay(self, workspace.shortcuts)
        self.dialogs = WindowDialogs(self, workspace, self.commands)
        self.question = CloseQuestion(self, workspace.closing, workspace.tasks)
        self.key_bindings = KeyBindings(workspace, self, self.actions_by_name)
        self.key_bindings.refresh()
        workspace.viewer.volume_changed.connect(self._title)
        workspace.settings.changed.connect(
            lambda name: self._title() if name == "patient_name" else None
        )
        self.second = SecondWindow(self, self.centre, workspace, self.actions_by_name.values())
        self.panels = {"series": self.series, "assistant": self.assistant}
        window_memory.restore(self, self.splitter, self.panels, workspace.settings.values)
        self._make_accessible()

    # --- building --------------------------------------------------------------------------

    def _commands(self) -> dict[str, Callable[[], object]]:
        return {
            **actions.bind(self.workspace, self),
            **self._library_commands(),
            "ask": self.assistant_for_question,
            "tall_tabs": lambda: self.assistant.tall.toggle(),
            "evidence": lambda: self.assistant.show_evidence(),
            "draft_report": lambda: self.assistant.ask_box.ask_report(),
            "stop": self._escape,
            "toggle_series": lambda: self.series.setVisible(not self.series.isVisible()),
            "toggle_assistant": lambda: self.assistant.setVisible(not self.assistant.isVisible()),
            **self._dialog_commands(),
            **self._late_commands(),
            "quit": self.close,
        }

    def _dialog_commands(self) -> dict[str, Callable[[], object]]:
        """The commands of the dialogs, which are looked up late: they are made after this."""
        return {
            "palette": lambda: self.dialogs.palette.toggle(),
            "shortcuts": lambda: self.dialogs.shortcuts(),
            "preferences": lambda: self.dialogs.preferences(),
            "full_screen": lambda: self.dialogs.full_screen(),
            "theme": lambda: self.dialogs.swap_theme(),
            "window_values": lambda: self.dialogs.window_values(),
            "help": lambda: self.help.toggle(),
        }

    def _late_commands(self) -> dict[str, Callable[[], object]]:
        """The commands of panels, which are made after the table of commands."""
        pictures = ("copy_view", "save_view", "save_layout", "save_slices", "save_cine")
        return {
            **{name: _later(lambda: self.pictures.commands(), name) for name in pictures},
            **by_keys.commands(lambda: self.pictures.view()),
            "one_to_one": self._one_to_one,
            "save_series": self._save_series,
            "grow_region": self._grow_region,
            "brush_tool": self._take_brush,
            "clicks_tool": self._segment_by_clicks,
            "copy_report": lambda: self.assistant.report.copy.click(),
            "save_report": lambda: self.assistant.report.save.click(),
            "to_report": lambda: self.measurements.to_report.click(),
            "copy_value": lambda: self.measurements.copy_value(),
            "choose_model": self._choose_model,
            "demo_model": lambda: self.load_model("demo"),
            "edit_layout": lambda: self.tools.views.edit(),
        }

    def _library_commands(self) -> dict[str, Callable[[], object]]:
        return {
            "search_series": self._search_series,
            "tags": self.show_tags,
            "left_out": lambda: self.series.show_skipped(),
        }

    def _search_series(self) -> None:
        self.series.show()
        self.series.search.setFocus()

    def show_tags(self) -> TagBrowser:
        """Show the header of the file that the displayed slice is from; made at the first call."""
        if self.tags is None:
            self.tags = TagBrowser(self.workspace.tags, self)
        self.tags.show()
        return self.tags

    def _actions(self) -> dict[str, QAction]:
        made = {}
        for command in COMMANDS:
            action = QAction(command.title, self)
            action.triggered.connect(lambda _=False, act=self.commands[command.name]: act())
            self.addAction(action)
            made[command.name] = action
        return made

    def _model_actions(self) -> dict[str, Callable[[], object]]:
        return {
            "Demo model": lambda: self.load_model("demo"),
            "Model from a folder…": self._choose_model,
        }

    def _lay_out(self, overlays: QWidget) -> QSplitter:
        splitter = Panels()
        left = Column((self.series, overlays))
        for panel in (left, self.centre, self.assistant):
            splitter.addWidget(panel)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes(WIDTHS)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for part in (self.warnings, self.hint):
            column.addWidget(part)
        column.addWidget(splitter, 1)
        self.setCentralWidget(body)
        self.bars = BarsOverImages(self.centre, (self.errors, self.loading))
        return splitter

    def _make_accessible(self) -> None:
        """Names for screen readers, and Tab from the toolbar to the right as the eye goes."""
        name_all(self)
        order_tabs(self, (self.tools, self.series, self.centre, self.assistant))

    def _stem(self) -> str:
        """What names of exported files begin with; without a name where images have none."""
        named = self.workspace.settings.values.corners.patient_name
        return file_stem(self.workspace.viewer.volume, named=named)

    def _title(self) -> None:
        volume, words = self.workspace.viewer.volume, []
        if volume is not None:
            info = volume.info
            if self.workspace.settings.values.corners.patient_name:
                whose = person_name(info.patient_name), info.patient_id
                words.append(" · ".join(filter(None, whose)))
            words.append(volume.name)
        self.setWindowTitle(" — ".join(filter(None, (*words, "Med-2E3 viewer"))))

    # --- commands of the window ------------------------------------------------------------

    def load_model(self, name: str) -> None:
        """Load a model by name or folder, and remember it where it works."""
        self.workspace.tasks.start(self._load_model(name))

    async def _load_model(self, name: str) -> None:
        if await self.workspace.assistant.load_model(name):
            settings = self.workspace.settings
            settings.set("model", name)
            settings.save()

    def _choose_model(self) -> None:
        ask_for_folder(self, "Folder with a model", lambda path: self.load_model(str(path)))

    def _one_to_one(self) -> None:
        view = self.pictures.view()
        view.viewer.one_to_one(view.plane, view.width(), view.height())

    def _grow_region(self) -> None:
        growing = self.workspace.growing
        growing.start()
        if growing.wanted is not None:
            if self.growing is None:
                self.growing = GrowDialog(growing, self)
            self.growing.refresh()
            self.growing.show()

    def _take_brush(self) -> None:
        workspace = self.workspace
        workspace.viewer.choose_tool(BRUSH)
        if self.brush is None:
            self.brush = BrushDialog(workspace.brush, workspace.viewer, self)
        self.brush.refresh()
        self.brush.show()

    def _segment_by_clicks(self) -> None:
        """Give prompts to the server of the preferences; without one, a region by its values."""
        workspace = self.workspace
        if not workspace.clicking.url:
            workspace.notices.show(Message(NO_SERVER, is_good=True))
            self._grow_region()
            return
        workspace.viewer.choose_tool(CLICKS)
        if self.clicks is None:
            self.clicks = ClickDialog(workspace.clicking, workspace.viewer, self)
        self.clicks.refresh()
        self.clicks.show()

    def _paint_on(self, layer: Layer, value: int) -> None:
        self.workspace.brush.choose(layer, value)
        self._take_brush()

    def _save_series(self) -> None:
        viewer = self.workspace.compare.hand
        if viewer.volume is not None:
            DeidentifyDialog(viewer.volume, self.workspace.exporter, self).open()

    def assistant_for_question(self) -> None:
        """Bring the question box into view, ready for keys."""
        self.assistant.show()
        self.assistant.tall.setChecked(False)
        self.assistant.ask_box.line.setFocus()

    def _escape(self) -> None:
        if self.help.isVisible():
            self.help.hide()
        elif self.workspace.books.busy or self.workspace.assistant.running is None:
            self.workspace.books.cancel()
        else:
            self.workspace.assistant.stop()

    # --- events ----------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Keep a key that is typed into a text from running a command."""
        if event.type() == QEvent.Type.ShortcutOverride:
            assert isinstance(event, QKeyEvent)
            if is_typed(event):
                event.accept()
                return True
        elif event.type() == QEvent.Type.WindowDeactivate:
            self.workspace.viewer.hold_space(False)  # another window hears it being let go
        return super().event(event)

    def showEvent(self, event: QShowEvent) -> None:
        """Open the second window where it was open when the program was closed."""
        super().showEvent(event)
        self.second.refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the help and the command palette as large as the window."""
        super().resizeEvent(event)
        self.help.cover()
        self.dialogs.cover()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle keys that no text or list took: slices of the active plane, and panning."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.workspace.viewer.hold_space(True)
        elif not self.key_bindings.navigate(event, self.commands):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Stop panning when Space is let go."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.workspace.viewer.hold_space(False)
        else:
            super().keyReleaseEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files and folders of this computer."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open the files and folders that were dropped, as one study."""
        places = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if places:
            event.acceptProposedAction()
            if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
                self.workspace.study.add([Path(place) for place in places])
                return
            first, *others = map(Path, places)
            self.workspace.study.start(Target(first, others=tuple(others)))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Save the places of the windows, and tell with `closed` that the program may end.

        What cannot be saved is asked about before.
        """
        if not self.question.allows():
            event.ignore()
            return
        self.second.end()
        settings = self.workspace.settings
        window_memory.remember(self, self.splitter, self.panels, settings)
        settings.save()
        self.closed.emit()
        event.accept()


def _later(
    commands: Callable[[], dict[str, Callable[[], object]]], name: str
) -> Callable[[], object]:
    """A command of a table that is made later."""
    return lambda: commands()[name]()
