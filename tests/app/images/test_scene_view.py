"""The 3D cell in the real window, and which frames it asks for."""

from __future__ import annotations

import asyncio
import builtins
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.imaging.camera import Camera
from app.rendering import markings
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Message, Outcome, Stopped
from app.viewmodels.images.scene import WHOLE, FrameRequest, Preset, RenderedFrame, Scene
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.window.layouts import Kind
from app.views.images.scene_cell import SceneCell
from med2e3.geometry import Plane, direction_letters
from med2e3.volume import SeriesInfo
from tests.app.bodies import phantom


class FakeJob:
    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome[RenderedFrame]] = (
            asyncio.get_running_loop().create_future()
        )

    def cancel(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(Stopped())

    def __await__(self):
        return self.outcome.__await__()


class FakeRenderer:
    """Frames arrive when a test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[FrameRequest, FakeJob]] = []
        self.released = 0

    def render(self, volume, request, listener) -> FakeJob:
        self.asked.append((request, FakeJob()))
        return self.asked[-1][1]

    def release(self) -> None:
        self.released += 1

    async def deliver(self, seconds: float = 0.05) -> FrameRequest:
        request, job = self.asked[-1]
        pixels = np.zeros(request.size[::-1], np.uint32)
        job.outcome.set_result(
            Done(RenderedFrame(pixels, request.look, request.coarse, seconds, (1, 2, 5)))
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return request


def explain(error: BaseException) -> Message:
    return Message(str(error))


@pytest.fixture
async def scene() -> Any:
    viewer, renderer = Viewer(), FakeRenderer()
    made = Scene(viewer, renderer, Tasks(lambda error: pytest.fail(str(error))), explain)
    made.renderer, made.viewer = renderer, viewer
    viewer.show(phantom())
    made.resize((400, 300))
    made.show(shown=True)
    return made


async def test_a_change_is_seen_coarse_first_then_exact(scene: Any) -> None:
    renderer = scene.renderer
    first = await renderer.deliver()
    assert (first.coarse, first.size) == (True, (200, 150))
    second = await renderer.deliver()
    assert (second.coarse, second.size) == (False, (400, 300))
    assert len(renderer.asked) == 2  # and then nothing: the picture is settled
    scene.turn(10, 0)
    assert (await renderer.deliver()).coarse


async def test_a_drag_stops_the_exact_frame_but_lets_a_coarse_one_arrive(scene: Any) -> None:
    renderer = scene.renderer
    await renderer.deliver()
    exact = renderer.asked[-1][1]
    assert not renderer.asked[-1][0].coarse
    scene.turn(5, 0)
    assert isinstance(exact.outcome.result(), Stopped)
    coarse = renderer.asked[-1][1]
    scene.turn(5, 0)
    scene.turn(5, 0)
    assert not coarse.outcome.done()
    assert renderer.asked[-1][1] is coarse  # no queue grows behind it
    await renderer.deliver()
    assert renderer.asked[-1][0].look == scene.look  # the latest camera, the ones between left out


async def test_slow_coarse_frames_become_smaller(scene: Any) -> None:
    renderer = scene.renderer
    await renderer.deliver()
    widths = []
    for _ in range(4):
        scene.turn(5, 0)
        widths.append((await renderer.deliver(seconds=0.5)).size[0])
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0]
    assert widths[-1] >= 400 / 5


async def test_nobody_looking_no_volume_or_a_preview_asks_for_nothing() -> None:
    viewer, renderer = Viewer(), FakeRenderer()
    scene = Scene(viewer, renderer, Tasks(lambda _: None), explain)
    scene.resize((300, 300))
    scene.show(shown=True)
    assert not renderer.asked
    viewer.preview(phantom())
    assert not renderer.asked
    viewer.show(phantom())
    assert len(renderer.asked) == 1
    viewer.show(None)
    assert renderer.released == 2  # at the preview, too: its memory is needed elsewhere
    scene.show(shown=False)
    viewer.show(phantom())
    assert len(renderer.asked) == 1


async def test_a_failure_is_a_sentence_and_is_tried_again_only_on_request(scene: Any) -> None:
    renderer = scene.renderer
    renderer.asked[-1][1].outcome.set_result(Failed(RuntimeError("no memory")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.message.sentence == "no memory"
    scene.turn(4, 4)
    assert len(renderer.asked) == 1
    scene.retry()
    assert len(renderer.asked) == 2


async def test_large_volumes_say_what_is_shown(scene: Any) -> None:
    await scene.renderer.deliver()
    assert scene.note == ""
    request, job = scene.renderer.asked[-1]
    pixels = np.zeros((2, 2), np.uint32)
    job.outcome.set_result(Done(RenderedFrame(pixels, request.look, False, 0.1, (2.0, 4.0, 5.0))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scene.note == "large volume: shown at 2.0 × 4.0 × 5.0 mm of 1.0 × 2.0 × 5.0 mm"


# --- the real window ---------------------------------------------------------------------------


@pytest.fixture
def shown(gui: Any, nifti: Any) -> Any:
    """The window with the phantom open and 3D in its fourth cell, its exact frame there."""
    assert gui.open(nifti)
    gui.key(Qt.Key.Key_V)
    gui.scene = gui.workspace.scene
    gui.cell = gui.window.centre.cell("3d")
    gui.until(lambda: settled(gui))
    return gui


def settled(gui: Any) -> bool:
    frame = gui.scene.frame
    return frame is not None and not frame.coarse and frame.look == gui.scene.look


def bright(gui: Any) -> np.ndarray:
    """Where the picture is lit, without what is written at its edges."""
    pixels = gui.pixels(gui.cell.view).astype(int)
    pixels[:34] = pixels[-70:] = 0
    pixels[:, :26] = pixels[:, -26:] = 0
    return pixels.sum(axis=2) > 90


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"modality": "CT"}, "−30 HU"),
        ({"modality": "CT", "unit": "US"}, "−30"),
        ({"modality": "PT", "unit": "mgml"}, "−1.2 %"),  # of 2500 HU, stretched over the values
    ],
)
async def test_a_shift_is_said_in_the_unit_that_it_is_in(
    scene: Any, info: dict[str, str], said: str
) -> None:
    body = phantom()
    scene.viewer.show(replace(body, info=SeriesInfo(**info)))
    assert scene.shift_text == ""
    scene.shift(-30)
    assert scene.shift_text == said


async def test_a_volume_that_does_not_open_after_all_leaves_camera_and_box(scene: Any) -> None:
    scene.toggle_clipping()
    scene.clip_to(0, 0, 0.3)
    scene.turn(40, 10)
    before = scene.look
    scene.viewer.preview(phantom("On its way"))
    assert scene.look.clip == WHOLE
    scene.viewer.drop_preview()
    assert (scene.look, scene.clipping) == (before, True)
    scene.viewer.show(phantom("Other"))
    assert (scene.look.clip, scene.clipping) == (WHOLE, False)
    assert scene.look.camera == Camera.facing("A")


def test_v_shows_3d_and_the_mark_of_the_patients_right_is_on_the_left(shown: Any) -> None:
    assert shown.cell.isVisible()
    rows, columns = np.nonzero(bright(shown))
    assert columns.mean() < shown.cell.view.width() / 2
    assert rows.mean() < shown.cell.view.height() / 2
    shown.do(lambda: QTest.mouseClick(shown.cell.sides["P"], Qt.MouseButton.LeftButton))
    shown.until(lambda: settled(shown))
    rows, columns = np.nonzero(bright(shown))
    assert columns.mean() > shown.cell.view.width() / 2
    shown.key(Qt.Key.Key_V)
    assert not shown.cell.isVisible()
    assert shown.window.centre.sheet.isVisible()


def test_drags_turn_zoom_and_pan_and_reset_undoes_them(shown: Any) -> None:
    view, scene = shown.cell.view, shown.scene
    shown.drag(view, (100, 80), (160, 80))
    assert scene.look.camera.axes == pytest.approx(Camera.facing("A").turned(60, 0).axes)
    shown.drag(view, (100, 80), (100, 30), Qt.MouseButton.RightButton)
    shown.wheel(view, 2)
    assert scene.look.camera.zoom > 1.5
    before = view.scene.projection(view.width(), view.height())
    point = np.asarray(scene.extent.centre_mm)
    shown.drag(view, (60, 60), (90, 75), Qt.MouseButton.MiddleButton)
    after = view.scene.projection(view.width(), view.height())
    assert (after.to_screen(point) - before.to_screen(point))[:2] == pytest.approx((30, 15))
    shown.do(lambda: QTest.mouseClick(shown.cell.reset, Qt.MouseButton.LeftButton))
    assert scene.look.camera == Camera.facing("A")
    shown.until(lambda: settled(shown))


def test_presets_and_shift_change_what_is_seen(shown: Any) -> None:
    bones = bright(shown).sum()
    shown.do(lambda: shown.cell.presets.textActivated.emit("skin"))
    shown.until(lambda: settled(shown))
    assert shown.scene.look.preset is Preset.SKIN
    assert bright(shown).sum() > 4 * bones  # the body around the mark
    shift = Qt.KeyboardModifier.ShiftModifier
    shown.drag(shown.cell.view, (90, 60), (90, 80), modifiers=shift)
    assert shown.scene.look.shift_hu == pytest.approx(-30)
    corner = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
    assert shown.cell.view.corner_texts()[corner] == "3D\nskin −30 HU"


def test_the_clipping_box_is_dragged_by_handle_and_by_slider(shown: Any) -> None:
    view, scene, cell = shown.cell.view, shown.scene, shown.cell
    shown.do(lambda: QTest.mouseClick(cell.clip, Qt.MouseButton.LeftButton))
    assert cell.box.isVisible()
    projection = scene.projection(view.width(), view.height())
    left = projection.to_screen(scene.extent.at(np.array([0.0, 0.5, 0.5])))[:2]
    middle = projection.to_screen(scene.extent.at(np.array([0.5, 0.5, 0.5])))[:2]
    camera = scene.look.camera
    shown.drag(view, tuple(left), tuple(middle))
    assert scene.look.clip[0][0] == pytest.approx(0.5, abs=0.01)
    assert scene.look.camera == camera  # the box moved, not the patient
    shown.until(lambda: settled(shown))
    assert not bright(shown)[:, : round(middle[0]) - 8].any()  # the mark lay on that side
    slider = cell.box.sliders[2]
    shown.drag(slider, (slider.place(1.0), 8), (slider.place(0.6), 8))
    assert scene.look.clip[2][1] == pytest.approx(0.6, abs=0.02)
    shown.do(lambda: QTest.mouseClick(cell.clip, Qt.MouseButton.LeftButton))
    assert scene.look.clip == WHOLE
    assert not cell.box.isVisible()


def test_double_click_gives_3d_the_whole_centre_and_takes_it_back(shown: Any) -> None:
    left = Qt.MouseButton.LeftButton
    shown.do(lambda: QTest.mouseDClick(shown.cell.view, left))
    assert not shown.view(Plane.AXIAL).isVisible()
    shown.until(lambda: settled(shown))
    shown.do(lambda: QTest.mouseDClick(shown.cell.view, left))
    assert shown.view(Plane.AXIAL).isVisible()


def test_without_vtk_the_cell_says_so_and_the_planes_go_on(
    gui: Any, nifti: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "app.rendering.scene.vtk_parts", raising=False)
    plain = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith(("vtkmodules", "app.rendering.scene.vtk_parts")):
            raise ImportError("libGLX.so.0: cannot open shared object file")
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert gui.open(nifti)
    gui.key(Qt.Key.Key_V)
    scene = gui.workspace.scene
    gui.until(lambda: scene.message is not None)
    assert "needs VTK" in scene.message.sentence
    assert "libGLX.so.0" in scene.message.sentence
    cell = gui.window.centre.cell("3d")
    assert isinstance(cell, SceneCell)
    assert cell.retry.isVisible()
    assert (gui.pixels(cell.view) > 90).any()
    gui.wheel(gui.view(Plane.AXIAL), -1)
    monkeypatch.setattr(builtins, "__import__", plain)
    gui.do(lambda: QTest.mouseClick(cell.retry, Qt.MouseButton.LeftButton))
    gui.until(lambda: scene.frame is not None)
    assert scene.message is None


@pytest.mark.parametrize("drag", [(40.0, 70.0), (-95.0, 20.0), (70.0, -60.0)])
def test_letters_of_a_turned_scene_are_composed_as_those_of_turned_planes(
    open_gui: Any, monkeypatch: pytest.MonkeyPatch, drag: tuple[float, float]
) -> None:
    written: list[tuple[str, ...]] = []
    draw = markings.draw_letters

    def heard(painter: Any, size: Any, letters: Any, bottom: float = 0.0) -> None:
        written.append(tuple(letters))
        draw(painter, size, letters, bottom)

    monkeypatch.setattr("app.views.images.scene_view.markings.draw_letters", heard)
    scene, layouts = open_gui.workspace.scene, open_gui.workspace.layouts
    open_gui.do(lambda: layouts.choose_main("3d"))
    open_gui.do(lambda: layouts.choose(Kind.SINGLE))
    open_gui.do(lambda: scene.turn(*drag))
    open_gui.until(lambda: scene.frame is not None and scene.frame.look == scene.look)
    view = open_gui.window.centre.cell("3d").view
    open_gui.pixels(view)
    right, up, _ = scene.frame.look.camera.axes
    assert written[-1] == tuple(direction_letters(v) for v in (-right, right, up, -up))
    assert len(set(written[-1])) == 4  # no side of the patient lies at two edges
    assert any(len(letters) > 1 for letters in written[-1])
