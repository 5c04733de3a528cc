"""The attention of a word over the images: off at first, exact or not offered, gone in time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.rendering.overlay_pixels import PixelPlane, value_pixels
from app.viewmodels.assistant.answers import Asked, Turn, TurnState
from app.viewmodels.assistant.attention import NOTE, Part, WordMap, WordMaps
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Failed, Message
from app.viewmodels.images.layers import Layer
from med2e3.errors import QuestionError
from med2e3.evidence import attention as engine
from med2e3.geometry import Geometry
from tests.app.conftest import Gui


def _layers(gui: Gui) -> list[Layer]:
    return [layer for layer in gui.workspace.overlays.layers if layer.of_word]


def _show(gui: Gui, turn: Any) -> Any:
    card = next(c for c in gui.window.assistant.chat.cards if c.turn is turn)
    gui.do(lambda: gui.assistant.choose(turn))
    gui.do(lambda: QTest.mouseClick(card.attention, Qt.MouseButton.LeftButton))
    gui.until(lambda: turn.attention is not None or turn.attention_message is not None)
    return card


def test_a_word_is_chosen_in_the_card_and_its_map_lies_over_the_images(demo: Gui) -> None:
    assert engine.NOTE == NOTE
    turn = demo.ask("Is there a lung nodule?")
    assert _layers(demo) == []
    card = _show(demo, turn)
    assert NOTE in card.words.line.text()
    assert NOTE in card.attention.toolTip()
    found = turn.attention
    first = max(range(len(found.words)), key=lambda k: sum(found.shares(k)))
    (layer,) = _layers(demo)
    np.testing.assert_array_equal(layer.voxels, found.slices(first))
    assert layer.geometry is found.slices_grid
    assert (layer.note, layer.stepped) == (NOTE, True)
    assert layer.low == pytest.approx(found.slices(first).mean())
    assert found.words[first] in layer.name
    other = (first + 1) % len(found.words)
    demo.do(lambda: card.words.words.linkActivated.emit(str(other)))
    np.testing.assert_array_equal(_layers(demo)[0].voxels, found.slices(other))
    demo.do(lambda: card.words.line.linkActivated.emit(str(Part.VOLUME)))
    (layer,) = _layers(demo)
    np.testing.assert_array_equal(layer.voxels, found.volume(other))
    assert layer.geometry is found.volume_grid
    demo.do(lambda: demo.workspace.overlays.change(layer, opacity=0.8))
    demo.do(lambda: card.words.words.linkActivated.emit(str(first)))
    assert _layers(demo)[0].opacity == 0.8
    # Another answer has its own; an answer that comes back is not computed again.
    second = demo.ask("What is the plane of this image?")
    assert _layers(demo) == []
    assert not card.words.has_words
    assert card.answer.isVisibleTo(card)
    _show(demo, second)
    assert second.attention is not found
    assert not card.attention.isVisibleTo(card), "only the answer that is shown offers it"
    _show(demo, turn)
    assert demo.workspace.word_maps.turn is turn
    assert turn.attention is found
    demo.do(lambda: QTest.mouseClick(card.attention, Qt.MouseButton.LeftButton))
    assert demo.workspace.word_maps.turn is None
    assert _layers(demo) == []
    assert not card.attention.isChecked()


def _turn(**facts: Any) -> Turn:
    """A complete answer of the model "w" about the volume that is open."""
    asked = Asked(1, {}, None, None, "w")
    return Turn("?", "model", VOLUME, asked=asked, state=TurnState.DONE, **facts)


VOLUME: Any = object()


def _assistant(**model: Any) -> Any:
    told = SimpleNamespace(weights_sha256="w", quantize="", **model)
    return SimpleNamespace(
        model=told, chosen_changed=Signal(), about_open_volume=lambda turn: turn.volume is VOLUME,
        choose=lambda turn: None, shown=None,
    )  # fmt: skip


def _maps(assistant: Any) -> WordMaps:
    return WordMaps(
        assistant, SimpleNamespace(), SimpleNamespace(), lambda error: Message(str(error))
    )


def test_only_answers_whose_attention_is_exact_are_offered() -> None:
    assistant = _assistant()
    maps = _maps(assistant)
    assert maps.offered(_turn())
    assistant.model.quantize = "8bit"
    assert not maps.offered(_turn())
    assistant.model.quantize, assistant.model.weights_sha256 = "", "another"
    assert not maps.offered(_turn())
    assistant.model.weights_sha256 = "w"
    assert not maps.offered(_turn(attention_message=Message("Not exactly.")))
    away, untested = _turn(), _turn()
    away.volume, untested.asked = None, None
    assert not maps.offered(away)
    assert not maps.offered(untested)
    assistant.model = None
    assert not maps.offered(_turn())


def _found(*words: str, with_slices: bool = True) -> engine.Attention:
    """The later a word, the more it attends to the volume."""
    grid = Geometry.from_spacing((2, 2, 2), (1.0, 1.0, 1.0))
    amount = np.arange(1, len(words) + 1, dtype=np.float32) / 100
    return engine.Attention(
        words=words,
        scores=np.array([0.75, 0.25], np.float32) if with_slices else None,
        to_slices=np.ones((len(words), 2, 2), np.float32) * amount[:, None, None]
        if with_slices
        else None,
        to_volume=np.ones((len(words), 2, 2, 2), np.float32) * amount[:, None, None, None],
        slices_grid=grid if with_slices else None,
        volume_grid=grid,
        difference=0.0,
    )


def test_it_begins_with_the_word_that_attends_most_and_follows_clicks() -> None:
    assistant, shown = _assistant(), []
    maps = _maps(assistant)
    maps.shown.connect(shown.append)
    turn = _turn(attention=_found("on", "the", "right"))
    assistant.shown = turn
    maps.toggle(turn)
    assert shown[-1].name == "“right” (slices)"
    assert shown[-1].cells[0, 0, 0] == pytest.approx(0.75 * 0.03)
    assert maps.line == "“right”: 12 % to the slices, 24 % to the volume, 64 % to text. "
    maps.choose_word(0)
    maps.choose_part(Part.VOLUME)
    assert shown[-1].name == "“on” (volume)"
    maps.choose_word(99)
    assert maps.word == 0
    assistant.shown = None
    assistant.chosen_changed.emit()
    assert (maps.turn, shown[-1]) == (None, None)
    # Of a model without 2D tokens there is the other map alone.
    other = _turn(attention=_found("yes", with_slices=False))
    maps.part = Part.SLICES
    assistant.shown = other
    maps.toggle(other)
    assert maps.parts == (Part.VOLUME,)
    assert shown[-1].name == "“yes” (volume)"
    maps.toggle(other)
    assert maps.turn is None


def test_an_answer_that_is_not_had_again_says_why_and_offers_no_more() -> None:
    assistant, turn = _assistant(), _turn()

    class Failing:
        def attend(self, request: Any, listener: Any) -> Any:
            async def fail() -> Any:
                return Failed(QuestionError("The words are others."))

            return fail()

    async def work() -> None:
        tasks = Tasks(lambda error: pytest.fail(str(error)))
        maps = WordMaps(assistant, Failing(), tasks, lambda error: Message(str(error)))
        assistant.shown = turn
        maps.toggle(turn)
        assert maps.line == "Computing the attention of each word …"
        while maps.turn is not None:
            await asyncio.sleep(0)
        assert turn.attention_message == Message("The words are others.")
        assert not maps.offered(turn)

    asyncio.run(work())


def test_answers_that_cannot_be_tested_offer_no_attention(open_gui: Gui) -> None:
    turn = open_gui.ask()
    assert turn.asked is None
    (card,) = open_gui.window.assistant.chat.cards
    assert not card.attention.isVisibleTo(card)
    open_gui.do(lambda: open_gui.workspace.word_maps.toggle(turn))
    assert open_gui.workspace.word_maps.turn is None


def test_cells_are_shown_with_their_edges_from_an_equal_share_on(open_gui: Gui) -> None:
    """A map of 1 × 2 × 2 cells over 8 × 8 pixels: each cell is one square of one colour."""
    grid = Geometry.from_spacing((1, 2, 2), (10.0, 4.0, 4.0))
    cells = np.array([[[0.1, 0.2], [0.3, 0.8]]], np.float32)
    overlays = open_gui.workspace.overlays
    open_gui.do(lambda: overlays.show_word(WordMap("word", cells, grid), NOTE))
    (layer,) = _layers(open_gui)
    step = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    plane = PixelPlane(np.array([-1.5, -1.5, 0.0]), step[0], step[1], (8, 8))
    pixels = value_pixels(layer, plane)
    assert not pixels[:4].any(), "0.1 and 0.2 are below the mean of 0.35"
    assert not pixels[4:, :4].any()
    assert len(np.unique(pixels[4:, 4:])) == 1
    assert pixels[7, 7]
    open_gui.do(lambda: overlays.show_word(None, NOTE))
    assert _layers(open_gui) == []
