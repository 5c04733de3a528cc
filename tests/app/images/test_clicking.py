"""Segmenting by clicks in the real window, with a server on this computer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from app.viewmodels.images.clicking import CLICKS, Drawn, enclosed, is_loopback, prompt_of
from med2e3.geometry import Geometry, Plane
from tests.app.bodies import phantom
from tests.app.images.click_server import Told, serving
from tests.app.images.test_brush import paint

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def served() -> Iterator[tuple[str, Told]]:
    with serving() as made:
        yield made


@pytest.fixture
def clicking(open_gui: Any, served: tuple[str, Told]) -> Any:
    """The tool in the hand, over the middle of the phantom."""
    middle = phantom().geometry.to_patient_mm([12.0, 20.0, 28.0])
    open_gui.do(lambda: open_gui.viewer.move_crosshair(middle))
    open_gui.workspace.settings.set("segmentation_server", served[0])
    open_gui.do(open_gui.window.actions_by_name["clicks_tool"].trigger)
    return open_gui.workspace.clicking


def done(gui: Any, clicking: Any) -> None:
    gui.until(lambda: not clicking.busy and not clicking.doing)


def test_a_click_sends_the_volume_once_and_lays_the_object_over(
    open_gui: Any, clicking: Any, served: tuple[str, Told]
) -> None:
    told = served[1]
    paint(open_gui, Plane.AXIAL, (20, 28), (20, 28))
    open_gui.until(lambda: clicking.layer is not None)
    assert np.array_equal(told.image, phantom().voxels)
    assert told.said == [{"positive_click": True, "voxel_coord": [12, 20, 28]}]
    assert clicking.layer.voxels.sum() == 125
    paint(open_gui, Plane.AXIAL, (20, 40), (20, 40))
    open_gui.until(lambda: len(told.said) == 2)
    done(open_gui, clicking)
    assert clicking.layer.voxels.sum() == 250
    assert told.paths.count("/upload_image") == 1
    assert "/upload_segment" not in told.paths[2:]
    paint(open_gui, Plane.AXIAL, (20, 40), (20, 40), held=CONTROL)
    open_gui.until(lambda: len(told.said) == 3)
    done(open_gui, clicking)
    assert told.said[-1]["positive_click"] is False
    assert clicking.layer.voxels.sum() == 125
    assert f"{clicking.layer.labels[0].millilitres:.2f} ml" in open_gui.window.clicks.words.text()


def test_box_scribble_and_lasso_are_sent_as_the_protocol_has_them(
    open_gui: Any, clicking: Any, served: tuple[str, Told]
) -> None:
    told, dialog = served[1], open_gui.window.clicks
    open_gui.do(dialog.ways[Drawn.BOX].click)
    paint(open_gui, Plane.AXIAL, (10, 14), (22, 30))
    open_gui.until(lambda: clicking.layer is not None)
    assert told.said[0]["outer_point_one"] == [12, 10, 14]
    assert told.said[0]["outer_point_two"] == [12, 22, 30]
    open_gui.do(dialog.ways[Drawn.SCRIBBLE].click)
    paint(open_gui, Plane.AXIAL, (20, 10), (20, 45))
    open_gui.until(lambda: len(told.said) == 2)
    done(open_gui, clicking)
    assert told.paths[-1] == "/add_scribble_interaction"
    assert told.said[1] >= 36
    assert clicking.layer.voxels[12, 20, 10:46].all()


def test_undo_goes_back_and_the_server_goes_on_from_there(
    open_gui: Any, clicking: Any, served: tuple[str, Told]
) -> None:
    told = served[1]
    for count, column in enumerate((20, 40), start=1):
        paint(open_gui, Plane.AXIAL, (20, column), (20, column))
        open_gui.until(lambda n=count: len(told.said) == n)
        done(open_gui, clicking)
    open_gui.do(open_gui.workspace.steps.undo)
    (layer,) = open_gui.workspace.overlays.layers
    assert layer.voxels.sum() == 125
    open_gui.do(clicking.begin_object)
    paint(open_gui, Plane.AXIAL, (30, 28), (30, 28))
    open_gui.until(lambda: len(told.said) == 3)
    done(open_gui, clicking)
    assert told.paths[-2] == "/upload_segment"
    assert [one.voxels.sum() for one in open_gui.workspace.overlays.layers] == [125, 125]


def test_a_server_elsewhere_gets_nothing_without_a_yes(
    open_gui: Any, clicking: Any, served: tuple[str, Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = served[1]
    monkeypatch.setattr("app.viewmodels.images.clicking.is_loopback", lambda url: False)
    question: list[QMessageBox] = []
    for wanted in ("Do not send", "Send the images"):
        paint(open_gui, Plane.AXIAL, (20, 28), (20, 28))
        open_gui.until(lambda: open_gui.window.clicks._question.shown is not None)
        question[:] = [open_gui.window.clicks._question.shown]
        assert "leave this computer" in question[0].text()
        assert told.paths == []
        (button,) = [one for one in question[0].buttons() if one.text() == wanted]
        open_gui.do(button.click)
        done(open_gui, clicking)
        if wanted == "Do not send":
            assert told.paths == []
            assert clicking.waiting is None
    open_gui.until(lambda: clicking.layer is not None)
    assert told.paths[0] == "/upload_image"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"status": "error", "message": "No image uploaded"}', "No image uploaded"),
        (b"\x1f\x8bnonsense", "damaged"),
        (b"\0\0\0", "another size"),
    ],
)
def test_what_the_server_gets_wrong_is_said_and_nothing_is_lost(
    open_gui: Any, clicking: Any, served: tuple[str, Told], answer: bytes, words: str
) -> None:
    served[1].answer = answer
    paint(open_gui, Plane.AXIAL, (20, 28), (20, 28))
    notices = open_gui.workspace.notices
    open_gui.until(lambda: notices.message is not None)
    assert words in notices.message.sentence
    assert served[0] in notices.message.sentence
    assert not open_gui.workspace.overlays.layers


def test_a_server_that_is_not_there_and_one_that_waits(
    open_gui: Any, clicking: Any, served: tuple[str, Told]
) -> None:
    notices = open_gui.workspace.notices
    open_gui.workspace.settings.set("segmentation_server", "http://127.0.0.1:9")
    paint(open_gui, Plane.AXIAL, (20, 28), (20, 28))
    open_gui.until(lambda: notices.message is not None)
    assert "nothing listens there" in notices.message.sentence
    open_gui.workspace.settings.set("segmentation_server", served[0])
    served[1].gate.clear()
    paint(open_gui, Plane.AXIAL, (20, 28), (20, 28))
    open_gui.until(lambda: served[1].paths)
    assert clicking.busy
    open_gui.do(open_gui.window.clicks.stop.click)
    assert not clicking.busy
    assert not open_gui.workspace.overlays.layers


def test_without_a_server_the_region_grower_answers(open_gui: Any) -> None:
    open_gui.do(open_gui.window.actions_by_name["clicks_tool"].trigger)
    assert open_gui.window.growing.isVisible()
    assert open_gui.viewer.tool != CLICKS
    assert "preferences" in open_gui.workspace.notices.message.sentence
    for text in ("ftp://localhost", "nonsense", "http://", "http://localhost:port"):
        open_gui.workspace.settings.set("segmentation_server", text)
        assert open_gui.workspace.clicking.url == ""


def test_only_this_computer_is_this_computer() -> None:
    for there in (
        "http://127.0.0.1:1527",
        "http://localhost",
        "http://[::1]:8",
        "http://127.9.9.9",
    ):
        assert is_loopback(there)
    for elsewhere in (
        "http://localhost.example.org",
        "http://10.0.0.1",
        "https://127.0.0.1.nip.io",
    ):
        assert not is_loopback(elsewhere)


def test_a_lasso_encloses_one_layer_of_voxels() -> None:
    grid = Geometry.from_spacing((9, 20, 24), (3.0, 1.0, 0.8))
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    centre = grid.to_patient_mm([4.0, 10.0, 12.0])
    path = centre + 5.0 * np.column_stack([np.cos(turns), np.sin(turns), 0 * turns])
    made = prompt_of(Drawn.LASSO, grid, path, np.array([0.0, 0.0, 1.0]), positive=True)
    assert made is not None
    assert made.mask is not None
    assert set(np.nonzero(made.mask)[0]) == {4}
    assert made.mask.sum() * 0.8 == pytest.approx(np.pi * 25, rel=0.06)
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4.0]])
    assert enclosed(np.array([[1.0, 1.0], [5.0, 1.0]]), square).tolist() == [True, False]
    far = np.full((4, 3), 999.0)
    for drawn in (Drawn.POINT, Drawn.LASSO, Drawn.SCRIBBLE):
        assert prompt_of(drawn, grid, far, np.array([0.0, 0.0, 1.0]), positive=True) is None
