"""The program as it is started: the demo that photographs itself, and the benchmark's parts."""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtGui import QImage

from app import demo, main
from app.benchmark.heartbeat import Heartbeat
from app.services import garbage
from app.viewmodels.core.settings import Settings
from app.viewmodels.study.study import Target
from med2e3 import files
from med2e3.geometry import Plane
from med2e3.io.dicom import decode_pool
from tests.app.conftest import Gui

ROOT = Path(__file__).parents[3]


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


def test_the_start_removes_what_a_killed_run_left(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / f"{files.TEMPORARY}1"
    left.mkdir()
    (left / files.LOCK).write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("signal.signal", lambda *_: None)

    async def run() -> int:
        running = asyncio.create_task(main._run_window(gui.application, options(model="")))
        while left.exists():
            await asyncio.sleep(0.01)
        gui.window.close()
        return await running

    assert gui.run(run()) == 0


def test_the_start_brings_up_the_process_that_decodes(
    gui: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    decode_pool._end_idle()

    async def run() -> int:
        running = asyncio.create_task(main._run_window(gui.application, options(model="")))
        while not decode_pool._IDLE:
            await asyncio.sleep(0.01)
        gui.window.close()
        return await running

    assert gui.run(run()) == 0
    decode_pool._end_idle()


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


def test_everything_is_looked_at_only_when_little_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full collection takes long with a large study open: not while somebody scrolls."""
    looks: list[Any] = []
    clock = SimpleNamespace(call_later=lambda _, look: looks.append(look) or SimpleNamespace())
    gathered, done = [5000], []
    monkeypatch.setattr(garbage.gc, "get_count", lambda: (gathered[0], 0, 0))
    monkeypatch.setattr(garbage.gc, "collect", done.append)
    monkeypatch.setattr(garbage.gc, "disable", lambda: None)
    garbage.Garbage(clock)

    def look(times: int) -> list[int]:
        done.clear()
        for _ in range(times):
            looks[-1]()
        return list(done)

    busy = look(garbage.FULL_EVERY + 50)
    assert busy.count(1) == len(busy) // garbage.MIDDLE_EVERY
    assert 2 not in busy
    gathered[0] = 10
    assert look(garbage.QUIET_LOOKS - 1) == []
    assert look(1) == [2]
    assert look(500) == []
    gathered[0] = 5000
    assert look(garbage.FULL_AT_LAST + 1).count(2) == 1


def test_the_window_can_be_built_before_torch_is_imported() -> None:
    code = (
        "import sys, app.main, app.demo\n"
        "heavy = {'torch', 'transformers', 'vtkmodules', 'pydicom'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
