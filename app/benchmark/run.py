"""How fast the viewer is, in its real window: `python -m app --benchmark`.

Every figure stands beside its bound, or beside an alternative measured in the same run: absolute
times differ between machines, ratios less so. `GROUPS` is the table of what is measured; to add
rows, write a coroutine that takes a `Bench` and returns them, and name it there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.benchmark.assistant import answering
from app.benchmark.first_picture import first_picture
from app.benchmark.images import slices, windowing, zooming
from app.benchmark.loading import compressed, loading, memory, peers, three_thousand
from app.benchmark.planes import planes
from app.benchmark.rows import Bench, Row, figures_of, plain, table
from app.benchmark.scan import scan
from app.benchmark.scene import rotation
from app.benchmark.switching import switching
from med2e3.speed_tables import RUNS, comparison, keep_table, read_table, table_now

if TYPE_CHECKING:
    from app.application import Application

Group = Callable[[Bench], Awaitable[list[Row]]]

#: What is measured, in order. The first groups work on the synthetic series of `BIG`, which
#: `loading` opens and the next ones leave open.
GROUPS: dict[str, Group] = {
    "loading": loading,
    "peers": peers,
    "slices": slices,
    "windowing": windowing,
    "zooming": zooming,
    "planes": planes,
    "3d": rotation,
    "memory": memory,
    "jpeg2000": compressed,
    "thumbnail": first_picture,
    "3000": three_thousand,
    "switching": switching,
    "scan": scan,
    "assistant": answering,
}

#: Size of the window while it is measured: each view then has about 850 × 800 pixels, a quarter of
#: what a 4K screen leaves for images.
WINDOW = (2300, 1700)


async def run_benchmark(application: Application, options: argparse.Namespace) -> int:
    """Measure the groups that were asked for; print a table or one JSON list. 1: a bound missed."""
    names = options.groups.split(",") if options.groups else list(GROUPS)
    if unknown := [name for name in names if name not in GROUPS]:
        print(f"No group is called {', '.join(unknown)}. There are: {', '.join(GROUPS)}.")
        return 2
    kept = None if options.compare is None else read_table(options.compare)
    application.window.resize(*WINDOW)
    application.window.show()
    several = options.keep is not None or kept is not None
    runs = [await _one_run(application, options, names) for _ in range(RUNS if several else 1)]
    rows = runs[-1]
    print(json.dumps([plain(row) for row in rows], indent=2) if options.json else table(rows))
    figures = figures_of(runs)
    if options.keep is not None:
        keep_table(table_now(figures), options.keep)
    if kept is not None and not options.json:
        print(comparison(kept, figures))
    return int(any(row.verdict == "missed" for row in rows))


async def _one_run(
    application: Application, options: argparse.Namespace, names: Sequence[str]
) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(application, options, Path(folder))
        for name in names:
            rows += await GROUPS[name](bench)
    return rows
