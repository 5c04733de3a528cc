"""How fast images change: scrolling in each plane, linked planes, window, zoom and pan.

Knows nothing of loading. Times run from the call that changes something to the painted window: all
that the change made stale in it, each widget once, as the loop's next turn does it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QRectF, QSize
from PySide6.QtGui import QImage, QPainter, QPixmap

from app.benchmark import events
from app.benchmark.loading import opened
from app.benchmark.rows import REPEATS, Bench, Row, stalls, timed
from app.rendering import bands
from app.rendering.grey import as_picture, grey_map
from app.viewmodels.window.layouts import Kind
from app.views.images.slice_view import SliceView
from med2e3.geometry import Plane
from med2e3.volume import Volume, Window

#: Bounds in ms: a slice, a window or a zoom step must leave time for the rest of a 60 Hz frame.
SLICE_MS, LINKED_MS, WINDOW_MS, ZOOM_MS = 4.0, 8.0, 4.0, 8.0

#: Times as long as its bare windowing that a slice change may take.
BARE = 1.3

#: Slices are visited one after the other as in scrolling, from this one on.
FIRST = 100

#: Turns of the loop, 10 ms each, after which a layout has taken its place.
SETTLING = 10

#: The window of the plain alternative; which one does not matter for the time.
PLAIN_WINDOW = Window(40, 400)


async def slices(bench: Bench) -> list[Row]:
    """A slice change in each plane alone, and in the three linked ones."""
    await opened(bench)
    viewer, views = bench.workspace.viewer, await two_by_two(bench)
    rows: list[Row] = []
    with stalls(rows, "scrolling"):
        for view in views:
            volume = viewer.planes[view.plane].volume
            plain = await timed("", partial(plain_slice, volume, view.size()))
            note = f"windowing in floats into a new pixmap: {plain.value:.1f} ms"
            work = partial(_scroll, bench, view.plane)
            rows.append(await timed(f"slice change, {view.plane}", work, SLICE_MS, note=note))
            rows.append(await _over_windowing(rows[-1].name, work, view))
        work = partial(_scroll_all, bench)
        rows.append(await timed("slice change, three linked planes", work, LINKED_MS))
    return rows


async def windowing(bench: Bench) -> list[Row]:
    """Dragging the window: one plane alone in the centre, and all three, in views of one size."""
    await opened(bench)
    viewer, drag = bench.workspace.viewer, partial(_drag, bench)
    window, view = bench.application.window, (await two_by_two(bench))[0]
    whole, quarter = window.size(), view.size()
    rows: list[Row] = []
    with stalls(rows, "dragging the window"):
        rows.append(await timed("window drag, three planes", drag, LINKED_MS))
        viewer.maximise(Plane.AXIAL)
        await settled()
        window.resize(whole - (view.size() - quarter))
        await settled()
        size = f"{view.width()} × {view.height()}"
        rows.append(await timed("window drag, one plane", drag, WINDOW_MS, note=size))
    window.resize(whole)
    viewer.maximise(None)
    viewer.reset()
    return rows


async def zooming(bench: Bench) -> list[Row]:
    """Zooming and panning one plane while all three are seen: by calls, and by events of Qt.

    Events also read the voxel under the mouse, choose what a button does, and set the cursor.
    """
    await opened(bench)
    view = (await two_by_two(bench))[0]
    rows: list[Row] = []
    with stalls(rows, "wheel and drag"):
        for name, send in (("wheel", events.wheel), ("drag", events.drag), ("mouse", events.move)):
            work = partial(_event, send, view, bench)
            rows.append(await timed(f"{name} event, one plane of three", work, ZOOM_MS))
    events.release(view)
    with stalls(rows, "zooming and panning"):
        for name, act in (("zoom", _zoom), ("pan", _pan)):
            rows.append(
                await timed(f"{name}, one plane of three", partial(act, view, bench), ZOOM_MS)
            )
    bench.workspace.viewer.reset()
    return rows


async def two_by_two(bench: Bench) -> list[SliceView]:
    """The views of the three planes, each in a quarter of the window."""
    bench.workspace.viewer.maximise(None)
    bench.workspace.layouts.choose(Kind.GRID)
    await settled()
    return [bench.application.window.centre.cells[plane].view for plane in Plane]


async def settled() -> None:
    """Wait until a layout has taken its place."""
    for _ in range(SETTLING):
        await asyncio.sleep(0.01)


def paint(bench: Bench) -> None:
    """Paint now what the window would paint in the loop's next turn."""
    QCoreApplication.sendEvent(bench.application.window, QEvent(QEvent.Type.UpdateRequest))


def plain_slice(volume: Volume, size: QSize, k: int) -> QPixmap:
    """What a first version would do: window in floats, make an image, scale it to the view."""
    values = volume.voxels[(FIRST + k) % volume.shape[0]].astype(np.float64)
    grey = np.clip((values - PLAIN_WINDOW.low) / PLAIN_WINDOW.width, 0, 1) * 255
    pixels = np.ascontiguousarray(grey.astype(np.uint8))
    rows, columns = pixels.shape
    image = QImage(pixels.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
    target = QPixmap(size)
    painter = QPainter(target)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(target.rect(), image)
    painter.end()
    return target


def _scroll(bench: Bench, plane: Plane, k: int) -> None:
    bench.workspace.viewer.go_to_slice(plane, FIRST + k)
    paint(bench)


def _scroll_all(bench: Bench, k: int) -> None:
    viewer = bench.workspace.viewer
    for plane, state in viewer.planes.items():
        viewer.go_to_slice(plane, (FIRST + k) % state.count)
    paint(bench)


def _windowed(view: SliceView, k: int) -> QPixmap:
    """The least that a slice takes: its window by a table, and one smooth picture of the view."""
    viewer, state, viewport = view.viewer, view.state, view.viewport()
    assert state is not None
    assert viewport is not None
    grey = grey_map(viewer.window, viewer.inverted, viewer.colours)
    picture = as_picture(grey.pixels(state.volume.voxels[(FIRST + k) % state.count]))
    target = QPixmap(view.size())
    painter = QPainter(target)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    # On this thread alone, as the view does: its processor time is then all of it.
    bands.draw_image(painter, QRectF(*viewport.image_rect()), picture.image, view.rect())
    painter.end()
    return target


async def _over_windowing(name: str, work: Callable[[int], object], view: SliceView) -> Row:
    """A slice change as a multiple of windowing alone: both in turns, the least of each.

    In processor time of the window's thread, which other programs change less than the clock.
    """
    whole, bare = [], []
    for k in range(REPEATS):
        whole.append(_thread_ms(work, k))
        bare.append(_thread_ms(partial(_windowed, view), k))
        await asyncio.sleep(0)
    note = f"{min(whole):.1f} ms against {min(bare):.1f} ms of processor time"
    return Row(f"{name}, over its windowing", min(whole) / min(bare), "×", BARE, note=note)


def _thread_ms(work: Callable[[int], object], k: int) -> float:
    began = time.thread_time()
    work(k)
    return (time.thread_time() - began) * 1000


def _event(send: Callable[[SliceView, int], object], view: SliceView, bench: Bench, k: int) -> None:
    send(view, k)
    paint(bench)


def _zoom(view: SliceView, bench: Bench, k: int) -> None:
    viewport = view.viewport()
    assert viewport is not None
    view.viewer.set_viewport(view.plane, viewport.zoomed(1.02 if k % 20 < 10 else 1 / 1.02, 0, 0))
    paint(bench)


def _pan(view: SliceView, bench: Bench, k: int) -> None:
    viewport = view.viewport()
    assert viewport is not None
    view.viewer.set_viewport(view.plane, viewport.panned(3.0 if k % 20 < 10 else -3.0, 2.0))
    paint(bench)


def _drag(bench: Bench, k: int) -> None:
    bench.workspace.viewer.drag_window(3.0 if k % 2 else -2.0, 2.0)
    paint(bench)
