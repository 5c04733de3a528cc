"""The pictures of the window: every state can be reached, and at scale 2 they are truly finer."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QImage

from app.screenshots import take
from app.screenshots.stage import Stage, back_to_first
from app.screenshots.states import STATES
from app.viewmodels.study.study import Target

ROOT = Path(__file__).parents[3]


def test_states_of_one_screen_become_files_in_both_themes(
    gui: Any, nifti: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take, "SCREENS", (take.Screen("small", (900, 600), 1),))
    options = Namespace(
        folder=tmp_path / "pictures",
        path=nifti,
        series=None,
        model="",
        states="empty,study,palette,preferences-1,answered",
        theme=None,
        screen="small",
    )
    files = gui.run(take.take(gui.application, options), 60)
    names = {file.name for file in files}
    assert {"study-small-dark.png", "study-small-light.png", "empty-small-dark.png"} <= names
    assert not any(name.startswith("answered") for name in names)  # no model, no answer
    sizes = {QImage(str(file)).size().toTuple() for file in files if "study" in file.name}
    assert sizes == {(900, 600)}
    assert files[0].read_bytes() != files[1].read_bytes()


def test_every_state_leaves_the_window_as_it_was(gui: Any, nifti: Path) -> None:
    stage = Stage(gui.window, Target(nifti))
    for name in ("help", "palette", "shortcuts", "panels-hidden", "error", "hint"):
        gui.run(STATES[name].act(stage))
        gui.run(back_to_first(stage, STATES["study"]))
        assert gui.window.dialogs.shown is None
        assert not gui.window.help.isVisible()
        assert not gui.window.dialogs.palette.isVisible()
        assert gui.workspace.notices.message is None
        assert all(panel.isVisible() for panel in gui.window.panels.values())


def test_what_was_turned_and_measured_for_a_picture_is_undone(gui: Any, nifti: Path) -> None:
    stage = Stage(gui.window, Target(nifti))
    viewer, book = gui.workspace.viewer, gui.workspace.annotations
    gui.run(back_to_first(stage, STATES["study"]))
    gui.until(lambda: book.volume is not None)
    gui.run(STATES["turned"].act(stage))
    assert viewer.is_turned
    gui.run(back_to_first(stage, STATES["study"]))
    assert not viewer.is_turned
    gui.run(STATES["measured"].act(stage))
    assert gui.workspace.steps.undo_name
    gui.run(back_to_first(stage, STATES["study"]))
    assert not gui.workspace.steps.undo_name
    gui.run(STATES["tags"].act(stage))
    gui.run(back_to_first(stage, STATES["study"]))
    assert not gui.window.tags.isVisible()


@pytest.mark.slow
def test_at_scale_two_images_are_painted_in_pixels_of_the_screen(
    dicom: Path, tmp_path: Path
) -> None:
    choices = ["--screen", "4k", "--states", "study", "--theme", "dark", "--model", ""]
    ran = subprocess.run(
        [sys.executable, "-m", "app.screenshots", str(tmp_path), str(dicom), *choices],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": "2"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    picture = QImage(str(tmp_path / "study-4k-dark.png"))
    assert (picture.width(), picture.height()) == (3840, 2160)
    grey = picture.convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(grey.constBits(), np.uint8).reshape(2160, grey.bytesPerLine())
    view = rows[200:1000, 700:1600].astype(int)
    # A picture painted at scale 1 and enlarged would repeat its pixels two by two.
    assert (view[:, 0::2] != view[:, 1::2]).mean() > 0.02
