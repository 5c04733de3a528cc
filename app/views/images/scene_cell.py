"""The 3D cell: the picture with its controls above, and the sliders of the clipping box below."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.imaging.camera import VIEW_NAMES
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.scene import Preset, Scene
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.window.layouts import SCENE, Layouts
from app.views.images.scene_view import SceneView
from app.views.parts.elided import ChoiceBox
from app.views.parts.range_slider import RangeSlider

#: The two ends of each axis of the clipping box, as its sliders are labelled.
AXES = (("R", "L"), ("A", "P"), ("I", "S"))

#: Space between the sliders of two axes, in logical pixels.
AXES_APART = 12

#: Where the buttons of the sides stand in the line of controls.
SIDES_AT = 2

#: Narrower than this no cell is; its buttons come closer instead of making other cells narrow.
NARROWEST = 180


class SceneCell(QWidget):
    """Controls, picture, sliders."""

    def __init__(self, scene: Scene, viewer: Viewer, layouts: Layouts, overlays: Overlays) -> None:
        super().__init__()
        self._scene = scene
        self.view = SceneView(scene, viewer, lambda: layouts.toggle_alone(SCENE), overlays)
        self.presets = self._make_presets()
        self.sides = {side: self._button(side, VIEW_NAMES[side]) for side in VIEW_NAMES}
        self.clip = self._button("Clip", "Clipping box: drag its handles, or the sliders below")
        self.clip.setCheckable(True)
        self.retry = self._button("Try again", "Make the picture again")
        self.reset = self._button("Reset", "From the front, fitting, nothing clipped")
        self.box = ClipSliders(scene)
        for side, button in self.sides.items():
            button.clicked.connect(lambda _=False, s=side: scene.face(s))
        self.clip.clicked.connect(lambda _=False: scene.toggle_clipping())
        self.retry.clicked.connect(lambda _=False: scene.retry())
        self.reset.clicked.connect(lambda _=False: scene.reset())
        self._lay_out()
        self.setAutoFillBackground(True)  # its controls stand on the theme's ground, not on images'
        self.setMinimumWidth(NARROWEST)
        scene.changed.connect(self.refresh)
        scene.frame_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over preset and box."""
        self.presets.setCurrentText(str(self._scene.look.preset))
        self.clip.setChecked(self._scene.clipping)
        self.box.setVisible(self._scene.clipping)
        self.retry.setVisible(self._scene.message is not None)
        self.box.refresh()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The six sides stand in a line of their own where one line has no room for all."""
        super().resizeEvent(event)
        buttons = (self.presets, self._all_sides, self.clip, self.reset)
        needed = sum(widget.sizeHint().width() for widget in buttons) + 12
        if needed > self.width():
            self._below.insertWidget(0, self._all_sides)
        else:
            self._row.insertWidget(SIDES_AT, self._all_sides)

    def _make_presets(self) -> ChoiceBox:
        box = ChoiceBox()
        box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        box.setToolTip("What is opaque (Shift + drag up or down shifts it)")
        box.addItems([str(preset) for preset in Preset])
        box.textActivated.connect(lambda name: self._scene.use_preset(Preset(name)))
        return box

    def _button(self, text: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setProperty("narrow", True)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        return button

    def _lay_out(self) -> None:
        self._row, self._below = QHBoxLayout(), QHBoxLayout()
        self._all_sides = QWidget()
        sides = QHBoxLayout(self._all_sides)
        sides.setContentsMargins(0, 0, 0, 0)
        sides.setSpacing(0)
        for button in self.sides.values():
            sides.addWidget(button)
        for widget in (self.presets, self._all_sides, self.clip, self.reset, self.retry):
            self._row.addWidget(widget)
        self._row.insertSpacing(1, 4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for row in (self._row, self._below):
            row.setContentsMargins(4, 2, 4, 2)
            row.setSpacing(0)
            row.addStretch(1)
            column.addLayout(row)
        self._below.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.view, 1)
        column.addWidget(self.box)


class ClipSliders(QWidget):
    """One slider an axis of the patient."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._scene = scene
        self.sliders: list[RangeSlider] = []
        grid = QGridLayout(self)
        grid.setContentsMargins(8, 2, 8, 2)
        for axis, (first, last) in enumerate(AXES):
            slider = RangeSlider(f"Clip from {first} to {last}")
            slider.moved.connect(lambda end, at, k=axis: scene.clip_to(k, end, at))
            grid.addWidget(QLabel(first), 0, axis * 4)
            grid.addWidget(slider, 0, axis * 4 + 1)
            grid.addWidget(QLabel(last), 0, axis * 4 + 2)
            self.sliders.append(slider)
            if axis:  # the ends of two axes must not read as one word
                grid.setColumnMinimumWidth(axis * 4 - 1, AXES_APART)

    def refresh(self) -> None:
        """Take over the box."""
        for slider, (low, high) in zip(self.sliders, self._scene.look.clip, strict=True):
            slider.show_values(low, high)
