"""How soon a folder of compressed slices has its first picture in the list of series.

Wall time in the window, from the call that opens it; and the processor time of one picture without
the window, which other programs do not disturb.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil

from app.benchmark.loading import BIG, JPEG2000_SLICES
from app.benchmark.rows import Bench, Row
from app.benchmark.series import write_jpeg2000
from app.services.thumbnails import thumbnail
from app.viewmodels.core.waiting import until
from app.viewmodels.study.study import Target
from med2e3.io import open_source

#: What is promised of the first picture, from the call that opens its folder.
FIRST_PICTURE_S = 0.3

#: Pictures made without the window; the median counts.
PICTURES = 5


async def first_picture(bench: Bench) -> list[Row]:
    """The rows: in the window, and the processor time of this process and of those it started."""
    folder = bench.folder / "pictures"
    await asyncio.to_thread(write_jpeg2000, bench.series(BIG), folder, JPEG2000_SLICES)
    study = bench.workspace.study
    before = set(study.thumbnails)
    began = time.perf_counter()
    opening = asyncio.ensure_future(study.open(Target(folder)))
    await until(study.thumbnails_changed, lambda: bool(set(study.thumbnails) - before))
    wall = time.perf_counter() - began
    await opening
    scan, picture = await asyncio.to_thread(_cpu_s, folder)
    what = f"{JPEG2000_SLICES} slices in JPEG 2000"
    return [
        Row(f"first thumbnail of {what}", wall, "s", FIRST_PICTURE_S, note="from the call"),
        Row(f"the same, processor: headers of {what}", scan, "s"),
        Row(f"the same, processor: one thumbnail of {what}", 1000 * picture, "ms"),
    ]


def _cpu_s(folder: Path) -> tuple[float, float]:
    """Seconds of processor of reading the headers, and of one picture."""
    began = _used_s()
    source = open_source(folder)
    scanned = _used_s()
    (indexed,) = source.scan.series
    assert indexed.middle is not None
    for _ in range(PICTURES):
        thumbnail(indexed.middle(), indexed.summary.info)
    return scanned - began, (_used_s() - scanned) / PICTURES


def _used_s() -> float:
    """Seconds of processor of this process and of the decoders that it keeps."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
