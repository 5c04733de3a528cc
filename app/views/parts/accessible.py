"""Names of controls for screen readers, and the order in which Tab goes through them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QTextEdit,
    QWidget,
)

#: What a reader operates.
CONTROLS = (
    QAbstractButton, QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit,
    QPlainTextEdit, QTextEdit, QTabBar,
)  # fmt: skip

#: Parts that Qt makes within its own widgets, by how their names begin.
OF_QT = "qt_"

#: The distance of two rows of controls at least, in logical pixels.
ROW = 24


def controls(window: QWidget) -> list[QWidget]:
    """Every control of a window, without the parts that Qt makes within its own."""
    found = [child for child in window.findChildren(QWidget) if isinstance(child, CONTROLS)]
    return [control for control in found if not _is_a_part(control)]


def _is_a_part(control: QWidget) -> bool:
    """Whether a control is a scroll bar or header of a list, a popup or a line of a box."""
    if control.objectName().startswith(OF_QT):
        return True
    above = control.parentWidget()
    while above is not None and not above.isWindow():
        if above.objectName().startswith(OF_QT) and isinstance(control, QAbstractSlider):
            return True
        if isinstance(above, QComboBox | QAbstractSpinBox | QLineEdit | QAbstractItemView):
            return True
        above = above.parentWidget()
    return isinstance(above, QWidget) and isinstance(above.parent(), QComboBox)


def name_of(control: QWidget) -> str:
    """What a screen reader calls a control."""
    interface = QAccessible.queryAccessibleInterface(control)
    return "" if interface is None else interface.text(QAccessible.Text.Name)


def name_all(window: QWidget) -> None:
    """Give each control without a name the one that its tooltip or placeholder states."""
    for control in controls(window):
        if not name_of(control):
            placeholder = getattr(control, "placeholderText", str)()
            words = placeholder or control.toolTip().split("\n")[0]
            if words:
                control.setAccessibleName(words)


def order_tabs(window: QWidget, regions: Sequence[QWidget]) -> None:
    """Let Tab go region by region, and within each as the eye reads: by rows, then to the right."""
    last: QWidget | None = None
    for region in regions:
        children = region.findChildren(QWidget)
        inside = [one for one in children if one.window() is window and _takes_tab(one)]
        for widget in sorted(inside, key=lambda one: _place(one, window)):
            if last is not None:
                QWidget.setTabOrder(last, widget)
            last = widget


def _takes_tab(widget: QWidget) -> bool:
    if widget.objectName().startswith(OF_QT) or widget.focusProxy() is not None:
        return False
    return bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)


def _place(widget: QWidget, window: QWidget) -> tuple[int, int]:
    at = widget.mapTo(window, QPoint(0, 0))
    return at.y() // ROW, at.x()
