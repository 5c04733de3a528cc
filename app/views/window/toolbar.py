"""The toolbar: open, tools, windows, view; each button a command of the table.

Where the window is narrow it gives up words first, then the width of the box of windows, and last
the buttons of `LEAVING`, which then stand in a menu: nothing is lost, and the tools stay.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QSize, Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QResizeEvent
from PySide6.QtWidgets import QComboBox, QMenu, QSizePolicy, QToolBar, QToolButton, QWidget

from app.imaging import windows
from app.viewmodels.annotation import kinds
from app.viewmodels.images.brush import BRUSH
from app.viewmodels.images.clicking import CLICKS
from app.viewmodels.images.tools import Tool
from app.viewmodels.study.study import Target
from app.viewmodels.window.workspace import Workspace
from app.views.annotation.measure_button import MeasureButton
from app.views.images.colour_button import ColourButton
from app.views.parts.elided import ChoiceBox
from app.views.parts.icons import dress
from app.views.window.view_tools import ViewTools
from med2e3.volume import WINDOWS

#: Entries of the menu of opening before those of places.
OPENING = 5

#: What the box says while the window is none of the presets.
CUSTOM = "window"

#: What leaves the bar for the menu of more, in this order: what is needed least, and has a key.
LEAVING = (
    "open_demo", "preferences", "theme", "toggle_text", "help", "redo", "undo", "reset_view",
    "invert", "pan_tool", "scroll_tool", "zoom_tool", "window_tool",
)  # fmt: skip

#: What the menu of doors opens, in groups.
DOORS = (
    ("palette", "shortcuts", "preferences"),
    ("tags", "left_out", "open_overlay", "toggle_scene"),
    ("key_image", "hide_drawings", "to_report"),
    ("turn_quarter", "mirror", "upend", "one_to_one", "window_values"),
    ("copy_view", "save_view", "save_layout", "save_slices", "save_cine"),
)

#: Letters that the box of windows has room for at least.
FEWEST_LETTERS = 9

_ICONS = {
    "open_files": "open",
    "open_folder": "folder",
    "open_demo": "demo",
    "crosshair_tool": "crosshair",
    "window_tool": "window",
    "zoom_tool": "zoom",
    "pan_tool": "pan",
    "scroll_tool": "scroll",
    **{f"{tool.name}_tool": tool.icon for tool in kinds.tools()},
    "brush_tool": "brush",
    "key_image": "key_image",
    "undo": "undo",
    "redo": "redo",
    "delete": "delete",
    "invert": "invert",
    "reset_view": "fit",
    "reset": "reset",
    "turn_quarter": "turn_quarter",
    "mirror": "mirror",
    "upend": "upend",
    "copy_view": "copy",
    "save_view": "picture",
    "preferences": "settings",
    "tags": "series",
    "open_overlay": "open",
    "to_report": "report",
    "copy_value": "copy",
    "toggle_text": "text",
    "theme": "theme",
    "help": "help",
}


class ToolBar(QToolBar):
    """The toolbar along the top of the window."""

    def __init__(self, workspace: Workspace, actions: dict[str, QAction]) -> None:
        super().__init__("Tools")
        self._workspace = workspace
        self._viewer = workspace.viewer
        self._actions = actions
        self._tools: tuple[str, ...] = (
            *Tool,
            *(tool.name for tool in kinds.tools()),
            BRUSH,
            CLICKS,
        )
        self.setMovable(False)
        self.setIconSize(QSize(20, 20))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self._places: dict[str, QAction] = {}
        self._worded: list[QToolButton] = []
        for name, symbol in _ICONS.items():
            dress(actions[name], symbol)
        self.open_button = self._add_open()
        self.addSeparator()
        self._add_tools()
        self.addSeparator()
        self.presets = self._add_presets()
        others = [actions[name] for name in ("open_overlay", "toggle_scene")]
        self.colours = ColourButton(self._viewer, others)
        self.addWidget(self.colours)
        for name in ("invert", "reset_view", "toggle_text"):
            self._add(name)
        self.addSeparator()
        self.views = ViewTools(self, workspace, actions)
        spacer = QWidget()
        spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(spacer)
        self.more = self._add_more()
        self.doors = self._add_doors()
        for name in ("preferences", "theme", "help"):
            self._add(name)
        # A key for the volume beside checks its button here, too, which is about the open one.
        for viewer in workspace.side_by_side.viewers:
            viewer.window_changed.connect(self.refresh)
        for signal in (self._viewer.tool_changed, self._viewer.display_changed):
            signal.connect(self.refresh)
        self._viewer.volume_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show which tool and which window are in use."""
        for tool in self._tools:
            self._actions[f"{tool}_tool"].setChecked(self._viewer.tool == tool)
        self._actions["invert"].setChecked(self._viewer.inverted)
        self._actions["toggle_text"].setChecked(self._viewer.corner_text)
        name, volume = self._viewer.preset, self._viewer.volume
        self.presets.setEnabled(volume is not None)
        self.presets.setCurrentIndex(self.presets.findData(name) if name else -1)
        self.presets.setPlaceholderText(
            windows.describe(self._viewer.window) if volume is not None else CUSTOM
        )

    # --- as narrow as the window -----------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the buttons into another width."""
        super().resizeEvent(event)
        self.fit()

    def changeEvent(self, event: QEvent) -> None:
        """Fit the buttons anew for another size of text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            QTimer.singleShot(0, self, self.fit)  # when all of them have it

    def fit(self) -> None:
        """Leave out as little as the width asks for; see the head of this module."""
        for given_up in range(len(LEAVING) + 3):
            self._give_up(given_up)
            if self.sizeHint().width() <= self.width():
                return

    def _give_up(self, steps: int) -> None:
        """Leave out words at one step, width of the box at two, one button more at each next."""
        style = Qt.ToolButtonStyle
        words = style.ToolButtonTextBesideIcon if steps < 1 else style.ToolButtonIconOnly
        for button in self._worded:
            button.setToolButtonStyle(words)
        policy = QComboBox.SizeAdjustPolicy
        self.presets.setSizeAdjustPolicy(
            policy.AdjustToContents if steps < 2 else policy.AdjustToMinimumContentsLengthWithIcon
        )
        left = LEAVING[: max(steps - 2, 0)]
        for name, place in self._places.items():
            place.setVisible(name not in left)
        self._more_place.setVisible(bool(left))
        self._doors_place.setVisible(not left)  # its entries stand in the menu of more, too

    @property
    def left(self) -> tuple[str, ...]:
        """The commands that stand in the menu of more, since the bar has no room for them."""
        return tuple(n for n in _ICONS if n in self._places and not self._places[n].isVisible())

    def _add_doors(self) -> QToolButton:
        """Everything that has a window or a list of its own, in one menu with a visible door."""
        button = QToolButton()
        dress(button, "series")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setToolTip("More: commands, shortcuts, header, overlays, 3D, pictures")
        button.setAccessibleName("More")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        for group in DOORS:
            for name in group:
                menu.addAction(self._actions[name])
            menu.addSeparator()
        button.setMenu(menu)
        self._doors_place = self.addWidget(button)
        return button

    def _add_more(self) -> QToolButton:
        button = QToolButton()
        dress(button, "more")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setToolTip("What has no room here")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.aboutToShow.connect(menu.clear)
        menu.aboutToShow.connect(lambda: self._fill_more(menu))
        button.setMenu(menu)
        self._more_place = self.addWidget(button)
        return button

    def _fill_more(self, menu: QMenu) -> None:
        menu.addActions([self._actions[name] for name in self.left])
        for group in DOORS:
            menu.addSeparator()
            menu.addActions([self._actions[n] for n in group if n not in self.left])

    # --- building --------------------------------------------------------------------------

    def _add(self, name: str, *, text: bool = False) -> QToolButton:
        """Add a button of a command; a hidden action would be hidden in menus, too."""
        button = QToolButton()
        button.setDefaultAction(self._actions[name])
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        if text:
            self._worded.append(button)
        place = self._places[name] = self.addWidget(button)
        # Qt gives the button what its place has each time the place is shown or hidden.
        place.setEnabled(self._actions[name].isEnabled())
        self._actions[name].enabledChanged.connect(place.setEnabled)
        return button

    def _add_open(self) -> QToolButton:
        button = self._add("open_folder", text=True)
        self._actions["open_folder"].setIconText("Open")  # a button of an action follows it
        menu = QMenu(self)
        for name in ("open_folder", "open_files", "add_folder", "open_demo"):
            menu.addAction(self._actions[name])
        menu.addSeparator()
        menu.aboutToShow.connect(lambda: self._fill_recent(menu))
        button.setMenu(menu)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self._add("open_demo", text=True)
        self._actions["open_demo"].setIconText("Demo")
        return button

    def _fill_recent(self, menu: QMenu) -> None:
        for action in menu.actions()[OPENING:]:
            menu.removeAction(action)
            if action.parent() is menu:  # a command stands in other places too
                action.deleteLater()
        study = self._workspace.study
        for path in study.places:
            closing = menu.addAction(f"Close {path.name}")
            closing.triggered.connect(lambda _=False, p=path: study.close((p,)))
        if study.places:
            menu.addSeparator()
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
        for tool in self._tools:
            action = self._actions[f"{tool}_tool"]
            action.setCheckable(True)
            group.addAction(action)
        for tool in Tool:
            self._add(f"{tool}_tool")
        self.measure = MeasureButton(self._viewer, self._actions)
        self.addWidget(self.measure)
        for name in ("undo", "redo"):
            self._add(name)
        for name in ("invert", "toggle_text"):
            self._actions[name].setCheckable(True)

    def _add_presets(self) -> ChoiceBox:
        box = ChoiceBox()
        box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        box.setMinimumContentsLength(FEWEST_LETTERS)
        box.setToolTip(f"Window/level presets (keys 1 to {min(len(windows.PRESETS), 9)})")
        for k, name in enumerate(windows.PRESETS, start=1):
            known = WINDOWS.get(name)
            numbers = f"   {windows.describe(known)}" if known is not None else ""
            box.addItem(f"{k}  {name}{numbers}", name)
        box.activated.connect(lambda k: self._viewer.use_preset(box.itemData(k)))
        self.addWidget(box)
        return box
