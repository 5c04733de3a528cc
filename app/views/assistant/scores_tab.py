"""The scores of the shown answer in numbers: bars, effective slices, top bands, export."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.imaging import numbers
from app.viewmodels.assistant import exports
from app.viewmodels.assistant.answers import Turn
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.strip import BandCell, strip_of
from app.viewmodels.images.viewer import Viewer
from app.views.assistant.matrix_view import MatrixView
from app.views.assistant.score_bars import ScoreBars
from app.views.parts.export_button import export_button
from app.views.parts.file_dialogs import Saver

EXPLANATION = (
    "Weights of the slices' 2D features, fixed before the first word; ×1 is an equal share. "
    "No proof of what the answer rests on: the 3D features bypass them."
)


class ScoresTab(QScrollArea):
    """Numbers behind the strip; a click on a band brings the view there."""

    def __init__(self, assistant: Assistant, viewer: Viewer, saver: Saver) -> None:
        super().__init__()
        self._assistant = assistant
        self._viewer = viewer
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.bars = ScoreBars(self._jump)
        self.table = _table()
        self.table.itemClicked.connect(self._row_clicked)
        self.note = QLabel(EXPLANATION)
        self.note.setWordWrap(True)
        self.note.setProperty("dim", True)
        self.matrix = MatrixView(assistant)
        self.export = export_button(exports.FORMATS, lambda: assistant.shown, saver)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.export, 0, Qt.AlignmentFlag.AlignTop)
        body = QWidget()
        self.setWidget(body)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(body)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addWidget(self.bars)
        layout.addWidget(self.table)
        layout.addWidget(self.matrix)
        layout.addWidget(self.note)
        layout.addStretch(1)
        assistant.chosen_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the answer that is shown now."""
        turn = self._assistant.shown
        scores = turn.scores if turn is not None else None
        for widget in (self.bars, self.table, self.note, self.export):
            widget.setVisible(scores is not None)
        self.bars.show_strip(strip_of(turn) if scores is not None else None)
        self.title.setText(_title(turn))
        self.table.clear()
        if turn is not None and turn.seen is not None and scores is not None:
            axis = numbers.axis_of(turn.seen.plane)
            self.table.setHeaderLabels(["× uniform", "weight", f"{axis} mm", "slices"])
            for scored in scores.top(len(scores.values)):
                first, last = (n + 1 for n in scored.band.view_slices)
                span = f"{first}" if first == last else f"{first}–{last}"
                mm = numbers.mm_range(scored.band.from_mm, scored.band.to_mm)
                times = numbers.times(scored.times_uniform)
                item = QTreeWidgetItem([times, f"{scored.weight:.4f}", mm, span])
                item.setData(0, Qt.ItemDataRole.UserRole, scored.band.model_slice)
                self.table.addTopLevelItem(item)
            rows = self.table.topLevelItemCount() * self.table.sizeHintForRow(0)
            self.table.setFixedHeight(self.table.header().sizeHint().height() + rows + 4)

    def _row_clicked(self, item: QTreeWidgetItem) -> None:
        self._go(int(item.data(0, Qt.ItemDataRole.UserRole)))

    def _jump(self, cell: BandCell) -> None:
        self._go(cell.model_slice)

    def _go(self, model_slice: int) -> None:
        turn = self._assistant.shown
        if turn is not None and turn.seen is not None:
            self._viewer.go_to_slice(turn.seen.plane, turn.seen.centre_slice(model_slice))


def _title(turn: Turn | None) -> str:
    if turn is None:
        return "No answer about this series is chosen. Ask, or click an answer above."
    if not turn.has_scores:
        return f"{turn.model} gives no slice scores."
    if turn.scores is None:
        return f"“{turn.question}”: no scores yet."
    total = len(turn.scores.values)
    effective = turn.scores.effective_slices
    return f"“{turn.question}”\nspread over {effective:.1f} of {total} slices (effective number)"


def _table() -> QTreeWidget:
    table = QTreeWidget()
    table.setColumnCount(4)
    table.setRootIsDecorated(False)
    table.setUniformRowHeights(True)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    table.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.header().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
    table.header().setStretchLastSection(False)
    table.setToolTip("Click a band: the view goes there")
    return table
