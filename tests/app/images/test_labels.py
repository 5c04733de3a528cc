"""Labels with names: read, given and coloured, shown alone, gone to, and named under the mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QColorDialog, QFileDialog, QInputDialog

from app.viewmodels.core.undo import UndoStack
from app.views.images.overlay_panel import OverlayPanel
from med2e3.geometry import Plane
from med2e3.io import write_nifti
from tests.app.bodies import MARK, SHAPE, phantom
from tests.app.images.test_overlays import mark_labels


def act(row: Any, words: str, k: int = 0) -> Any:
    """An entry of the menu of the k-th structure."""
    return next(one for one in row.labels[k].actions() if one.text() == words)


def entry(row: Any, words: str) -> Any:
    """An entry of the menu of the whole layer."""
    return next(one for one in row.menu.actions() if one.text() == words)


def test_labels_are_named_coloured_shown_alone_and_gone_to(open_gui: Any, tmp_path: Path) -> None:
    gui, overlays = open_gui, open_gui.workspace.overlays
    path = write_nifti(mark_labels(), tmp_path / "organs.nii.gz")
    (tmp_path / "organs.txt").write_text("3 gall_bladder\n", encoding="utf-8")
    assert gui.run(overlays.open(path))
    panel = gui.window.findChild(OverlayPanel)

    def names() -> list[str]:
        return [label.name for label in overlays.layers[0].labels]

    assert names() == ["gall bladder", "label 8"]
    # A name from a dialog; it can be taken back.
    gui.do(act(panel.rows[0], "Name…", 1).trigger)
    dialog = gui.window.findChildren(QInputDialog)[-1]
    assert dialog.textValue() == "label 8"
    gui.do(lambda: (dialog.setTextValue("stone"), dialog.accept()))
    assert names() == ["gall bladder", "stone"]
    assert panel.rows[0].labels[1].text().startswith("stone")
    assert isinstance(gui.viewer.steps, UndoStack)
    gui.do(gui.window.actions_by_name["undo"].trigger)
    assert names() == ["gall bladder", "label 8"]
    # Names from a file, and those of TotalSegmentator.
    other = tmp_path / "other.json"
    other.write_text('{"labels": {"spot": 3, "dot": 8}}', encoding="utf-8")
    gui.do(entry(panel.rows[0], "Names from a file…").trigger)
    chooser = gui.window.findChildren(QFileDialog)[-1]
    gui.do(lambda: (chooser.fileSelected.emit(str(other)), chooser.done(0)))
    gui.until(lambda: names() == ["spot", "dot"])
    gui.do(entry(panel.rows[0], "Names of TotalSegmentator").trigger)
    assert names() == ["kidney left", "adrenal gland right"]
    # Another colour.
    gui.do(act(panel.rows[0], "Colour…").trigger)
    colours = gui.window.findChildren(QColorDialog)[-1]
    gui.do(lambda: (colours.setCurrentColor("#12ab34"), colours.accept()))
    assert overlays.layers[0].labels[0].colour == "#12ab34"
    # Alone, none, all.
    gui.do(act(panel.rows[0], "Show it alone, or all").trigger)
    assert [check.isChecked() for check in panel.rows[0].labels] == [True, False]
    gui.do(act(panel.rows[0], "Show it alone, or all").trigger)
    assert [check.isChecked() for check in panel.rows[0].labels] == [True, True]
    gui.do(entry(panel.rows[0], "Show none").trigger)
    assert not any(check.isChecked() for check in panel.rows[0].labels)
    gui.do(entry(panel.rows[0], "Show all").trigger)
    # To its middle, and its name under the mouse.
    gui.do(act(panel.rows[0], "Go to it").trigger)
    index = np.rint(phantom().geometry.to_index(gui.viewer.crosshair_mm)).astype(int)
    assert all(s.start <= k < s.stop for s, k in zip(MARK, index, strict=True))
    view = gui.view(Plane.AXIAL)
    x, y = view.viewport().to_screen(*view.state.crosshair)
    gui.drag(view, (x, y), (x, y), Qt.MouseButton.NoButton)
    assert gui.window.statusBar().voxel.text().startswith("kidney left")
    far = view.viewport().to_screen(SHAPE[1] - 2, 1)
    gui.drag(view, far, far, Qt.MouseButton.NoButton)
    assert "kidney" not in gui.window.statusBar().voxel.text()


@pytest.mark.parametrize("value", [3, 8])
def test_going_to_a_label_ends_within_it(open_gui: Any, tmp_path: Path, value: int) -> None:
    labels = mark_labels()
    path = write_nifti(labels, tmp_path / "organs.nii.gz")
    assert open_gui.run(open_gui.workspace.overlays.open(path))
    (layer,) = open_gui.workspace.overlays.layers
    open_gui.do(lambda: open_gui.workspace.overlays.go_to_label(layer, value))
    at = labels.geometry.to_index(open_gui.viewer.crosshair_mm)
    assert labels.voxels[tuple(np.rint(at).astype(int))] == value
