"""Headers that worker processes read are those that this process reads."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from med2e3.io.dicom import decode_pool, header_pool
from med2e3.io.dicom.header_pool import HeaderRow, header_row, header_rows

DEMO = Path(__file__).resolve().parents[4] / "resources" / "demo-study"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Images, a damaged one, a text, a folder and a name without a file."""
    images = sorted(DEMO.glob("*.dcm"))[:20]
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(images[0].read_bytes()[:300])
    text = tmp_path / "text.txt"
    text.write_text("nothing of DICOM " * 20)
    return [*images[:7], damaged, text, tmp_path, tmp_path / "gone", *images[7:]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Workers for a few files; the caller reads nothing while they start."""
    workers: list[subprocess.Popen[bytes]] = []
    start = decode_pool._start

    def watched(*args: Any) -> subprocess.Popen[bytes]:
        workers.append(start(*args))
        return workers[-1]

    monkeypatch.setattr(decode_pool, "_start", watched)
    monkeypatch.setattr(header_pool, "FEWEST_FILES", 3)
    monkeypatch.setattr(header_pool, "CHUNK", 4)
    monkeypatch.setattr(header_pool, "MOST_WORKERS", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    return workers


class _Waiting(header_pool.ThreadPoolExecutor):
    """Has the workers ready at once, so that they read all."""

    def submit(self, work: Any, /, *args: Any, **options: Any) -> Any:
        done = super().submit(work, *args, **options)
        done.result()
        return done


def _plain(row: HeaderRow) -> tuple[Any, ...]:
    header = row.header
    if header is None:
        return row.damage, row.is_file
    values = {key: header.dataset.get(key) for key in ("SOPInstanceUID", "PatientID", "Modality")}
    frames = [(f.path, f.number, f.uid, f.pixels, f.position, f.moment) for f in header.frames]
    return header.path, header.reason, values, frames


def test_rows_of_workers_are_those_of_this_process(
    paths: list[Path], started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [_plain(header_row(path)) for path in paths]
    monkeypatch.setattr(header_pool, "ThreadPoolExecutor", _Waiting)
    monkeypatch.setattr(header_pool, "read_header", lambda path: pytest.fail("it was read here"))
    assert [_plain(row) for row in header_rows(paths)] == wanted
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)
    assert [row for row in wanted if row == ("", False)] == [("", False)] * 2
    assert sum(bool(row[0]) and row[-1] is True for row in wanted) == 1


def test_files_are_read_here_until_the_workers_have_started(
    paths: list[Path], started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_pool.Worker, "answer", lambda self: pytest.fail("it was asked"))
    monkeypatch.setattr(decode_pool.Worker, "is_ready", lambda self: bool(self.process.wait()))
    assert [_plain(r) for r in header_rows(paths)] == [_plain(header_row(p)) for p in paths]
    assert len(started) == 2


def test_what_a_dead_worker_does_not_answer_is_read_here(
    paths: list[Path], started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_pool, "ThreadPoolExecutor", _Waiting)
    found = []
    with closing(header_rows(paths)) as rows:
        for row in rows:
            found.append(_plain(row))
            started[1].kill()
    assert found == [_plain(header_row(path)) for path in paths]


def test_who_stops_reading_ends_the_workers(
    paths: list[Path], started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_pool, "ThreadPoolExecutor", _Waiting)
    with closing(header_rows(paths)) as rows:
        next(rows)
    assert [process.poll() is not None for process in started] == [True, True]


def test_few_files_and_paths_from_here_start_no_process(
    paths: list[Path], started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DEMO)
    assert len(list(header_rows([*paths, Path("slice_0000.dcm")]))) == len(paths) + 1
    monkeypatch.setattr(header_pool, "FEWEST_FILES", 10_000)
    assert len(list(header_rows(paths))) == len(paths)
    assert started == []
