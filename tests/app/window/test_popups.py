"""What opens over the window can be read: rows of drop-downs, menus, lists and tooltips.

Measured on painted pixels: the contrast (WCAG 2.2) of a row's ground and the ink farthest from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QHoverEvent, QImage, QMouseEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QMenu,
    QToolButton,
    QToolTip,
    QTreeWidget,
    QWidget,
)

#: The least contrast of text and its ground (WCAG 2.2, 1.4.3).
LEAST = 4.5


def luminance(colour: np.ndarray) -> np.ndarray:
    """Relative luminance (WCAG 2.2) of sRGB colours (..., 3) in 0..255."""
    part = colour / 255.0
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(widget: QWidget, place: QRect) -> float:
    """The contrast of what is painted in a part of a widget with the ground there."""
    window = widget.window()  # a view alone is grabbed without the ground below it
    here = QRect(widget.mapTo(window, place.topLeft()), place.size())
    image = window.grab(here).toImage().convertToFormat(QImage.Format.Format_RGB888)
    raw = np.frombuffer(image.constBits(), np.uint8)
    rows = raw.reshape(image.height(), image.bytesPerLine())[:, : image.width() * 3]
    pixels = rows.reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    ground = luminance(colours[counts.argmax()])
    light = luminance(colours)
    ratios = (np.maximum(light, ground) + 0.05) / (np.minimum(light, ground) + 0.05)
    return float(ratios.max())


def hover(widget: QWidget, at: QPoint) -> None:
    """Bring the mouse over a place of a widget."""
    point, there = QPointF(at), QPointF(widget.mapToGlobal(at))
    none, plain = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    move = QMouseEvent(QEvent.Type.MouseMove, point, there, none, none, plain)
    QApplication.sendEvent(widget, move)
    QApplication.sendEvent(
        widget, QHoverEvent(QEvent.Type.HoverMove, point, there, QPointF(-1, -1))
    )


def over(gui: Any, widget: QWidget, place: QRect) -> None:
    """Bring the mouse over the middle of a place."""
    gui.do(lambda: hover(widget, place.center()))


@pytest.fixture(params=["dark", "light"])
def themed(open_gui: Any, request: Any) -> Iterator[Any]:
    """The window in each theme, with a study, an answer and a measurement in it."""
    editor = open_gui.window.dialogs.editor
    open_gui.do(lambda: editor.set("theme", request.param))
    yield open_gui
    open_gui.do(lambda: editor.set("theme", "dark"))


def test_every_row_of_every_drop_down_can_be_read_under_the_mouse(themed: Any) -> None:
    themed.do(themed.window.dialogs.preferences)
    boxes = themed.window.findChildren(QComboBox)
    assert len(boxes) >= 8
    for box in boxes:
        if not box.count() or not box.isEnabled() or not box.isVisible():
            continue
        themed.do(box.showPopup)
        view = box.view()
        for row in range(box.count()):
            place = view.visualRect(box.model().index(row, 0))
            over(themed, view.viewport(), place)
            assert contrast(view.viewport(), place) >= LEAST, (box.toolTip(), box.itemText(row))
        themed.do(box.hidePopup)
    themed.do(themed.window.dialogs.shown.reject)


def test_every_entry_of_every_menu_can_be_read_under_the_mouse(themed: Any) -> None:
    seen = 0
    for button in themed.window.findChildren(QToolButton):
        menu = button.menu()
        if not isinstance(menu, QMenu) or not button.isVisible():
            continue
        themed.do(lambda menu=menu: menu.popup(themed.window.mapToGlobal(QPoint(10, 10))))
        for action in menu.actions():
            if action.isSeparator() or not action.isVisible():
                continue
            themed.do(lambda menu=menu, action=action: menu.setActiveAction(action))
            least = LEAST if action.isEnabled() else 3.0
            assert contrast(menu, menu.actionGeometry(action)) >= least, action.text()
            seen += 1
        themed.do(menu.hide)
    assert seen > 20


def test_a_tooltip_can_be_read(themed: Any) -> None:
    themed.do(lambda: QToolTip.showText(QPoint(50, 50), "Window: lung", themed.window))
    tips = [w for w in QApplication.topLevelWidgets() if w.metaObject().className() == "QTipLabel"]
    assert tips
    assert contrast(tips[-1], tips[-1].rect()) >= LEAST
    themed.do(QToolTip.hideText)


def test_rows_of_lists_can_be_read_hovered_and_chosen(themed: Any) -> None:
    themed.do(themed.window.dialogs.palette.toggle)
    trees = [t for t in themed.window.findChildren(QTreeWidget) if t.isVisible()]
    assert len(trees) >= 2
    for tree in trees:
        for k in range(min(tree.topLevelItemCount(), 6)):
            item = tree.topLevelItem(k)
            place = tree.visualItemRect(item)
            for act in (lambda: None, lambda item=item, tree=tree: tree.setCurrentItem(item)):
                themed.do(act)
                over(themed, tree.viewport(), place)
                assert contrast(tree.viewport(), place) >= 3.0, item.text(0)
    themed.do(themed.window.dialogs.palette.close_palette)
