"""Workers decode what the process itself would, in order, and leave nothing behind."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from med2e3.errors import Cancelled, ImageReadError
from med2e3.geometry import Geometry
from med2e3.io import load_volume, open_source
from med2e3.io.dicom import decode_pool, decode_worker, pixels
from med2e3.volume import SeriesInfo, Volume

Write = Callable[..., Path]


@pytest.fixture
def compressed(series: Write, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    """A JPEG 2000 series that is read by two workers, and its values."""
    voxels = np.random.default_rng(5).integers(-1024, 3072, (7, 64, 64)).astype(np.int16)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]]
    folder = series(of=Volume(voxels, Geometry((7, 64, 64), affine), SeriesInfo(modality="CT")))
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(path)
    monkeypatch.setattr(pixels, "FEWEST_FOR_WORKERS", 4)
    monkeypatch.setattr(decode_pool.os, "cpu_count", lambda: 2)
    return folder, voxels


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The workers that a test has started."""
    workers: list[subprocess.Popen[bytes]] = []
    start = decode_pool._start

    def watched(*args: object) -> subprocess.Popen[bytes]:
        workers.append(start(*args))  # type: ignore[arg-type]
        return workers[-1]

    monkeypatch.setattr(decode_pool, "_start", watched)
    return workers


def test_a_refused_frame_keeps_the_process_that_decodes(
    compressed: tuple[Path, np.ndarray], started: list[subprocess.Popen[bytes]]
) -> None:
    folder, voxels = compressed
    paths = sorted(folder.iterdir())
    middle = paths[len(paths) // 2]
    whole = middle.read_bytes()
    requests = [decode_pool.request(path, 0) for path in paths]
    for _ in range(3):
        middle.write_bytes(whole[: len(whole) // 2])
        frames = decode_pool.decoded_by_one(requests)
        assert frames is not None
        with pytest.raises(ImageReadError):
            list(frames)
        middle.write_bytes(whole)
        frames = decode_pool.decoded_by_one(requests)
        assert frames is not None
        assert len(list(frames)) == len(voxels)
    assert len(started) <= 1  # none where one of a test before is idle


def test_answers_that_nobody_wants_are_not_waited_for_where_they_take_long(
    compressed: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder may look at a damaged frame for seconds."""
    folder, _ = compressed
    paths = sorted(folder.iterdir())[-4:]
    whole = paths[0].read_bytes()
    paths[0].write_bytes(whole[: len(whole) // 2])
    requests = [decode_pool.request(path, 0) for path in paths]
    answer, asked = decode_pool.Worker.answer, []

    def slow_after_the_first(worker: decode_pool.Worker) -> bytes | None:
        asked.append(worker)
        if len(asked) == 1:
            return answer(worker)
        worker.process.wait()  # as long as it is let
        return None

    monkeypatch.setattr(decode_pool.Worker, "answer", slow_after_the_first)
    monkeypatch.setattr(decode_pool, "PATIENCE_S", 0.01)
    frames = decode_pool.decoded_by_one(requests)
    assert frames is not None
    with pytest.raises(ImageReadError):
        list(frames)
    assert asked[0].process.poll() is not None
    monkeypatch.undo()
    paths[0].write_bytes(whole)
    frames = decode_pool.decoded_by_one(requests)
    assert frames is not None
    assert len(list(frames)) == 4


def test_workers_give_the_same_volume(
    compressed: tuple[Path, np.ndarray], started: list[subprocess.Popen[bytes]]
) -> None:
    folder, voxels = compressed
    np.testing.assert_array_equal(load_volume(folder).voxels, voxels)
    assert len(started) == 2
    assert all(worker.returncode is not None for worker in started)


def test_a_damaged_slice_is_named_and_the_workers_end(
    compressed: tuple[Path, np.ndarray], started: list[subprocess.Popen[bytes]]
) -> None:
    folder, _ = compressed
    victim = sorted(folder.iterdir())[5]
    dataset = pydicom.dcmread(victim)
    dataset.PixelData = dataset.PixelData[:2000]
    dataset.save_as(victim)
    with pytest.raises(ImageReadError, match=victim.name):
        load_volume(folder)
    assert started
    assert all(worker.returncode is not None for worker in started)


def test_cancelling_ends_the_workers(
    compressed: tuple[Path, np.ndarray], started: list[subprocess.Popen[bytes]]
) -> None:
    with pytest.raises(Cancelled):
        load_volume(compressed[0], cancelled=lambda: bool(started))
    assert all(worker.returncode is not None for worker in started)


def test_a_worker_that_dies_is_reported_with_the_file(
    compressed: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    length = len(decode_pool.READY).to_bytes(decode_pool.LENGTH_BYTES, "little")
    hello = f"sys.stdout.buffer.write({length + decode_pool.READY!r})"
    script = f"import sys; sys.stdin.buffer.read(); {hello}"
    monkeypatch.setattr(decode_pool, "ARGUMENTS", ("-c", script))
    with pytest.raises(ImageReadError, match=r"slice_\d+\.dcm.*ended early"):
        load_volume(compressed[0])


def test_where_workers_cannot_be_had_the_process_decodes_by_itself(
    compressed: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, voxels = compressed
    monkeypatch.setattr(decode_pool, "ARGUMENTS", ("-c", "raise SystemExit(1)"))
    np.testing.assert_array_equal(load_volume(folder).voxels, voxels)


def test_a_frozen_application_that_states_no_arguments_decodes_by_itself(
    compressed: tuple[Path, np.ndarray],
    started: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, voxels = compressed
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(decode_pool, "frozen_arguments", ())
    np.testing.assert_array_equal(load_volume(folder).voxels, voxels)
    assert not started


def test_the_worker_answers_each_path_with_its_length_first(
    compressed: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    folder, voxels = compressed
    (tmp_path / "not.dcm").write_bytes(b"no DICOM at all")
    answers = io.BytesIO()
    paths = [sorted(folder.iterdir())[3], tmp_path / "not.dcm"]
    body = pickle.dumps([decode_pool.request(path, 0) for path in paths])
    length = len(body).to_bytes(decode_pool.LENGTH_BYTES, "little")
    decode_worker.serve(io.BytesIO(length + body), answers)
    answers.seek(0)
    received = []
    for _ in ("ready", *paths):
        length = int.from_bytes(answers.read(decode_pool.LENGTH_BYTES), "little")
        received.append(answers.read(length))
    assert received[0] == decode_pool.READY
    dtype, shape, pixels, reports = pickle.loads(received[1])
    assert reports == ()
    np.testing.assert_array_equal(np.frombuffer(pixels, dtype).reshape(shape), voxels[3])
    kind, _, message, _ = pickle.loads(received[2])
    assert kind == decode_pool.ERROR
    assert b"not.dcm" in message


class TestOneWorkerForAll:
    """Few slices, single images and thumbnails go to one process that is kept."""

    @pytest.fixture
    def deadly(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
        """A worker whose decoder aborts, as gdcm does, on every file of that name."""
        script = (
            "import os\n"
            "from med2e3.io.dicom import decode_worker\n"
            "real = decode_worker.decode\n"
            "def decode(dataset, name, *rest, **more):\n"
            "    if name.endswith('slice_0004.dcm'): os.abort()\n"
            "    return real(dataset, name, *rest, **more)\n"
            "decode_worker.decode = decode\n"
            "decode_worker.main()\n"
        )
        decode_pool._end_idle()
        monkeypatch.setattr(decode_pool, "ARGUMENTS", ("-P", "-c", script))
        return "slice_0004.dcm"

    @pytest.fixture(autouse=True)
    def none_is_left(self) -> Iterator[None]:
        yield
        decode_pool._end_idle()

    def test_a_decoder_that_aborts_becomes_a_sentence_that_names_the_file(
        self, compressed: tuple[Path, np.ndarray], deadly: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, voxels = compressed
        source = open_source(folder)
        middle = source.scan.series[0].middle  # the thumbnail's image
        assert middle is not None
        with pytest.raises(ImageReadError, match=rf"{deadly}: the process .* ended early"):
            middle()
        with pytest.raises(ImageReadError, match=rf"{deadly}: the process .* ended early"):
            load_volume(folder)
        monkeypatch.setattr(pixels, "FEWEST_FOR_WORKERS", 64)
        with pytest.raises(ImageReadError, match=rf"{deadly}: the process .* ended early"):
            load_volume(folder)
        (folder / deadly).unlink()
        assert load_volume(folder, resample_gaps=True).shape[1:] == voxels.shape[1:]

    def test_one_process_serves_many_calls_and_is_replaced_when_it_has_gone(
        self,
        compressed: tuple[Path, np.ndarray],
        started: list[subprocess.Popen[bytes]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        folder, voxels = compressed
        decode_pool._end_idle()
        monkeypatch.setattr(pixels, "FEWEST_FOR_WORKERS", 64)
        for _ in range(3):
            np.testing.assert_array_equal(load_volume(folder).voxels, voxels)
        assert len(started) == 1
        started[0].kill()
        np.testing.assert_array_equal(load_volume(folder).voxels, voxels)
        assert len(started) == 2

    def test_a_load_that_is_cancelled_leaves_no_answers_for_the_next(
        self, compressed: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, voxels = compressed
        monkeypatch.setattr(pixels, "FEWEST_FOR_WORKERS", 64)
        steps: list[float] = []
        with pytest.raises(Cancelled):
            load_volume(
                folder, progress=lambda share, _: steps.append(share),
                cancelled=lambda: bool(steps) and steps[-1] > 0.6,
            )  # fmt: skip
        np.testing.assert_array_equal(load_volume(folder).voxels, voxels)

    def test_the_bundle_starts_itself_as_a_worker(
        self,
        compressed: tuple[Path, np.ndarray],
        started: list[subprocess.Popen[bytes]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        folder, voxels = compressed
        from app.services.studies import DECODE_FRAMES

        monkeypatch.setattr(sys, "frozen", True, raising=False)
        arguments = ("-P", "-m", "app", *DECODE_FRAMES)
        monkeypatch.setattr(decode_pool, "frozen_arguments", arguments)
        np.testing.assert_array_equal(load_volume(folder).voxels, voxels)
        assert len(started) == 2

    def test_a_file_that_was_written_again_is_read_again(
        self, compressed: tuple[Path, np.ndarray]
    ) -> None:
        folder, voxels = compressed
        first, second = sorted(folder.iterdir())[:2]
        for path in (first, second):  # the second one's pixels come to stand in the first one's
            first.write_bytes(path.read_bytes())
            lent = decode_pool.decoded_by_one([decode_pool.request(first, 0)])
            assert lent is not None
            (decoded,) = lent
        np.testing.assert_array_equal(decoded.numbers, voxels[1])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is held to a bound")
def test_a_frame_that_takes_more_memory_than_it_may_is_named_and_the_next_is_read(
    compressed: tuple[Path, np.ndarray],
) -> None:
    """The first frame makes its decoder take 3 GB."""
    folder, _ = compressed
    greedy = """
import med2e3.io.dicom.decode_worker as worker
usual = worker.decode
def decode(dataset, shown, *rest, **options):
    if shown.endswith("0001.dcm"):
        bytearray(3 << 30)
    return usual(dataset, shown, *rest, **options)
worker.decode = decode
worker.main()
"""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", greedy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    worker = decode_pool.Worker(process)
    try:
        assert worker.is_ready()
        paths = sorted(folder.iterdir())[:2]
        worker.ask([decode_pool.request(path, 0) for path in paths], last=True)
        first, second = (decode_pool.Answer(*pickle.loads(worker.answer() or b"")) for _ in paths)
    finally:
        worker.end()
    assert first.kind == decode_pool.ERROR
    assert b"slice_0001.dcm: to decode it takes more memory than" in first.content
    decoded = np.frombuffer(second.content, second.kind).reshape(second.shape)
    np.testing.assert_array_equal(decoded, pixels_of(paths[1]))


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(pydicom.dcmread(path).pixel_array)
