"""What narrow windows and large text do not spoil: nothing is cut unsaid, covered or lost.

Driven in the real window; where a claim is about places, they are the ones that are painted.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QFontMetricsF, QImage, QPainter
from PySide6.QtWidgets import QComboBox, QToolButton

from app.imaging import numbers
from app.imaging.colour_names import ColourMap
from app.rendering import markings
from app.viewmodels.study.browser import browse
from app.viewmodels.window.layouts import SCENE, Custom, Kind
from app.views.parts.elided import ElidedLabel
from app.views.parts.panels import IMAGES
from app.views.study.study_browser import written
from app.views.window.toolbar import LEAVING
from med2e3.geometry import Plane
from med2e3.io import write_nifti
from med2e3.words import fine_size_text
from tests.app.bodies import phantom

SMALL = (900, 600)


def settle(gui: Any) -> None:
    """Layouts ask again after a change; two turns of the loop are enough for what they ask."""
    for _ in range(4):
        gui.do(lambda: None)


def resize(gui: Any, width: int, height: int = 800) -> None:
    gui.do(lambda: gui.window.resize(width, height))
    settle(gui)


def text_size(gui: Any, percent: int) -> None:
    gui.do(lambda: gui.window.dialogs.editor.set("text_size", percent))
    settle(gui)


@pytest.fixture
def usual_text(gui: Any) -> Any:
    """The application's font is one for all tests."""
    yield
    text_size(gui, 100)


class TestToolbar:
    def test_in_the_smallest_window_every_command_is_a_button_or_in_the_menu(
        self, open_gui: Any
    ) -> None:
        resize(open_gui, *SMALL)
        tools = open_gui.window.tools
        assert open_gui.window.size() == QSize(*SMALL)
        overflow = tools.findChild(QToolButton, "qt_toolbar_ext_button")
        assert overflow is None or not overflow.isVisible()
        buttons = {b.defaultAction() for b in tools.findChildren(QToolButton) if b.isVisible()}
        menu = tools.more.menu()
        open_gui.do(menu.aboutToShow.emit)
        commands = ("open_folder", "crosshair_tool", "window_tool", "zoom_tool", "pan_tool")
        for name in (*commands, *LEAVING):
            action = open_gui.window.actions_by_name[name]
            assert (action in buttons) != (action in menu.actions()), name
        for name in commands:  # what is used all the time stays
            assert open_gui.window.actions_by_name[name] in buttons
        for shown in tools.findChildren(QToolButton):
            if shown.isVisible():
                assert tools.rect().contains(shown.geometry())

    def test_a_command_of_the_menu_runs(self, open_gui: Any) -> None:
        resize(open_gui, *SMALL)
        tools = open_gui.window.tools
        assert "theme" in tools.left
        open_gui.do(tools.more.menu().aboutToShow.emit)
        action = open_gui.window.actions_by_name["theme"]
        before = open_gui.window.dialogs.editor.value("theme")
        open_gui.do(action.trigger)
        assert open_gui.window.dialogs.editor.value("theme") != before
        open_gui.do(action.trigger)

    def test_a_command_that_cannot_run_stays_grey_at_every_width(self, open_gui: Any) -> None:
        action = open_gui.window.actions_by_name["undo"]
        buttons = open_gui.window.tools.findChildren(QToolButton)
        (undo,) = (button for button in buttons if button.defaultAction() is action)
        for width in (1280, 900, 800, 1280):
            resize(open_gui, width)
            assert not action.isEnabled()
            assert not undo.isEnabled()
        open_gui.do(lambda: open_gui.viewer.use_preset("lung"))
        assert action.isEnabled()
        assert undo.isEnabled()

    def test_a_wide_window_has_all_words_and_no_menu_of_more(self, open_gui: Any) -> None:
        resize(open_gui, *SMALL)
        resize(open_gui, 1280)
        tools = open_gui.window.tools
        assert tools.left == ()
        assert not tools.more.isVisible()
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        assert tools.open_button.toolButtonStyle() == style

    @pytest.mark.usefixtures("usual_text")
    def test_with_the_largest_text_it_fits_too(self, open_gui: Any) -> None:
        resize(open_gui, 900)
        before = open_gui.window.tools.left
        text_size(open_gui, 150)
        tools = open_gui.window.tools
        assert len(tools.left) > len(before)
        assert tools.sizeHint().width() <= tools.width()


class TestWords:
    @pytest.mark.usefixtures("usual_text")
    def test_a_choice_without_room_ends_in_dots(self, open_gui: Any) -> None:
        box = open_gui.window.assistant.ask_box.window_choice
        assert box.shown == "model default"
        text_size(open_gui, 150)
        resize(open_gui, *SMALL)
        names = [box.itemText(k) for k in range(box.count())]
        box.setCurrentIndex(names.index(max(names, key=len)))
        assert box.shown.endswith("…")
        assert box.fontMetrics().horizontalAdvance(box.shown) < box.width()

    def test_a_label_without_room_ends_in_dots_and_is_whole_in_its_tooltip(self, gui: Any) -> None:
        label = ElidedLabel("Synthetic chest CT, arterial phase", gui.window)
        label.resize(80, 20)
        label.show()
        assert label.shown.endswith("…")
        assert label.toolTip() == "Synthetic chest CT, arterial phase"
        label.resize(label.sizeHint())
        assert (label.shown, label.toolTip()) == (label.text(), "")

    @pytest.mark.usefixtures("usual_text")
    def test_ready_questions_are_whole_in_large_text(self, open_gui: Any) -> None:
        panel = open_gui.window.assistant.ask_box
        across = {button.y() for button in panel.ready}
        text_size(open_gui, 150)
        assert {button.y() for button in panel.ready} != across or len(panel.ready) < 3
        for button in panel.ready:
            assert "…" not in button.text()
            assert button.height() >= button.minimumSizeHint().height()

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("axial · 0.9 s", "axial\u00a0· 0.9\u00a0s"),
            ("about " + "a b " * 9, "about " + "a b " * 9),
        ],
    )
    def test_a_number_stays_with_its_unit_but_a_long_name_may_break(
        self, text: str, kept: str
    ) -> None:
        assert numbers.unbroken(text) == kept

    @pytest.mark.parametrize(
        ("count", "words"),
        [(3_000, "3 kB"), (8_400_000, "8 MB"), (1_573_000_000, "1.6 GB")],
    )
    def test_memory_is_never_nothing(self, count: int, words: str) -> None:
        assert fine_size_text(count, decimals=0) == words

    def test_every_fact_of_a_series_is_written_in_a_narrow_list(
        self, gui: Any, dicom: Path
    ) -> None:
        gui.open(dicom)
        (patient,) = browse(gui.study.series, gui.study.chosen)
        row = patient.studies[0].series[0]
        metrics = QFontMetrics(gui.window.font())
        for width in (400, 150, 70):
            lines = [line for line, _ in written(row, metrics, width)]
            told = " · ".join(lines)
            for fact in row.facts.split(" · "):
                assert fact in told
        rows = gui.window.series.tree
        assert rows.visualItemRect(rows.items[0]).height() >= 58


def boxes_of(view: Any) -> dict[str, QRectF]:
    """Where each upper line and the letter between them are painted."""
    state, font = view.state, view.font()
    texts, letter = view.corner_texts(state), state.letters[2]
    inside = view.width() - 2 * markings.MARGIN
    down = markings.lines_down(font, inside, texts, letter)
    high, metrics, found = markings.line_height(font), QFontMetricsF(font), {}
    for corner in (markings.TOP_LEFT, markings.TOP_RIGHT):
        for k, line in enumerate(texts.get(corner, "").split("\n")):
            wide = min(metrics.horizontalAdvance(line), inside)
            x = markings.MARGIN if corner is markings.TOP_LEFT else view.width() - 8 - wide
            if line:
                found[line] = QRectF(x, 6 + (k + down[corner]) * high, wide, high)
    large = QFontMetricsF(markings.enlarged(font))
    wide, tall = large.horizontalAdvance(letter), large.capHeight()
    found["letter"] = QRectF((view.width() - wide) / 2, 6 + metrics.ascent() - tall, wide, tall)
    return found


class TestTextOverImages:
    @pytest.mark.parametrize("percent", [100, 150])
    @pytest.mark.parametrize("size", [(1280, 800), SMALL])
    @pytest.mark.usefixtures("usual_text")
    def test_no_upper_text_lies_on_another_or_on_the_letter(
        self, open_gui: Any, size: tuple[int, int], percent: int
    ) -> None:
        text_size(open_gui, percent)
        resize(open_gui, *size)
        editor = open_gui.window.dialogs.editor
        open_gui.do(lambda: editor.set("corner_series", True))
        for kind in (Kind.GRID, Kind.SIDE, Kind.SINGLE):
            open_gui.do(lambda kind=kind: open_gui.workspace.layouts.choose(kind))
            settle(open_gui)
            for cell in open_gui.window.centre.cells.values():
                if cell.view.isVisible():
                    for (a, first), (b, second) in combinations(boxes_of(cell.view).items(), 2):
                        assert not first.intersects(second), (a, b, cell.view.size())

    @pytest.mark.usefixtures("usual_text")
    def test_lines_end_before_the_letters_in_large_text(self, open_gui: Any) -> None:
        view = open_gui.view(Plane.AXIAL)
        before = view.room_of_lines()
        text_size(open_gui, 150)
        after, metrics = view.room_of_lines(), QFontMetricsF(markings.enlarged(view.font()))
        assert after.top() > before.top()
        assert after.top() >= 6 + metrics.ascent()
        assert after.bottom() <= view.height() - markings.MARGIN - metrics.height()

    def test_lines_end_before_the_letters_of_turned_planes(self, open_gui: Any) -> None:
        for plane in (Plane.AXIAL, Plane.CORONAL):
            open_gui.do(lambda plane=plane: open_gui.viewer.turn(plane, 0.3))
        open_gui.do(open_gui.viewer.settle)
        for cell in open_gui.window.centre.cells.values():
            view = cell.view
            metrics = QFontMetricsF(markings.enlarged(view.font()))
            left, right = (metrics.horizontalAdvance(x) for x in view.state.letters[:2])
            assert view.room_of_lines().left() > markings.MARGIN + left
            assert view.room_of_lines().right() < view.width() - markings.MARGIN - right
            for line in view.axes.lines().values():
                assert view.room_of_lines().adjusted(-1, -1, 1, 1).contains(line.p1())

    def test_texts_keep_their_contrast_on_white_and_on_black(self) -> None:
        for ground in (255, 0):
            picture = QImage(80, 24, QImage.Format.Format_RGB32)
            picture.fill(QColor(ground, ground, ground))
            with QPainter(picture) as painter:
                flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
                markings.draw_text(painter, QRectF(6, 4, 70, 18), flags, "L")
            row = [QColor(picture.pixel(x, 12)).lightness() for x in range(4, 12)]
            stem = row.index(max(row[2:5]))
            beside = (min(row[:stem]), min(row[stem + 1 :]))
            assert row[stem] - max(beside) > 150, (ground, row)

    def test_the_mark_of_a_key_image_stands_below_the_name(self, gui: Any, dicom: Path) -> None:
        gui.open(dicom)
        gui.do(lambda: gui.workspace.layouts.choose(Kind.SINGLE))
        settle(gui)
        view = gui.view(Plane.AXIAL)
        texts = view.corner_texts(view.state)
        if markings.TOP_RIGHT not in texts:
            pytest.skip("no patient's name in this phantom")
        gui.until(lambda: gui.workspace.annotations.volume is not None)
        before = gui.pixels(view)
        gui.do(lambda: gui.viewer.activate(Plane.AXIAL))
        gui.key(Qt.Key.Key_K)
        changed = (gui.pixels(view) != before).any(axis=2)
        rows = changed[:, view.width() // 2 :].any(axis=1).nonzero()[0]
        below = view.below_corner(view.state, markings.TOP_RIGHT)
        assert below >= markings.line_height(view.font())
        assert rows.min() >= markings.MARGIN - 2 + below - 2

    @pytest.mark.parametrize("pixels", [0, 20])
    def test_letters_are_larger_than_texts_whatever_unit_the_font_is_in(self, pixels: int) -> None:
        font = QFont()
        if pixels:
            font.setPixelSize(pixels)
        tall = QFontMetricsF(markings.enlarged(font)).ascent()
        assert 1.05 < tall / QFontMetricsF(font).ascent() < 1.5


class TestLightTheme:
    def test_no_bright_line_or_field_stands_between_images(self, open_gui: Any) -> None:
        editor = open_gui.window.dialogs.editor
        open_gui.do(lambda: editor.set("theme", "light"))
        open_gui.ask()
        try:
            grid = open_gui.window.centre.grid
            pixels = open_gui.pixels(grid)
            cells = [c for c in open_gui.window.centre.cells.values() if c.isVisible()]
            gaps = {cell.geometry().right() + 1 for cell in cells} - {grid.width()}
            assert gaps
            assert all(pixels[:, x].max() < 60 for x in gaps)
            caption = open_gui.window.centre.sheet.caption
            at = caption.mapTo(grid, caption.rect().topLeft())
            assert caption.isVisible()
            assert pixels[at.y() + 1, at.x() + 1].max() < 60
        finally:
            open_gui.do(lambda: editor.set("theme", "dark"))

    def test_the_controls_of_3d_stand_on_the_themes_ground(self, open_gui: Any) -> None:
        editor, layouts = open_gui.window.dialogs.editor, open_gui.workspace.layouts
        open_gui.do(lambda: editor.set("theme", "light"))
        try:
            open_gui.do(lambda: layouts.choose_main(SCENE))
            open_gui.do(lambda: layouts.choose(Kind.SINGLE))
            settle(open_gui)
            cell, grid = open_gui.window.centre.cell(SCENE), open_gui.window.centre.grid
            at = cell.reset.mapTo(grid, cell.reset.rect().topLeft())
            button = open_gui.pixels(grid)[at.y() :, at.x() :][: cell.reset.height()]
            assert button[2, 2].min() > 200
        finally:
            open_gui.do(lambda: editor.set("theme", "dark"))


class TestPanels:
    def test_in_a_narrow_window_the_panels_give_way_before_the_images(self, open_gui: Any) -> None:
        resize(open_gui, *SMALL)
        series, images, assistant = open_gui.window.splitter.sizes()
        assert images >= IMAGES
        assert series < 240
        assert assistant < 360

    def test_panels_take_back_what_they_gave_when_the_window_is_wide_again(
        self, open_gui: Any
    ) -> None:
        before = open_gui.window.splitter.sizes()
        for width in (1100, 900, 820, 1000, 1280):
            resize(open_gui, width)
        assert open_gui.window.splitter.sizes() == before

    def test_panels_stay_as_somebody_made_them_in_the_narrow_window(self, open_gui: Any) -> None:
        splitter = open_gui.window.splitter
        resize(open_gui, *SMALL)
        open_gui.do(lambda: splitter.moveSplitter(170, 1))
        chosen = splitter.sizes()[0]
        resize(open_gui, 1280)
        assert splitter.sizes()[0] == chosen

    def test_comparing_leaves_the_panels_as_wide_as_they_were(self, open_gui: Any) -> None:
        before = open_gui.window.splitter.sizes()
        open_gui.do(lambda: open_gui.workspace.compare.open(phantom()))
        settle(open_gui)
        assert open_gui.window.centre.compare.isVisible()
        assert open_gui.window.splitter.sizes() == before

    def test_the_controls_of_3d_are_whole_in_a_narrow_cell(self, open_gui: Any) -> None:
        layouts = open_gui.workspace.layouts
        open_gui.do(lambda: layouts.use_custom(Custom(1, 3, (SCENE, "sagittal", "coronal"))))
        settle(open_gui)
        cell = open_gui.window.centre.cell(SCENE)
        assert cell.width() < 300
        wanted = (cell.clip, cell.reset, *cell.sides.values())
        assert all(button.width() >= button.sizeHint().width() for button in wanted)
        assert cell.presets.shown == "bone"
        assert cell.sides["A"].y() + cell.sides["A"].parentWidget().y() > cell.clip.y()
        open_gui.do(lambda: layouts.choose(Kind.SINGLE))
        open_gui.do(lambda: layouts.choose_main(SCENE))
        settle(open_gui)
        assert cell.sides["A"].parentWidget().y() <= cell.clip.y() + 4

    def test_3d_says_that_overlays_lie_over_the_planes_only(
        self, open_gui: Any, tmp_path: Path
    ) -> None:
        cell = open_gui.window.centre.cell(SCENE)
        assert not any("overlays" in text for text in cell.view.corner_texts().values())
        path = write_nifti(phantom(), tmp_path / "over.nii")
        assert open_gui.run(open_gui.workspace.overlays.open(path))
        assert any("overlays" in text for text in cell.view.corner_texts().values())
        layer = open_gui.workspace.overlays.layers[0]
        open_gui.do(lambda: open_gui.workspace.overlays.change(layer, visible=False))
        assert not any("overlays" in text for text in cell.view.corner_texts().values())

    def test_buttons_of_the_first_page_stand_below_each_other_where_it_is_narrow(
        self, gui: Any
    ) -> None:
        empty = gui.window.centre.empty
        rows = {button.y() for button in empty.findChildren(type(gui.window.series.skipped))}
        resize(gui, *SMALL)
        narrow = {button.y() for button in empty.findChildren(type(gui.window.series.skipped))}
        assert gui.window.width() == SMALL[0]
        assert len(rows) == 1
        assert len(narrow) == 3


class TestOverTheWindow:
    @pytest.mark.usefixtures("usual_text")
    def test_the_help_has_as_many_columns_as_fit_and_never_presses_its_lines(
        self, open_gui: Any
    ) -> None:
        help_ = open_gui.window.help
        open_gui.do(help_.toggle)
        wide = help_._area.width()
        text_size(open_gui, 150)
        table = help_._area.widget()
        assert table.height() >= table.sizeHint().height()
        assert help_._area.width() <= open_gui.window.width()
        assert not help_._area.horizontalScrollBar().isVisible()
        text_size(open_gui, 100)
        resize(open_gui, *SMALL)
        assert help_._area.width() < wide
        assert not help_._area.horizontalScrollBar().isVisible()

    def test_the_palette_is_as_high_as_what_it_found(self, open_gui: Any) -> None:
        palette = open_gui.window.dialogs.palette
        open_gui.do(palette.toggle)
        whole = palette.list.height()
        assert whole % palette.list.sizeHintForRow(0) == 0
        open_gui.do(lambda: palette.line.setText("lung"))
        count = palette.list.topLevelItemCount()
        assert palette.list.topLevelItem(0).text(0) == "Window: lung"
        assert palette.list.height() == count * palette.list.sizeHintForRow(0) < whole
        titles = [palette.list.topLevelItem(k).text(0) for k in range(count)]
        assert "End comparing" not in titles  # its letters are there, far apart

    def test_details_of_an_error_take_the_room_of_their_lines(self, gui: Any) -> None:
        from app.viewmodels.core.work import Message

        bar, notices = gui.window.errors, gui.workspace.notices
        heights = []
        for lines in (1, 3, 40):
            gui.do(lambda n=lines: notices.show(Message("It failed.", "x\n" * (n - 1) + "x")))
            gui.do(lambda: bar.more.setChecked(True))
            settle(gui)
            heights.append(bar.details.height())
            assert bar.details.verticalScrollBar().isVisible() == (lines == 40)
        assert heights[0] < heights[1] < heights[2] < 200

    def test_the_menu_of_colours_shows_which_ones_are_used(self, open_gui: Any) -> None:
        maps = open_gui.window.tools.colours.maps
        assert maps[ColourMap.VIRIDIS].text() == "Viridis"
        open_gui.do(maps[ColourMap.VIRIDIS].trigger)
        assert [name for name, action in maps.items() if action.isChecked()] == [ColourMap.VIRIDIS]

    def test_files_left_out_are_sorted_as_their_arrow_says(self, gui: Any, dicom: Path) -> None:
        for name in ("zebra.txt", "apple.txt"):
            (dicom / name).write_text("no image")
        gui.open(dicom)
        dialog = gui.do(gui.window.series.show_skipped)
        names = [dialog.list.topLevelItem(k).text(0) for k in range(2)]
        assert names == ["apple.txt", "zebra.txt"]
        gui.do(dialog.hide)


def test_no_box_of_choices_is_one_that_cuts_in_a_letter(open_gui: Any) -> None:
    boxes = open_gui.window.findChildren(QComboBox)
    assert len(boxes) >= 4
    assert all(hasattr(box, "shown") for box in boxes)
