"""The conversation goes to models that take it; what has to be said of an answer stays with it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.viewmodels.assistant import exports
from app.viewmodels.assistant.assistant import WINDOW_CHOICES
from app.views.assistant.assistant_panel import UNTRAINED
from app.views.assistant.draft_question import DRAFT, LEAVE
from app.views.assistant.turn_card import status_of
from med2e3.io import write_dicom_series
from med2e3.phantoms.maker import NO_PHANTOM, PHANTOM_MAKER
from tests.app.bodies import phantom


@pytest.fixture
def talking(open_gui: Any) -> Any:
    """A window whose model was trained to read two turns before a question."""
    open_gui.engine.history_turns = 2
    open_gui.load_model()
    return open_gui


def test_a_question_is_read_after_the_last_turns_that_the_model_takes(talking: Any) -> None:
    for question in ("Is there a nodule?", "Where?", "How big?", "Right?"):
        talking.ask(question)
    said = "There is a nodule."
    assert talking.engine.histories == [
        (),
        (("Is there a nodule?", said),),
        (("Is there a nodule?", said), ("Where?", said)),
        (("Where?", said), ("How big?", said)),
    ]


def test_the_card_says_what_was_read_before_the_question(talking: Any) -> None:
    first, second = talking.ask("Is there a nodule?"), talking.ask("Where?")
    third = talking.ask("How big?")
    assert "before" not in status_of(first)
    assert "after 1 turn" in status_of(second)
    assert "after 2 turns" in status_of(third)


def test_a_ready_question_stands_alone_and_its_card_says_so(talking: Any) -> None:
    talking.ask("Is there a nodule?")
    box = talking.window.assistant.ask_box
    talking.do(box.ready[1].click)
    talking.until(lambda: talking.assistant.running is None)
    assert talking.engine.histories[-1] == ()
    assert "without what came before" in status_of(talking.assistant.turns[-1])


def test_a_model_without_conversations_gets_none(open_gui: Any) -> None:
    open_gui.ask("Is there a nodule?")
    turn = open_gui.ask("Where?")
    assert open_gui.engine.histories == [(), ()]
    assert "without what came before" in status_of(turn)


def test_answers_about_another_series_or_of_another_model_are_no_history(
    talking: Any, tmp_path: Path, nifti: Path
) -> None:
    talking.ask("Is there a nodule?")
    talking.load_model("other")
    assert talking.ask("Where?").read_after is None
    assert talking.engine.histories[-1] == ()


def test_windows_that_the_model_was_not_trained_in_are_marked(open_gui: Any) -> None:
    box = open_gui.window.assistant.ask_box.window_choice
    texts = [box.itemText(k) for k in range(box.count())]
    marked = {text.removesuffix(f" {UNTRAINED}") for text in texts if text.endswith(UNTRAINED)}
    plain = {text for text in texts if not text.endswith(UNTRAINED)}
    assert marked | plain == set(WINDOW_CHOICES)
    assert plain == {"model default", "soft tissue", "as displayed"}


def test_a_caution_stands_on_the_card_the_copy_the_table_and_the_report(open_gui: Any) -> None:
    open_gui.engine.cautions = (NO_PHANTOM,)
    box = open_gui.window.assistant.ask_box
    open_gui.do(box.ask_report)
    open_gui.until(lambda: open_gui.assistant.running is None)
    turn = open_gui.assistant.turns[-1]
    assert NO_PHANTOM in exports.answer_text(turn)
    rows = list(csv.DictReader(io.StringIO(exports.scores_csv(turn))))
    assert {row["cautions"] for row in rows} == {NO_PHANTOM}
    assert open_gui.workspace.report.text == f"{NO_PHANTOM}\nThere is a nodule."
    assert NO_PHANTOM in open_gui.workspace.report.export()


@pytest.fixture
def demo(gui: Any, tmp_path: Path) -> Any:
    """A window with a model of phantoms; `show(maker)` opens a series that this maker made."""
    gui.engine.is_demo = True

    def show(maker: str) -> None:
        volume = phantom()
        info = replace(volume.info, manufacturer=maker)
        folder = tmp_path / (maker or "nobody")
        folder.mkdir(exist_ok=True)
        write_dicom_series(replace(volume, info=info), folder)
        assert gui.open(folder)
        gui.load_model()

    gui.show = show
    return gui


def draft(gui: Any) -> Any:
    gui.do(gui.window.assistant.ask_box.ask_report)
    return gui.window.assistant.ask_box.draft_question


def answer(gui: Any, label: str) -> None:
    shown = gui.window.assistant.ask_box.draft_question.shown
    button = next(b for b in shown.buttons() if b.text().replace("&", "") == label)
    gui.do(button.click)
    gui.until(lambda: gui.assistant.running is None)


def test_a_model_of_phantoms_asks_once_before_it_drafts_of_another_series(demo: Any) -> None:
    demo.show("Scanners and Sons")
    assert NO_PHANTOM in draft(demo).shown.text()
    answer(demo, LEAVE)
    assert not demo.assistant.turns
    draft(demo)
    answer(demo, DRAFT)
    assert [turn.is_report for turn in demo.assistant.turns] == [True]
    assert draft(demo).shown is None
    demo.until(lambda: demo.assistant.running is None)
    assert len(demo.assistant.turns) == 2


def test_it_does_not_ask_before_it_drafts_of_a_phantom(demo: Any) -> None:
    demo.show(PHANTOM_MAKER)
    assert draft(demo).shown is None
    demo.until(lambda: demo.assistant.running is None)
    assert len(demo.assistant.turns) == 1


def test_it_does_not_ask_where_it_has_seen_that_the_series_is_like_one(demo: Any) -> None:
    demo.show("")
    assert draft(demo).shown is not None
    answer(demo, LEAVE)
    demo.ask("Is there a nodule?")
    assert draft(demo).shown is None
    demo.until(lambda: demo.assistant.running is None)
