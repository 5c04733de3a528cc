"""How fast turned planes and slabs are: while they move, and exact at rest.

Knows nothing of loading. Times run from the call that changes something to the painted widgets.
"""

from __future__ import annotations

import math
from functools import partial

from app.benchmark_images import two_by_two
from app.benchmark_loading import opened
from app.benchmark_rows import Bench, Row, stalls, timed
from app.viewmodels.slab import Mode, Slab
from app.views.slice_view import SliceView
from med2e3.geometry import Plane

#: Bounds in ms of an oblique plane and of a slab of 20 mm, both while they are dragged.
OBLIQUE_MS, SLAB_MS = 8.0, 40.0

#: The thickness that the slab is measured with.
SLAB_MM = 20.0

#: How often each is measured: the exact ones take long.
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
        rows += await _oblique(bench, axial, list(views.values()))
        viewer.set_slab(Slab(SLAB_MM))
        rows += await _slab(bench, axial)
    viewer.set_slab(Slab())
    viewer.straighten()
    viewer.reset()
    return rows


async def _straight_slabs(bench: Bench, views: dict[Plane, SliceView]) -> list[Row]:
    rows = []
    for plane, view in views.items():
        bench.workspace.viewer.set_slab(Slab(SLAB_MM, Mode.MAXIMUM))
        work = partial(_scroll, bench, [view], exact=False)
        name = f"slab MIP {SLAB_MM:.0f} mm, {plane}, exact"
        rows.append(await timed(name, work, SLAB_MS, REPEATS))
    bench.workspace.viewer.set_slab(Slab())
    return rows


async def _oblique(bench: Bench, view: SliceView, views: list[SliceView]) -> list[Row]:
    state = view.state
    assert state is not None
    _, rows, columns = state.geometry.shape
    size = f"{rows} × {columns} samples"
    return [
        await timed(
            "oblique plane, while moving",
            partial(_scroll, bench, [view], exact=False),
            OBLIQUE_MS,
            REPEATS,
            note=f"coarser than its {size}",
        ),
        await timed(
            "oblique plane, exact",
            partial(_scroll, bench, [view], exact=True),
            None,
            REPEATS,
            note=size,
        ),
        await timed(
            "turning, three linked planes",
            partial(_turn, bench, views),
            None,
            REPEATS,
            note="two oblique ones, coarser while they move",
        ),
    ]


async def _slab(bench: Bench, view: SliceView) -> list[Row]:
    name = f"slab MIP {SLAB_MM:.0f} mm, oblique"
    moving = partial(_scroll, bench, [view], exact=False)
    exact = partial(_scroll, bench, [view], exact=True)
    return [
        await timed(f"{name}, while moving", moving, SLAB_MS, REPEATS),
        await timed(f"{name}, exact", exact, None, REPEATS // 4),
    ]


def _scroll(bench: Bench, views: list[SliceView], k: int, *, exact: bool) -> None:
    viewer = bench.workspace.viewer
    viewer.scroll(views[0].plane, 1 if k % 20 < 10 else -1)
    if exact:
        viewer.settle()
    for view in views:
        view.repaint()


def _turn(bench: Bench, views: list[SliceView], k: int) -> None:
    bench.workspace.viewer.turn(Plane.AXIAL, math.radians(1.5 if k % 20 < 10 else -1.5))
    for view in views:
        view.repaint()
