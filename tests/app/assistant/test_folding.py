"""Answers about series that are not open are folded away, kept, and there again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from med2e3.io import write_nifti
from tests.app.bodies import phantom


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_nifti(phantom("Other", value=300), tmp_path / "other.nii.gz")


def test_answers_about_another_series_are_folded_and_opened_by_a_click(
    open_gui: Any, nifti: Path, other: Path
) -> None:
    gui, chat = open_gui, open_gui.window.assistant.chat
    gui.ask("Is there a nodule?")
    gui.ask("Where is it?")
    assert not chat.folds
    assert gui.open(other)
    (fold,) = chat.folds
    assert fold.text().startswith("2 answers about phantom")
    assert fold.isVisible()
    assert [card.isVisible() for card in chat.cards] == [False, False]
    gui.ask("And here?")
    assert [card.isVisible() for card in chat.cards] == [False, False, True]
    gui.do(lambda: QTest.mouseClick(fold, Qt.MouseButton.LeftButton))
    assert all(card.isVisible() for card in chat.cards)
    assert chat.cards[0].answer.text() == "There is a nodule."
    gui.do(lambda: QTest.mouseClick(chat.folds[0], Qt.MouseButton.LeftButton))
    assert not chat.cards[0].isVisible()
    # Back at the first series its answers are open, and those about the other one are folded.
    assert gui.open(nifti)
    assert [card.isVisible() for card in chat.cards] == [True, True, False]
    assert chat.folds[0].text().startswith("1 answer about")


def test_what_the_engine_says_beside_an_answer_stands_on_its_card(open_gui: Any) -> None:
    said = "The answer may be 40 tokens long, since less memory was free than 256 need."
    real = open_gui.engine.load

    def load(name: str, **how: Any) -> Any:
        model = real(name, **how)
        read = model.read

        def reading(*args: Any, **kinds: Any) -> Any:
            session = read(*args, **kinds)
            ask = session.ask

            def asking(*questions: Any, **options: Any) -> Any:
                answer = ask(*questions, **options)
                answer.said = said
                return answer

            session.ask = asking
            return session

        model.read = reading
        return model

    open_gui.application.workspace.assistant._host._load_model = load
    open_gui.load_model()
    turn = open_gui.ask()
    assert turn.said == said
    assert said in open_gui.window.assistant.chat.cards[-1].status.text().replace("\u00a0", " ")
