"""The toolbar: open, tools, windows, view; each button a command of the table."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QComboBox, QMenu, QSizePolicy, QToolBar, QToolButton, QWidget

from app.viewmodels import windows
from app.viewmodels.study import Target
from app.viewmodels.viewer import VIEW_TOOLS, Tool
from app.viewmodels.workspace import Workspace
from app.views.colour_button import ColourButton
from app.views.icons import dress
from app.views.measure_button import MeasureButton
from app.views.view_tools import ViewTools
from med2e3.volume import WINDOWS

#: What the box says while the window is none of the presets.
CUSTOM = "window"

_ICONS = {
    "open_files": "open",
    "open_folder": "folder",
    "open_demo": "demo",
    "crosshair_tool": "crosshair",
    "window_tool": "window",
    "zoom_tool": "zoom",
    "pan_tool": "pan",
    **{f"{tool}_tool": f"measure_{tool}" for tool in Tool if tool not in VIEW_TOOLS},
    "key_image": "key_image",
    "undo": "undo",
    "redo": "redo",
    "delete": "delete",
    "invert": "invert",
    "reset": "reset",
    "toggle_text": "text",
    "theme": "theme",
    "help": "help",
}


class ToolBar(QToolBar):
    """Along the top of the window."""

    def __init__(self, workspace: Workspace, actions: dict[str, QAction]) -> None:
        super().__init__("Tools")
        self._workspace = workspace
        self._viewer = workspace.viewer
        self._actions = actions
        self.setMovable(False)
        self.setIconSize(QSize(20, 20))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        for name, symbol in _ICONS.items():
            dress(actions[name], symbol)
        self._add_open()
        self.addSeparator()
        self._add_tools()
        self.addSeparator()
        self.presets = self._add_presets()
        others = [actions[name] for name in ("open_overlay", "toggle_scene")]
        self.colours = ColourButton(self._viewer, others)
        self.addWidget(self.colours)
        for name in ("invert", "reset", "toggle_text"):
            self._add(name)
        self.addSeparator()
        self.views = ViewTools(self, workspace, actions)
        spacer = QWidget()
        spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(spacer)
        for name in ("theme", "help"):
            self._add(name)
        self._viewer.window_changed.connect(self.refresh)
        self._viewer.look_changed.connect(self.refresh)
        self._viewer.volume_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over tool and window."""
        for tool in Tool:
            self._actions[f"{tool}_tool"].setChecked(self._viewer.tool is tool)
        self._actions["invert"].setChecked(self._viewer.inverted)
        self._actions["toggle_text"].setChecked(self._viewer.corner_text)
        name, volume = self._viewer.preset, self._viewer.volume
        self.presets.setEnabled(volume is not None)
        self.presets.setCurrentIndex(self.presets.findData(name) if name else -1)
        self.presets.setPlaceholderText(
            windows.describe(self._viewer.window) if volume is not None else CUSTOM
        )

    def _add(self, name: str, *, text: bool = False) -> QToolButton:
        self.addAction(self._actions[name])
        button = self.widgetForAction(self._actions[name])
        assert isinstance(button, QToolButton)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        if text:
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        return button

    def _add_open(self) -> None:
        button = self._add("open_folder", text=True)
        self._actions["open_folder"].setIconText("Open")  # a button of an action follows it
        menu = QMenu(self)
        for name in ("open_folder", "open_files", "open_demo"):
            menu.addAction(self._actions[name])
        menu.addSeparator()
        menu.aboutToShow.connect(lambda: self._fill_recent(menu))
        button.setMenu(menu)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self._add("open_demo", text=True)
        self._actions["open_demo"].setIconText("Demo")

    def _fill_recent(self, menu: QMenu) -> None:
        for action in menu.actions()[4:]:
            menu.removeAction(action)
            action.deleteLater()
        for place in self._workspace.settings.values.recent:
            entry = menu.addAction(place)
            entry.triggered.connect(
                lambda _=False, p=place: self._workspace.study.start(Target(Path(p)))
            )
        if self._workspace.settings.values.recent:
            clear = menu.addAction("Clear this list")
            clear.triggered.connect(self._workspace.settings.forget_places)

    def _add_tools(self) -> None:
        group = QActionGroup(self)
        for tool in Tool:
            action = self._actions[f"{tool}_tool"]
            action.setCheckable(True)
            group.addAction(action)
            if tool in VIEW_TOOLS:
                self._add(f"{tool}_tool")
        self.measure = MeasureButton(self._viewer, self._actions)
        self.addWidget(self.measure)
        for name in ("undo", "redo"):
            self._add(name)
        for name in ("invert", "toggle_text"):
            self._actions[name].setCheckable(True)

    def _add_presets(self) -> QComboBox:
        box = QComboBox()
        box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        box.setMinimumWidth(150)
        box.setToolTip("Window/level presets (keys 1 to 7)")
        for k, name in enumerate(windows.PRESETS, start=1):
            known = WINDOWS.get(name)
            numbers = f"   {windows.describe(known)}" if known is not None else ""
            box.addItem(f"{k}  {name}{numbers}", name)
        box.activated.connect(lambda k: self._viewer.use_preset(box.itemData(k)))
        self.addWidget(box)
        return box
