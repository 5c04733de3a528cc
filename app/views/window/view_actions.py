"""The commands about layouts, oblique planes, slabs, cine and comparing, bound to what they do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.viewmodels.assistant.strip import strip_of
from app.viewmodels.images.side_by_side import SHAPES
from app.viewmodels.window.layouts import Kind
from app.viewmodels.window.workspace import Workspace


def bind(workspace: Workspace) -> dict[str, Callable[[], object]]:
    """What each of these commands does, by its name in `app.viewmodels.window.commands`."""
    viewer, layouts, compare = workspace.viewer, workspace.layouts, workspace.compare
    return {
        **{f"layout:{kind}": _layout(workspace, kind) for kind in Kind},
        "next_main": lambda: layouts.choose_main_after(layouts.main),
        "second_window": lambda: layouts.detach(layouts.second or viewer.active.value),
        "straighten": viewer.straighten,
        "reference_lines": viewer.toggle_reference_lines,
        "slab": lambda: compare.hand.set_slab(compare.hand.slab.toggled()),
        "slab_mode": lambda: compare.hand.set_slab(compare.hand.slab.with_next_mode()),
        "slab_thicker": lambda: compare.hand.set_slab(compare.hand.slab.thicker(1)),
        "slab_thinner": lambda: compare.hand.set_slab(compare.hand.slab.thicker(-1)),
        "cine": lambda: workspace.cine.toggle(compare.plane_of_keys),
        **{
            f"series:{rows}x{columns}": partial(workspace.side_by_side.choose, rows, columns)
            for rows, columns in SHAPES
        },
        "close_compare": workspace.side_by_side.close,
        "next_peak": lambda: _go_to_peak(workspace, 1),
        "previous_peak": lambda: _go_to_peak(workspace, -1),
    }


def _go_to_peak(workspace: Workspace, step: int) -> None:
    """Bring the model's plane to the next peak of the shown scores, or the one before."""
    turn, viewer = workspace.assistant.shown, workspace.viewer
    strip = strip_of(turn)
    if turn is None or turn.seen is None or strip is None:
        return
    plane = turn.seen.plane
    cell = strip.peak_from(viewer.planes[plane].slice_index, step)
    if cell is not None:
        viewer.go_to_slice(plane, turn.seen.centre_slice(cell.model_slice))


def _layout(workspace: Workspace, kind: Kind) -> Callable[[], object]:
    return lambda: workspace.layouts.choose(kind)
