"""Patient → study → series as a tree with thumbnails; what is in it decides the view-model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPixmap
from PySide6.QtWidgets import (
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
)

from app.viewmodels.browser import PatientRow, SeriesRow, StudyRow
from app.views import theme

#: Edge of a thumbnail, and space around it, in logical pixels.
THUMBNAIL = 48
MARGIN = 5

#: Where a tree item keeps its row, and its thumbnail.
ROW = Qt.ItemDataRole.UserRole
PICTURE = Qt.ItemDataRole.UserRole + 1


class SeriesDelegate(QStyledItemDelegate):
    """Paints a series: thumbnail, title, facts, marks; text that does not fit ends in dots."""

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """As high as thumbnail or text need."""
        row = index.data(ROW)
        metrics = QFontMetrics(option.font)
        if not isinstance(row, SeriesRow):
            return QSize(0, metrics.height() + 2 * MARGIN)
        text = len(row.lines) * metrics.lineSpacing()
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
        elif state & QStyle.StateFlag.State_MouseOver and row.summary.is_volume:
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
        shade = colours.text if row.summary.is_volume else colours.dim
        rows = [(row.title, shade), (row.facts, colours.dim), (row.marks, _mark_shade(row))]
        line = QRect(text.left(), text.top(), text.width(), metrics.lineSpacing())
        for words, shade in rows:
            if words:
                painter.setPen(QColor(shade))
                _line(painter, line, words)
                line.translate(0, metrics.lineSpacing())


def _mark_shade(row: SeriesRow) -> str:
    colours, facts = theme.current(), row.summary.facts
    return colours.warning if facts.lossy or facts.trouble else colours.dim


def _line(painter: QPainter, space: QRect, words: str) -> None:
    shown = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, space.width())
    flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    painter.drawText(space, flags, shown)


class StudyTree(QTreeWidget):
    """The tree; `rows` are what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderHidden(True)
        self.setIndentation(0)
        self.setRootIsDecorated(False)
        self.setMouseTracking(True)
        self.setItemDelegate(SeriesDelegate(self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QTreeWidget.ScrollMode.ScrollPerPixel)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.items: list[QTreeWidgetItem] = []

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
    """A thumbnail from grey pixels (row, column)."""
    pixels = np.ascontiguousarray(grey, np.uint8)
    rows, columns = pixels.shape
    image = QImage(pixels.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
    edge = round(THUMBNAIL * ratio)
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    pixmap = QPixmap.fromImage(image.copy()).scaled(edge, edge, keep, smooth)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
