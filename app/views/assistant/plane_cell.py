"""A plane's view with the strip of scores beside it where it is the model's plane."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.images.viewed import Viewed
from app.viewmodels.images.viewer import Viewer
from app.views.assistant.strip_view import StripView
from app.views.images.slice_slider import SliceSlider
from app.views.images.slice_view import SliceView
from med2e3.geometry import Plane


class PlaneCell(QWidget):
    """One of the cells in the centre."""

    def __init__(self, viewer: Viewer, assistant: Assistant, viewed: Viewed, plane: Plane) -> None:
        super().__init__()
        self.plane = plane
        self.view = SliceView(viewer, plane)
        self.slider = SliceSlider(self.view)
        self.strip = StripView(assistant, viewer, viewed, plane)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(1)
        row.addWidget(self.view, 1)
        row.addWidget(self.slider)
        row.addWidget(self.strip)
