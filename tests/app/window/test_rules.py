"""Rules between features, each tried between the features that it connects."""

from __future__ import annotations

import ast
import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from app.viewmodels.assistant.assistant import ModelState
from app.viewmodels.assistant.attention import NOTE
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.cine import Cine
from app.viewmodels.images.compare import Compare
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.window import rules
from app.viewmodels.window.layouts import Kind, Layouts
from med2e3.geometry import Plane
from tests.app.bodies import phantom


class Model:
    """What the rules see of an assistant while a model loads."""

    def __init__(self) -> None:
        self.model_changed: Signal[[]] = Signal()
        self.model_state = ModelState.NONE

    def become(self, state: ModelState) -> None:
        self.model_state = state
        self.model_changed.emit()


class Garbage:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.paused = False
        self.frozen = 0

    def pause(self, *, paused: bool) -> None:
        self.paused = paused

    def freeze(self) -> None:
        self.frozen += 1


@pytest.fixture
def viewer() -> Viewer:
    made = Viewer()
    made.show(phantom())
    return made


def test_every_rule_is_connected() -> None:
    tree = ast.parse(inspect.getsource(rules))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    connects = functions.pop("connect_all")
    called = {node.func.id for node in ast.walk(connects) if isinstance(node, ast.Call)}
    assert called == set(functions)


def test_when_an_answer_drafts_the_report_the_report_has_its_text(open_gui: Any) -> None:
    turn = open_gui.do(lambda: open_gui.assistant.ask("Write a report.", is_report=True))
    open_gui.until(lambda: not turn.running)
    assert open_gui.workspace.report.text == turn.text != ""


def test_when_the_assistant_is_about_another_volume_so_is_the_report(open_gui: Any) -> None:
    other = phantom()
    open_gui.do(lambda: open_gui.assistant.enter(other))
    assert open_gui.workspace.report.volume is other


def test_when_another_answer_is_shown_what_it_draws_lies_over_the_images() -> None:
    assistant, shown = SimpleNamespace(drawn=Signal()), []
    overlays = SimpleNamespace(show_answer=lambda *drawn: shown.append(drawn))
    rules.what_answers_draw_lies_over_the_images(assistant, overlays)
    assistant.drawn.emit("Where?", ("a box",), ())
    assert shown == [("Where?", ("a box",), ())]


def test_when_a_word_is_chosen_its_attention_lies_over_the_images() -> None:
    word_maps, shown = SimpleNamespace(shown=Signal()), []
    overlays = SimpleNamespace(show_word=lambda *word: shown.append(word))
    rules.attention_of_a_word_lies_over_the_images(word_maps, overlays)
    word_maps.shown.emit("a map")
    word_maps.shown.emit(None)
    assert shown == [("a map", NOTE), (None, NOTE)]


def test_when_a_slice_is_marked_the_evidence_counts_it() -> None:
    annotations, evidence = SimpleNamespace(changed=Signal()), SimpleNamespace(changed=Signal())
    told = []
    evidence.changed.connect(lambda: told.append(1))
    rules.marking_a_slice_counts_as_evidence(annotations, evidence)
    annotations.changed.emit()
    assert told == [1]


def test_when_a_comparison_begins_cine_stops(viewer: Viewer) -> None:
    compare, cine = Compare(viewer), Cine(viewer)
    rules.comparing_stops_cine(compare, cine)
    cine.toggle()
    assert cine.playing
    compare.open(phantom())
    assert not cine.playing


def test_when_a_layout_is_chosen_no_plane_fills_the_centre_alone(viewer: Viewer) -> None:
    layouts = Layouts(Settings())
    rules.choosing_a_layout_shows_all_of_it(layouts, viewer)
    viewer.maximise(Plane.CORONAL)
    layouts.choose(Kind.SIDE)
    assert viewer.maximised is None


def test_when_a_series_was_loaded_beside_it_is_compared(open_gui: Any) -> None:
    series = open_gui.study.series[0]
    open_gui.do(lambda: open_gui.study.open_beside(series))
    open_gui.until(lambda: open_gui.workspace.compare.active)
    assert open_gui.workspace.compare.viewer.volume is open_gui.viewer.volume


def test_while_a_model_loads_no_garbage_is_collected() -> None:
    model, garbage = Model(), Garbage()
    rules.loading_a_model_pauses_garbage(model, garbage)
    model.become(ModelState.LOADING)
    assert garbage.paused
    for ended in (ModelState.READY, ModelState.FAILED, ModelState.NONE):
        model.become(ended)
        assert not garbage.paused
        model.become(ModelState.LOADING)


def test_when_a_model_is_ready_what_was_imported_is_frozen() -> None:
    model, garbage = Model(), Garbage()
    rules.ready_model_is_frozen(model, garbage)
    model.become(ModelState.LOADING)
    model.become(ModelState.FAILED)
    assert garbage.frozen == 0
    model.become(ModelState.READY)
    assert garbage.frozen == 1


def test_when_a_preference_of_the_images_changes_they_follow() -> None:
    settings, viewer = Settings(), Viewer()
    settings.set("letters", False)
    rules.preferences_dress_images(settings, viewer)
    assert not viewer.display.letters
    settings.update({"corner_text": False, "wheel": "zoom"})
    assert not viewer.corner_text
    assert viewer.mouse.wheel == "zoom"
    looked = []
    viewer.display_changed.connect(lambda: looked.append(1))
    settings.set("theme", "light")
    assert looked == []


def test_when_a_key_hides_the_crosshair_the_preferences_say_so() -> None:
    settings, viewer = Settings(), Viewer()
    rules.preferences_dress_images(settings, viewer)
    rules.hiding_lines_or_text_is_a_preference(viewer, settings)
    viewer.toggle_crosshair()
    viewer.toggle_corner_text()
    assert not settings.values.display.crosshair
    assert not settings.values.corners.corner_text
    settings.set("letters", False)
    assert (viewer.crosshair_visible, viewer.corner_text) == (False, False)
    settings.set("crosshair", True)
    assert viewer.crosshair_visible
