"""States of reading, for pictures: measuring, overlays, comparing, 3D. Knows no files."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtWidgets import QLineEdit, QWidget

from app.imaging.colour_names import ColourMap
from app.imaging.slab import Mode, Slab
from app.screenshots.stage import RENDERING, Stage, State, click, drag
from app.viewmodels.annotation import kinds
from app.viewmodels.core.waiting import until
from app.viewmodels.images.scene import Preset
from app.viewmodels.images.tools import Tool
from app.viewmodels.window.layouts import SCENE, Kind
from app.views.images.slice_view import SliceView
from med2e3.geometry import Plane
from med2e3.io import write_nifti
from med2e3.volume import Volume

Share = tuple[float, float]

#: A freehand outline, in shares of the view.
OUTLINE: tuple[Share, ...] = tuple(
    (
        0.48 + (0.1 + 0.03 * np.cos(2 * t)) * np.cos(t),
        0.5 + (0.1 + 0.03 * np.cos(2 * t)) * np.sin(t),
    )
    for t in np.linspace(0, 2 * np.pi, 40)
)

#: How a tool is used for its picture, in shares of the view: a drag, or clicks.
DRAGS: dict[str, tuple[Share, ...]] = {
    kinds.LENGTH.name: ((0.25, 0.3), (0.55, 0.25)),
    kinds.BIDIRECTIONAL.name: ((0.58, 0.42), (0.74, 0.5)),
    kinds.ELLIPSE.name: ((0.3, 0.5), (0.45, 0.62)),
    kinds.RECTANGLE.name: ((0.45, 0.45), (0.6, 0.6)),
    kinds.FREEHAND.name: OUTLINE,
    kinds.ARROW.name: ((0.65, 0.3), (0.52, 0.42)),
    kinds.AUTO_WINDOW.name: ((0.35, 0.4), (0.6, 0.6)),
}
CLICKS: dict[str, tuple[Share, ...]] = {
    kinds.ANGLE.name: ((0.3, 0.35), (0.5, 0.55), (0.7, 0.4)),
    kinds.COBB.name: ((0.3, 0.35), (0.6, 0.3), (0.3, 0.6), (0.6, 0.68)),
    kinds.PROBE.name: ((0.5, 0.4),),
    kinds.NOTE.name: ((0.4, 0.35),),
}

#: Where a tool of neither table is clicked, as often as its form has points.
SPOTS: tuple[Share, ...] = ((0.3, 0.4), (0.5, 0.35), (0.6, 0.55), (0.4, 0.65))

#: What is written at an arrow and in a note.
WORDS = "compare with prior"

#: What the picture of several measurements shows.
MEASURED = (kinds.LENGTH.name, kinds.ELLIPSE.name, kinds.BIDIRECTIONAL.name)

#: Labels of the overlay that is made for pictures, by HU: lung, contrast, bone.
LABELS_HU = ((1, -950, -500), (2, 130, 250), (3, 250, 4000))


async def axial(stage: Stage) -> SliceView:
    """The axial view, as soon as it can be drawn on."""
    book = stage.workspace.annotations
    await until(book.changed, lambda: book.volume is not None)
    return stage.window.centre.cells[Plane.AXIAL].view


def use(stage: Stage, view: SliceView, tool: str) -> None:
    """Draw with a tool, to its end."""
    stage.run(f"{tool}_tool")
    if tool in DRAGS:
        drag(view, *DRAGS[tool], release=tool != kinds.AUTO_WINDOW.name)
    else:
        for at in CLICKS.get(tool, SPOTS[: kinds.named(tool).points]):
            click(view, at)
    for editor in view.findChildren(QLineEdit):
        editor.setText(WORDS)
        editor.returnPressed.emit()


async def _tool(tool: str, stage: Stage) -> QWidget:
    stage.workspace.layouts.choose(Kind.SINGLE)
    view = await axial(stage)
    if tool in list(Tool):
        stage.run(f"{tool}_tool")
    else:
        use(stage, view, tool)
        stage.afterwards.append(stage.workspace.drawing.cancel)
    return stage.window


async def measured(stage: Stage) -> QWidget:
    """Several measurements on one slice."""
    view = await axial(stage)
    for tool in MEASURED:
        use(stage, view, tool)
    stage.run("crosshair_tool")
    return stage.window


async def _listed(stage: Stage) -> QWidget:
    """The list of measurements with the histogram of a region, and a key image."""
    view = await axial(stage)
    for tool in (kinds.LENGTH.name, kinds.COBB.name, kinds.NOTE.name, kinds.FREEHAND.name):
        use(stage, view, tool)
    stage.run("key_image")
    stage.run("crosshair_tool")
    stage.window.assistant.tabs.setCurrentWidget(stage.window.measurements)
    return stage.window


# --- overlays and comparing --------------------------------------------------------------------


async def _over(stage: Stage, volume: Volume) -> None:
    """Write a volume to a file, and lay that over the images as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_nifti(volume, Path(folder) / f"{volume.info.series_description}.nii.gz")
        await stage.workspace.overlays.open(path)
    overlays = stage.workspace.overlays

    def take_off() -> None:
        for layer in overlays.layers:
            overlays.remove(layer)

    stage.afterwards.append(take_off)


async def _labels(stage: Stage) -> QWidget | None:
    volume = stage.workspace.viewer.volume
    if volume is None:
        return None
    labels = np.zeros(volume.shape, np.int16)
    for label, low, high in LABELS_HU:
        labels[(volume.voxels >= low) & (volume.voxels < high)] = label
    info = replace(volume.info, series_description="thresholds")
    await _over(stage, replace(volume, voxels=labels, info=info, slice_uids=()))
    return stage.window


async def _labels_in_3d(stage: Stage) -> QWidget | None:
    await _labels(stage)
    stage.workspace.scene.use_preset(Preset.SKIN)
    return await _scene(Preset.SKIN, stage)


async def _values(stage: Stage) -> QWidget | None:
    """A second volume, as PET over CT: smooth, warm where the first one is dense."""
    volume = stage.workspace.viewer.volume
    if volume is None:
        return None
    values = (np.clip(volume.voxels, 0, 400).astype(np.float32) ** 2 / 400 + 0.5).astype(np.float32)
    info = replace(volume.info, series_description="uptake")
    await _over(stage, replace(volume, voxels=values, info=info, slice_uids=()))
    return stage.window


async def _compared(frame: str, stage: Stage) -> QWidget | None:
    """The open volume beside itself, as if it were a prior of another frame of reference."""
    volume = stage.workspace.viewer.volume
    if volume is None:
        return None
    info = replace(volume.info, study_date="20240131")
    if frame:
        info = replace(info, frame_of_reference_uid=frame)
    stage.workspace.compare.open(replace(volume, info=info))
    return stage.window


# --- planes, 3D --------------------------------------------------------------------------------


async def _turned(stage: Stage) -> QWidget:
    viewer = stage.workspace.viewer
    viewer.turn(Plane.AXIAL, 0.3)
    viewer.turn(Plane.CORONAL, 0.2)
    viewer.settle()
    return stage.window


async def _slab(mode: Mode, turned: bool, stage: Stage) -> QWidget:
    if turned:
        await _turned(stage)
    stage.workspace.viewer.set_slab(Slab(20.0, mode))
    stage.settling = 60
    return stage.window


async def _lines(stage: Stage) -> QWidget:
    """Reference lines in place of the crosshair."""
    viewer = stage.workspace.viewer
    for command in ("toggle_crosshair", "reference_lines"):
        stage.run(command)
        stage.afterwards.append(partial(stage.run, command))
    viewer.activate(Plane.SAGITTAL)
    return stage.window


async def _coloured(colours: ColourMap, stage: Stage) -> QWidget:
    stage.workspace.viewer.use_colours(colours)
    stage.afterwards.append(lambda: stage.workspace.viewer.use_colours(ColourMap.GREY))
    return stage.window


async def _with_3d(stage: Stage) -> QWidget:
    stage.run("toggle_scene")
    stage.settling = RENDERING
    return stage.window


async def _scene(preset: Preset, stage: Stage) -> QWidget:
    layouts, scene = stage.workspace.layouts, stage.workspace.scene
    layouts.choose_main(SCENE)
    layouts.choose(Kind.SINGLE)
    scene.use_preset(preset)
    stage.afterwards.append(partial(scene.use_preset, Preset.BONE))
    stage.settling = RENDERING
    return stage.window


async def _clipped(stage: Stage) -> QWidget:
    await _scene(Preset.SOFT_TISSUE, stage)
    scene = stage.workspace.scene
    scene.toggle_clipping()
    scene.turn(-90, 40)
    scene.clip_to(1, 0, 0.45)
    return stage.window


#: Every picture of reading by its name.
READING: dict[str, State] = {
    **{f"tool-{tool}": State(partial(_tool, tool)) for tool in Tool},
    **{f"tool-{tool.name}": State(partial(_tool, tool.name)) for tool in kinds.tools()},
    "measured": State(measured),
    "measurements-list": State(_listed),
    "overlay-labels": State(_labels),
    "overlay-values": State(_values),
    "overlay-3d": State(_labels_in_3d),
    "compare": State(partial(_compared, "")),
    "compare-by-position": State(partial(_compared, "1.2.3")),
    "turned": State(_turned),
    **{f"slab-{mode}": State(partial(_slab, mode, False)) for mode in Mode},
    "slab-turned": State(partial(_slab, Mode.MAXIMUM, True)),
    "reference-lines": State(_lines),
    **{f"colours-{n.replace(' ', '-')}": State(partial(_coloured, n)) for n in ColourMap},
    "with-3d": State(_with_3d),
    **{f"scene-{p.replace(' ', '-').lower()}": State(partial(_scene, p)) for p in Preset},
    "scene-clipped": State(_clipped),
}
