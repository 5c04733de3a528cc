"""How fast a folder of 10,000 files is looked through, warm: the group `scan` of the benchmark."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pydicom

from app.benchmark.rows import Bench, Row, ratio, stalls
from app.viewmodels.study.study import Target
from med2e3.geometry import Geometry
from med2e3.io import write_dicom_series
from med2e3.volume import SeriesInfo, Volume

#: Ten thousand files: so many series of so many small images. Only their headers matter here.
SERIES, SLICES, EDGE = 25, 400, 8

#: What is promised: warm, in files a second; and how soon a first series can be chosen.
FILES_A_SECOND = 2000.0
FIRST_SERIES_S = 1.0

#: Headers that pydicom reads for comparison, in the same run.
COMPARED = 500


async def scan(bench: Bench) -> list[Row]:
    """The rows: the whole look in the window, its stalls, its first series, and pydicom beside."""
    folder = bench.folder / "ten-thousand"
    files = _write(folder)
    _ = [path.read_bytes() for path in files]  # warm, as promised
    rows: list[Row] = []
    study, beside, first = bench.workspace.study, _pydicom_s(files[:COMPARED]), []
    disconnect = study.changed.connect(
        lambda: first.append(time.perf_counter()) if study.series and study.scanning else None
    )
    with stalls(rows, "scanning 10,000 files"):
        began = time.perf_counter()
        opening = asyncio.ensure_future(study.open(Target(folder)))
        while study.arriving is None or study.scanning:
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - began
    await opening
    disconnect()
    each, cpu = seconds / len(files), _cpu_s(folder) / len(files)
    return [
        Row("scan of 10,000 files", 1 / each, "files/s", FILES_A_SECOND, at_least=True),
        Row("the same without the window", 1 / cpu, "files a CPU second"),
        ratio("scan, CPU of a file", cpu, beside, "CPU of pydicom reading the same tags of it"),
        Row(
            "first series can be chosen",
            first[0] - began if first else None,
            "s",
            FIRST_SERIES_S,
            note="" if first else "the scan was over before it was asked",
        ),
        *rows,
    ]


def _write(folder: Path) -> list[Path]:
    """The files, in a folder for each series: one is written, the others are copies of its bytes
    under other UIDs of the same length.
    """
    shape = (SLICES, EDGE, EDGE)
    volume = Volume(
        np.zeros(shape, np.int16),
        Geometry.from_spacing(shape, (1.0, 1.0, 1.0)),
        SeriesInfo(modality="CT", patient_id="SCAN", series_description="Scan"),
    )
    first = write_dicom_series(volume, folder / "00", seed="scan", synthetic=True)
    uid = str(pydicom.dcmread(first[0], stop_before_pixels=True).SeriesInstanceUID).encode()
    paths = list(first)
    for k in range(1, SERIES):
        other = uid[:-2] + f"{k:02d}".encode()
        place = folder / f"{k:02d}"
        place.mkdir()
        for path in first:
            paths.append(place / path.name)
            paths[-1].write_bytes(path.read_bytes().replace(uid, other))
    return paths


def _cpu_s(folder: Path) -> float:
    """CPU seconds of the whole look: what does not depend on who else uses the machine."""
    from med2e3.io import open_source

    began = time.process_time()
    open_source(folder)
    return time.process_time() - began


def _pydicom_s(files: list[Path]) -> float:
    """CPU seconds a header with pydicom, told which tags are wanted; no value is converted."""
    from med2e3.io.dicom.headers import KEYWORDS

    wanted = KEYWORDS.split()
    began = time.process_time()
    for path in files:
        pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
    return (time.process_time() - began) / len(files)
