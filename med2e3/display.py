"""How volumes, slice scores and answers show themselves in a notebook: figures, HTML around them.

matplotlib is imported when the first is shown. Takes plain values; knows no models and no files.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from med2e3.figures import SMALL, USUAL, WIDTH
from med2e3.geometry import AXIS_LETTERS, DISPLAY_AXES, Geometry, Plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Pixels an inch in a notebook: figures 7 inches wide fit beside its margin.
DPI = 110


class ShownVolume(Protocol):
    """What a figure reads of `med2e3.Volume`, turned into a plane."""

    @property
    def voxels(self) -> NDArray[Any]: ...  # noqa: D102
    @property
    def geometry(self) -> Geometry: ...  # noqa: D102


def planes_figure(
    slices: Mapping[Plane, tuple[ShownVolume, int]], limits: tuple[float, float]
) -> Figure:
    """One slice of each plane side by side, in mm, as a radiologist is shown them.

    Each plane comes with the volume turned into it and the index of the slice. `limits` are the
    values shown black and white. Patient's right is on the left, letters say so.
    """
    from matplotlib.figure import Figure

    extents = {plane: _extent_mm(turned) for plane, (turned, _) in slices.items()}
    widths = [width for width, _ in extents.values()]
    tallest = max(height for _, height in extents.values())
    figure = Figure(
        (WIDTH, max(1.6, WIDTH * 0.96 * tallest / sum(widths)) + 0.35), facecolor="white",
        layout="constrained",
    )  # fmt: skip
    panels = figure.subplots(1, len(slices), width_ratios=widths, squeeze=False)[0]
    for axes, (plane, (turned, index)) in zip(panels, slices.items(), strict=True):
        width, height = extents[plane]
        axes.imshow(
            turned.voxels[index], cmap="gray", vmin=limits[0], vmax=limits[1],
            extent=(0, width, height, 0), interpolation="bilinear",
        )  # fmt: skip
        axes.set_title(f"{plane}, slice {index + 1} of {len(turned.voxels)}", fontsize=USUAL)
        axes.set_xticks([])
        axes.set_yticks([])
        _letters(axes, plane)
    return figure


def _extent_mm(turned: ShownVolume) -> tuple[float, float]:
    """Width and height of a slice, outer edges included."""
    _, rows, columns = turned.geometry.shape
    _, step_down, step_right = turned.geometry.spacing_mm
    return float(columns * step_right), float(rows * step_down)


def _letters(axes: Any, plane: Plane) -> None:
    """The ends of the patient's axes at the left and the upper edge."""
    _, down, right = DISPLAY_AXES[plane]
    left, top = (AXIS_LETTERS[axis][::sign][0] for axis, sign in (right, down))
    style = {"color": "#ffd479", "fontsize": SMALL + 1, "xycoords": "axes fraction"}
    axes.annotate(left, (0.02, 0.5), va="center", **style)
    axes.annotate(top, (0.5, 0.98), va="top", ha="center", **style)


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG for a notebook."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return drawn.getvalue()


def html_of(
    title: str, lines: Sequence[str], figure: Figure | None, *, notes: Sequence[str] = ()
) -> str:
    """A title, lines of text, a figure and notes in small print; all text is escaped."""
    parts = [f"<strong>{escape(title)}</strong>"]
    parts += [f"<div>{escape(line)}</div>" for line in lines]
    if figure is not None:
        drawn = base64.b64encode(png_of(figure)).decode()
        parts.append(
            f'<img alt="{escape(title)}" style="max-width:100%" '
            f'src="data:image/png;base64,{drawn}">'
        )
    parts += [f'<div style="font-size:85%;opacity:.75">{escape(note)}</div>' for note in notes]
    return f"<div>{''.join(parts)}</div>"


def middle_of(turned: ShownVolume, index: int | None) -> int:
    """The slice to show: the one asked for, or the middle one."""
    count = len(turned.voxels)
    return int(np.clip(count // 2 if index is None else index, 0, count - 1))
