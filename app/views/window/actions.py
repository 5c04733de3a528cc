"""The commands of `app.viewmodels.window.commands`, bound to what they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QWidget

from app.imaging.colour_names import ColourMap
from app.imaging.turn import Turn
from app.imaging.windows import PRESETS
from app.viewmodels.annotation import kinds
from app.viewmodels.images.compare import Compare
from app.viewmodels.images.tools import Tool
from app.viewmodels.study.study import Target
from app.viewmodels.window.workspace import Workspace
from app.views.parts.file_dialogs import ask_for_file, ask_for_folder
from app.views.window import view_actions
from med2e3.measures import SlicePlane

#: Slices that PgUp and PgDn go.
PAGE = 10

Actions = Mapping[str, Callable[[], object]]


def bind(workspace: Workspace, window: QWidget) -> dict[str, Callable[[], object]]:
    """Every command that acts on the workspace; the window adds those about itself."""
    viewer, compare = workspace.viewer, workspace.compare
    return {
        "open_files": lambda: _open_files(workspace, window),
        "open_folder": lambda: _open_folder(workspace, window),
        "add_folder": lambda: _add_folder(workspace, window),
        "close_study": workspace.study.close,
        "open_overlay": lambda: _open_overlay(workspace, window),
        "open_demo": lambda: workspace.study.start(Target(workspace.demo_study)),
        **{f"{tool}_tool": _tool(workspace, tool) for tool in Tool},
        **{f"{tool.name}_tool": _tool(workspace, tool.name) for tool in kinds.tools()},
        "key_image": lambda: _mark(workspace),
        "undo": workspace.steps.undo,
        "redo": workspace.steps.redo,
        "delete": lambda: workspace.books.in_hand.remove_selected(),
        **{f"preset:{name}": _preset(workspace, name) for name in PRESETS},
        "invert": lambda: compare.hand.invert(),
        "reset": compare.reset,
        "reset_view": lambda: compare.leader.fit(),
        "reset_window": lambda: compare.leader.reset_window(),
        **{f"colours:{name}": _colours(workspace, name) for name in ColourMap},
        "turn_quarter": lambda: workspace.side_by_side.lie(Turn.quarter),
        "mirror": lambda: workspace.side_by_side.lie(Turn.mirrored),
        "upend": lambda: workspace.side_by_side.lie(Turn.upended),
        "hide_drawings": lambda: workspace.books.hide(),
        "magnifier": workspace.viewer.swap_magnifier,
        "link": workspace.side_by_side.swap_link,
        "hanging": workspace.layouts.toggle_hanging,
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


def _colours(workspace: Workspace, name: ColourMap) -> Callable[[], object]:
    return lambda: workspace.compare.hand.use_colours(name)


def _scroll(compare: Compare, steps: float) -> Callable[[], object]:
    """A command that scrolls the view that the keys act on, at most to its end."""

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
    """Mark the slice that the keys act on as a key image, or take the mark away."""
    viewer, books = workspace.compare.hand, workspace.books
    state = viewer.shown.get(workspace.compare.plane_of_keys)
    if state is not None:
        plane = SlicePlane.of_slice(state.geometry, state.slice_index)
        book = books.of(viewer)
        books.take(book)
        book.toggle_key_image(plane)


def _file_types() -> str:
    """The filter of a dialog for files; what has other suffixes opens by its content."""
    from med2e3.io.suffixes import image_suffixes

    return f"Images ({' '.join(f'*{suffix}' for suffix in image_suffixes())});;All files (*)"


def _open_files(workspace: Workspace, window: QWidget) -> None:
    start = workspace.settings.values.last_folder
    ask_for_file(window, "Open", partial(_open, workspace), start=start, types=_file_types())


def _open_folder(workspace: Workspace, window: QWidget) -> None:
    start = workspace.settings.values.last_folder
    ask_for_folder(window, "Open", partial(_open, workspace), start=start)


def _add_folder(workspace: Workspace, window: QWidget) -> None:
    start = workspace.settings.values.last_folder
    ask_for_folder(window, "Add", lambda path: workspace.study.add((path,)), start=start)


def _open(workspace: Workspace, path: Path) -> None:
    workspace.study.start(Target(path))


def _open_overlay(workspace: Workspace, window: QWidget) -> None:
    start, chosen = workspace.settings.values.last_folder, workspace.overlays.start
    ask_for_file(window, "Lay over the images", chosen, start=start, types=_file_types())
