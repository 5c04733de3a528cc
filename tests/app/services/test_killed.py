"""A process that is killed at any moment loses nothing that it has shown as saved."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.settings import read
from app.viewmodels.annotation.codec import decode
from app.viewmodels.core.identity import series_key
from app.viewmodels.core.settings import Settings
from med2e3 import files
from med2e3.io import load_volume
from tests.app.annotating import Pen
from tests.app.conftest import Gui

ROOT = Path(__file__).resolve().parents[3]

#: Seconds from the first step to the end of the process, at most.
LATEST = 0.5

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems kill otherwise")


class Sessions:
    """Sessions one after another, each in a process of its own."""

    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}
        self._rest = b""
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.app.killed"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def killed(self, home: Path, study: Path, seed: int) -> dict[str, Any]:
        """Run a session, kill it at a moment that the seed chooses; returns what it said."""
        assert self._server.stdin is not None
        self.saved = {}
        self._server.stdin.write(json.dumps([str(home), str(study), seed]).encode() + b"\n")
        self._server.stdin.flush()
        while "ready" not in self.saved:
            assert "ended" not in self.saved, "the session ended by itself"
            self._hear(60)
        end = time.monotonic() + random.Random(seed).random() * LATEST
        while (left := end - time.monotonic()) > 0:
            self._hear(left)
        os.kill(self.saved["process"], signal.SIGKILL)
        while "ended" not in self.saved:  # what it had said by then is read to the end
            self._hear(60)
        return self.saved

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError, KeyError):
            if "ended" not in self.saved:
                os.kill(self.saved["process"], signal.SIGKILL)
        self._server.kill()
        self._server.communicate()

    def _hear(self, seconds: float) -> None:
        assert self._server.stdout is not None
        if select.select([self._server.stdout], [], [], seconds)[0]:
            more = os.read(self._server.stdout.fileno(), 1 << 16)
            assert more, "the process that starts sessions has ended"
            *lines, self._rest = (self._rest + more).split(b"\n")
            for line in lines:
                with contextlib.suppress(json.JSONDecodeError):  # killed within it: never said
                    self.saved |= json.loads(line)


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    made = Sessions()
    yield made
    made.end()


def check(home: Path, study: Path, saved: dict[str, Any]) -> None:
    """What was said to be saved is there; files are whole, and the next start finds none odd."""
    path = home / "annotations" / f"{series_key(load_volume(study))}.json"
    if "drawn" in saved:
        drawn = {a.uid for a in decode(path.read_text("utf-8"), path.stem).annotations}
        # One step more may have been saved than was said: the process ended in between.
        assert len(drawn ^ set(saved["drawn"])) <= 1
    if "typed" in saved:
        (report,) = (home / "reports").glob("*.json")
        words = json.loads(report.read_text("utf-8"))["text"].split()
        assert set(saved["typed"].split()) <= set(words)
    if "preferred" in saved:
        found = read(home / "config" / "settings.json")
        assert not found.said
        values = [found.values.display.crosshair_gap, found.values.display.crosshair_style]
        assert values in (saved["preferred"], saved["preferring"])
    for place in home.rglob("*.json"):
        json.loads(place.read_text("utf-8"))
        assert ".damaged" not in place.name


def kills(count: int, seed: int, sessions: Sessions, home: Path, study: Path) -> None:
    """Kill sessions one after another; each goes on where the one before was killed."""
    drawn = 0
    for number in range(count):
        said = sessions.killed(home, study, seed + number)
        assert {"drawn", "typed", "preferred"} <= said.keys()
        check(home, study, said)
        drawn = len(said["drawn"])
    print(f"{count} kills: {drawn} annotations at the end, nothing acknowledged was lost")


def drafts(home: Path) -> list[Path]:
    return [p for p in home.rglob("*") if p.name.endswith(files.DRAFT)]


def next_start_is_clean(loop: Any, engine: Any, home: Path, study: Path) -> None:
    """The real window starts on what killed sessions left, without a word and without leftovers."""
    for draft in drafts(home):
        os.utime(draft, (0, 0))  # as old as what another day's process left
    gui = Gui(
        loop, engine, Settings(home / "config" / "settings.json"),
        home / "annotations", home / "reports",
    )  # fmt: skip
    assert gui.open(study)
    pen = Pen(gui)
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    gui.do(lambda: gui.window.assistant.report.editor.insertPlainText("More."))
    gui.do(lambda: gui.workspace.settings.set("text_size", 150))
    gui.do(gui.workspace.settings.save)
    gui.run(gui.workspace.annotations.saved())
    gui.run(gui.workspace.autosave.saved())
    assert gui.workspace.notices.message is None
    assert gui.run(gui.application.close())
    assert not drafts(home)


def test_five_kills_lose_nothing_that_was_shown_as_saved(
    loop: Any, engine: Any, dicom: Path, tmp_path: Path, sessions: Sessions
) -> None:
    home = tmp_path / "home"
    kills(5, 41, sessions, home, dicom)
    next_start_is_clean(loop, engine, home, dicom)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_hundred_kills_lose_nothing_that_was_shown_as_saved(
    loop: Any, engine: Any, dicom: Path, tmp_path: Path, sessions: Sessions
) -> None:
    home = tmp_path / "home"
    kills(100, 1000, sessions, home, dicom)
    next_start_is_clean(loop, engine, home, dicom)
