"""Files appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from med2e3 import files
from med2e3.files import whole_file, write_whole


def test_a_file_is_replaced_by_text_or_bytes_and_no_draft_stays(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_whole(path, "Größe")
    assert path.read_bytes() == "Größe".encode()
    write_whole(path, b"\x00\x01", durable=True)
    assert path.read_bytes() == b"\x00\x01"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_in_the_middle_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def work() -> None:
        with whole_file(path) as draft:
            draft.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_to_replace_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise PermissionError("another program has it open")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_that_was_never_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), whole_file(path):
        pass
    assert path.read_text() == "old"


def test_the_bytes_are_on_the_disk_before_the_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "report.json", []
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.read_text()))
    write_whole(path, "newer", durable=True)
    assert seen == ["old"]
    write_whole(path, "newest")
    assert seen == ["old"]


def test_writers_at_once_never_tear_a_file(tmp_path: Path) -> None:
    """Each writes one letter in several pieces; a reader meets whole contents only."""
    path = tmp_path / "shared.txt"
    write_whole(path, "-" * 30)
    failed: list[BaseException] = []

    def work(letter: str) -> None:
        try:
            for _ in range(60):
                with whole_file(path) as draft, draft.open("w") as stream:
                    for _ in range(3):
                        stream.write(letter * 10)
                        stream.flush()
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=work, args=(letter,)) for letter in "abc"]
    for writer in writers:
        writer.start()
    read = {path.read_text()}
    while any(writer.is_alive() for writer in writers):
        read.add(path.read_text())
    for writer in writers:
        writer.join()
    assert failed == []
    assert read <= {letter * 30 for letter in "-abc"}
    assert path.read_text() != "-" * 30
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_have_drafts_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "shared.txt"
    with whole_file(path) as first, whole_file(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # which ended last
    assert first.parent == second.parent == tmp_path


def test_the_drafts_of_killed_programs_go_and_those_of_others_stay(tmp_path: Path) -> None:
    path, other = tmp_path / "shared.txt", tmp_path / ".other.txt.1-ab.part"
    killed, busy = tmp_path / ".shared.txt.1-ab.part", tmp_path / ".shared.txt.2-cd.part"
    for draft in (killed, busy, other):
        draft.write_text("half")
    long_ago = time.time() - files.ABANDONED - 60
    os.utime(killed, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))
    write_whole(path, "whole")
    assert {p.name for p in tmp_path.iterdir()} == {path.name, busy.name, other.name}


def test_the_longest_name_that_a_disk_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ß" * 125 + ".json")
    write_whole(path, "whole")
    assert path.read_text() == "whole"


def test_a_missing_folder_is_an_error_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "file", "whole")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are made otherwise there")
def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    write_whole(Path("/dev/null"), "nothing")
    assert not Path("/dev/null").is_file()


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.skipif(sys.platform == "win32", reason="rights are POSIX's")
def test_private_files_are_their_owners_alone_from_the_first_byte_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = files.private_folder(tmp_path / "a" / "b")
    assert (rights(folder.parent), rights(folder)) == (0o700, 0o700)
    seen = []
    true = Path.write_bytes
    monkeypatch.setattr(
        Path, "write_bytes", lambda path, data: seen.append(rights(path)) or true(path, data)
    )
    write_whole(folder / "report.json", "x", private=True)
    assert seen == [0o600]
    assert rights(folder / "report.json") == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="rights are POSIX's")
def test_a_folder_that_everybody_could_read_is_closed_and_the_one_above_it_left(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "above" / "data"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    files.private_folder(folder)
    assert (rights(folder.parent), rights(folder)) == (0o755, 0o700)


HOLDER = """
import sys, time
from med2e3.files import TemporaryFolder
held = TemporaryFolder()
(held.path / "NAME^OF^PATIENT.dcm").write_text("x")
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of this test and the processes that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_what_a_killed_process_left_is_removed_and_what_one_holds_is_not(place: Path) -> None:
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        killed, held = (Path(holder.stdout.readline().strip()) for holder in holders)  # type: ignore[union-attr]
        strange = place / "med2e3-somebody-elses"
        strange.mkdir()
        mine = files.TemporaryFolder()
        holders[0].kill()
        holders[0].wait()
        assert files.remove_leftovers() == [killed]
        assert not killed.exists()
        assert all(path.is_dir() for path in (held, strange, mine.path))
        mine.remove()
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
    assert files.remove_leftovers() == [held]
    assert list(place.iterdir()) == [strange]


def test_a_link_in_the_place_of_a_leftover_is_not_followed(place: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("kept")
    (victim / files.LOCK).write_text("")
    (place / "med2e3-aa").symlink_to(victim)
    (place / "med2e3-bb").mkdir()
    (place / "med2e3-bb" / files.LOCK).symlink_to(victim / "file")
    assert files.remove_leftovers() == []
    assert (victim / "file").read_text() == "kept"
