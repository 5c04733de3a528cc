"""How fast series open, beside reading their raw bytes and beside other readers; and the memory.

Knows nothing of painting. Files were just written or read, so that every reader finds them in the
system's cache; figures of one group are from one run.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from app.benchmark.rows import Bench, Row, ratio, stalls
from app.benchmark.series import write_jpeg2000
from app.viewmodels.core.waiting import until
from app.viewmodels.study.study import Target
from med2e3.geometry import Plane
from med2e3.io import load_volume

#: The series of the bounds: a chest and abdomen in 1.5 mm slices.
BIG = (400, 512, 512)

#: Times as long as reading the raw bytes and copying them once that opening may take.
RAW_RATIO = 2.0

#: Bytes of memory that loading may take for each byte of the volume in int16.
MEMORY_RATIO = 1.2

#: JPEG 2000: slices of the series, and times as long as the decoder alone on all cores. What is
#: over 1 is starting the processes and copying pixels between them.
JPEG2000_SLICES, JPEG2000_RATIO = 200, 1.3

#: Free memory that 3,000 slices of 512² need with all that is held while they are opened.
ROOM_FOR_3000 = 6 << 30

#: Repeats of what takes about a second; the median of them counts.
LOADS = 3


async def opened(bench: Bench) -> None:
    """Make sure that the big series is on the screen."""
    study, place = bench.workspace.study, bench.series(BIG)
    if study.path != place and not await study.open(Target(place)):
        raise RuntimeError(f"The synthetic series did not open: {bench.workspace.notices.message}")


async def loading(bench: Bench) -> list[Row]:
    """Opening in the window, and by the library alone, against the raw bytes."""
    place = bench.series(BIG)
    raw = median_seconds(partial(raw_copy, place))
    library = median_seconds(partial(load_volume, place))
    rows: list[Row] = []
    with stalls(rows, f"opening {described(BIG)}"):
        first, whole = await _open(bench, place)
    what = "raw bytes read and copied once"
    return [
        Row("first image of 400 × 512²", first, "s", 1.0, note="on the screen, from the call"),
        ratio("opening 400 × 512² in the window", whole, raw, what, RAW_RATIO),
        ratio("loading 400 × 512² in the library", library, raw, what, RAW_RATIO),
        *rows,
    ]


async def peers(bench: Bench) -> list[Row]:
    """The library's loading beside other readers of series."""
    place = bench.series(BIG)
    rows = []
    for name, module, read in PEERS:
        title = f"loading 400 × 512², against {name}"
        if find_spec(module) is None:
            rows.append(Row(title, None, "×", 1.0, note=f"{module} is not installed"))
            continue
        theirs = median_seconds(partial(read, place))
        ours = median_seconds(partial(load_volume, place))
        rows.append(ratio(title, ours, theirs, f"{name}, its own series reading", 1.0))
    return rows


async def memory(bench: Bench) -> list[Row]:
    """The largest memory of a process that loads the big series, less one that only imports."""
    title = f"memory of loading {described(BIG)}"
    if sys.platform != "linux":
        return [Row(title, None, "×", MEMORY_RATIO, note="counted on Linux only")]
    place = bench.series(BIG)
    bare = await asyncio.to_thread(_peak, "import med2e3, med2e3.io.dicom.reader")
    full = await asyncio.to_thread(_peak, f"import med2e3; med2e3.load_volume({str(place)!r})")
    size = 2 * int(np.prod(BIG))
    note = f"{(full - bare) / 1e6:.0f} MB at the peak for {size / 1e6:.0f} MB of int16"
    return [Row(title, (full - bare) / size, "×", MEMORY_RATIO, note=note)]


async def compressed(bench: Bench) -> list[Row]:
    """JPEG 2000 beside its decoder alone, started on every core with the frames in memory."""
    source = bench.series(BIG)
    folder = bench.folder / "jpeg2000"
    await asyncio.to_thread(write_jpeg2000, source, folder, JPEG2000_SLICES)
    ours = median_seconds(partial(load_volume, folder), 1)
    alone = await asyncio.to_thread(_decoder_alone, folder)
    cores = os.cpu_count() or 1
    what = f"openjpeg alone on {cores} cores, frames in memory"
    title = f"loading {JPEG2000_SLICES} × 512² in JPEG 2000"
    return [ratio(title, ours, alone, what, JPEG2000_RATIO)]


async def three_thousand(bench: Bench) -> list[Row]:
    """3,000 slices open, with the matrix that memory has room for."""
    matrix = 512 if psutil.virtual_memory().available > ROOM_FOR_3000 else 256
    shape = (3000, matrix, matrix)
    place = await asyncio.to_thread(bench.series, shape)
    rows: list[Row] = []
    with stalls(rows, f"opening {described(shape)}"):
        first, whole = await _open(bench, place)
    viewer = bench.workspace.viewer
    shown = 0 if viewer.volume is None else viewer.volume.shape[0]
    note = f"first image {first:.1f} s, all {whole:.1f} s"
    rows.append(
        Row(f"slices open of {described(shape)}", shown, "", 3000, at_least=True, note=note)
    )
    return rows


def raw_copy(place: Path) -> None:
    """Read every byte of the files in a folder and copy it into one array."""
    files = sorted(p for p in place.rglob("*") if p.is_file())
    target = np.empty(sum(file.stat().st_size for file in files), dtype=np.uint8)
    at = 0
    for file in files:
        data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        target[at : at + data.size] = data
        at += data.size


def median_seconds(work: Callable[[], object], times: int = LOADS) -> float:
    """The median time of a piece of work."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def described(shape: tuple[int, int, int]) -> str:
    """E.g. "400 × 512²"."""
    return f"{shape[0]:,} × {shape[1]}²"


async def _open(bench: Bench, place: Path) -> tuple[float, float]:
    """Seconds until the first image is painted, and until the whole series is open."""
    viewer, study = bench.workspace.viewer, bench.workspace.study
    before, began = viewer.volume, time.perf_counter()
    opening = asyncio.ensure_future(study.open(Target(place)))
    await until(viewer.volume_changed, lambda: viewer.volume is not before)
    bench.application.window.centre.cells[Plane.AXIAL].view.repaint()
    first = time.perf_counter() - began
    if not await opening:
        raise RuntimeError(f"The synthetic series did not open: {bench.workspace.notices.message}")
    return first, time.perf_counter() - began


# --- other readers -----------------------------------------------------------------------------


def _simpleitk(place: Path) -> object:
    import SimpleITK

    itk: Any = SimpleITK
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(place)))
    return itk.GetArrayFromImage(reader.Execute())


def _vtk(place: Path) -> object:
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOImage import vtkDICOMImageReader

    reader = vtkDICOMImageReader()
    reader.SetDirectoryName(str(place))
    reader.Update()
    return vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())


#: Other readers: name, the module that must be installed, and how each reads a series.
PEERS: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
    ("SimpleITK", "SimpleITK", _simpleitk),
    ("vtkDICOMImageReader", "vtkmodules", _vtk),
)


# --- processes of their own --------------------------------------------------------------------

#: Prints the largest memory, in bytes, of a process that runs the code before it.
_PRINT_PEAK = """
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(int(line.split()[1]) * 1024)
"""

#: Decodes every n-th file's frame from memory and prints the seconds that took.
_DECODE = """
import sys, time
from pathlib import Path
from pydicom import dcmread
from pydicom.encaps import get_frame
from openjpeg import decode_pixel_data
files = sorted(Path(sys.argv[1]).iterdir())[int(sys.argv[2]) :: int(sys.argv[3])]
frames = [get_frame(dcmread(file).PixelData, 0) for file in files]
print("ready", flush=True)
sys.stdin.readline()
began = time.perf_counter()
for frame in frames:
    decode_pixel_data(frame, version=2)
print(time.perf_counter() - began)
"""


def _peak(code: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_PRINT_PEAK}"], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


def _decoder_alone(folder: Path) -> float:
    """Seconds of the slowest of as many processes as there are cores."""
    cores = os.cpu_count() or 1
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _DECODE, str(folder), str(k), str(cores)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for k in range(cores)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    return max(float(process.communicate("go\n")[0]) for process in started)
