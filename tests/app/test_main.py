"""The program as it is started: the demo that photographs itself, and the benchmark's parts."""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QImage

from app import demo, main
from app.heartbeat import Heartbeat
from app.settings import Settings
from app.viewmodels.study import Target
from med2e3.geometry import Plane
from tests.app.conftest import Gui

ROOT = Path(__file__).parents[2]


def options(**choices: Any) -> argparse.Namespace:
    parsed = main._parser().parse_args([])
    return argparse.Namespace(**{**vars(parsed), **choices})


def test_the_screenshot_shows_an_answered_question(
    gui: Any, nifti: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "window.png"
    chosen = options(screenshot=picture, paths=[nifti], size="1100x720")
    assert gui.run(demo.take_screenshot(gui.application, chosen)) == 0
    image = QImage(str(picture))
    assert (image.width(), image.height()) == (1100, 720)
    printed = capsys.readouterr().out
    assert "A  There is a nodule." in printed
    assert "×4.0 z" in printed
    shown = gui.viewer.planes[Plane.AXIAL].slice_index
    low, high = gui.assistant.shown.seen.edges[2:4]
    assert low <= shown <= high


def test_a_demo_that_cannot_run_says_why_and_fails(
    gui: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = options(screenshot=tmp_path / "window.png", paths=[tmp_path / "nowhere"])
    assert gui.run(demo.take_screenshot(gui.application, chosen)) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_demo_asks_every_ready_question(gui: Any, nifti: Path) -> None:
    gui.load_model()
    turns = gui.run(demo.ask_ready(gui.workspace, Target(nifti)))
    assert len(turns) == len(gui.assistant.model.questions)
    assert turns[-1].is_report


def test_the_heartbeat_notices_a_stall(gui: Any) -> None:
    heartbeat = Heartbeat()
    heartbeat.start()
    gui.until(lambda: heartbeat.beats > 2)
    gui.do(lambda: sum(range(3_000_000)))
    assert heartbeat.stop() > 5


def test_garbage_is_collected_on_the_windows_thread_while_it_is_open(
    loop: Any, engine: Any
) -> None:
    gui = Gui(loop, engine, Settings())
    assert not gc.isenabled()  # Python's own would run on any thread, and destroy widgets there
    assert gui.run(gui.application.close())
    assert gc.isenabled()


def test_the_window_can_be_built_before_torch_is_imported() -> None:
    code = (
        "import sys, app.main, app.demo\n"
        "heavy = {'torch', 'transformers', 'vtkmodules', 'pydicom'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
