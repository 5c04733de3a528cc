"""One look holds all that is seen; a preview is a second one; each change has its own signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QWidget

from app.imaging.colour_names import ColourMap
from app.imaging.slab import Slab
from app.settings import Corners, Display, Mouse
from app.viewmodels.images.look import Look
from app.viewmodels.images.tools import Tool
from app.viewmodels.images.viewer import Viewer
from app.views.annotation.annotation_layer import AnnotationLayer
from app.views.images.overlay_layer import OverlayLayer
from med2e3.geometry import Geometry, Plane
from med2e3.volume import Volume, Window
from tests.app.bodies import phantom

SIGNALS = (
    "activated", "display_changed", "first_seen", "maximised_changed", "readout_changed", "sent_to",
    "slab_changed", "slices_changed", "tool_changed", "turned", "voxels_filled", "volume_changed",
    "window_changed", "zoomed",
)  # fmt: skip


@pytest.fixture
def viewer() -> Viewer:
    """A viewer with the phantom open."""
    made = Viewer()
    made.show(phantom())
    return made


def emitted(viewer: Viewer, act: Callable[[Viewer], object]) -> set[str]:
    """The names of the signals that something sends."""
    seen: set[str] = set()
    for name in SIGNALS:
        getattr(viewer, name).connect(lambda *_, name=name: seen.add(name))
    act(viewer)
    return seen


def test_the_table_above_names_every_signal(viewer: Viewer) -> None:
    own = {name for name, value in vars(viewer).items() if type(value).__name__ == "Signal"}
    assert own == set(SIGNALS)


@pytest.mark.parametrize(
    ("act", "signals"),
    [
        (lambda v: v.choose_tool(Tool.PAN), {"tool_changed"}),
        (lambda v: v.hold_space(True), {"tool_changed"}),
        (lambda v: v.activate(Plane.CORONAL), {"activated"}),
        (lambda v: v.send_to(Plane.CORONAL), {"activated", "sent_to"}),
        (lambda v: v.maximise(Plane.CORONAL), {"maximised_changed"}),
        (lambda v: v.toggle_crosshair(), {"display_changed"}),
        (lambda v: v.toggle_reference_lines(), {"display_changed"}),
        (lambda v: v.toggle_corner_text(), {"display_changed"}),
        (lambda v: v.dress(Corners(), Display(), Mouse()), {"display_changed"}),
        (lambda v: v.set_viewport(Plane.AXIAL, viewport_of(v)), {"zoomed"}),
        (lambda v: v.reset(), {"zoomed", "window_changed"}),
        (lambda v: v.invert(), {"window_changed"}),
        (lambda v: v.use_colours(ColourMap.PET), {"window_changed"}),
        (lambda v: v.drag_window(1, 1), {"window_changed"}),
        (lambda v: v.scroll(Plane.AXIAL, 1), {"slices_changed"}),
        (lambda v: v.turn(Plane.AXIAL, 0.2), {"slices_changed", "turned"}),
        (lambda v: v.set_slab(Slab(10)), {"slices_changed", "slab_changed"}),
        (lambda v: v.allow_turning(allowed=False), {"turned"}),
        (lambda v: v.hover(Plane.AXIAL, 3, 3), {"readout_changed"}),
        (lambda v: v.take_filled(), {"voxels_filled"}),
        (lambda v: v.preview(phantom()), {"first_seen", "volume_changed"}),
        (lambda v: v.show(phantom()), {"first_seen", "volume_changed"}),
    ],
)
def test_each_change_is_told_to_those_who_show_it_and_to_nobody_else(
    viewer: Viewer, act: Callable[[Viewer], object], signals: set[str]
) -> None:
    assert emitted(viewer, act) == signals


def viewport_of(viewer: Viewer) -> Any:
    return viewer.planes[Plane.AXIAL].viewport(400, 300).zoomed(2, 100, 100)


def test_a_look_is_replaced_and_never_changed(viewer: Viewer) -> None:
    before = viewer.look
    viewer.set_window(Window(0, 10))
    assert viewer.look is not before
    assert before.greys.window != Window(0, 10)
    with pytest.raises(FrozenInstanceError):
        before.unit = "mm"  # type: ignore[misc]


def read_on(viewer: Viewer) -> None:
    """Change everything that is seen of a volume."""
    viewer.go_to_slice(Plane.AXIAL, 3)
    viewer.set_viewport(Plane.AXIAL, viewport_of(viewer))
    viewer.turn(Plane.CORONAL, 0.3)
    viewer.set_slab(Slab(12))
    viewer.set_window(Window(3, 33))
    viewer.use_colours(ColourMap.INVERTED_GREY)
    viewer.maximise(Plane.SAGITTAL)


def seen(viewer: Viewer) -> tuple[object, ...]:
    states = [(s.slice_index, s.zoom, s.centre, s.slab, s.letters) for s in viewer.shown.values()]
    greys, whole = viewer.greys, (viewer.unit, viewer.slab, viewer.maximised, viewer.volume)
    return (*states, greys, *whole, *viewer.crosshair_mm)


def test_a_dropped_preview_leaves_the_look_before_it_whatever_was_done_meanwhile(
    viewer: Viewer,
) -> None:
    read_on(viewer)
    look, before = viewer.look, seen(viewer)
    viewer.preview(phantom("On its way"))
    viewer.go_to_slice(Plane.AXIAL, 8)
    viewer.use_preset("bone")
    viewer.preview(phantom("Another one"))
    read_on(viewer)
    assert viewer.open_volume is look.volume
    viewer.drop_preview()
    assert viewer.look is look
    assert seen(viewer) == before
    assert emitted(viewer, Viewer.drop_preview) == set()


def test_a_completed_preview_keeps_what_was_done_on_it_and_is_not_first_seen_again(
    viewer: Viewer,
) -> None:
    viewer.preview(phantom("On its way"))
    viewer.go_to_slice(Plane.AXIAL, 8)
    viewer.set_slab(Slab(12))
    viewer.set_viewport(Plane.AXIAL, viewport_of(viewer))
    viewer.set_window(Window(3, 33))
    before, whole = seen(viewer), phantom()
    assert emitted(viewer, lambda v: v.show(whole)) == {"volume_changed"}
    assert seen(viewer) == tuple(whole if x is before[-4] else x for x in before)
    assert not viewer.previewing
    assert viewer.open_volume is whole


def test_only_a_window_that_nobody_touched_is_computed_anew_from_all_voxels(
    viewer: Viewer,
) -> None:
    geometry = Geometry.from_spacing((4, 6, 6), (1, 1, 1))
    empty = Volume(np.zeros(geometry.shape, np.float32), geometry)
    whole = replace(empty, voxels=np.arange(144, dtype=np.float32).reshape(geometry.shape))
    fresh = Look.first(empty, filling=True).completed(whole)
    assert fresh.greys.window == fresh.first_window == Look.first(whole).first_window
    told = replace(Look.first(empty, filling=True), window_told=True)
    assert told.completed(whole).greys == told.greys
    touched = replace(Look.first(empty), greys=replace(fresh.greys, window=Window(1, 2)))
    assert touched.completed(whole).greys.window == Window(1, 2)


def test_what_stands_beside_the_look_comes_back_only_if_the_preview_is_dropped(
    viewer: Viewer,
) -> None:
    brought_back: list[Volume | None] = []

    def save() -> Callable[[], object]:
        volume = viewer.volume
        return lambda: brought_back.append(volume)

    viewer.on_preview(save)
    first = viewer.volume
    viewer.preview(phantom("A"))
    viewer.preview(phantom("B"))
    viewer.drop_preview()
    assert brought_back == [first]
    viewer.preview(phantom("A"))
    viewer.show(phantom("A"))
    viewer.drop_preview()
    assert brought_back == [first]


class Paints(QObject):
    """Counts how often widgets are painted."""

    def __init__(self, *widgets: QWidget) -> None:
        super().__init__()
        self.of = dict.fromkeys(widgets, 0)
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Let everything pass."""
        if event.type() is QEvent.Type.Paint and isinstance(watched, QWidget):
            self.of[watched] += 1
        return False


def test_zooming_a_plane_paints_its_view_with_all_that_lies_over_it_and_no_other(
    open_gui: Any,
) -> None:
    view, other = open_gui.view(Plane.AXIAL), open_gui.view(Plane.CORONAL)
    drawn = view.findChild(AnnotationLayer)
    laid = view.findChild(OverlayLayer)
    open_gui.do(laid.show)
    open_gui.pixels(open_gui.window)
    paints = Paints(view, other, drawn, laid)
    open_gui.do(lambda: open_gui.viewer.set_viewport(Plane.AXIAL, viewport_of(open_gui.viewer)))
    open_gui.until(lambda: paints.of[view])
    assert paints.of[drawn] == paints.of[laid] == paints.of[view]
    assert not paints.of[other]
