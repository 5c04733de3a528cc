"""The list of measurements in the real window: jumping, names, report, exports, key images."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from app.imaging.colour_names import ColourMap
from app.imaging.slab import Mode, Slab
from app.rendering import key_image as pictures
from app.rendering.colour_maps import table
from app.rendering.key_image import SIDE
from app.viewmodels.annotation import exports
from app.viewmodels.annotation.codec import decode, encode
from app.viewmodels.annotation.slices import slab_text, slice_of
from app.viewmodels.annotation.view_frame import FULL
from app.viewmodels.core.patients import file_stem
from app.viewmodels.images.viewer import Viewer
from app.views.annotation.annotation_layer import AnnotationLayer
from med2e3.geometry import Geometry, Plane
from med2e3.io import load_volume, write_nifti
from med2e3.measures import SlicePlane
from med2e3.volume import Volume
from tests.app.annotating import Pen, save_pictures
from tests.app.bodies import phantom


@pytest.fixture
def pen(gui: Any, dicom: Path) -> Pen:
    assert gui.open(dicom)
    panel = gui.window.measurements
    gui.do(lambda: gui.window.assistant.tabs.setCurrentWidget(panel))
    return Pen(gui)


def rows(pen: Pen) -> list[tuple[str, str, str]]:
    listed = pen.gui.window.measurements.list
    items = [listed.topLevelItem(k) for k in range(listed.topLevelItemCount())]
    return [tuple(item.text(column) for column in range(3)) for item in items]


def click_row(pen: Pen, row: int) -> None:
    listed = pen.gui.window.measurements.list
    spot = listed.visualItemRect(listed.topLevelItem(row)).center()
    left = Qt.MouseButton.LeftButton
    pen.gui.do(lambda: QTest.mouseClick(listed.viewport(), left, pos=QPoint(spot)))


def two_measurements(pen: Pen) -> None:
    pen.gui.do(lambda: pen.gui.viewer.go_to_slice(Plane.AXIAL, 3))
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    pen.gui.do(lambda: pen.gui.viewer.go_to_slice(Plane.AXIAL, 10))
    pen.tool("rectangle")
    pen.drag((10.4, 10.4), (20.6, 20.6))


def test_every_measurement_is_listed_with_its_value_and_slice(pen: Pen) -> None:
    assert pen.gui.window.measurements.empty.isVisibleTo(pen.gui.window.measurements)
    two_measurements(pen)
    assert rows(pen) == [
        ("Length", "30.0 mm", "axial 4/24"),
        ("Rectangle", "mean 40.0 HU, SD 0.0", "axial 11/24"),
    ]
    pen.gui.key(Qt.Key.Key_Delete)
    assert len(rows(pen)) == 1


def test_a_click_in_the_list_goes_there_in_all_planes(pen: Pen) -> None:
    two_measurements(pen)
    first = pen.drawn[0]
    click_row(pen, 0)
    viewer = pen.gui.viewer
    assert viewer.planes[Plane.AXIAL].slice_index == 3
    np.testing.assert_allclose(viewer.crosshair_mm, np.mean(first.points_mm, axis=0), atol=1e-6)
    assert pen.book.selected == first.uid
    assert viewer.active is Plane.AXIAL


def test_the_detail_of_a_region_has_its_histogram(pen: Pen) -> None:
    two_measurements(pen)
    panel = pen.gui.window.measurements
    click_row(pen, 1)
    assert not panel.histogram.isHidden()
    counts, edges = panel.histogram.counts, panel.histogram.edges
    assert list(counts) == [100]
    assert list(edges) == [39.5, 40.5]
    assert "208.1 mm², 100 px" in panel.detail.text().replace("\u00a0", " ")
    bars = pen.gui.pixels(panel.histogram)
    assert np.ptp(bars) > 60
    click_row(pen, 0)
    assert panel.histogram.isHidden()


def test_a_name_typed_in_the_list_stands_at_the_measurement(pen: Pen) -> None:
    two_measurements(pen)
    click_row(pen, 0)
    listed = pen.gui.window.measurements.list
    pen.gui.do(lambda: listed.editItem(listed.topLevelItem(0), 0))
    pen.type("Liver lesion", Qt.Key.Key_Return)
    assert pen.drawn[0].name == "Liver lesion"
    assert rows(pen)[0][0] == "Liver lesion"
    assert pen.gui.workspace.steps.undo_name == "rename length"
    pen.gui.do(pen.gui.workspace.steps.undo)
    assert rows(pen)[0][0] == "Length"


def test_measurements_go_into_the_report_as_sentences(pen: Pen) -> None:
    two_measurements(pen)
    panel, report = pen.gui.window.measurements, pen.gui.workspace.report
    pen.gui.do(lambda: pen.book.rename(pen.drawn[0].uid, "Liver lesion"))
    click_row(pen, 0)
    left = Qt.MouseButton.LeftButton
    pen.gui.do(lambda: QTest.mouseClick(panel.to_report, left))
    assert report.text == "Liver lesion: 30.0 mm (axial 4/24)."
    assert pen.gui.window.assistant.report.editor.toPlainText() == report.text
    pen.gui.do(lambda: pen.book.select(None))
    pen.gui.do(lambda: QTest.mouseClick(panel.to_report, left))
    assert report.text.splitlines() == [  # what stands there already is not written twice
        "Liver lesion: 30.0 mm (axial 4/24).",
        "Rectangle: mean 40.0 HU, SD 0.0, min 40, max 40, 208.1 mm², 100 px (axial 11/24).",
    ]
    assert report.edited


def test_the_table_has_coordinates_and_instances(pen: Pen, dicom: Path) -> None:
    two_measurements(pen)
    coronal = Pen(pen.gui, Plane.CORONAL)
    coronal.tool("length")
    coronal.drag((2, 8), (5, 8))
    volume, unit = pen.book.volume, pen.gui.viewer.unit
    text = exports.table(pen.book.document, volume, pen.book.reading, unit)
    length, box, upright = csv.DictReader(io.StringIO(text))
    assert float(length["length_mm"]) == pytest.approx(30, abs=0.01)
    ends = [[float(v) for v in p.split()] for p in length["points_lps_mm"].split("; ")]
    np.testing.assert_allclose(ends, np.asarray(pen.drawn[0].points_mm), atol=6e-4)
    assert length["series_uid"] == volume.info.series_uid != ""
    # The instance whose position along z is that of the slice.
    loaded = load_volume(dicom)
    stored = round(float(loaded.geometry.to_index(pen.drawn[0].points_mm[0])[0]))
    assert length["sop_instance_uids"] == loaded.slice_uids[stored]
    assert (box["mean"], box["pixels"], box["value_unit"]) == ("40", "100", "HU")
    assert length["value_unit"] == ""
    assert len(upright["sop_instance_uids"].split()) == 4


def test_the_record_can_be_read_by_a_program(pen: Pen) -> None:
    two_measurements(pen)
    pen.gui.key(Qt.Key.Key_K)
    content = json.loads(exports.record(pen.book.document, pen.book.volume, pen.book.reading))
    assert content["coordinates"] == "LPS mm"
    length, box = content["annotations"]
    assert length["values"][0]["value"] == pytest.approx(30, abs=0.01)
    assert {v["name"]: v["unit"] for v in box["values"]}["area"] == "mm²"
    (key_image,) = content["key_images"]
    assert key_image["slice"] == "axial 11/24"
    assert len(key_image["sop_instance_uids"]) == 1
    np.testing.assert_allclose(content["affine_lps"], pen.book.volume.geometry.affine_lps)


@pytest.mark.parametrize(("own", "number"), [("mgml", "40 mgml"), ("US", "40"), ("HU", "40 HU")])
def test_values_are_in_the_files_own_unit_wherever_they_stand(
    gui: Any, own: str, number: str
) -> None:
    body = phantom()
    gui.do(lambda: gui.viewer.show(replace(body, info=replace(body.info, unit=own))))
    pen = Pen(gui)
    pen.tool("rectangle")
    pen.drag((10.4, 20.4), (20.6, 30.6))
    mean = number.replace("40", "40.0")
    assert rows(pen)[0][1] == f"mean {mean}, SD 0.0"
    pen.tool("probe")
    pen.click((30, 30))
    assert rows(pen)[1][1] == number
    pen.hover((30, 30))
    status = gui.window.statusBar().voxel.text()
    assert status.startswith(f"{number[3:] or 'value'} 40 at ")
    table = exports.table(pen.book.document, pen.book.volume, pen.book.reading, gui.viewer.unit)
    assert {row["value_unit"] for row in csv.DictReader(io.StringIO(table))} == {
        number[3:] or "value"
    }


def test_no_spreadsheet_takes_a_name_for_a_formula(pen: Pen) -> None:
    two_measurements(pen)
    pen.gui.do(lambda: pen.book.rename(pen.drawn[0].uid, "=1+1"))
    text = exports.table(pen.book.document, pen.book.volume, pen.book.reading, "HU")
    assert next(csv.DictReader(io.StringIO(text)))["name"] == "'=1+1"


class TestKeyImages:
    def test_the_key_marks_and_unmarks_the_slice_of_the_active_plane(self, pen: Pen) -> None:
        pen.gui.do(lambda: pen.gui.viewer.go_to_slice(Plane.AXIAL, 7))
        plain = pen.gui.pixels(pen.view)
        pen.gui.key(Qt.Key.Key_K)
        assert rows(pen) == [("★ Key image", "W 400 L 40", "axial 8/24")]
        assert (pen.gui.pixels(pen.view) != plain).any()
        assert pen.gui.workspace.steps.undo_name == "mark key image"
        pen.gui.wheel(pen.view, -1)
        pen.gui.key(Qt.Key.Key_K)
        assert len(rows(pen)) == 2
        pen.gui.wheel(pen.view, 1)
        pen.gui.key(Qt.Key.Key_K)
        assert [row[2] for row in rows(pen)] == ["axial 9/24"]
        pen.gui.do(pen.gui.workspace.steps.undo)
        assert len(rows(pen)) == 2

    def test_a_click_goes_back_to_its_slice_and_window(self, pen: Pen) -> None:
        viewer = pen.gui.viewer
        pen.gui.do(lambda: viewer.use_preset("lung"))
        pen.gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, 7))
        pen.gui.key(Qt.Key.Key_K)
        pen.gui.do(lambda: viewer.use_preset("bone"))
        pen.gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, 20))
        click_row(pen, 0)
        assert viewer.planes[Plane.AXIAL].slice_index == 7
        assert viewer.preset == "lung"

    def test_it_is_listed_shown_again_and_exported_in_its_own_colours(
        self, pen: Pen, tmp_path: Path
    ) -> None:
        gui, viewer = pen.gui, pen.gui.viewer
        gui.key(Qt.Key.Key_I)
        gui.key(Qt.Key.Key_K)
        gui.key(Qt.Key.Key_Home)
        gui.do(lambda: viewer.use_colours(ColourMap.VIRIDIS))
        gui.key(Qt.Key.Key_K)
        gui.do(lambda: viewer.use_colours(ColourMap.GREY))
        assert [row[1] for row in rows(pen)] == ["W 400 L 40 inverted", "W 400 L 40 viridis"]
        click_row(pen, 1)
        assert (viewer.inverted, viewer.colours) == (False, ColourMap.VIRIDIS)
        click_row(pen, 0)
        assert (viewer.inverted, viewer.colours) == (True, ColourMap.GREY)
        click_row(pen, 1)
        document = pen.book.document
        marked = document.key_images[1]
        image = pictures.picture(marked, document, pen.book.volume, pen.book.reading)
        middle = image.pixelColor(image.width() // 2, image.height() // 2)
        lowest = int(table(ColourMap.VIRIDIS)[0])  # the first slice is of air
        assert middle.rgb() & 0xFFFFFF == lowest & 0xFFFFFF
        assert decode(encode(document, "key", {}), "key") == document

    def test_its_note_can_be_written_and_taken_back(self, pen: Pen) -> None:
        pen.gui.key(Qt.Key.Key_K)
        listed = pen.gui.window.measurements.list
        pen.gui.do(lambda: listed.editItem(listed.topLevelItem(0), 0))
        pen.type("Largest diameter", Qt.Key.Key_Return)
        assert rows(pen)[0][0] == "★ Largest diameter"
        pen.gui.do(pen.gui.workspace.steps.undo)
        assert rows(pen)[0][0] == "★ Key image"

    def test_a_slab_is_kept_said_and_shown_again(self, pen: Pen) -> None:
        gui, viewer = pen.gui, pen.gui.viewer
        gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, 7))
        gui.key(Qt.Key.Key_S)
        gui.do(lambda: viewer.set_slab(viewer.slab.with_mode(Mode.MINIMUM).thicker(1)))
        gui.key(Qt.Key.Key_K)
        assert rows(pen) == [("★ Key image", "W 400 L 40, MinIP 20.0 mm", "axial 8/24")]
        gui.key(Qt.Key.Key_S)
        gui.wheel(pen.view, -3)
        gui.key(Qt.Key.Key_K)
        assert rows(pen)[1] == ("★ Key image", "W 400 L 40", "axial 11/24")
        click_row(pen, 0)
        assert viewer.slab == Slab(20.0, Mode.MINIMUM)
        assert pen.view.state.slab_text == "MinIP 20.0 mm"
        assert pen.view.state.slice_index == 7
        detail = gui.window.measurements.detail.text()
        assert "MinIP 20.0 mm" in detail
        click_row(pen, 1)
        assert viewer.slab.thickness_mm == 0

    def test_a_slab_at_the_edge_is_listed_as_thick_as_it_is(self, pen: Pen) -> None:
        gui, viewer = pen.gui, pen.gui.viewer
        gui.do(lambda: viewer.set_slab(Slab(20.0)))
        gui.key(Qt.Key.Key_End)
        gui.key(Qt.Key.Key_K)
        assert rows(pen) == [("★ Key image", "W 400 L 40, MIP 15.0 mm", "axial 24/24")]
        table = exports.table(pen.book.document, pen.book.volume, pen.book.reading, "HU")
        (row,) = csv.DictReader(io.StringIO(table))
        assert row["text"] == "MIP 15.0 mm"
        shown = viewer.planes[Plane.AXIAL].volume.slice_uids[21:24]
        assert sorted(row["sop_instance_uids"].split()) == sorted(shown)

    def test_the_picture_shows_the_slab_that_was_seen(self, pen: Pen, tmp_path: Path) -> None:
        """The bright box ends at slice 6: the slab around slice 8 reaches it, slice 8 does not."""
        gui, viewer = pen.gui, pen.gui.viewer
        gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, 7))
        scale = SIDE / 80  # 40 rows of 2 mm; the box has rows 6 to 13, columns 6 to 15 of 1 mm
        place = (round(12.5 * 2 * scale), round(13 * scale))
        greys = []
        for thickness_mm in (0.0, 20.0):
            gui.do(lambda mm=thickness_mm: viewer.set_slab(Slab(mm)))
            gui.key(Qt.Key.Key_K)
            greys.append(int(self.saved(pen, tmp_path / f"{thickness_mm}")[place][0]))
            gui.key(Qt.Key.Key_K)
        assert greys == [127, 255]  # 40 HU in W 400 L 40, and 900

    def test_a_region_in_the_picture_of_a_slab_says_that_it_counts_one_slice(
        self, pen: Pen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gui, viewer, written = pen.gui, pen.gui.viewer, []
        pen.tool("rectangle")
        pen.drag((10.4, 10.4), (20.6, 20.6))
        forms = SimpleNamespace(draw=lambda *given: written.append(given[-1]))
        monkeypatch.setattr(pictures, "forms", forms)
        for thickness_mm in (0.0, 20.0):
            gui.do(lambda mm=thickness_mm: viewer.set_slab(Slab(mm)))
            gui.key(Qt.Key.Key_K)
            self.saved(pen, tmp_path / f"{thickness_mm}")
            gui.key(Qt.Key.Key_K)
        lines = pen.book.reading(pen.drawn[0]).lines
        slice_, slab = (items[0].lines for items in written)
        assert slice_ == lines
        assert slab == (*lines, "of one slice, not of the slab")

    def test_the_picture_of_a_turned_slab_is_the_slab(self) -> None:
        """Values that rise evenly: the largest of layers is that of the outermost one."""
        shape, rise = (30, 30, 30), np.array([1.0, 2.0, 3.0])
        geometry = Geometry.from_spacing(shape, (2.0, 1.0, 1.5))
        index = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3)
        values_ = (geometry.to_patient_mm(index) @ rise).reshape(shape).astype(np.float32)
        viewer = Viewer()
        viewer.show(Volume(values_, geometry))
        viewer.turn(Plane.AXIAL, np.radians(25))
        viewer.set_slab(Slab(8.0))
        state = viewer.shown[Plane.CORONAL]
        plane = SlicePlane.of_slice(state.geometry, state.slice_index)
        made = slice_of(viewer.volume, plane, viewer.slab, viewer.reslice)
        rows_, columns = made.pixels.shape
        at = made.geometry.to_patient_mm((0, rows_ // 2, columns // 2))
        outermost = (state.layers - 1) / 2 * plane.thickness_mm
        expected = at @ rise + abs(plane.normal @ rise) * outermost
        assert made.pixels[rows_ // 2, columns // 2] == pytest.approx(expected, abs=0.01)
        assert slab_text(viewer.volume, plane, viewer.slab) == state.slab_text != ""

    @pytest.mark.parametrize("plane", list(Plane))
    def test_the_picture_shows_the_slice_true_to_scale_with_what_is_drawn(
        self, gui: Any, dicom: Path, tmp_path: Path, plane: Plane
    ) -> None:
        gui.open(dicom)
        pen = Pen(gui, plane)
        pen.hover((10, 10))
        gui.do(lambda: gui.viewer.activate(plane))
        gui.key(Qt.Key.Key_K)
        without = self.saved(pen, tmp_path / "without")
        pen.tool("length")
        pen.drag((4, 8), (4, 30))
        drawn = self.saved(pen, tmp_path / "drawn")
        assert drawn.shape[1] == SIDE or drawn.shape[0] == SIDE
        changed = (drawn != without).any(axis=2)
        _, rows_, columns = pen.view.state.geometry.shape
        _, row_mm, column_mm = pen.view.state.geometry.spacing_mm
        scale = SIDE / max(rows_ * row_mm, columns * column_mm)
        top = (drawn.shape[0] - rows_ * row_mm * scale) / 2
        row = round(top + 4.5 * row_mm * scale)
        line = np.flatnonzero(changed[row, : round(30.5 * column_mm * scale) + 3])
        length = pen.numbers()["length"]
        assert line.min() == pytest.approx(8.5 * column_mm * scale, abs=4)
        assert np.ptp(line) == pytest.approx(length * scale, abs=6)

    def saved(self, pen: Pen, folder: Path) -> np.ndarray:
        folder.mkdir()
        save_pictures(pen.gui, folder)
        name = f"key-image-1-{pen.plane.value}-{pen.view.state.slice_index + 1}.png"
        path = folder / f"{file_stem(pen.gui.viewer.volume)}-{name}"
        pen.gui.until(path.exists)
        image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
        raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
        return raw[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def test_a_turned_volume_lists_its_slices_all_the_same(gui: Any, tmp_path: Path) -> None:
    straight = phantom()
    turn = np.eye(4)
    angle = np.radians(12)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = Volume(straight.voxels, Geometry(straight.shape, turn @ straight.geometry.affine_lps))
    gui.open(write_nifti(volume, tmp_path / "turned.nii"))
    pen = Pen(gui, Plane.CORONAL)
    pen.tool("length")
    pen.drag((2, 4), (2, 40))
    assert rows(pen)[0][2] == f"coronal {pen.view.state.slice_index + 1}/40"


def test_a_point_on_an_oblique_plane_has_the_value_that_is_shown_there(gui: Any) -> None:
    """Values that rise evenly by 100 a mm: the nearest voxel may be hundreds away."""
    shape = (20, 30, 30)
    geometry = Geometry.from_spacing(shape, (5.0, 1.0, 1.0))
    z = geometry.to_patient_mm(np.moveaxis(np.indices(shape), 0, -1))[..., 2]
    gui.do(lambda: gui.viewer.show(Volume((100 * z).astype(np.float32), geometry)))
    gui.do(lambda: gui.viewer.turn(Plane.AXIAL, np.radians(30)))
    gui.do(lambda: gui.viewer.turn(Plane.SAGITTAL, np.radians(20)))
    pen = Pen(gui, Plane.CORONAL)
    middle = pen.view.state.crosshair
    pen.tool("probe")
    for row in range(-12, 13, 4):
        at = (round(middle[0]) + row, round(middle[1]) + 3)
        pen.click(at)
        assert pen.numbers()["value"] == pytest.approx(gui.viewer.readout.value, abs=1)
        assert pen.numbers()["value"] == pytest.approx(100 * pen.last.points_mm[0][2], abs=1)
        assert pen.lines()[0].endswith(", interpolated")


@pytest.mark.parametrize("plane", list(Plane))
def test_a_click_turns_the_planes_to_what_is_on_an_oblique_one(pen: Pen, plane: Plane) -> None:
    gui, viewer = pen.gui, pen.gui.viewer
    others = [p for p in Plane if p is not plane]
    gui.do(lambda: viewer.turn(others[0], np.radians(25)))
    gui.do(lambda: viewer.turn(others[1], np.radians(-15)))
    gui.do(lambda: viewer.scroll(plane, 3))
    pen = Pen(gui, plane)
    pen.tool("length")
    middle = pen.view.state.crosshair
    pen.drag((middle[0] - 5, middle[1] - 4), (middle[0] + 5, middle[1] + 6))
    gui.do(lambda: viewer.activate(plane))
    gui.key(Qt.Key.Key_K)
    letters, notes = pen.view.state.letters, pen.view.state.notes
    layer = pen.view.findChild(AnnotationLayer)
    for row in (0, 1):
        gui.do(viewer.straighten)
        gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, 20))
        gui.do(lambda: viewer.activate(others[0]))
        click_row(pen, row)
        assert viewer.active is plane
        assert (pen.view.state.letters, pen.view.state.notes) == (letters, notes)
        assert [item.strength for item in layer.items(layer.frame())] == [FULL]
        assert pen.book.key_image_at(layer.frame().plane) is not None
        assert viewer.volume.geometry.contains(viewer.volume.geometry.to_index(viewer.crosshair_mm))
    gui.do(lambda: viewer.scroll(plane, 2))
    turned = viewer.shown[plane]
    click_row(pen, 0)
    assert viewer.shown[plane] is turned  # it is shown without turning anything


def test_a_slice_and_a_slab_around_it_are_marked_apart(gui: Any, nifti: Path) -> None:
    gui.open(nifti)
    pen, viewer = Pen(gui), gui.viewer
    gui.do(lambda: (viewer.activate(Plane.AXIAL), viewer.set_slab(Slab(20.0))))
    gui.key(Qt.Key.Key_K)
    marked = [k.slab for k in pen.book.document.key_images]
    gui.do(lambda: viewer.set_slab(Slab()))
    plane = pen.view.findChild(AnnotationLayer).frame().plane
    assert pen.book.key_image_at(plane) is None  # what is seen now is not marked
    gui.key(Qt.Key.Key_K)
    assert [k.slab for k in pen.book.document.key_images] == [*marked, Slab()]
    gui.key(Qt.Key.Key_K)
    assert [k.slab for k in pen.book.document.key_images] == marked == [Slab(20.0)]


def test_on_an_oblique_plane_measures_are_true_and_stay_there(gui: Any, nifti: Path) -> None:
    gui.open(nifti)
    viewer = gui.viewer
    gui.do(lambda: viewer.turn(Plane.AXIAL, np.radians(25)))
    pen = Pen(gui, Plane.CORONAL)
    grid, k = pen.view.state.geometry, pen.view.state.slice_index
    middle = pen.view.state.crosshair
    a, b = (middle[0] - 6, middle[1] - 9), (middle[0] + 7, middle[1] + 8)
    pen.tool("length")
    pen.drag(a, b)
    ends = grid.to_patient_mm(np.array([(k, *a), (k, *b)], float))
    np.testing.assert_allclose(pen.last.points_mm, ends, atol=0.01)
    assert pen.numbers()["length"] == pytest.approx(np.linalg.norm(ends[1] - ends[0]), abs=0.01)
    pen.tool("rectangle")
    pen.drag((middle[0] + 8, middle[1] - 12), (middle[0] - 2, middle[1] - 3))
    assert "interpolated" in pen.lines()[-1]
    assert [row[2] for row in rows(pen)] == ["oblique", "oblique"]
    layer = pen.view.findChild(AnnotationLayer)
    assert len(layer.items(layer.frame())) == 2
    gui.key(Qt.Key.Key_K)
    gui.do(viewer.straighten)
    assert layer.items(layer.frame()) == []
    # And what lies on a stored slice is shown even from turned planes.
    pen = Pen(gui)
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    gui.do(lambda: viewer.turn(Plane.SAGITTAL, np.radians(10)))
    gui.do(lambda: pen.book.go_to(pen.last.uid))
    assert not viewer.is_turned
    assert (
        len(pen.view.findChild(AnnotationLayer).items(pen.view.findChild(AnnotationLayer).frame()))
        == 1
    )
