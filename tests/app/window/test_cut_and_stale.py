"""Nothing on the screen is cut, stale, or of another make: what a reading session showed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QRectF
from PySide6.QtGui import QFontMetricsF, QPaintEvent
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QWidget

from app.rendering import annotations as drawing
from app.viewmodels.annotation import values
from app.viewmodels.images.layers import Label, Layer
from app.viewmodels.window.layouts import AUTOMATIC
from app.views.parts.elided import SHORT_TITLE
from app.views.parts.file_dialogs import ask_where_to_save
from app.views.parts.question import OpenQuestion
from med2e3.geometry import Plane
from tests.app.bodies import phantom
from tests.app.study.test_pictures import study


class Painted(QObject):
    """How much of a widget was painted since it is watched."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.heights: list[int] = []
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if isinstance(event, QPaintEvent):
            self.heights.append(event.region().boundingRect().height())
        return False


def test_another_placeholder_of_the_report_is_painted_whole(open_gui: Any) -> None:
    tab = open_gui.window.assistant.report
    open_gui.do(lambda: open_gui.window.assistant.tabs.setCurrentWidget(tab))
    painted = Painted(tab.editor.viewport())
    open_gui.do(lambda: tab.editor.setPlaceholderText("something else that was there before"))
    open_gui.do(tab.refresh)
    open_gui.until(lambda: painted.heights)
    assert max(painted.heights) == tab.editor.viewport().height()


@pytest.mark.parametrize("width", [120.0, 190.0, 260.0, 600.0])
def test_a_value_is_folded_into_a_narrow_view(qapp: Any, width: float) -> None:
    metrics = QFontMetricsF(qapp.font())
    text = f"70.2 mm\n{values.SHORT_NOT_DRAWN}"
    folded = drawing.folded(metrics, text, width)
    assert "".join(folded.split()) == "".join(text.split())
    assert drawing._extent(metrics, folded)[0] <= width
    assert (folded == text) == (width == 600.0)


def test_buttons_of_qt_have_no_icons_and_its_warnings_have_our_sign(gui: Any) -> None:
    window = gui.window
    dialog = gui.do(lambda: ask_where_to_save(window, "view.png", lambda _: None))
    assert isinstance(dialog, QFileDialog)
    gui.do(lambda: None)
    (box,) = dialog.findChildren(QDialogButtonBox)
    assert box.buttons()
    assert all(button.icon().isNull() for button in box.buttons())
    question = gui.do(lambda: OpenQuestion(window).begin("Title", "Text"))
    gui.do(question.open)
    sign = question.iconPixmap().toImage()
    pixel = sign.pixelColor(sign.width() // 2, int(sign.height() * 0.25))
    assert pixel.name() == "#e0a63a"
    gui.do(question.reject)
    gui.do(dialog.reject)


def test_a_narrow_box_opens_a_list_as_wide_as_its_longest_choice(open_gui: Any) -> None:
    box = open_gui.window.tools.presets
    open_gui.do(lambda: open_gui.window.resize(900, 700))
    open_gui.do(box.showPopup)
    metrics = box.view().fontMetrics()
    longest = max(metrics.horizontalAdvance(box.itemText(k)) for k in range(box.count()))
    assert box.width() < longest
    assert box.view().viewport().width() >= longest
    open_gui.do(box.hidePopup)


def test_the_note_of_compared_series_has_a_line_of_its_own_without_room(open_gui: Any) -> None:
    pane = open_gui.window.centre.compare
    open_gui.do(lambda: open_gui.workspace.side_by_side.choose(1, 2))
    for width in (900, 340):
        open_gui.do(lambda w=width: (pane.resize(w, 500), pane._fit_note()))
        lines = pane.note.heightForWidth(pane.note.width()) / pane.note.fontMetrics().lineSpacing()
        assert lines < 3.5


def test_the_thumbnail_of_a_scout_is_the_scout(gui: Any, tmp_path: Path) -> None:
    gui.workspace.layouts.corner = AUTOMATIC
    assert gui.open(study(tmp_path))
    gui.until(lambda: gui.workspace.pictures.shown is not None)
    panel = gui.window.series
    row = next(one for one in panel._rows()[0].studies[0].series if "Scout" in one.title)
    assert row.is_open
    gui.study.thumbnails.clear()
    assert panel._picture(row, Path("of no thumbnail yet"), 1.0) is None


def test_a_key_typed_ahead_does_not_answer_a_question_twice(gui: Any) -> None:
    asked = OpenQuestion(gui.window)
    question = gui.do(lambda: asked.begin("Title", "Text"))
    gui.do(question.open)

    def twice() -> None:
        question.done(0)
        question.finished.emit(0)

    gui.do(twice)
    assert asked.shown is None


def test_titles_of_tabs_stay_whole_in_large_text_but_the_longest(open_gui: Any) -> None:
    panel = open_gui.window.assistant
    bar = panel.tabs.tabBar()
    font = bar.font()
    font.setPointSizeF(font.pointSizeF() * 1.5)
    open_gui.do(lambda: (bar.setFont(font), panel.resize(340, panel.height())))
    open_gui.do(lambda: bar.fit(310))
    assert bar.property("narrow") is True
    metrics = bar.fontMetrics()
    for k in range(bar.count()):
        if len(bar.tabText(k)) <= SHORT_TITLE:
            assert bar.tabRect(k).width() >= metrics.horizontalAdvance(bar.tabText(k))


def test_values_keep_clear_of_the_corner_texts(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    rects = view.written()
    assert len(rects) >= 3
    anchor = QRectF(rects[0].right() + 4, rects[0].top() + 2, 10, 10)
    size = QRectF(view.rect())
    free = drawing.place_label(size, drawing.Beside(anchor), (60.0, 18.0), rects)
    assert not any(free.intersects(one) for one in rects)
    pixels = open_gui.pixels(view).astype(int)
    bright = pixels.min(axis=-1) > 200
    for one in rects[:1]:  # the texts really stand there
        part = bright[int(one.top()) : int(one.bottom()), int(one.left()) : int(one.right())]
        assert part.any()


def test_what_is_new_over_the_images_has_a_colour_of_its_own(open_gui: Any) -> None:
    overlays = open_gui.workspace.overlays
    voxels = np.zeros(phantom().shape, np.int16)
    seen = []
    for k in range(3):
        colour = overlays.fresh_colour
        seen.append(colour)
        label = Label(1, f"l{k}", colour, 0.0)
        layer = Layer(f"l{k}", voxels.copy(), phantom().geometry, (label,))
        open_gui.do(lambda one=layer: overlays.lay(one))
    assert len(set(seen)) == 3
