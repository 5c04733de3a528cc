"""Words that are cut with dots where there is no room for them, and whole in the tooltip.

Qt's own label asks for the width of all its words, and its box of choices cuts them in a letter.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QTabBar,
    QWidget,
)

from app.views.parts.painting import painted
from app.views.parts.theme import mark

#: Letters that a line of words has room for at least.
FEWEST_LETTERS = 4

#: Choices that are seen at once; more of them scroll.
MOST_CHOICES = 24


class ElidedLabel(QLabel):
    """One line of words that never makes the window wider."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    @property
    def shown(self) -> str:
        """What is written: the text, or its beginning and dots."""
        room = self.contentsRect().width()
        return self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room)

    def setText(self, text: str) -> None:
        """Show another text."""
        super().setText(text)
        self._tell()

    def minimumSizeHint(self) -> QSize:
        """Room for `FEWEST_LETTERS` letters."""
        least = FEWEST_LETTERS * self.fontMetrics().averageCharWidth()
        return QSize(min(least, self.sizeHint().width()), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cut the text anew for another width."""
        super().resizeEvent(event)
        self._tell()

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Paint the text, cut, in the theme's colour of labels."""
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(self.contentsRect(), flags, self.shown)

    def _tell(self) -> None:
        self.setToolTip(self.text() if self.shown != self.text() else "")


#: A title of so few letters is never cut: nobody knows what "R…" is.
SHORT_TITLE = 8


class TabBar(QTabBar):
    """Tabs of which only long titles are cut where there is no room, after the space about all."""

    def minimumTabSizeHint(self, index: int) -> QSize:
        """Keep a short title whole."""
        if len(self.tabText(index)) <= SHORT_TITLE:
            return self.tabSizeHint(index)
        return super().minimumTabSizeHint(index)

    def fit(self, room: int) -> None:
        """Take the space about titles away where all of them do not fit into a width."""
        wanted = sum(self.fontMetrics().horizontalAdvance(self.tabText(k)) + TAB_PADDING
                     for k in range(self.count()))  # fmt: skip
        mark(self, "narrow", wanted > room)


#: Left and right of the title of a tab, in logical pixels.
TAB_PADDING = 24

#: Left and right of a choice in the open list, in logical pixels.
POPUP_EDGES = 24


class ChoiceBox(QComboBox):
    """A box of choices that may be narrower than they are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMaxVisibleItems(MOST_CHOICES)

    def showPopup(self) -> None:
        """Open the list as wide as its longest choice, however narrow the box is."""
        view = self.view()
        edges = 2 * view.frameWidth() + POPUP_EDGES
        view.setMinimumWidth(max(view.sizeHintForColumn(0) + edges, self.width()))
        super().showPopup()

    @property
    def shown(self) -> str:
        """What is written in the closed box: the choice, or its beginning and dots."""
        return self._option().currentText

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Paint the box as Qt does, but with the choice cut by dots."""
        option, style = self._option(), self.style()
        style.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option, painter, self)
        style.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option, painter, self)

    def _option(self) -> QStyleOptionComboBox:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex() < 0:
            option.currentText = self.placeholderText()
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        picture = 0 if option.currentIcon.isNull() else option.iconSize.width() + 4
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, field.width() - picture - 2
        )
        return option
