"""How fast the viewer is: loading, changing slices, and how long the window is ever held up.

Each figure stands beside an alternative measured in the same run, as a ratio: absolute times differ
between machines, ratios less so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtGui import QImage, QPainter, QPixmap

from app.demo import ask_ready
from app.heartbeat import Heartbeat
from app.viewmodels.study import Target
from app.viewmodels.waiting import until
from app.views.slice_view import SliceView
from med2e3.geometry import Geometry, Plane
from med2e3.io import write_dicom_series
from med2e3.volume import SeriesInfo, Volume, Window

if TYPE_CHECKING:
    from app.main import Application

#: The series of the targets: a chest and abdomen in 1.5 mm slices.
SHAPE = (400, 512, 512)
SPACING_MM = (1.5, 0.8, 0.8)

#: Slice changes measured in each plane, one after the other as in scrolling, from this slice on;
#: and the size of the view, about a quarter of a 4K screen.
CHANGES = 60
FIRST = 100
VIEW = (900, 800)

#: The window of the alternative; which one does not matter for the time.
NAIVE_WINDOW = Window(40, 400)

#: What is promised of a machine with two cores.
TARGETS = {
    "first_image_s": 1.0,
    "slice_change_ms": 4.0,
    "answering_stall_ms": 50.0,
}


@dataclass(frozen=True)
class Line:
    """One measured figure beside its alternative in the same run.

    `slow` is what 19 of 20 measurements stay below, where `value` is a median.
    """

    name: str
    value: float
    unit: str
    alternative: float | None = None
    beside: str = ""
    target: float | None = None
    slow: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the alternative's time."""
        return None if not self.alternative else self.value / self.alternative


async def run_benchmark(application: Application, options: argparse.Namespace) -> int:
    """Measure in the real window; print a table or one JSON object."""
    model = options.model or application.workspace.settings.values.model
    place = options.paths[0] if options.paths else application.workspace.demo_study
    application.window.resize(1600, 1000)
    application.window.show()
    with tempfile.TemporaryDirectory() as folder:
        series = Path(folder) / "series"
        write_dicom_series(synthetic(), series, synthetic=True)
        lines = await _loading(application, series)
        lines += await _slice_changes(application)
    lines += await _answering(application, model, place)
    print(json.dumps([_plain(line) for line in lines], indent=2) if options.json else table(lines))
    return 0


def synthetic() -> Volume:
    """An int16 volume of noise around water in an elliptic body; its content does not matter."""
    slices, rows, columns = SHAPE
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    body = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40, -1000).astype(np.int16)
    noise = rng.integers(-30, 30, (8, rows, columns), dtype=np.int16)
    voxels = np.empty(SHAPE, dtype=np.int16)
    for k in range(slices):
        np.add(body, noise[k % len(noise)], out=voxels[k])
    info = SeriesInfo(modality="CT", series_description="Benchmark", patient_name="Synthetic")
    return Volume(voxels, Geometry.from_spacing(SHAPE, SPACING_MM), info)


# --- loading -----------------------------------------------------------------------------------


async def _loading(application: Application, place: Path) -> list[Line]:
    viewer, study = application.workspace.viewer, application.workspace.study
    raw = raw_copy(place)
    heartbeat, began = Heartbeat(), time.perf_counter()
    heartbeat.start()
    opening = asyncio.ensure_future(study.open(Target(place)))
    await until(viewer.volume_changed, lambda: viewer.volume is not None)
    application.window.centre.cells[Plane.AXIAL].view.repaint()
    first = time.perf_counter() - began
    if not await opening:
        raise RuntimeError(f"The synthetic series did not open: {application.workspace.notices}")
    whole = time.perf_counter() - began
    stall = heartbeat.stop()
    beside = "raw bytes read and copied"
    return [
        Line("first image", first, "s", raw, beside, TARGETS["first_image_s"]),
        Line("whole series", whole, "s", raw, beside),
        Line("longest stall while loading", stall, "ms"),
    ]


def raw_copy(place: Path) -> float:
    """Seconds to read every byte of the series and copy it into one array, once warm."""
    files = sorted(p for p in place.rglob("*") if p.is_file())
    _ = [file.read_bytes() for file in files]  # so that both sides find the files in memory
    began = time.perf_counter()
    target = np.empty(sum(file.stat().st_size for file in files), dtype=np.uint8)
    at = 0
    for file in files:
        data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        target[at : at + data.size] = data
        at += data.size
    return time.perf_counter() - began


# --- changing slices ---------------------------------------------------------------------------


async def _slice_changes(application: Application) -> list[Line]:
    """The median time from a call that scrolls to the painted view, for each plane."""
    viewer = application.workspace.viewer
    lines = []
    for plane in Plane:
        view = application.window.centre.cells[plane].view
        view.resize(*VIEW)
        ours, slow = await _median_ms(partial(_change, application, plane, view))
        naive, _ = await _median_ms(partial(naive_slice, viewer.planes[plane].volume))
        beside = "float windowing, new QPixmap"
        target = TARGETS["slice_change_ms"]
        lines.append(Line(f"slice change, {plane}", ours, "ms", naive, beside, target, slow))
    linked, slow = await _median_ms(partial(_all, application))
    return [*lines, Line("three linked planes", linked, "ms", slow=slow)]


def _change(application: Application, plane: Plane, view: SliceView, k: int) -> None:
    application.workspace.viewer.go_to_slice(plane, k)
    view.repaint()


def _all(application: Application, k: int) -> None:
    viewer = application.workspace.viewer
    for plane, state in viewer.planes.items():
        viewer.go_to_slice(plane, k % state.count)
    for cell in application.window.centre.cells.values():
        cell.view.repaint()


def naive_slice(volume: Volume, k: int) -> QPixmap:
    """What a first version would do: window in floats, make an image, scale it to the view."""
    values = volume.voxels[k].astype(np.float64)
    grey = np.clip((values - NAIVE_WINDOW.low) / NAIVE_WINDOW.width, 0, 1) * 255
    pixels = np.ascontiguousarray(grey.astype(np.uint8))
    rows, columns = pixels.shape
    image = QImage(pixels.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
    target = QPixmap(*VIEW)
    painter = QPainter(target)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(target.rect(), image)
    painter.end()
    return target


async def _median_ms(work: Callable[[int], object]) -> tuple[float, float]:
    times = []
    for k in range(CHANGES):
        began = time.perf_counter()
        work(FIRST + k)
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0)
    return statistics.median(times), float(np.percentile(times, 95))


# --- answering ---------------------------------------------------------------------------------


async def _answering(application: Application, model: str, place: Path) -> list[Line]:
    workspace = application.workspace
    heartbeat = Heartbeat()
    heartbeat.start()
    await workspace.assistant.load_model(model)
    loading = heartbeat.stop()
    if workspace.assistant.model is None:
        message = workspace.assistant.model_message
        print(message.sentence if message is not None else "No model was loaded.")
        return []
    heartbeat.start()
    turns = await ask_ready(workspace, Target(place))
    answering = heartbeat.stop()
    scrolled = await _stall_while_scrolling(application, heartbeat)
    characters = sum(len(turn.text) for turn in turns)
    target = TARGETS["answering_stall_ms"]
    return [
        Line("longest stall while loading the model", loading, "ms"),
        Line("longest stall while answering", answering, "ms", target=target),
        Line("longest stall, scrolling while answering", scrolled, "ms", target=target),
        Line("characters answered", float(characters), ""),
    ]


async def _stall_while_scrolling(application: Application, heartbeat: Heartbeat) -> float:
    assistant, viewer = application.workspace.assistant, application.workspace.viewer
    ready = application.window.assistant.ask_box
    ready.ask_report()
    heartbeat.start()
    step = 0
    while assistant.running is not None:
        viewer.go_to_slice(Plane.AXIAL, step % viewer.planes[Plane.AXIAL].count)
        step += 1
        await asyncio.sleep(0.01)
    return heartbeat.stop()


# --- printing ----------------------------------------------------------------------------------


def table(lines: list[Line]) -> str:
    """The figures for a terminal."""
    rows = []
    for line in lines:
        row = f"{line.name:42s} {line.value:9.2f} {line.unit:2s}"
        row += f" (95 %: {line.slow:.2f})" if line.slow is not None else ""
        if line.ratio is not None:
            row += f"   {line.ratio:5.2f} × {line.beside} ({line.alternative:.2f} {line.unit})"
        if line.target is not None:
            row += f"   {'within' if line.value <= line.target else 'ABOVE'} {line.target:g}"
        rows.append(row)
    return "\n".join(rows)


def _plain(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "value": round(line.value, 4),
        "unit": line.unit,
        "alternative": line.alternative,
        "beside": line.beside,
        "ratio": line.ratio,
        "target": line.target,
        "slow": line.slow,
    }
