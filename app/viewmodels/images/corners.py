"""What stands in the corners of a view, by the preferences. Knows no pixels and no widgets."""

from __future__ import annotations

from enum import StrEnum

from app.imaging import numbers, windows
from app.imaging.plane import PlaneState
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from med2e3.words import person_name


class Corner(StrEnum):
    """A corner of a view."""

    TOP_LEFT = "top left"
    TOP_RIGHT = "top right"
    BOTTOM_LEFT = "bottom left"
    BOTTOM_RIGHT = "bottom right"


def corner_lines(
    viewer: Viewer, plane: Plane, state: PlaneState, *, narrow: bool = False
) -> dict[Corner, str]:
    """The text of each corner: plane; patient and series; slice and position; zoom and window.

    In a `narrow` view, where the lower edge has room for one corner beside the scale bar, zoom and
    window stand at the top.
    """
    if narrow:
        return {
            Corner.TOP_LEFT: _lines(*_what(plane, state), *_whose(viewer)),
            Corner.TOP_RIGHT: _lines(*_how(viewer, state)),
            Corner.BOTTOM_LEFT: _lines(*_where(viewer, plane, state)),
        }
    return {
        Corner.TOP_LEFT: _lines(*_what(plane, state)),
        Corner.TOP_RIGHT: _lines(*_whose(viewer)),
        Corner.BOTTOM_LEFT: _lines(*_where(viewer, plane, state)),
        Corner.BOTTOM_RIGHT: _lines(*_how(viewer, state)),
    }


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _what(plane: Plane, state: PlaneState) -> list[str]:
    return [plane.capitalize(), *state.notes, state.slab_text]


def _whose(viewer: Viewer) -> list[str]:
    if viewer.volume is None:
        return []
    show = viewer.corners
    name = person_name(viewer.volume.info.patient_name) if show.patient_name else ""
    return [name, viewer.volume.name if show.corner_series else ""]


def _where(viewer: Viewer, plane: Plane, state: PlaneState) -> list[str]:
    show = viewer.corners
    lines = []
    if show.corner_slice:
        lines.append(f"{state.slice_index + 1}/{state.count}")
    if show.corner_position:
        lines.append(f"{numbers.axis_of(plane)} {numbers.signed(state.position_mm)} mm")
    if show.corner_thickness:
        lines.append(f"slices every {state.geometry.spacing_mm[0]:.2f} mm")
    return lines


def _how(viewer: Viewer, state: PlaneState) -> list[str]:
    show = viewer.corners
    zoom = f"×{state.zoom:.1f}" if show.corner_zoom and state.zoom != 1.0 else ""
    look = windows.describe(viewer.window) if show.corner_window else ""
    return [zoom, "inverted" if viewer.inverted else "", look]
