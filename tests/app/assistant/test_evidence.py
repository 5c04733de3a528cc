"""How sure an answer is, and tests of it, in the window with the demo model itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument
from PySide6.QtTest import QTest

from app.viewmodels.assistant.answers import TurnState
from app.viewmodels.assistant.evidence import TESTS, parse_slices
from med2e3.evidence.interventions import TESTS as ALL_TESTS
from med2e3.io.write import write_nifti
from med2e3.phantoms import make_phantom
from med2e3.words import percent_text
from tests.app.conftest import Gui


def _click(gui: Gui, button: Any) -> None:
    gui.do(lambda: QTest.mouseClick(button, Qt.MouseButton.LeftButton))


def _finish(gui: Gui) -> Any:
    evidence = gui.workspace.evidence

    async def finish() -> None:
        while evidence.tested is not None:
            await asyncio.sleep(0.01)

    gui.run(finish(), seconds=100)  # eight tests, on a machine that does other work beside
    return evidence.turn


def test_the_window_offers_every_test_of_the_engine_by_its_name() -> None:
    assert [row.name for row in TESTS] != []
    assert {row.name for row in TESTS} == set(ALL_TESTS)
    for row in TESTS:
        assert row.needs_scores == ALL_TESTS[row.name].needs_scores
        assert row.needs_other == ALL_TESTS[row.name].needs_other


def test_an_answer_says_how_sure_it_is_on_its_card_and_in_the_tab(demo: Gui) -> None:
    turn = demo.ask("Is there a lung nodule?")
    assert turn.state is TurnState.DONE
    assert turn.certainty is not None
    assert turn.certainty.probability == pytest.approx(
        float(np.prod(turn.record["token_probabilities"])), rel=1e-5
    )
    card = demo.window.assistant.chat.cards[-1]
    assert "probability" in card.status.text().replace("\xa0", " ")
    tab = demo.window.assistant.evidence
    assert "Probability of this answer" in tab.certainty.sure.text()
    assert tab.certainty.known.text() == turn.certainty.known
    assert turn.certainty.known in turn.certainty.sentence
    assert "Yes" in tab.certainty.options.text()
    assert "No" in tab.certainty.options.text()


def test_a_report_is_told_by_sentence_and_a_short_answer_is_not(demo: Gui) -> None:
    turn = demo.ask("Write a report of this scan.")
    assert turn.certainty is not None
    label = demo.window.assistant.evidence.certainty.sentences
    assert label.isVisibleTo(demo.window.assistant.evidence)
    document = QTextDocument()
    document.setHtml(label.text())
    cells = [text for text in document.toPlainText().splitlines() if text]
    sentences = turn.certainty.sentences
    assert len(sentences) > 3
    wanted = [text for one in sentences for text in (percent_text(one.probability), one.text)]
    assert cells == wanted
    demo.ask("Is there a lung nodule?")
    assert not label.isVisibleTo(demo.window.assistant.evidence)


def test_a_question_outside_the_training_is_said_to_be(demo: Gui) -> None:
    demo.ask("Is the appendix inflamed?")
    tab = demo.window.assistant.evidence
    assert "appendix" in tab.certainty.outside.text()
    card = demo.window.assistant.chat.cards[-1]
    assert "“appendix”" in card.outside.text()
    demo.ask("Is there a lung nodule?")
    assert not demo.window.assistant.chat.cards[-1].outside.text()


def test_tests_run_by_clicks_and_their_outcomes_stay_with_the_answer(demo: Gui) -> None:
    turn = demo.ask("What is the plane of this image?")
    tab = demo.window.assistant.evidence
    _click(demo, tab.buttons["leave-out"])
    assert demo.workspace.evidence.tested is turn
    assert not tab.buttons["blank"].isEnabled()
    _finish(demo)
    _click(demo, tab.buttons["blank"])
    _finish(demo)
    assert [one.test for one in turn.outcomes] == ["leave-out", "blank"]
    assert len(turn.outcomes[0].left_out) == 3
    assert [card.outcome for card in tab.cards] == list(turn.outcomes)
    assert tab.cards[1].sentence.text() == turn.outcomes[1].sentence
    other = demo.ask("Which contrast phase is this CT?")
    assert tab.cards == []
    demo.do(lambda: demo.assistant.choose(turn))
    assert [card.outcome for card in tab.cards] == list(turn.outcomes)
    assert other.outcomes == ()


def test_all_tests_but_those_that_lack_something(demo: Gui) -> None:
    turn = demo.ask("Is there a lung nodule?")
    tab = demo.window.assistant.evidence
    assert not tab.buttons["other-volume"].isEnabled()
    _click(demo, tab.all)
    _finish(demo)
    names = list(dict.fromkeys(one.test for one in turn.outcomes))
    assert names == [row.name for row in TESTS if not row.needs_other]
    assert sum(one.test == "rewordings" for one in turn.outcomes) >= 1
    assert turn.test_message is None


def test_chosen_slices_and_words_are_used_and_odd_ones_said(demo: Gui) -> None:
    turn = demo.ask("Is there a lung nodule?")
    tab = demo.window.assistant.evidence
    tab.slices.setText("99")
    _click(demo, tab.buttons["leave-out"])
    assert demo.workspace.evidence.tested is None
    assert "outside the model's slices, 1 to 32" in tab.problem.text()
    tab.slices.setText("3, 5-7")
    tab.wordings.setPlainText("Can you see a lung nodule?\n\n")
    _click(demo, tab.buttons["leave-out"])
    _finish(demo)
    _click(demo, tab.buttons["rewordings"])
    _finish(demo)
    assert turn.outcomes[0].left_out == (2, 4, 5, 6)
    assert "Can you see a lung nodule?" in turn.outcomes[1].setting
    assert not tab.problem.isVisibleTo(tab)


def test_a_stop_keeps_what_was_found_and_the_window_lives(demo: Gui) -> None:
    turn = demo.ask("Write a report of this scan.")
    tab = demo.window.assistant.evidence
    _click(demo, tab.all)
    demo.until(lambda: turn.outcomes)
    _click(demo, tab.stop)
    assert demo.workspace.evidence.tested is None
    found = turn.outcomes
    demo.ask("Is there a lung nodule?")
    assert turn.outcomes == found
    assert 0 < len(found) < len(TESTS)


def test_an_answer_that_came_back_with_its_series_is_tested_as_before(
    demo: Gui, tmp_path: Path, study: Path
) -> None:
    turn = demo.ask("Is there a lung nodule?")
    first = turn.outcomes
    demo.workspace.evidence.run(["blank"])
    _finish(demo)
    before = turn.outcomes
    other = write_nifti(make_phantom(4).volume, tmp_path / "other.nii.gz")
    assert demo.open(other)
    assert demo.workspace.evidence.turn is None
    assert demo.open(study)
    assert demo.workspace.evidence.turn is turn
    demo.workspace.evidence.run(["blank"])
    _finish(demo)
    assert turn.test_message is None
    assert first == ()
    assert turn.outcomes == before


def test_without_an_answer_the_tab_says_what_to_do(demo: Gui) -> None:
    tab = demo.window.assistant.evidence
    assert "Ask about this series" in tab.why_not.text()
    assert not tab.controls.isVisibleTo(tab)
    assert demo.workspace.evidence.tested is None


@pytest.mark.parametrize(
    ("text", "slices"), [("", ()), ("3", (2,)), ("5-7, 3", (2, 4, 5, 6)), ("1–2,2", (0, 1))]
)
def test_lists_of_slices(text: str, slices: tuple[int, ...]) -> None:
    assert parse_slices(text, 8) == slices


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "no slice"),
        ("3-", "“3-”"),
        ("0", "1 to 8"),
        ("7-9", "1 to 8"),
        ("5-3", "1 to 8"),
        ("1-8", "All 8"),
        ("²", "no slice"),
    ],
)
def test_odd_lists_of_slices_are_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="slice") as caught:
        parse_slices(text, 8)
    assert said in str(caught.value)
