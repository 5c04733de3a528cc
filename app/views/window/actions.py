"""The commands of `app.viewmodels.window.commands`, bound to what they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from app.imaging.windows import PRESETS
from app.viewmodels.annotation import kinds
from app.viewmodels.core.work import Message
from app.viewmodels.images.compare import Compare
from app.viewmodels.images.viewer import Tool
from app.viewmodels.study.study import Target
from app.viewmodels.window.workspace import Workspace
from app.views.window import view_actions
from med2e3.measures import SlicePlane

#: What the dialog for files lists; folders and everything else open by their content.
FILE_TYPES = "Images (*.dcm *.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.npy *.zip);;All files (*)"

#: Slices that PgUp and PgDn go.
PAGE = 10

#: Said where something is to be marked on the series that is shown beside the open one.
NOT_BESIDE = Message(
    "The series beside the open one is looked at only: open it itself to mark its key images."
)

Actions = Mapping[str, Callable[[], object]]


def bind(workspace: Workspace, window: QWidget) -> dict[str, Callable[[], object]]:
    """Every command of a plain kind; the window adds the ones about itself."""
    viewer, compare = workspace.viewer, workspace.compare
    return {
        "open_files": lambda: _open_dialog(workspace, window, folder=False),
        "open_folder": lambda: _open_dialog(workspace, window, folder=True),
        "open_overlay": lambda: _overlay_dialog(workspace, window),
        "open_demo": lambda: workspace.study.start(Target(workspace.demo_study)),
        **{f"{tool}_tool": _tool(workspace, tool) for tool in Tool},
        **{f"{tool.name}_tool": _tool(workspace, tool.name) for tool in kinds.tools()},
        "key_image": lambda: _mark(workspace),
        "undo": workspace.steps.undo,
        "redo": workspace.steps.redo,
        "delete": workspace.annotations.remove_selected,
        **{f"preset:{name}": _preset(workspace, name) for name in PRESETS},
        "invert": lambda: compare.hand.invert(),
        "reset": compare.reset,
        "toggle_crosshair": viewer.toggle_crosshair,
        "toggle_text": viewer.toggle_corner_text,
        "maximise": lambda: viewer.maximise(viewer.maximised or viewer.active),
        "toggle_scene": workspace.layouts.toggle_scene,
        "previous_slice": _scroll(compare, -1),
        "next_slice": _scroll(compare, 1),
        "back_ten": _scroll(compare, -PAGE),
        "forward_ten": _scroll(compare, PAGE),
        "first_slice": _scroll(compare, -math.inf),
        "last_slice": _scroll(compare, math.inf),
        **view_actions.bind(workspace),
    }


def _preset(workspace: Workspace, name: str) -> Callable[[], object]:
    return lambda: workspace.compare.hand.use_preset(name)


def _scroll(compare: Compare, steps: float) -> Callable[[], object]:
    """So many slices of what is looked at; to an end where there are not so many."""

    def act() -> None:
        viewer = compare.hand
        plane = compare.plane_of_keys
        state = viewer.shown.get(plane)
        if state is not None:
            viewer.go_to_shown(plane, state.slice_index + steps)

    return act


def _tool(workspace: Workspace, tool: str) -> Callable[[], object]:
    return lambda: workspace.viewer.choose_tool(tool)


def _mark(workspace: Workspace) -> None:
    """Mark the slice that is looked at."""
    if workspace.compare.hand is not workspace.viewer:
        workspace.notices.show(NOT_BESIDE)
        return
    state = workspace.viewer.shown.get(workspace.compare.plane_of_keys)
    if state is not None:
        plane = SlicePlane.of_slice(state.geometry, state.slice_index)
        workspace.annotations.toggle_key_image(plane)


def _open_dialog(workspace: Workspace, window: QWidget, *, folder: bool) -> QFileDialog:
    dialog = QFileDialog(window, "Open", workspace.settings.values.last_folder)
    if folder:
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    else:
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilter(FILE_TYPES)
    dialog.fileSelected.connect(lambda path: workspace.study.start(Target(Path(path))))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def _overlay_dialog(workspace: Workspace, window: QWidget) -> QFileDialog:
    start = workspace.settings.values.last_folder
    dialog = QFileDialog(window, "Lay over the images", start, FILE_TYPES)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.fileSelected.connect(lambda path: workspace.overlays.start(Path(path)))
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog


def choose_model(window: QWidget, chosen: Callable[[str], object]) -> QFileDialog:
    """Ask for a folder with a model."""
    dialog = QFileDialog(window, "Folder with a model")
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.fileSelected.connect(chosen)
    dialog.finished.connect(dialog.deleteLater)
    dialog.open()
    return dialog
