"""The toolbar's buttons with menus: layout, slab, cine. Each entry calls a view-model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolBar, QToolButton

from app.imaging import slab
from app.viewmodels.images import cine
from app.viewmodels.images.side_by_side import SHAPES
from app.viewmodels.window.layouts import KIND_TITLES, Kind
from app.viewmodels.window.workspace import Workspace
from app.views.parts.icons import dress
from app.views.parts.keys import show_command
from app.views.window.layout_dialog import LayoutDialog


class ViewTools:
    """Adds its buttons to a toolbar and keeps their menus in step."""

    def __init__(
        self, toolbar: QToolBar, workspace: Workspace, actions: dict[str, QAction]
    ) -> None:
        self._toolbar = toolbar
        self._workspace = workspace
        self._actions = actions
        self.layout = self._button("layout", "layout:grid", self._fill_layout)
        self.slab = self._button("slab", "slab", self._fill_slab)
        self.cine = self._button("cine", "cine", self._fill_cine)
        self.slab.clicked.connect(actions["slab"].trigger)
        self.cine.clicked.connect(actions["cine"].trigger)
        for signal, show in (
            (workspace.layouts.changed, self._show_layout),
            (workspace.viewer.slab_changed, self._show_slab),
            (workspace.viewer.volume_changed, self._show_volume),
            (workspace.cine.changed, self._show_cine),
        ):
            signal.connect(show)
            show()

    def _show_volume(self) -> None:
        known = self._workspace.viewer.volume is not None
        for button in (self.layout, self.slab, self.cine):
            button.setEnabled(known)
        self._show_slab()

    def _show_layout(self) -> None:
        self.layout.setToolTip(f"Layout: {self._workspace.layouts.describe()}")

    def _show_slab(self) -> None:
        self.slab.setChecked(self._workspace.viewer.slab.thickness_mm > 0)

    def _show_cine(self) -> None:
        playing = self._workspace.cine.playing
        self.cine.setChecked(playing)
        dress(self.cine, "stop" if playing else "cine")

    def _button(self, symbol: str, command: str, fill: Callable[[QMenu], None]) -> QToolButton:
        button = QToolButton()
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        dress(button, symbol)
        menu = QMenu(button)
        menu.aboutToShow.connect(menu.clear)
        menu.aboutToShow.connect(lambda: fill(menu))
        button.setMenu(menu)
        if symbol == "layout":
            button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        else:
            button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
            button.setCheckable(True)
            show_command(button, command)
        self._toolbar.addWidget(button)
        return button

    def _fill_layout(self, menu: QMenu) -> None:
        layouts, together = self._workspace.layouts, self._workspace.side_by_side
        for kind in Kind:
            chosen = layouts.shown_kind is kind and not together.active
            _choice(menu, KIND_TITLES[kind], chosen, _of(self._choose, kind))
        shapes = menu.addMenu("Series side by side")
        for rows, columns in SHAPES:
            chosen = together.active and together.shown_shape == (rows, columns)
            title = f"{rows} × {columns}"
            _choice(shapes, title, chosen, partial(together.choose, rows, columns))
        menu.addSeparator()
        for name, title in layouts.titles.items():
            chosen = layouts.main == name
            _choice(menu, f"{title} large, or alone", chosen, _of(layouts.choose_main, name))
        menu.addSeparator()
        second = menu.addMenu("In a second window")
        for name, title in layouts.titles.items():
            _choice(second, title, layouts.second == name, _of(layouts.detach, name))
        menu.addAction("Edit your own layout…").triggered.connect(self.edit)
        _choice(menu, "Arrange each series by its kind", layouts.hangs, layouts.toggle_hanging)
        if layouts.why:
            menu.addAction(layouts.why.capitalize()).setEnabled(False)

    def _choose(self, kind: Kind) -> None:
        """Planes of the open series again, in a layout of them."""
        if self._workspace.side_by_side.active:
            self._workspace.side_by_side.close()
        self._workspace.layouts.choose(kind)

    def edit(self) -> LayoutDialog:
        """Ask for the user's own layout."""
        dialog = LayoutDialog(self._workspace.layouts, self._toolbar.window())
        dialog.open()
        return dialog

    def _fill_slab(self, menu: QMenu) -> None:
        viewer = self._workspace.viewer
        now = viewer.slab
        _choice(
            menu,
            "Plane alone",
            not now.thickness_mm,
            lambda: viewer.set_slab(slab.Slab(0, now.mode)),
        )
        menu.addSeparator()
        for mode, title in slab.TITLES.items():
            _choice(menu, title, now.mode is mode, _of(viewer.set_slab, now.with_mode(mode)))
        menu.addSeparator()
        for mm in slab.THICKNESSES_MM:
            same = now.thickness_mm == mm
            _choice(menu, f"{mm:.0f} mm", same, _of(viewer.set_slab, slab.Slab(mm, now.mode)))
        menu.addSeparator()
        for name in ("straighten", "reference_lines"):
            menu.addAction(self._actions[name])

    def _fill_cine(self, menu: QMenu) -> None:
        player = self._workspace.cine
        for rate in cine.RATES:
            chosen = player.rate == rate
            _choice(menu, f"{rate} slices a second", chosen, _of(player.choose_rate, rate))
        menu.addSeparator()
        _choice(menu, "Again from the start", not player.bounces, _of(player.choose_bounce, False))
        _choice(menu, "To and fro", player.bounces, _of(player.choose_bounce, True))


def _of(act: Callable[..., object], value: object) -> Callable[[], object]:
    return lambda: act(value)


def _choice(menu: QMenu, title: str, chosen: bool, act: Callable[[], object]) -> None:
    action = menu.addAction(title)
    action.setCheckable(True)
    action.setChecked(chosen)
    action.triggered.connect(lambda _=False: act())
