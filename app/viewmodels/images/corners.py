"""What stands in the corners of a view, by the preferences. Knows no pixels and no widgets."""

from __future__ import annotations

from enum import StrEnum

from app.imaging import numbers, windows
from app.imaging.plane import PlaneState
from app.viewmodels.core.patients import date, details
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import DISPLAY_AXES, Plane
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
    """The text of each corner: patient and series; plane; slice and position; zoom and window.

    In a `narrow` view, where the lower edge has room for one corner beside the scale bar, zoom and
    window stand at the top.
    """
    if narrow:
        return {
            Corner.TOP_LEFT: _lines(*_whose(viewer), *_what(plane, state)),
            Corner.TOP_RIGHT: _lines(*_how(viewer, state)),
            Corner.BOTTOM_LEFT: _lines(*_where(viewer, plane, state)),
        }
    return {
        Corner.TOP_LEFT: _lines(*_whose(viewer)),
        Corner.TOP_RIGHT: _lines(*_what(plane, state)),
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
    info, lines = viewer.volume.info, []
    if show.patient_name:
        lines.append(person_name(info.patient_name))
        lines.append(details(info) if show.corner_identity else "")
    if show.corner_study:
        lines.append(" ".join(filter(None, (date(info.study_date), numbers.time(info.study_time)))))
    lines.append(viewer.volume.name if show.corner_series else "")
    if show.corner_technique:
        voltage = f"{info.peak_kilovolts} kV" if info.peak_kilovolts else ""
        exposure = f"{info.exposure_mas} mAs" if info.exposure_mas else ""
        lines.append(" · ".join(filter(None, (info.kernel, voltage, exposure))))
    return lines


def _where(viewer: Viewer, plane: Plane, state: PlaneState) -> list[str]:
    show = viewer.corners
    lines = []
    if show.corner_slice:
        lines.append(f"{state.slice_index + 1}/{state.count}")
    if show.corner_position:
        axis = DISPLAY_AXES[plane][0][0]
        lines.append(f"{numbers.side(axis, state.position_mm, digits=1)} mm")
    if show.corner_thickness:
        lines.append(f"slices every {state.geometry.spacing_mm[0]:.2f} mm")
    return lines


def _how(viewer: Viewer, state: PlaneState) -> list[str]:
    show = viewer.corners
    zoom = f"×{state.zoom:.1f}" if show.corner_zoom and state.zoom != 1.0 else ""
    look = windows.describe(viewer.window) if show.corner_window else ""
    return [zoom, "inverted" if viewer.inverted else "", look]
