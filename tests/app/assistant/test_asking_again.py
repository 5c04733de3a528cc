"""A question is changed and asked again, and others wait while one is answered."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest


def type_and_return(gui: Any, words: str) -> None:
    line = gui.window.assistant.ask_box.line
    gui.do(lambda: (QTest.keyClicks(line, words), QTest.keyClick(line, Qt.Key.Key_Return)))


def test_questions_wait_and_are_asked_in_their_order(open_gui: Any) -> None:
    box, assistant = open_gui.window.assistant.ask_box, open_gui.assistant
    open_gui.engine.gate.clear()
    open_gui.start("First?")
    type_and_return(open_gui, "Second?")
    type_and_return(open_gui, "Third?")
    assert assistant.waiting == ["Second?", "Third?"]
    assert box.line.text() == ""
    assert "2 questions waiting" in box.waiting.text()
    assert box.waiting.isVisibleTo(box)
    open_gui.engine.gate.set()
    open_gui.until(lambda: assistant.running is None and not assistant.waiting)
    assert [turn.question for turn in assistant.turns] == ["First?", "Second?", "Third?"]
    assert all(turn.complete for turn in assistant.turns)
    assert not box.waiting.isVisibleTo(box)


def test_stopping_asks_nothing_that_waits(open_gui: Any) -> None:
    open_gui.engine.gate.clear()
    open_gui.start("First?")
    type_and_return(open_gui, "Second?")
    open_gui.do(open_gui.assistant.stop)
    open_gui.engine.gate.set()
    assert open_gui.assistant.waiting == []
    assert len(open_gui.assistant.turns) == 1


def test_a_question_is_asked_again_or_changed_first(open_gui: Any) -> None:
    open_gui.ask("Is there a nodule?")
    (card,) = open_gui.window.assistant.chat.cards
    assert "demo" in card.status.text()  # the card names its model
    open_gui.do(card.again.click)
    open_gui.until(lambda: open_gui.assistant.running is None)
    assert [t.question for t in open_gui.assistant.turns] == ["Is there a nodule?"] * 2
    open_gui.do(card.edit.click)
    line = open_gui.window.assistant.ask_box.line
    assert line.text() == "Is there a nodule?"
    assert card.edit.accessibleName()
