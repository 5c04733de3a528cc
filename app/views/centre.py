"""The images: three linked planes and what the model saw, or the invitation to open a study."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QStackedLayout, QWidget

from app.viewmodels.assistant import Assistant
from app.viewmodels.viewer import Viewer
from app.views.empty_state import EmptyState
from app.views.model_sheet import ModelSheet
from app.views.plane_cell import PlaneCell
from med2e3.geometry import Plane

#: Row and column of each plane; the contact sheet takes the fourth cell.
PLACES = {Plane.AXIAL: (0, 0), Plane.SAGITTAL: (0, 1), Plane.CORONAL: (1, 0)}
SHEET_PLACE = (1, 1)


class Centre(QWidget):
    """Two by two, or one plane alone."""

    def __init__(self, viewer: Viewer, assistant: Assistant, empty: EmptyState) -> None:
        super().__init__()
        self._viewer = viewer
        self.empty = empty
        self.sheet = ModelSheet(assistant, viewer)
        self.cells = {plane: PlaneCell(viewer, assistant, plane) for plane in PLACES}
        self.grid = QWidget()
        layout = QGridLayout(self.grid)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for plane, (row, column) in PLACES.items():
            layout.addWidget(self.cells[plane], row, column)
        layout.addWidget(self.sheet, *SHEET_PLACE)
        for k in range(2):
            layout.setRowStretch(k, 1)
            layout.setColumnStretch(k, 1)
        self._layout = layout
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.grid)
        viewer.volume_changed.connect(self.refresh)
        viewer.look_changed.connect(self._arrange)
        self.refresh()

    def refresh(self) -> None:
        """Images where a volume is open, the invitation where none is."""
        has_volume = self._viewer.volume is not None
        if not has_volume:
            self.empty.refresh()
        self._stack.setCurrentWidget(self.grid if has_volume else self.empty)
        self._arrange()

    def _arrange(self) -> None:
        alone = self._viewer.maximised
        for plane, cell in self.cells.items():
            cell.setVisible(alone in (None, plane))
        self.sheet.setVisible(alone is None)
        row, column = PLACES[alone] if alone is not None else (-1, -1)
        for k in range(2):
            self._layout.setRowStretch(k, 1 if alone is None or k == row else 0)
            self._layout.setColumnStretch(k, 1 if alone is None or k == column else 0)
