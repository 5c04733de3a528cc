"""How long the window is held up while a model loads and answers. Measures no images."""

from __future__ import annotations

import asyncio

from app.benchmark import events
from app.benchmark.heartbeat import Heartbeat
from app.benchmark.rows import STALL_MS, Bench, Row, stalls
from app.demo import ask_ready
from app.viewmodels.study.study import Target
from app.views.images.slice_view import NOTCH
from med2e3.geometry import Plane


async def answering(bench: Bench) -> list[Row]:
    """Stalls while the ready questions are answered, and while scrolling beside an answer."""
    workspace, options = bench.workspace, bench.options
    place = options.paths[0] if options.paths else workspace.demo_study
    heartbeat = Heartbeat()
    heartbeat.start()
    await workspace.assistant.load_model(options.model or workspace.settings.values.model)
    loading = heartbeat.stop()
    if workspace.assistant.model is None:
        message = workspace.assistant.model_message
        why = message.sentence if message is not None else "no model was named"
        return [Row("longest stall, answering", None, "ms", STALL_MS, note=why)]
    rows = [Row("longest stall, loading the model", loading, "ms", note="torch imports, once")]
    with stalls(rows, "answering"):
        turns = await ask_ready(workspace, Target(place))
    with stalls(rows, "scrolling while answering"):
        await _scroll_while_answering(bench)
    characters = float(sum(len(turn.text) for turn in turns))
    return [*rows, Row("characters answered", characters, "")]


async def _scroll_while_answering(bench: Bench) -> None:
    assistant, viewer = bench.workspace.assistant, bench.workspace.viewer
    bench.application.window.assistant.ask_box.ask_report()
    view = bench.application.window.centre.cells[Plane.AXIAL].view
    step = 0
    while assistant.running is not None:
        # By real notches of the wheel, to and fro through the volume.
        count = viewer.planes[Plane.AXIAL].count
        events.turn(view, -NOTCH if step % (2 * count) < count else NOTCH)
        step += 1
        await asyncio.sleep(0.01)
