"""How long it takes from a click on another series of the list until it is on the screen."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

from app.benchmark.rows import Bench, Row, stalls
from app.viewmodels.core.waiting import until
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.study import Study, Target
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary

#: Slices, rows and columns of each of the two series: a thin chest in a usual study.
SHAPE = (100, 512, 512)

#: Switches to and fro that are measured.
SWITCHES = 6


async def switching(bench: Bench) -> list[Row]:
    """Two series of one study, chosen in turn: the first picture, and all of the series."""
    study, viewer = bench.workspace.study, bench.workspace.viewer
    one = bench.series(SHAPE)
    other = bench.series((SHAPE[0] + 1, *SHAPE[1:]))
    await study.open(Target(one, others=(other,)))
    pair = [series for series in study.series if series.is_volume][:2]
    seen, whole = [], []
    rows: list[Row] = []
    with stalls(rows, "switching series"):
        for _ in range(SWITCHES):
            wanted = next(series for series in pair if series is not study.chosen)
            before, began = viewer.volume, time.perf_counter()
            study.pick(wanted)
            await until(viewer.volume_changed, partial(_differs, viewer, before))
            seen.append((time.perf_counter() - began) * 1000)
            await until(study.changed, partial(_is_open, study, wanted))
            whole.append((time.perf_counter() - began) * 1000)
    note = f"{SHAPE[0]} × {SHAPE[1]}²"
    return [
        Row("switching series, first picture", statistics.median(seen), "ms", note=note),
        Row("switching series, all of it", statistics.median(whole), "ms", note=note),
        *rows,
    ]


def _differs(viewer: Viewer, before: Volume | None) -> bool:
    return viewer.volume is not before


def _is_open(study: Study, wanted: SeriesSummary) -> bool:
    return study.chosen is wanted and study.loading is None
