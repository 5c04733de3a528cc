"""Overlays and colour maps in the real window: pixels of the planes, legend, answers, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvista
from PySide6.QtCore import QRectF, Qt
from PySide6.QtWidgets import QFileDialog

from app.imaging.colour_names import ColourMap
from app.rendering.colour_maps import table
from app.views.images.colour_button import ColourButton
from app.views.images.overlay_layer import OverlayLayer
from app.views.images.overlay_panel import OverlayPanel
from med2e3.engine.grounding import Mask, parse_boxes
from med2e3.geometry import Geometry, Plane
from med2e3.io import write_dicom_series, write_nifti
from med2e3.volume import SeriesInfo, Volume, Window
from tests.app.bodies import MARK, SHAPE, SPACING_MM, phantom


def mark_labels() -> Volume:
    """Label 3 on the phantom's mark; label 8 on one voxel far from it."""
    voxels = np.zeros(SHAPE, np.int16)
    voxels[MARK] = 3
    voxels[20, 35, 50] = 8
    return Volume(voxels, phantom().geometry, SeriesInfo(series_description="organs"))


@pytest.fixture
def bare(open_gui: Any) -> Any:
    """The phantom with its mark in all planes, and nothing else over the images."""
    middle = [(s.start + s.stop - 1) / 2 for s in MARK]

    def act() -> None:
        open_gui.viewer.toggle_corner_text()
        open_gui.viewer.toggle_crosshair()
        open_gui.window.hint.dismiss.click()
        open_gui.viewer.move_crosshair(phantom().geometry.to_patient_mm(middle))

    open_gui.do(act)
    open_gui.overlays = open_gui.workspace.overlays
    open_gui.panel = open_gui.window.findChild(OverlayPanel)
    return open_gui


#: Pixels at the edge of a view that the frame of the active one may take.
FRAME = 3


def coloured(gui: Any, plane: Plane) -> np.ndarray:
    """The pixels within the frame that are not grey; the ink of letters is a little blue."""
    pixels = gui.pixels(gui.view(plane)).astype(int)
    found = np.abs(pixels[..., 0] - pixels[..., 2]) > 40
    frame = np.ones_like(found)
    frame[FRAME:-FRAME, FRAME:-FRAME] = False
    return found & ~frame


def rect_of_mark(gui: Any, plane: Plane) -> tuple[float, ...]:
    """Left, right, top, bottom of the mark's outer voxel edges on the view, from its mm."""
    view = gui.view(plane)
    ends = np.array([[s.start - 0.5 for s in MARK], [s.stop - 0.5 for s in MARK]])
    places = view.state.geometry.to_index(phantom().geometry.to_patient_mm(ends))
    screen = np.array([view.viewport().to_screen(row, column) for _, row, column in places])
    return (*sorted(screen[:, 0]), *sorted(screen[:, 1]))


def box_of(shown: np.ndarray) -> tuple[float, ...]:
    rows, columns = np.nonzero(shown)
    return columns.min(), columns.max() + 1, rows.min(), rows.max() + 1


def lay_over(gui: Any, volume: Volume, folder: Path, name: str = "mask.nii") -> bool:
    return bool(gui.run(gui.overlays.open(write_nifti(volume, folder / name))))


@pytest.mark.parametrize("plane", list(Plane))
def test_a_label_map_tints_its_voxels_in_every_plane(
    bare: Any, tmp_path: Path, plane: Plane
) -> None:
    assert not coloured(bare, plane).any()
    assert lay_over(bare, mark_labels(), tmp_path)
    assert box_of(coloured(bare, plane)) == pytest.approx(rect_of_mark(bare, plane), abs=2)


def test_in_turned_planes_every_pixel_of_a_label_has_its_own_place(
    bare: Any, tmp_path: Path
) -> None:
    lay_over(bare, mark_labels(), tmp_path)
    bare.do(lambda: bare.overlays.toggle_label(bare.overlays.layers[0], 8))
    bare.do(lambda: bare.viewer.turn(Plane.CORONAL, np.radians(25)))
    view = bare.view(Plane.AXIAL)
    shown = coloured(bare, Plane.AXIAL)
    rows, columns = np.mgrid[: shown.shape[0], : shown.shape[1]]
    origin = view.state.mm_at(*view.viewport().to_index(0.5, 0.5))
    right = view.state.mm_at(*view.viewport().to_index(1.5, 0.5)) - origin
    down = view.state.mm_at(*view.viewport().to_index(0.5, 1.5)) - origin
    places = phantom().geometry.to_index(
        origin + rows[..., None] * down + columns[..., None] * right
    )
    ends = np.array([(s.start - 0.5, s.stop - 0.5) for s in MARK])
    truth = ((places > ends[:, 0]) & (places < ends[:, 1])).all(axis=-1)
    assert truth.sum() > 500
    assert (shown & truth).sum() / (shown | truth).sum() > 0.9


def test_the_legend_lists_labels_in_millilitres_and_switches_them(
    bare: Any, tmp_path: Path
) -> None:
    assert not bare.panel.isVisible()
    lay_over(bare, mark_labels(), tmp_path)
    assert bare.panel.isVisible()
    (row,) = bare.panel.rows
    voxel_ml = float(np.prod(SPACING_MM)) / 1000
    count = (MARK[0].stop - MARK[0].start) * 8 * 10
    assert [c.text() for c in row.labels] == [
        f"label 3  {count * voxel_ml:.1f} ml",
        f"label 8  {voxel_ml:.1f} ml",
    ]
    bare.do(row.labels[0].click)
    assert bare.overlays.layers[0].hidden == {3}
    assert not coloured(bare, Plane.AXIAL).any()
    bare.do(row.labels[0].click)
    assert coloured(bare, Plane.AXIAL).any()
    bare.do(row.check.click)
    assert not coloured(bare, Plane.AXIAL).any()
    bare.do(row.check.click)
    bare.do(lambda: row.opacity.setValue(0))
    faint = (coloured(bare, Plane.AXIAL)).sum()
    bare.do(lambda: row.opacity.setValue(90))
    assert (coloured(bare, Plane.AXIAL)).sum() > 3 * faint  # the outline alone, before


def test_a_second_volume_on_another_grid_has_map_threshold_and_opacity(
    bare: Any, tmp_path: Path
) -> None:
    """A coarse float volume that is 50 on the patient's right half and 0 elsewhere."""
    box = phantom().geometry
    corner, end = box.to_patient_mm((23.5, -0.5, -0.5)), box.to_patient_mm((-0.5, 39.5, 55.5))
    spacing = (end - corner) / 8  # x, y, z
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)[:, ::-1]  # slices run along z
    affine[:3, 3] = corner + spacing / 2
    values = np.full((8, 8, 8), 0.25, np.float32)
    values[:, :, :4] = 50
    second = Volume(values, Geometry((8, 8, 8), affine), SeriesInfo(series_description="uptake"))
    assert lay_over(bare, second, tmp_path)
    (row,) = bare.panel.rows
    bare.do(
        lambda: bare.overlays.change(bare.overlays.layers[0], opacity=1.0, colours=ColourMap.PET)
    )
    view = bare.view(Plane.AXIAL)
    top = int(table(ColourMap.PET)[255])
    for column, lit in ((10, True), (50, False)):
        x, y = view.viewport().to_screen(20, column)
        red, green, blue = bare.pixels(view)[round(y), round(x)]
        shown = (int(red) << 16 | int(green) << 8 | int(blue)) == top & 0xFFFFFF
        assert shown is lit
    slider = row.range
    bare.drag(slider, (slider.place(0.1), 8), (slider.place(0.0), 8))
    assert bare.overlays.layers[0].low == pytest.approx(0.25, abs=1)
    assert bare.overlays.layers[0].note  # NIfTI says nothing of a frame of reference
    bare.do(lambda: row.maps.activated.emit(row.maps.findData(ColourMap.VIRIDIS)))
    assert bare.overlays.layers[0].colours is ColourMap.VIRIDIS
    bare.do(lambda: bare.overlays.remove(bare.overlays.layers[0]))
    assert not bare.panel.isVisible()
    assert not coloured(bare, Plane.AXIAL).any()


def test_opacity_dragged_faster_than_it_is_painted_is_the_last_one(
    bare: Any, tmp_path: Path
) -> None:
    """Layers replaced between two pictures: the newest may lie in memory where an older one lay."""
    assert lay_over(bare, mark_labels(), tmp_path)
    overlays, sheet = bare.workspace.overlays, bare.view(Plane.AXIAL).findChild(OverlayLayer)
    wrong = []
    for percent in range(10, 90, 4):
        for step in (0, 1, 2, 3):
            overlays.change(overlays.layers[0], opacity=(percent + step) / 100)
        bare.pixels(bare.view(Plane.AXIAL))
        (image,) = sheet._painted.values()
        alphas = {image.pixelColor(x, 10).alpha() for x in range(image.width())} - {0}
        if alphas and alphas != {round(255 * (percent + 3) / 100)}:
            wrong.append((percent + 3, alphas))
    assert not wrong


def test_another_frame_of_reference_is_refused_until_the_user_insists(
    gui: Any, dicom: Path, tmp_path: Path
) -> None:
    assert gui.open(dicom)
    overlays, notices = gui.workspace.overlays, gui.workspace.notices
    info = replace(phantom().info, frame_of_reference_uid="1.2.3.4", series_description="other")
    other = tmp_path / "other"
    write_dicom_series(Volume(phantom().voxels, phantom().geometry, info), other, seed="other")
    assert not gui.run(overlays.open(other))
    assert overlays.empty
    assert "frame of reference" in notices.message.sentence
    assert gui.window.errors.isVisible()
    gui.do(notices.remedy.act)
    assert "not certain" in overlays.layers[0].note
    ours = gui.viewer.volume.info.frame_of_reference_uid
    same = tmp_path / "same"
    info = replace(info, frame_of_reference_uid=ours)
    write_dicom_series(Volume(phantom().voxels, phantom().geometry, info), same, seed="same")
    assert gui.run(overlays.open(same))
    assert overlays.layers[-1].note == ""


def test_what_cannot_be_read_or_lies_elsewhere_is_said(bare: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii"
    broken.write_bytes(b"not an image")
    assert not bare.run(bare.overlays.open(broken))
    assert bare.workspace.notices.message is not None
    away = phantom().geometry.affine_lps.copy()
    away[0, 3] += 900
    assert lay_over(bare, Volume(mark_labels().voxels, Geometry(SHAPE, away)), tmp_path)
    assert "outside" in bare.overlays.layers[0].note
    assert not coloured(bare, Plane.AXIAL).any()


def test_another_study_takes_the_overlays_away(bare: Any, tmp_path: Path) -> None:
    lay_over(bare, mark_labels(), tmp_path)
    assert bare.open(write_nifti(phantom("Other"), tmp_path / "other.nii"))
    assert bare.overlays.empty
    assert not bare.window.findChild(OverlayLayer).isVisible()


def draw_mark(given: Any, volume: Volume) -> tuple[Any, Any]:
    """What a model would answer about the mark: its box in fractions of the grid, and its mask."""
    low = given.geometry.to_index(phantom().geometry.to_patient_mm([s.start for s in MARK]))
    high = given.geometry.to_index(phantom().geometry.to_patient_mm([s.stop - 1 for s in MARK]))
    ends = np.sort(np.round([low, high]), axis=0) / np.asarray(given.geometry.shape)
    numbers = ", ".join(f"{x:.3f}" for x in ends.reshape(-1))
    boxes = parse_boxes(f"<bx_start>[{numbers}]<bx_end>", given)
    mask = np.isclose(volume.voxels, phantom().voxels[MARK][0, 0, 0])
    return boxes, (Mask(mask, volume.geometry),)


@pytest.mark.parametrize("plane", list(Plane))
def test_boxes_and_masks_of_an_answer_are_drawn_where_it_saw_them(bare: Any, plane: Plane) -> None:
    bare.engine.draw = draw_mark
    bare.engine.has_scores = False  # their marks are coloured, too
    bare.ask("Where is the mark? Segment it.")
    overlays = bare.overlays
    assert (len(overlays.layers), len(overlays.boxes)) == (1, 1)
    assert overlays.layers[0].labels[0].millilitres == pytest.approx(4 * 8 * 10 * 10 / 1000)
    bare.do(lambda: overlays.toggle_box(overlays.boxes[0]))
    assert box_of(coloured(bare, plane)) == pytest.approx(rect_of_mark(bare, plane), abs=2)
    bare.do(lambda: overlays.change(overlays.layers[0], visible=False))
    assert not coloured(bare, plane).any()
    bare.do(lambda: overlays.toggle_box(overlays.boxes[0]))
    view, box = bare.view(plane), overlays.boxes[0]
    places = view.state.geometry.to_index(box.corners_mm)[:, 1:]
    screen = np.array([view.viewport().to_screen(row, column) for row, column in places])
    expected = (*_ends(screen[:, 0]), *_ends(screen[:, 1]))
    pixels = coloured(bare, plane)
    pixels[: round(expected[2]) - 2] = False  # its name stands above the box
    assert box_of(pixels) == pytest.approx(expected, abs=3)


def _ends(values: np.ndarray) -> tuple[float, float]:
    return values.min(), values.max()


def test_only_the_answer_that_is_shown_draws(bare: Any) -> None:
    bare.engine.draw = draw_mark
    first = bare.ask("Where is the mark?")
    bare.engine.draw = lambda given, volume: ((), ())
    bare.ask("Is there a nodule?")
    assert bare.overlays.empty
    bare.do(lambda: bare.assistant.choose(first))
    assert len(bare.overlays.boxes) == 1
    box = bare.panel.boxes[0]
    assert (box.text(), box.toolTip()) == ("box 1", "box 1: Where is the mark?")
    assert bare.panel.rows[0].labels[0].text() == "mask 1  3.2 ml"
    assert bare.panel.rows[0].width() <= bare.panel.width()
    bare.do(bare.panel.boxes[0].click)
    assert not bare.overlays.boxes[0].visible
    bare.do(lambda: bare.assistant.choose(None))
    assert bare.overlays.empty


# --- colour maps of the images -----------------------------------------------------------------


def test_a_colour_map_from_the_menu_colours_all_planes_and_ends_with_the_study(
    bare: Any, tmp_path: Path
) -> None:
    view = bare.view(Plane.AXIAL)
    colours = bare.window.findChild(ColourButton)
    bare.do(colours.maps[ColourMap.VIRIDIS].trigger)
    x, y = view.viewport().to_screen(30, 45)  # 40 HU, the middle of the window
    expected = int(table(ColourMap.VIRIDIS)[127])
    shown = bare.pixels(view)[round(y), round(x)]
    assert shown == pytest.approx([expected >> s & 255 for s in (16, 8, 0)], abs=3)
    bare.do(colours.maps[ColourMap.INVERTED_GREY].trigger)
    assert bare.viewer.inverted
    assert colours.maps[ColourMap.INVERTED_GREY].isChecked()
    bare.key(Qt.Key.Key_I)
    assert colours.maps[ColourMap.GREY].isChecked()
    bare.do(colours.maps[ColourMap.PET].trigger)
    assert bare.open(write_nifti(phantom("Other"), tmp_path / "other.nii"))
    assert bare.viewer.colours_shown is ColourMap.GREY


def test_while_another_study_opens_nothing_of_the_first_lies_on_it(
    bare: Any, tmp_path: Path
) -> None:
    assert lay_over(bare, mark_labels(), tmp_path)
    assert coloured(bare, Plane.AXIAL).any()
    bare.do(lambda: bare.viewer.preview(phantom("On its way")))
    assert not coloured(bare, Plane.AXIAL).any()
    bare.do(bare.viewer.drop_preview)
    assert coloured(bare, Plane.AXIAL).any()


def test_another_volume_keeps_of_the_overlays_only_what_an_answer_drew_on_it(bare: Any) -> None:
    bare.engine.draw = draw_mark
    bare.ask("Where is the mark?")
    first, drawn = bare.viewer.volume, bare.overlays.boxes[0].corners_mm
    bare.do(lambda: bare.viewer.show(phantom("Other")))
    assert bare.overlays.empty
    bare.do(lambda: bare.viewer.show(first))
    assert [box.corners_mm is drawn for box in bare.overlays.boxes] == [True]
    assert len(bare.overlays.layers) == 1


@pytest.mark.parametrize("suffix", ["stl", "ply", "obj"])
def test_a_label_is_saved_as_a_surface_from_the_menu_of_its_row(
    bare: Any, tmp_path: Path, suffix: str
) -> None:
    lay_over(bare, mark_labels(), tmp_path)
    (row,) = bare.panel.rows
    titles = [action.text() for action in row.menu.actions()]
    assert titles[:2] == ["label 3", "label 8"]
    of_the_row = [action.text() for action in row.labels[0].actions()]
    of_the_menu = [action.text() for action in row.menu.actions()[0].menu().actions()]
    assert of_the_row == of_the_menu
    assert of_the_row[-1] == "Save surface…"
    bare.do(row.labels[0].actions()[-1].trigger)
    dialog = bare.window.findChildren(QFileDialog)[-1]
    assert Path(dialog.selectedFiles()[0]).name == "phantom-nii-gz-label 3.stl"
    path = tmp_path / f"mark.{suffix}"
    bare.do(lambda: dialog.fileSelected.emit(str(path)))
    bare.until(lambda: bare.workspace.notices.message is not None)
    points = pyvista.read(path).points
    ends = np.array([[s.start - 0.5 for s in MARK], [s.stop - 0.5 for s in MARK]])
    places = phantom().geometry.to_patient_mm(ends)
    np.testing.assert_allclose(points.min(axis=0), places.min(axis=0), atol=1)
    np.testing.assert_allclose(points.max(axis=0), places.max(axis=0), atol=1)
    volume = bare.overlays.layers[0].labels[0].millilitres
    said = bare.workspace.notices.message.sentence
    assert f"The surface of label 3 was written to {path}: {volume:.1f} ml, " in said
    bare.do(dialog.reject)


def test_a_second_volume_has_no_surface_to_save(bare: Any, tmp_path: Path) -> None:
    values = replace(mark_labels(), voxels=phantom().voxels.astype(np.float32) / 3)
    lay_over(bare, values, tmp_path)
    (row,) = bare.panel.rows
    assert not row.menu.actions()


@pytest.mark.parametrize("plane", list(Plane))
def test_letters_scale_bar_and_texts_stand_over_a_fusion_at_full_opacity(
    open_gui: Any, tmp_path: Path, plane: Plane
) -> None:
    """A fusion that fills the view, in one colour: what is written over it stays as bright."""
    viewer, overlays = open_gui.viewer, open_gui.workspace.overlays
    view = open_gui.view(plane)
    open_gui.do(lambda: viewer.set_window(Window(-2000, 10)))  # all white: only rims are dark
    state = view.state
    wide = Volume(
        np.full((8, 8, 8), 500, np.int16),
        Geometry.from_spacing((8, 8, 8), (200, 200, 200), origin_mm=(-700.0, -700.0, 900.0)),
        SeriesInfo(series_description="PET"),
    )
    assert open_gui.run(overlays.open(write_nifti(wide, tmp_path / "pet.nii")))
    layer = overlays.layers[0]
    assert "outside" not in layer.note
    open_gui.do(lambda: overlays.change(layer, opacity=1.0))
    shown = open_gui.pixels(view).astype(int)
    image = QRectF(*view.viewport().image_rect()).toRect() & view.rect()
    tinted = shown[image.top() + 2 : image.bottom() - 2, image.left() + 2 : image.right() - 2]
    assert len(np.unique(tinted.reshape(-1, 3), axis=0)) > 4  # more than the fusion alone
    editor = open_gui.window.dialogs.editor
    for hide in ("letters", "scale_bar", "corner_text"):
        open_gui.do(lambda name=hide: editor.set(name, False))
        without = open_gui.pixels(view).astype(int)
        open_gui.do(lambda name=hide: editor.set(name, True))
        changed = np.abs(without - shown).max(axis=2) > 60
        assert changed.sum() > 20, hide
    assert state is view.state
