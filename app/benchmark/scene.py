"""How fast 3D turns: coarse frames a second while it is dragged, and the exact frame at rest.

Knows nothing of how frames are made. A frame counts when it is painted in the window.
"""

from __future__ import annotations

import time

import numpy as np

from app.benchmark.loading import opened
from app.benchmark.rows import Bench, Row, stalls
from app.viewmodels.core.waiting import until
from app.viewmodels.images.scene import Preset, Scene
from app.viewmodels.window.layouts import SCENE, Kind
from app.views.images.scene_cell import SceneCell

#: Coarse frames a second that a drag needs to feel like turning something.
COARSE_FPS = 10.0

#: Frames of one drag, the pixels that the mouse moves between two, and exact frames measured.
FRAMES, STEP, EXACT = 30, 9.0, 3

#: A solid surface, where rays end early, and the brightest voxel, where every ray goes all the way.
PRESETS = (Preset.SKIN, Preset.MIP)


async def rotation(bench: Bench) -> list[Row]:
    """Preparing a volume, then for each preset a drag and the picture at rest."""
    await opened(bench)
    layouts, scene = bench.workspace.layouts, bench.workspace.scene
    rows: list[Row] = []
    with stalls(rows, "turning 3D"):
        began = time.perf_counter()
        layouts.corner = SCENE
        layouts.choose(Kind.GRID)
        await until(scene.frame_changed, lambda: scene.frame is not None)
        rows.append(Row("3D, first picture", time.perf_counter() - began, "s"))
        for preset in PRESETS:
            rows += await _turning(bench, scene, preset)
    layouts.toggle_scene()
    return rows


async def _turning(bench: Bench, scene: Scene, preset: Preset) -> list[Row]:
    scene.use_preset(preset)
    await until(scene.frame_changed, lambda: _exact(scene))
    cell = bench.application.window.centre.cell(SCENE)
    assert isinstance(cell, SceneCell)
    times = []
    for _ in range(FRAMES):
        began = time.perf_counter()
        scene.turn(STEP, STEP / 3)
        await until(scene.frame_changed, lambda: _shown(scene))
        cell.view.repaint()
        times.append(time.perf_counter() - began)
    coarse = scene.frame
    exact = []
    for _ in range(EXACT):
        began = time.perf_counter()
        scene.turn(STEP, 0)
        await until(scene.frame_changed, lambda: _exact(scene))
        exact.append(time.perf_counter() - began)
    final = scene.frame
    assert coarse is not None
    assert final is not None
    fps = 1 / float(np.median(times))
    slow = 1 / float(np.percentile(times, 95))
    notes = [f"{f.pixels.shape[1]} × {f.pixels.shape[0]} pixels" for f in (coarse, final)]
    return [
        Row(
            f"3D turning, {preset}", fps, "frames/s", COARSE_FPS, slow, at_least=True, note=notes[0]
        ),
        Row(f"3D at rest, {preset}", float(np.median(exact)), "s", note=notes[1]),
    ]


def _shown(scene: Scene) -> bool:
    return scene.frame is not None and scene.frame.look == scene.look


def _exact(scene: Scene) -> bool:
    return _shown(scene) and scene.frame is not None and not scene.frame.coarse
