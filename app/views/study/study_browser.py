"""Patient → study → series as a tree with thumbnails; what is in it decides the view-model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QMimeData, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QImage,
    QPainter,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
)

from app.viewmodels.study.browser import PatientRow, SeriesRow, StudyRow
from app.views.parts import theme
from app.views.parts.drop_target import dragged

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary

#: Edge of a thumbnail, and space around it, in logical pixels.
THUMBNAIL = 48
MARGIN = 5

#: Lines that a series' name may take.
TITLE_LINES = 2

#: What joins the facts of a series.
JOINT = " · "

#: Where a tree item keeps its row, and its thumbnail.
ROW = Qt.ItemDataRole.UserRole
PICTURE = Qt.ItemDataRole.UserRole + 1


class SeriesDelegate(QStyledItemDelegate):
    """Paints a series: thumbnail, title, facts, marks; text that does not fit ends in dots."""

    def _room(self) -> int:
        """The width of the words of a series."""
        tree = self.parent()
        width = tree.viewport().width() if isinstance(tree, QTreeWidget) else 0
        return width - THUMBNAIL - 4 * MARGIN

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """As high as thumbnail or text need."""
        row = index.data(ROW)
        metrics = QFontMetrics(option.font)
        if not isinstance(row, SeriesRow):
            return QSize(0, metrics.height() + 2 * MARGIN)
        text = len(written(row, metrics, self._room())) * metrics.lineSpacing()
        return QSize(0, max(THUMBNAIL, text) + 2 * MARGIN)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """One row."""
        row, colours = index.data(ROW), theme.current()
        painter.save()
        if isinstance(row, SeriesRow):
            self._series(painter, option, row, index.data(PICTURE))
        elif isinstance(row, StudyRow | PatientRow):
            mark = row.mark if isinstance(row, StudyRow) else ""
            font = QFont(option.font)
            font.setBold(isinstance(row, PatientRow))
            painter.setFont(font)
            painter.setPen(QColor(colours.text))
            space = option.rect.adjusted(0, 0, -MARGIN, 0)
            if mark:
                width = painter.fontMetrics().horizontalAdvance(mark) + MARGIN
                painter.setPen(QColor(colours.accent))
                flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                painter.drawText(space, flags, mark)
                space.adjust(0, 0, -width, 0)
                painter.setPen(QColor(colours.dim))
            _line(painter, space, row.title)
        painter.restore()

    def _series(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        row: SeriesRow,
        picture: QPixmap | None,
    ) -> None:
        colours, space = theme.current(), option.rect
        state = option.state
        if row.is_open:
            painter.fillRect(space, QColor(colours.button))
            painter.fillRect(QRect(space.left(), space.top(), 2, space.height()), colours.accent)
        elif state & QStyle.StateFlag.State_MouseOver and row.opens:
            painter.fillRect(space, QColor(colours.panel))
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QColor(colours.accent))
            painter.drawRect(space.adjusted(0, 0, -1, -1))
        frame = QRect(space.left() + MARGIN, space.top() + MARGIN, THUMBNAIL, THUMBNAIL)
        painter.fillRect(frame, theme.IMAGE_BACKGROUND)
        if isinstance(picture, QPixmap):
            size = picture.deviceIndependentSize().toSize()
            place = QRect(frame.topLeft(), size)
            place.moveCenter(frame.center())
            painter.drawPixmap(place, picture)
        metrics = painter.fontMetrics()
        text = space.adjusted(THUMBNAIL + 3 * MARGIN, MARGIN, -MARGIN, -MARGIN)
        line = QRect(text.left(), text.top(), text.width(), metrics.lineSpacing())
        for words, ink in written(row, metrics, text.width()):
            painter.setPen(QColor(getattr(colours, ink)))
            _line(painter, line, words)
            line.translate(0, metrics.lineSpacing())


def written(row: SeriesRow, metrics: QFontMetrics, width: int) -> list[tuple[str, str]]:
    """The lines of a series in a width, each with its ink: a name of a colour of the theme."""
    # A series' number stays before its name.
    title = _broken(row.title.replace("  ", "\u00a0\u00a0"), " ", metrics, width)
    shown = [*title[: TITLE_LINES - 1], " ".join(title[TITLE_LINES - 1 :])]
    lines = [(words, "text" if row.opens else "dim") for words in shown if words]
    facts = row.summary.facts
    if facts.lossy or facts.trouble:
        lines += [(words, "dim") for words in _broken(row.facts, JOINT, metrics, width)]
        return lines + [(words, "warning") for words in _broken(row.marks, JOINT, metrics, width)]
    both = JOINT.join(filter(None, (row.facts, row.marks)))
    return lines + [(words, "dim") for words in _broken(both, JOINT, metrics, width)]


def _broken(words: str, joint: str, metrics: QFontMetrics, width: int) -> list[str]:
    """Words in as few lines as they fit into, broken at the joints only."""
    lines: list[str] = []
    for part in words.split(joint) if words else ():
        longer = f"{lines[-1]}{joint}{part}" if lines else part
        if lines and metrics.horizontalAdvance(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def _line(painter: QPainter, space: QRect, words: str) -> None:
    shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, space.width())
    flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    painter.drawText(space, flags, shown)


class StudyTree(QTreeWidget):
    """The tree; `rows` are what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderHidden(True)
        self.setAccessibleName("Patients, studies and series")
        self.setIndentation(0)
        self.setRootIsDecorated(False)
        self.setMouseTracking(True)
        self.setItemDelegate(SeriesDelegate(self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QTreeWidget.ScrollMode.ScrollPerPixel)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.items: list[QTreeWidgetItem] = []
        #: The name of a series, by which it is known where it is dropped.
        self.name_of: Callable[[SeriesSummary], str] = lambda one: ""
        self.setDragEnabled(True)
        self.setDragDropMode(QTreeWidget.DragDropMode.DragOnly)

    def mimeData(self, items: Sequence[QTreeWidgetItem]) -> QMimeData:
        """What is dragged: the first series that can be seen."""
        rows = (item.data(0, ROW) for item in items)
        seen = (row.summary for row in rows if isinstance(row, SeriesRow) and row.opens)
        first = next(seen, None)
        return QMimeData() if first is None else dragged(self.name_of(first))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width breaks the words elsewhere, and rows are as high as their words."""
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()

    def show_rows(self, rows: tuple[PatientRow, ...]) -> None:
        """Take over the list; patients are named only where there are several."""
        at = self.verticalScrollBar().value()
        self.clear()
        self.items = []
        for patient in rows:
            root = self.invisibleRootItem()
            if len(rows) > 1:
                root = _item(root, patient, f"{patient.title}\n{patient.details}")
            for study in patient.studies:
                node = _item(root, study, f"{study.title}\n{study.mark}".strip())
                for series in study.series:
                    item = _item(node, series, series.tip)
                    item.setText(0, "\n".join(series.lines))
                    if series.is_open:
                        self.setCurrentItem(item)
                    self.items.append(item)
        self.expandAll()
        self.verticalScrollBar().setValue(at)


def _item(
    parent: QTreeWidgetItem, row: PatientRow | StudyRow | SeriesRow, tip: str
) -> QTreeWidgetItem:
    item = QTreeWidgetItem(parent)
    item.setData(0, ROW, row)
    item.setText(0, row.title)
    item.setToolTip(0, tip)
    if not isinstance(row, SeriesRow):
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
    return item


def pixmap_of(grey: NDArray[np.uint8], ratio: float) -> QPixmap:
    """A thumbnail from grey pixels (row, column), or from colours (row, column, 3)."""
    pixels = np.ascontiguousarray(grey, np.uint8)
    rows, columns = pixels.shape[:2]
    kind = QImage.Format.Format_RGB888 if pixels.ndim == 3 else QImage.Format.Format_Grayscale8
    image = QImage(pixels.data, columns, rows, pixels.strides[0], kind)
    edge = round(THUMBNAIL * ratio)
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    pixmap = QPixmap.fromImage(image.copy()).scaled(edge, edge, keep, smooth)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
