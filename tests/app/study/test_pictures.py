"""Images and reports that belong to no volume: in the list, in a pane, never given to the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from app.viewmodels.window.layouts import AUTOMATIC, SCENE
from app.views.parts import theme
from app.views.study.picture_cell import PictureCell
from med2e3.geometry import Plane
from med2e3.io import write_dicom_series
from tests.app.bodies import phantom
from tests.med2e3.io import single_images as made

#: The frame of reference that the series and its scout share.
FRAME = "1.2.826.0.1.9"


def study(folder: Path) -> Path:
    """The phantom with everything beside it that is no volume, and its scout."""
    plain = phantom()
    info = replace(plain.info, frame_of_reference_uid=FRAME, series_number="3")
    write_dicom_series(replace(plain, info=info), folder / "series", seed="phantom")
    made.everything(folder / "others")
    made.scout_of(folder / "scout", FRAME, (-45.0, 0.0, 300.0))
    return folder


def row(gui: Any, words: str) -> Any:
    return next(one for one in gui.window.series.tree.items if words in one.text(0))


def click(gui: Any, words: str) -> None:
    """A press of the left button on a row of the list."""
    tree = gui.window.series.tree
    at = tree.visualItemRect(row(gui, words)).center()
    tree.scrollToItem(row(gui, words))
    at = tree.visualItemRect(row(gui, words)).center()
    gui.do(lambda: QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=at))


def cell(gui: Any) -> PictureCell:
    found = gui.window.centre.cell("picture")
    assert isinstance(found, PictureCell)
    return found


def seen(gui: Any, words: str) -> PictureCell:
    """Click a series that is no volume, and wait for it."""
    click(gui, words)
    pictures = gui.workspace.pictures
    gui.until(lambda: pictures.shown is not None or pictures.message is not None)
    assert cell(gui).isVisible()
    return cell(gui)


@pytest.fixture
def opened(gui: Any, tmp_path: Path) -> Any:
    gui.workspace.layouts.corner = AUTOMATIC
    assert gui.open(study(tmp_path))
    return gui


def test_each_is_in_the_list_with_its_kind_and_a_thumbnail(opened: Any) -> None:
    for kind in ("X-ray (CR)", "secondary capture", "dose page", "ultrasound (US) · 2 images",
                 "MR image", "dose report (SR)", "ECG", "video"):  # fmt: skip
        assert row(opened, kind) is not None
    shown = [s for s in opened.study.source.scan.series if s.singles is not None]
    keys = {s.slices[len(s.slices) // 2].path for s in shown}
    opened.until(lambda: keys <= opened.study.thumbnails.keys())
    assert all(opened.study.thumbnails[key] is not None for key in keys)


def test_a_dose_page_keeps_its_colours_on_the_screen(opened: Any) -> None:
    view = seen(opened, "dose page").view
    x, y, width, height = view.viewport().image_rect()
    pixels = opened.pixels(view)
    for k, colour in enumerate(made.THIRDS):
        at = pixels[int(y + height * 0.3), int(x + width * (k + 0.5) / 3)]
        assert np.abs(at.astype(int) - colour).max() <= 2


def test_an_x_ray_is_dark_where_its_numbers_are_high_and_has_no_hounsfield_units(
    opened: Any,
) -> None:
    view = seen(opened, "Chest PA").view
    viewport = view.viewport()
    pixels = opened.pixels(view)
    low, high = (pixels[int(viewport.to_screen(row, 30)[1]), int(viewport.to_screen(row, 30)[0])]
                 for row in (6, 33))  # fmt: skip
    assert low.mean() > high.mean() + 60
    assert opened.workspace.pictures.value_at(2, 5) == "125"
    assert "mm at the detector" in opened.workspace.pictures.where()


def test_ultrasound_is_gone_through_by_the_wheel(opened: Any) -> None:
    view = seen(opened, "ultrasound").view
    pictures = opened.workspace.pictures
    assert pictures.number == 0
    opened.wheel(view, -1)
    opened.until(lambda: pictures.number == 1 and pictures.image.values[24, 8, 2] > 150)
    opened.key(Qt.Key.Key_Home, view)
    opened.until(lambda: pictures.number == 0 and pictures.image.values[24, 8, 0] > 150)


def test_a_drag_changes_the_window_and_a_double_click_takes_it_back(opened: Any) -> None:
    view = seen(opened, "Chest PA").view
    pictures = opened.workspace.pictures
    opened.drag(view, (40, 40), (140, 60))
    assert pictures.window.width > 2000
    opened.do(lambda: QTest.mouseDClick(view, Qt.MouseButton.LeftButton))
    assert pictures.window.width == 2000


def test_the_dose_report_is_a_table(opened: Any) -> None:
    table = seen(opened, "dose report (SR)").table
    assert table.isVisible()
    rows = [table.topLevelItem(k) for k in range(table.topLevelItemCount())]
    total = (rows[0].text(0), rows[0].text(1))
    assert total == ("CT Dose Length Product Total", "412.5 mGy.cm")
    assert rows[1].child(2).text(1) == "8.4 mGy"


def test_the_scout_stands_in_the_fourth_cell_with_the_slice_on_it(opened: Any) -> None:
    pictures = opened.workspace.pictures
    opened.until(lambda: pictures.shown is not None)
    assert pictures.summary.is_scout
    assert cell(opened).isVisible()
    opened.do(lambda: opened.viewer.activate(Plane.AXIAL))
    for slice_index in (3, 15):
        opened.do(lambda k=slice_index: opened.viewer.go_to_shown(Plane.AXIAL, k))
        z = opened.viewer.crosshair_mm[2]
        outline = pictures.slice_outline()
        assert outline[:, 0] == pytest.approx(np.full(4, (300.0 - z) / 2))
        view = cell(opened).view
        x, y = view.viewport().to_screen(outline[0, 0], (outline[0, 1] + outline[2, 1]) / 2)
        accent = QColor(theme.DARK.accent).getRgb()[:3]
        line = opened.pixels(view)[int(y) - 2 : int(y) + 3, int(x)]
        assert np.abs(line.astype(int) - accent).sum(axis=-1).min() < 60


def test_without_a_scout_the_fourth_cell_starts_with_3d(gui: Any, nifti: Path) -> None:
    gui.workspace.layouts.corner = AUTOMATIC
    assert gui.open(nifti)
    assert gui.window.centre.cell(SCENE).isVisible()


def test_another_frame_of_reference_has_no_lines(gui: Any, tmp_path: Path) -> None:
    study(tmp_path)
    made.scout_of(tmp_path / "scout", "1.2.3", (-45.0, 0.0, 300.0))
    assert gui.open(tmp_path)
    seen(gui, "scout")
    assert gui.workspace.pictures.slice_outline() is None


def test_the_model_keeps_the_volume_and_is_not_offered_an_image(opened: Any) -> None:
    opened.load_model()
    volume = opened.viewer.volume
    seen(opened, "Chest PA")
    assert opened.viewer.volume is volume
    opened.ask()
    assert [read[0] for read in opened.engine.reads] == [volume]


def test_a_folder_of_images_alone_opens_and_nothing_can_be_asked(gui: Any, tmp_path: Path) -> None:
    made.x_ray(tmp_path)
    gui.load_model()
    assert gui.open(tmp_path)
    pictures = gui.workspace.pictures
    gui.until(lambda: pictures.shown is not None)
    assert cell(gui).isVisible()
    assert gui.viewer.volume is None
    assert not gui.assistant.can_ask
    gui.do(pictures.close)
    assert gui.window.centre.empty.isVisible()


def test_an_image_that_cannot_be_read_says_why_in_its_place(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "others" / "capture.dcm"
    path.write_bytes(path.read_bytes()[:-400])
    opened.until(lambda: opened.study.thumbnails)
    seen(opened, "3D view")
    assert "capture.dcm" in opened.workspace.pictures.message.sentence


def test_another_study_closes_the_image(opened: Any, tmp_path: Path, nifti: Path) -> None:
    seen(opened, "Chest PA")
    assert opened.open(nifti)
    assert not opened.workspace.pictures.active
