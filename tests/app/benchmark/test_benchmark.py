"""The benchmark: its rows say what was promised, its groups run in the real window."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.benchmark import events, first_picture, images, loading, run, scene, switching
from app.benchmark.rows import Bench, Row, plain, ratio, table
from app.benchmark.series import write_jpeg2000, write_series
from med2e3.geometry import Plane
from med2e3.io import load_volume

SMALL = (12, 32, 32)


def test_a_row_says_whether_its_bound_is_kept() -> None:
    assert Row("", 2.0, "ms", 4.0).verdict == "ok"
    assert Row("", 5.0, "ms", 4.0).verdict == "missed"
    assert Row("", 5.0, "fps", 10.0, at_least=True).verdict == "missed"
    assert Row("", 12.0, "fps", 10.0, at_least=True).verdict == "ok"
    assert Row("", None, "ms", 4.0).verdict == ""
    assert Row("", 5.0, "ms").verdict == ""


def test_the_table_shows_figure_slow_end_bound_verdict_and_note() -> None:
    rows = [
        Row("slice change", 2.04, "ms", 4.0, 3.1, note="plain: 8 ms"),
        ratio("loading", 3.0, 1.0, "raw bytes", 2.0),
        Row("peer", None, "×", 1.0, note="not installed"),
    ]
    _, first, second, third = table(rows).splitlines()
    assert " ".join(first.split()) == "slice change 2.04 ms 3.1 ms ≤ 4 ms ok plain: 8 ms"
    assert "3 ×" in second
    assert "missed" in second
    assert "3.00 s against 1.00 s: raw bytes" in second
    assert "not run" in third
    assert json.loads(json.dumps([plain(row) for row in rows]))[1]["verdict"] == "missed"


def test_a_jpeg_2000_series_holds_the_same_voxels(tmp_path: Path) -> None:
    series = write_series(SMALL, tmp_path / "plain")
    packed = write_jpeg2000(series, tmp_path / "packed", SMALL[0])
    assert np.array_equal(load_volume(packed).voxels, load_volume(series).voxels)
    assert next(packed.iterdir()).stat().st_size < next(series.iterdir()).stat().st_size


def test_unknown_groups_are_named(gui: Any, capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(groups="slices,nonsense", json=False, keep=None, compare=None)
    assert gui.run(run.run_benchmark(gui.application, options)) == 2
    assert "nonsense" in capsys.readouterr().out


def test_five_runs_are_kept_and_a_slower_row_is_said(
    gui: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slower, calls = [1.0], [0]

    async def group(_: Bench) -> list[Row]:
        calls[0] += 1
        wobble = calls[0] % 5
        return [
            Row("slice", slower[0] * (10 + wobble), "ms"),
            Row("scan", 100.0 / slower[0] + wobble, "files/s"),
            Row("not run", None, "ms"),
            Row("letters", 7.0, ""),
        ]

    monkeypatch.setattr(run, "GROUPS", {"one": group})
    file = tmp_path / "kept.json"

    def measured(**files: Any) -> str:
        options = {"groups": None, "json": False, "keep": None, "compare": None, **files}
        assert gui.run(run.run_benchmark(gui.application, argparse.Namespace(**options))) == 0
        return str(capsys.readouterr().out)

    measured(keep=file)
    assert calls == [run.RUNS]
    assert sorted(json.loads(file.read_text())["figures"]) == ["scan", "slice"]
    assert "nothing is slower" in measured(compare=file)
    slower[0] = 3.0
    said = measured(compare=file)
    assert "slower: slice: 12 → 36 ms" in said
    assert "slower: scan" in said


def test_groups_of_images_and_loading_measure_in_the_window(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "BIG", SMALL)
    monkeypatch.setattr(loading, "LOADS", 1)
    missing = ("a reader", "no_such_module", loading.raw_copy)
    monkeypatch.setattr(loading, "PEERS", (missing,))
    bench = Bench(gui.application, argparse.Namespace(), tmp_path)
    rows: list[Row] = []
    for group in (loading.loading, loading.peers, images.slices):
        rows += gui.run(group(bench), 60)
    for group in (images.windowing, images.zooming):
        rows += gui.run(group(bench), 60)
    assert gui.viewer.volume.shape == SMALL
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    for expected in (
        "slice change, coronal", "window drag, one plane", "pan, one plane of three",
        "longest stall, scrolling", "wheel event, one plane of three",
        "drag event, one plane of three", "mouse event, one plane of three",
        "slice change, axial, over its windowing", "longest stall, wheel and drag",
    ):  # fmt: skip
        assert expected in names
    assert all(row.value is None or row.value > 0 for row in rows if "stall" not in row.name)


def test_the_first_thumbnail_is_measured_in_the_window_and_without_it(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_picture, "BIG", SMALL)
    monkeypatch.setattr(first_picture, "JPEG2000_SLICES", SMALL[0])
    bench = Bench(gui.application, argparse.Namespace(), tmp_path)
    first, *processor = gui.run(first_picture.first_picture(bench), 60)
    assert first.bound == 0.3
    assert first.value > 0
    assert len(processor) == 2
    assert len(gui.workspace.study.thumbnails) == 1
    assert gui.viewer.volume.shape == SMALL


def test_switching_series_is_measured_to_the_first_picture_and_to_the_whole(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "SHAPE", SMALL)
    monkeypatch.setattr(switching, "SWITCHES", 2)
    bench = Bench(gui.application, argparse.Namespace(), tmp_path)
    rows = {row.name: row for row in gui.run(switching.switching(bench), 60)}
    first, whole = (
        rows[f"switching series, {what}"].value for what in ("first picture", "all of it")
    )
    assert 0 < first <= whole
    assert rows["longest stall, switching series"].bound == 50


def test_events_of_the_mouse_zoom_pan_and_read(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    open_gui.do(lambda: events.wheel(view, 0))
    assert view.state.zoom > 1
    centre = view.state.centre
    open_gui.do(lambda: [events.drag(view, k) for k in range(3)])
    assert view.state.centre != centre
    open_gui.do(lambda: events.release(view))
    open_gui.viewer.leave()
    open_gui.do(lambda: events.move(view, 1))
    assert open_gui.viewer.readout is not None


def test_the_decoder_alone_decodes_every_frame(tmp_path: Path) -> None:
    packed = write_jpeg2000(write_series(SMALL, tmp_path / "plain"), tmp_path / "packed", 4)
    assert loading._decoder_alone(packed) > 0


def test_the_memory_of_a_process_counts_what_it_allocates() -> None:
    if sys.platform != "linux":
        pytest.skip("counted on Linux only")
    bare = loading._peak("import numpy")
    full = loading._peak("import numpy; numpy.ones(50_000_000, numpy.int8)")
    assert full - bare > 40_000_000


def test_turning_3d_is_measured_frame_by_frame(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "BIG", SMALL)
    monkeypatch.setattr(scene, "FRAMES", 3)
    monkeypatch.setattr(scene, "EXACT", 1)
    bench = Bench(gui.application, argparse.Namespace(), tmp_path)
    rows = {row.name: row for row in gui.run(scene.rotation(bench), 60)}
    assert rows["3D turning, skin"].at_least
    assert rows["3D turning, MIP"].value > 0
    assert rows["3D at rest, skin"].value > 0
    assert rows["longest stall, turning 3D"].bound == 50
    assert not gui.window.centre.cell("3d").isVisible()  # left as it was found
