"""A full or read-only disk loses nothing of a session: it is said, and saved when there is room."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.viewmodels.annotation.codec import decode
from app.viewmodels.core.identity import series_key
from app.viewmodels.core.settings import Settings
from app.views.window.close_question import AGAIN, ANYWAY, STAY
from med2e3.io import load_volume
from tests.app.annotating import Pen, exports, save_pictures
from tests.app.conftest import Gui


class Disk:
    """The disk below a folder, as Python opens files on it: full from the nth write on.

    `full` is how: "open", where no file can be made, or "write", where a file can be made and takes
    no bytes, as on a disk whose last block is gone.
    """

    def __init__(self) -> None:
        self.folder = ""
        self.room: int | None = None
        self.writes = self.refused = 0
        self.full = "open"

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder or event not in ("open", "os.mkdir", "os.rename"):
            return
        place = arguments[0]
        if not isinstance(place, str | bytes | os.PathLike):
            return
        path = os.fsdecode(place)
        if not path.startswith(self.folder) or not self._writes(event, arguments):
            return
        self.writes += 1
        if self.room is not None and self.writes > self.room and self.full == "open":
            # A lock and its folder are tried again while the save waits for them.
            self.refused += event != "os.mkdir" and not path.endswith(".lock")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    @staticmethod
    def _writes(event: str, arguments: tuple[Any, ...]) -> bool:
        if event != "open":
            return True
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        mode = arguments[1] if isinstance(arguments[1], str) else ""
        return bool(flags & (os.O_WRONLY | os.O_RDWR)) or any(c in mode for c in "wax+")

    def takes_no_byte(self, path: Path) -> bool:
        """Whether the file is made, and nothing can be written into it."""
        inside = bool(self.folder) and str(path).startswith(self.folder)
        late = self.room is not None and self.writes >= self.room
        found = inside and late and self.full == "write"
        self.refused += found
        return found


DISK = Disk()
sys.addaudithook(DISK.watch)  # cannot be removed; it does nothing while `folder` is empty


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    real = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        if DISK.takes_no_byte(path):
            real(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    DISK.folder, DISK.room, DISK.writes, DISK.full = "", None, 0, "open"
    yield DISK
    DISK.folder = ""


class Session:
    """A scripted session: settings, drawings, a report, a key image, exports."""

    def __init__(self, loop: Any, engine: Any, home: Path, dicom: Path) -> None:
        self.home, self.dicom = home, dicom
        self.settings = Settings(home / "config" / "settings.json")
        self.gui = Gui(
            loop, engine, self.settings, home / "data" / "annotations", home / "data" / "reports"
        )
        self.said: list[str] = []
        self.closed: list[bool] = []
        self.gui.workspace.notices.changed.connect(self._hear)

    def _hear(self) -> None:
        message = self.gui.workspace.notices.message
        if message is not None and "written to" not in message.sentence:
            self.said.append(message.sentence)

    def steps(self) -> list[Callable[[], object]]:
        gui = self.gui
        return [
            lambda: gui.open(self.dicom),
            self.change_theme,
            lambda: self.draw(10),
            lambda: self.type("The liver is normal. "),
            lambda: self.draw(16),
            lambda: gui.key(Qt.Key.Key_K),
            lambda: self.type("So is the spleen."),
            lambda: self.change_size(130),
            self.export,
            lambda: save_pictures(gui, self.exports_at),
        ]

    @property
    def exports_at(self) -> Path:
        folder = self.home / "exports"
        if not folder.is_dir():
            folder.mkdir(parents=True)
        return folder

    def change_theme(self) -> None:
        self.gui.do(lambda: self.settings.set("theme", "light"))
        self.gui.do(self.settings.save)

    def change_size(self, size: int) -> None:
        self.gui.do(lambda: self.settings.set("text_size", size))
        self.gui.do(self.settings.save)

    def draw(self, row: int) -> None:
        pen = Pen(self.gui)
        pen.tool("length")
        pen.drag((row, 10), (row, 40))

    def type(self, words: str) -> None:
        editor = self.gui.window.assistant.report.editor
        self.gui.do(lambda: QTest.keyClicks(editor, words))

    def export(self) -> None:
        choose = exports(self.gui, self.gui.window.measurements.export, "Save the table (CSV)…")
        self.gui.do(lambda: choose(self.exports_at / "measurements.csv"))

    def settled(self) -> None:
        """Wait until everything is saved, or has failed."""
        self.gui.run(self.gui.workspace.annotations.saved())
        self.gui.run(self.gui.workspace.autosave.saved())

    def end(self) -> None:
        assert self.gui.run(self.gui.application.close())


def kept(home: Path, dicom: Path) -> tuple[Any, ...]:
    """What a session has left: drawings, key images, report, theme, size of text."""
    key = series_key(load_volume(dicom))
    document = decode((home / "data/annotations" / f"{key}.json").read_text("utf-8"), key)
    (report,) = (home / "data" / "reports").glob("*.json")
    settings = json.loads((home / "config" / "settings.json").read_text("utf-8"))
    text = json.loads(report.read_text("utf-8"))["text"]
    lines = sorted(a.points_mm for a in document.annotations)
    return lines, len(document.key_images), text, settings["theme"], settings["text_size"]


def leftovers(home: Path) -> list[Path]:
    return [p for p in home.rglob("*") if p.name.endswith(".part") or ".damaged" in p.name]


@pytest.fixture
def whole(loop: Any, engine: Any, dicom: Path, tmp_path: Path, disk: Disk) -> tuple[Any, int]:
    """What the session leaves on a good disk, and how often it writes."""
    home = tmp_path / "whole"
    session = Session(loop, engine, home, dicom)
    disk.folder = str(home)
    for step in session.steps():
        step()
    session.settled()
    session.end()
    writes, disk.folder = disk.writes, ""
    assert session.said == []
    return kept(home, dicom), writes


def full_at(
    write: int, disk: Disk, make: Callable[[Path], Session], home: Path, dicom: Path
) -> tuple[Any, list[str]]:
    """What is left, and what was said, where the disk was full from one write to the end."""
    disk.folder, disk.room, disk.writes, disk.refused = str(home), write, 0, 0
    session = make(home)
    for step in session.steps():
        with contextlib.suppress(OSError):  # the test's own folder of exports
            step()
    session.settled()
    disk.room = None
    session.end()
    disk.folder = ""
    assert not leftovers(home)
    return kept(home, dicom), session.said


def test_a_full_disk_loses_nothing_when_there_is_room_again(
    loop: Any, engine: Any, dicom: Path, tmp_path: Path, disk: Disk, whole: Any
) -> None:
    half = whole[1] // 2
    for full, writes in (("open", (0, half)), ("write", (half + 1,))):
        nothing_is_lost(writes, full, disk, whole, loop, engine, dicom, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("full", ["open", "write"])
def test_a_full_disk_at_any_write_loses_nothing(
    full: str, loop: Any, engine: Any, dicom: Path, tmp_path: Path, disk: Disk, whole: Any
) -> None:
    nothing_is_lost(range(whole[1]), full, disk, whole, loop, engine, dicom, tmp_path)


def nothing_is_lost(
    writes: Iterable[int], full: str, disk: Disk, whole: Any, loop: Any, engine: Any, dicom: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    disk.full = full
    for write in writes:
        left, said = full_at(
            write, disk, lambda home: Session(loop, engine, home, dicom),
            tmp_path / f"{full}-{write}", dicom,
        )  # fmt: skip
        assert left == whole[0], write
        # The last ones are not always made: what is saved twice within moments is written once.
        assert said or not disk.refused, f"nothing was said, though write {write} and later failed"
        assert all("unexpected" not in sentence for sentence in said), said


# --- closing -------------------------------------------------------------------------------------


@pytest.fixture
def unsaved(loop: Any, engine: Any, dicom: Path, tmp_path: Path, disk: Disk) -> Iterator[Session]:
    """A session whose drawing, report and theme could not be saved, about to be closed."""
    session = Session(loop, engine, tmp_path / "home", dicom)
    disk.folder, disk.room = str(session.home), 0
    session.gui.open(dicom)
    session.draw(10)
    session.type("The liver is normal.")
    session.change_theme()
    session.settled()
    session.gui.window.closed.connect(lambda: session.closed.append(True))
    yield session
    disk.room = None
    session.end()


def ask_to_close(session: Session) -> Any:
    """Close the window; returns the question that opens."""
    window = session.gui.window
    session.gui.do(window.close)
    session.gui.until(lambda: window.question.shown is not None)
    assert window.isVisible()
    assert not session.closed
    return window.question.shown


def press(session: Session, question: Any, title: str) -> None:
    (button,) = (b for b in question.buttons() if b.text() == title)
    session.gui.do(button.click)
    session.gui.do(lambda: None)


def test_closing_with_something_unsaved_asks_and_names_it(unsaved: Session) -> None:
    question = ask_to_close(unsaved)
    words = question.text()
    for what in ("measurements of “Phantom”", "report on “Phantom”", "the preferences"):
        assert what in words
    assert "no room left on the disk" in words
    assert {b.text() for b in question.buttons()} == {AGAIN, ANYWAY, STAY}
    press(unsaved, question, STAY)
    assert unsaved.gui.window.isVisible()
    assert not unsaved.closed
    press(unsaved, ask_to_close(unsaved), STAY)


def test_saving_again_closes_when_there_is_room_and_asks_again_when_not(
    unsaved: Session, disk: Disk
) -> None:
    press(unsaved, ask_to_close(unsaved), AGAIN)
    unsaved.gui.until(lambda: unsaved.gui.window.question.shown is not None)
    disk.room = None
    press(unsaved, unsaved.gui.window.question.shown, AGAIN)
    unsaved.gui.until(lambda: unsaved.closed)
    lines, _, text, theme, _ = kept(unsaved.home, unsaved.dicom)
    assert (len(lines), text, theme) == (1, "The liver is normal.", "light")


def test_closing_anyway_closes(unsaved: Session) -> None:
    press(unsaved, ask_to_close(unsaved), ANYWAY)
    assert unsaved.closed
    assert not unsaved.gui.window.isVisible()


def test_a_window_with_everything_saved_closes_without_a_question(
    loop: Any, engine: Any, dicom: Path, tmp_path: Path
) -> None:
    session = Session(loop, engine, tmp_path / "home", dicom)
    session.gui.open(dicom)
    session.draw(10)
    session.type("Just typed.")  # its file is written within half a second, or at the close
    closed: list[bool] = []
    session.gui.window.closed.connect(lambda: closed.append(True))
    session.gui.do(session.gui.window.close)
    session.gui.until(lambda: closed)
    (report,) = (session.home / "data" / "reports").glob("*.json")
    assert json.loads(report.read_text("utf-8"))["text"] == "Just typed."
    session.end()


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
def test_a_folder_that_may_only_be_read_is_said_and_asked_about(
    loop: Any, engine: Any, dicom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(loop, engine, tmp_path / "home", dicom)

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patched:  # root may write everywhere: rights alone do not tell
        patched.setattr("app.services.annotation_store.private_folder", refuse)
        patched.setattr("app.services.report_store.private_folder", refuse)
        patched.setattr("app.settings.private_folder", refuse)
        session.gui.open(dicom)
        session.draw(10)
        session.type("The liver is normal.")
        session.change_theme()
        session.settled()
        assert any("measurements" in words for words in session.said)
        assert any("report" in words for words in session.said)
        assert any("preferences" in words for words in session.said)
        question = ask_to_close(session)
        assert "refused access" in question.text()
        press(session, question, STAY)
    session.settled()
    session.end()
    assert kept(session.home, dicom)[2] == "The liver is normal."
