"""All questions about a volume as rows: a click brings an answer back, Ctrl compares two."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from app.views.assistant.matrix_view import GAP, ROW, MatrixView
from tests.app.conftest import Gui


@pytest.fixture
def asked(open_gui: Gui) -> Gui:
    """Three answers; the first and the last look at the same slice."""
    for peak in (1, 6, 1):
        open_gui.engine.peak = peak
        open_gui.ask(f"What is in slice {peak}?")
    return open_gui


def _matrix(gui: Gui) -> MatrixView:
    panel = gui.window.assistant
    gui.do(lambda: panel.tabs.setCurrentWidget(panel.scores))
    return panel.scores.matrix


def _click(gui: Gui, row: int, held: Any = Qt.KeyboardModifier.NoModifier) -> None:
    rows = _matrix(gui).rows
    place = QPoint(5, row * (ROW + GAP) + ROW // 2)
    gui.do(lambda: QTest.mouseClick(rows, Qt.MouseButton.LeftButton, held, place))


def test_one_answer_is_no_matrix(open_gui: Gui) -> None:
    open_gui.ask()
    assert not _matrix(open_gui).isVisibleTo(open_gui.window.assistant.scores)


def test_rows_stand_as_asked_or_like_beside_like(asked: Gui) -> None:
    matrix = _matrix(asked)
    assert matrix.isVisibleTo(asked.window.assistant.scores)
    turns = asked.assistant.turns
    assert matrix.rows.turns == turns
    matrix.order.setCurrentIndex(1)
    asked.do(matrix.refresh)
    assert matrix.rows.turns == [turns[0], turns[2], turns[1]]


def test_a_click_brings_an_answer_back_and_ctrl_compares(asked: Gui) -> None:
    matrix, turns = _matrix(asked), asked.assistant.turns
    _click(asked, 0)
    assert asked.assistant.shown is turns[0]
    _click(asked, 1, Qt.KeyboardModifier.ControlModifier)
    assert asked.assistant.shown is turns[0]
    assert "correlation -0.14" in matrix.pair.text()  # one peak of eight, at different places
    _click(asked, 2, Qt.KeyboardModifier.ControlModifier)
    assert "correlation +1.00" in matrix.pair.text()
    assert "0.00 bits" in matrix.pair.text()
    _click(asked, 2, Qt.KeyboardModifier.ControlModifier)
    assert not matrix.pair.isVisibleTo(matrix)


def test_up_and_down_go_from_answer_to_answer(asked: Gui) -> None:
    rows, turns = _matrix(asked).rows, asked.assistant.turns
    assert asked.assistant.shown is turns[2]
    asked.do(lambda: QTest.keyClick(rows, Qt.Key.Key_Up))
    assert asked.assistant.shown is turns[1]
    asked.do(lambda: QTest.keyClick(rows, Qt.Key.Key_Up))
    asked.do(lambda: QTest.keyClick(rows, Qt.Key.Key_Up))
    assert asked.assistant.shown is turns[0]


def test_a_tip_names_question_answer_and_band(asked: Gui) -> None:
    rows = _matrix(asked).rows
    tip = rows.tip_at(QPointF(rows.width() - 2, 3))
    assert tip.startswith("What is in slice 1?\nThere is a nodule.\n")
    assert "uniform" in tip


def test_answers_in_another_plane_are_no_rows(asked: Gui) -> None:
    from med2e3.geometry import Plane

    asked.do(lambda: asked.assistant.give(Plane.CORONAL, "model default"))
    asked.ask("And now?")
    assert not _matrix(asked).isVisibleTo(asked.window.assistant.scores)
    asked.do(lambda: asked.assistant.choose(asked.assistant.turns[0]))
    assert _matrix(asked).rows.turns == asked.assistant.turns[:3]
