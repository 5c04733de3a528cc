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

from app.viewmodels.core.signal import Signal
from app.viewmodels.study.study import Target
from app.viewmodels.window.commands import COMMANDS
from app.viewmodels.window.workspace import Workspace
from app.views.annotation.measurements_panel import MeasurementsPanel
from app.views.assistant.assistant_panel import AssistantPanel
from app.views.images.overlay_panel import OverlayPanel
from app.views.parts.column import Column
from app.views.parts.keys import Keys, is_typed
from app.views.parts.panels import Panels
from app.views.parts.saving import Saver
from app.views.study.empty_state import EmptyState
from app.views.study.series_panel import SeriesPanel
from app.views.study.tag_browser import TagBrowser
from app.views.window import actions, window_dialogs, window_memory
from app.views.window.bars import ErrorBar, LoadingBar, WarningBar
from app.views.window.centre import Centre
from app.views.window.help_overlay import HelpOverlay
from app.views.window.hint import Hint
from app.views.window.second_window import SecondWindow
from app.views.window.status import StatusLine
from app.views.window.toolbar import ToolBar

#: First widths of series list, images and assistant, in logical pixels.
WIDTHS = (240, 680, 360)


class MainWindow(QMainWindow):
    """Everything on the screen."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.closed: Signal[[]] = Signal()
        self.setWindowTitle("Med-2E3 viewer")
        self.setAcceptDrops(True)
        self.tags: TagBrowser | None = None
        self.commands = self._commands()
        self.actions_by_name = self._actions()
        self.tools = ToolBar(workspace, self.actions_by_name)
        self.addToolBar(self.tools)
        saver = Saver(self, workspace.exporter)
        self.series = SeriesPanel(workspace.study, workspace.viewer)
        empty = EmptyState(workspace.study, workspace.settings, self.commands)
        self.centre = Centre(workspace, empty)
        self.assistant = AssistantPanel(
            workspace.assistant, workspace.viewer, workspace.report, saver, self._model_actions()
        )
        self.measurements = MeasurementsPanel(workspace, saver, self.actions_by_name)
        self.assistant.tabs.addTab(self.measurements, "Measurements")
        self.errors = ErrorBar(workspace.notices)
        self.warnings = WarningBar(workspace.viewer)
        self.loading = LoadingBar(workspace.study)
        self.hint = Hint(workspace)
        self.splitter = self._lay_out()
        self.setStatusBar(StatusLine(workspace.viewer))
        self.help = HelpOverlay(self, workspace.shortcuts)
        self.dialogs = window_dialogs.WindowDialogs(self)
        self.keys = Keys(workspace, self, self.actions_by_name)
        self.keys.refresh()
        workspace.viewer.volume_changed.connect(self._title)
        self.second = SecondWindow(self)
        self.panels = {"series": self.series, "assistant": self.assistant}
        window_memory.restore(self, self.splitter, self.panels, workspace.settings.values)

    # --- building --------------------------------------------------------------------------

    def _commands(self) -> dict[str, Callable[[], object]]:
        return {
            **actions.bind(self.workspace, self),
            **self._library_commands(),
            "ask": lambda: self.assistant.ask_box.line.setFocus(),
            "draft_report": lambda: self.assistant.ask_box.ask_report(),
            "stop": self._escape,
            "toggle_series": lambda: self.series.setVisible(not self.series.isVisible()),
            "toggle_assistant": lambda: self.assistant.setVisible(not self.assistant.isVisible()),
            **window_dialogs.commands(self),
            "help": lambda: self.help.toggle(),
            "quit": self.close,
        }

    def _library_commands(self) -> dict[str, Callable[[], object]]:
        return {
            "search_series": self._search_series,
            "tags": self.show_tags,
            "left_out": lambda: self.series.show_left_out(),
        }

    def _search_series(self) -> None:
        self.series.show()
        self.series.search.setFocus()

    def show_tags(self) -> TagBrowser:
        """The header of the displayed slice's file, beside the images."""
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
            "Model from a folder…": lambda: actions.choose_model(self, self.load_model),
        }

    def _lay_out(self) -> QSplitter:
        splitter = Panels()
        left = Column((self.series, OverlayPanel(self.workspace.overlays)))
        for panel in (left, self.centre, self.assistant):
            splitter.addWidget(panel)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes(WIDTHS)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for part in (self.errors, self.loading, self.warnings, self.hint):
            column.addWidget(part)
        column.addWidget(splitter, 1)
        self.setCentralWidget(body)
        return splitter

    def _title(self) -> None:
        volume = self.workspace.viewer.volume
        self.setWindowTitle(f"{volume.name} — Med-2E3 viewer" if volume else "Med-2E3 viewer")

    # --- commands of the window ------------------------------------------------------------

    def load_model(self, name: str) -> None:
        """Load a model by name or folder and remember it."""
        settings = self.workspace.settings
        settings.values.model = name
        settings.save()
        self.workspace.tasks.start(self.workspace.assistant.load_model(name))

    def _escape(self) -> None:
        if self.help.isVisible():
            self.help.hide()
        elif self.workspace.drawing.busy or self.workspace.assistant.running is None:
            self.workspace.drawing.cancel()
        else:
            self.workspace.assistant.stop()

    # --- events ----------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """A key typed into a text field is no command, even where the field has no use for it."""
        if event.type() == QEvent.Type.ShortcutOverride:
            assert isinstance(event, QKeyEvent)
            if is_typed(event):
                event.accept()
                return True
        elif event.type() == QEvent.Type.WindowDeactivate:
            self.workspace.viewer.hold_space(False)  # another window hears it being let go
        return super().event(event)

    def showEvent(self, event: QShowEvent) -> None:
        """The second window as it was when the program was closed."""
        super().showEvent(event)
        self.second.refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """What lies over the window stays as large as it is."""
        super().resizeEvent(event)
        self.help.cover()
        self.dialogs.cover()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that no text or list took: slices of the active plane, and Space for panning."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.workspace.viewer.hold_space(True)
        elif not self.keys.navigate(event, self.commands):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Space no longer pans."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.workspace.viewer.hold_space(False)
        else:
            super().keyReleaseEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files and folders of this computer are welcome."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        places = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if places:
            event.acceptProposedAction()
            first, *others = map(Path, places)
            self.workspace.study.start(Target(first, others=tuple(others)))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the windows; whoever runs the loop ends it."""
        self.second.end()
        values = self.workspace.settings.values
        window_memory.remember(self, self.splitter, self.panels, values)
        values.crosshair = self.workspace.viewer.crosshair_visible
        values.corner_text = self.workspace.viewer.corner_text
        self.workspace.settings.save()
        self.closed.emit()
        event.accept()
