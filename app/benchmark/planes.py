"""How fast turned planes and slabs are: while they move, and exact at rest.

Knows nothing of loading. Times run from the call that changes something to the painted window.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from functools import partial

import numpy as np

from app.benchmark.images import paint, two_by_two
from app.benchmark.loading import opened
from app.benchmark.rows import Bench, Row, stalls, timed
from app.imaging.slab import Mode, Slab
from app.views.images.idle_timer import IDLE_MS
from app.views.images.slice_view import SliceView
from med2e3.geometry import Plane

#: Bounds in ms of an oblique plane and of a slab of 20 mm, both while they are dragged.
OBLIQUE_MS, SLAB_MS = 8.0, 40.0

#: The thickness that the slab is measured with.
SLAB_MM = 20.0

#: How often each is measured; exact pictures, which take long, a quarter as often.
REPEATS = 24

#: Angles of the double oblique that is scrolled.
ANGLES = ((Plane.AXIAL, 17.0), (Plane.SAGITTAL, -11.0))


async def planes(bench: Bench) -> list[Row]:
    """A double oblique plane, the three linked ones, and slabs, straight and oblique."""
    await opened(bench)
    viewer = bench.workspace.viewer
    views = {view.plane: view for view in await two_by_two(bench)}
    axial = views[Plane.AXIAL]
    rows: list[Row] = []
    with stalls(rows, "turning and slabs"):
        rows += await _straight_slabs(bench, views)
        for plane, degrees in ANGLES:
            viewer.turn(plane, math.radians(degrees))
        rows += await _oblique(bench, axial)
        viewer.set_slab(Slab(SLAB_MM))
        rows += await _slab(bench, axial)
    viewer.set_slab(Slab())
    viewer.straighten()
    viewer.reset()
    return rows


async def _straight_slabs(bench: Bench, views: dict[Plane, SliceView]) -> list[Row]:
    rows = []
    bench.workspace.viewer.set_slab(Slab(SLAB_MM, Mode.MAXIMUM))
    for plane, view in views.items():
        name = f"slab MIP {SLAB_MM:.0f} mm, {plane}, while moving"
        rows.append(await timed(name, partial(_scroll, bench, view), SLAB_MS, REPEATS))
    bench.workspace.viewer.set_slab(Slab())
    return rows


async def _oblique(bench: Bench, view: SliceView) -> list[Row]:
    moving, turning = partial(_scroll, bench, view), partial(_turn, bench)
    two = "two oblique ones, coarser while they move"
    return [
        await timed("oblique plane, while moving", moving, OBLIQUE_MS, REPEATS, note=_size(view)),
        await _arrival(bench, view, "oblique plane"),
        await timed("turning, three linked planes", turning, None, REPEATS, note=two),
    ]


async def _slab(bench: Bench, view: SliceView) -> list[Row]:
    name = f"slab MIP {SLAB_MM:.0f} mm, oblique"
    moving = partial(_scroll, bench, view)
    return [
        await timed(f"{name}, while moving", moving, SLAB_MS, REPEATS, note=_size(view)),
        await _arrival(bench, view, name),
    ]


async def _arrival(bench: Bench, view: SliceView, name: str) -> Row:
    """From the last movement until the exact picture is painted; the window goes on meanwhile."""
    times = []
    for k in range(REPEATS // 4):
        began = time.perf_counter()
        _scroll(bench, view, k)
        while view.state is not None and view.state.is_coarse:
            await asyncio.sleep(0.002)
        paint(bench)
        times.append((time.perf_counter() - began) * 1000)
    note = f"of which {IDLE_MS} ms are waiting for rest, and the rest is not on the window's thread"
    slow = float(np.percentile(times, 95))
    return Row(f"{name}, exact after", statistics.median(times), "ms", slow=slow, note=note)


def _size(view: SliceView) -> str:
    assert view.state is not None
    _, rows, columns = view.state.geometry.shape
    return f"coarser than its {rows} × {columns} × {view.state.layers} samples"


def _scroll(bench: Bench, view: SliceView, k: int) -> None:
    bench.workspace.viewer.scroll(view.plane, 1 if k % 20 < 10 else -1)
    paint(bench)


def _turn(bench: Bench, k: int) -> None:
    bench.workspace.viewer.turn(Plane.AXIAL, math.radians(1.5 if k % 20 < 10 else -1.5))
    paint(bench)
