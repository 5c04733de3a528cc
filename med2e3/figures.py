"""Figures that leave the program, drawn by matplotlib: slice scores and calibration.

Each function takes plain values and returns a matplotlib `Figure`; `save_figure` writes one as PNG,
SVG or PDF. matplotlib is imported when the first figure is drawn, and only its object interface is
used, so that figures are drawn on any thread and without a display. Equal values give equal files.
Knows no models.
"""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from med2e3 import score_scale
from med2e3.errors import InputError
from med2e3.files import whole_file
from med2e3.geometry import AXIS_LETTERS, DISPLAY_AXES, Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Float = NDArray[np.float64]

#: What matplotlib is told a file of each suffix is about: no date, so that equal figures are equal.
METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": "Med-2E3"},
    ".svg": {"Date": None, "Creator": "Med-2E3"},
    ".pdf": {"CreationDate": None, "Creator": "Med-2E3"},
}

#: Pixels an inch of a PNG: what journals ask of figures that mix lines and areas.
DPI = 300

#: Width of every figure in inches: two columns of a page (178 mm).
WIDTH = 7.0

#: Letters of a question in a line, and lines before it is cut.
TITLE_LETTERS, ROW_LETTERS, MOST_LINES = 88, 30, 3

INK, DIM, GRID, ACCENT = "#1d2026", "#5c6470", "#d9dce1", "#a03a6e"

#: Square points of the dot of a bin that holds hardly an answer, and of one that holds all.
LEAST_DOT, LARGEST_DOT = 10.0, 90.0

#: Points of the sizes of text.
LARGE, USUAL, SMALL = 10.5, 9.0, 7.5

#: Points between the plot and the axis of millimetres: room for the numbers of the slices.
PLACES_BELOW = 36

CAVEAT = (
    "Weights of the slices' 2D features, fixed before the first word; ×1 is an equal share.\n"
    "No proof of what the answer rests on: the 3D features bypass them."
)

#: matplotlib keeps the salt of an SVG's names in its settings, which all threads share.
_settings = threading.Lock()


class PlacedBand(Protocol):
    """What a figure reads of `med2e3.preprocessing.Band`."""

    @property
    def from_mm(self) -> float: ...  # noqa: D102
    @property
    def to_mm(self) -> float: ...  # noqa: D102


class SliceScores(Protocol):
    """What a figure reads of `med2e3.Scores`: S weights and the S bands that they weigh."""

    @property
    def times_uniform(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def bands(self) -> Sequence[PlacedBand]: ...  # noqa: D102
    @property
    def effective_slices(self) -> float: ...  # noqa: D102


class ReliabilityBin(Protocol):
    """What a figure reads of `med2e3.evaluation.calibration.Bin`."""

    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102
    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def confidence(self) -> float: ...  # noqa: D102
    @property
    def accuracy(self) -> float: ...  # noqa: D102


def check_figure_path(path: Path) -> None:
    """Raises `InputError` when no figure can be written as `path`: its suffix, or no folder."""
    if path.suffix.lower() not in METADATA:
        raise InputError(
            f"“{path.name}” cannot hold a figure: its name ends in “{path.suffix}”. "
            f"End it in {', '.join(METADATA)}."
        )
    if not os.path.isdir(path.absolute().parent):  # noqa: PTH112 - also of a path that is too long
        raise InputError(f"There is no folder {path.parent} for {path.name}; make it first.")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, as what the suffix of `path` says.

    Raises `InputError` for another suffix and where the file cannot be written.
    """
    check_figure_path(path)
    import matplotlib

    kind = path.suffix.lower()
    with _settings, matplotlib.rc_context({"svg.hashsalt": "med2e3", "svg.fonttype": "path"}):
        try:
            with whole_file(path) as draft:
                figure.savefig(draft, format=kind[1:], dpi=DPI, metadata=METADATA[kind])
        except OSError as error:
            raise InputError(f"The figure cannot be written to {path}: {error}.") from error


def score_figure(asked: Sequence[tuple[str, SliceScores]], plane: Plane) -> Figure:
    """Slice scores of questions about one volume, over the model's slices in display order.

    `asked` are questions with their scores; `plane` is the one that the model was given. One
    question is drawn as bars, several as rows of a matrix. Both are on the fixed scale in multiples
    of uniform, and have millimetres along the patient axis below. Raises `InputError` where nothing
    was asked or the questions have different bands.
    """
    if not asked:
        raise InputError("A figure of slice scores needs at least one question; none was given.")
    places = _places_mm(asked[0][1])
    for question, scores in asked[1:]:
        other = _places_mm(scores)
        if other.shape != places.shape or not np.allclose(other, places):
            raise InputError(
                f"“{asked[0][0]}” and “{question}” were not answered on the same slices. "
                "Draw questions about one volume, plane and model together, others apart."
            )
    return _bars(*asked[0], plane) if len(asked) == 1 else _matrix(asked, plane)


def _bars(question: str, scores: SliceScores, plane: Plane) -> Figure:
    times = np.asarray(scores.times_uniform, dtype=np.float64)
    figure, axes = _new(3.6)
    axes.bar(
        np.arange(1, len(times) + 1), times, width=0.86,
        color=[_hex(t) for t in times], edgecolor=INK, linewidth=0.4, zorder=2,
    )  # fmt: skip
    axes.axhline(1.0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
    axes.annotate(
        f"uniform, 1/{len(times)}", (1, 1), xycoords=("axes fraction", "data"),
        xytext=(4, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK,
    )  # fmt: skip
    axes.set_yscale("function", functions=(_positions, _multiples))
    axes.set_ylim(0, score_scale.LARGEST)
    _mark(axes.yaxis, "multiple of uniform")
    axes.grid(axis="y", color=GRID, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _slice_axes(axes, scores, plane)
    _head(axes, question, f"spread over {scores.effective_slices:.1f} of {len(times)} slices")
    _foot(figure)
    return figure


def _matrix(asked: Sequence[tuple[str, SliceScores]], plane: Plane) -> Figure:
    from matplotlib.colors import FuncNorm, ListedColormap

    times = np.array([scores.times_uniform for _, scores in asked], dtype=np.float64)  # (Q, S)
    labels = [_wrapped(question, ROW_LETTERS) for question, _ in asked]
    heights = [max(0.34, 0.15 * (label.count("\n") + 1) + 0.08) for label in labels]
    edges = np.concatenate([[0.0], np.cumsum(heights)])
    figure, axes = _new(1.9 + float(edges[-1]))
    steps = [score_scale.multiple(place) for place in np.linspace(0, 1, 256)]
    mesh = axes.pcolormesh(
        np.arange(times.shape[1] + 1) + 0.5, edges, times,
        cmap=ListedColormap([_hex(step) for step in steps]),
        norm=FuncNorm((_positions, _multiples), 0, score_scale.LARGEST),
        edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    axes.set_ylim(edges[-1], 0)
    axes.set_yticks((edges[:-1] + edges[1:]) / 2, labels, fontsize=SMALL + 0.5, parse_math=False)
    axes.tick_params(axis="y", length=0)
    for place, (_, scores) in zip((edges[:-1] + edges[1:]) / 2, asked, strict=True):
        axes.annotate(
            f"{scores.effective_slices:.1f}", (1, place), xycoords=("axes fraction", "data"),
            xytext=(6, 0), textcoords="offset points", va="center", fontsize=SMALL, color=INK,
        )  # fmt: skip
    axes.annotate(
        "effective\nslices", (1, 1), xycoords="axes fraction", xytext=(4, 4),
        textcoords="offset points", fontsize=SMALL, color=DIM,
    )  # fmt: skip
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(mesh, ax=axes, pad=0.07, aspect=14)
    bar.outline.set_visible(False)
    _mark(bar.ax.yaxis, "multiple of uniform")
    _slice_axes(axes, asked[0][1], plane)
    _head(axes, f"Slice scores of {len(asked)} questions about one volume", "")
    _foot(figure)
    return figure


def reliability_figure(bins: Mapping[str, Sequence[ReliabilityBin]], title: str = "") -> Figure:
    """Whether a model is as sure as it is right: a panel for each name with its bins.

    Above: how often answers of a bin are right, over how probable the model found them; the dashed
    diagonal is perfect calibration, and a dot is as large as its bin. Below: how many answers a bin
    has. Raises `InputError` where no
    bin holds an answer.
    """
    held = {name: sorted(found, key=lambda b: b.low) for name, found in bins.items() if found}
    if not held:
        raise InputError(
            "There is no calibration to draw: no answer that is right or wrong has a probability. "
            "Evaluate phantoms, or questions with choices."
        )
    columns = min(len(held), 3)
    rows = -(-len(held) // columns)
    figure = _sheet(3.5 * rows + 0.3, min(3.6 * columns, WIDTH))
    panels = figure.subfigures(rows, columns, squeeze=False).ravel()
    for panel, (name, found) in zip(panels, held.items(), strict=False):
        upper, lower = panel.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        _reliability(upper, name, found)
        _counts(lower, found)
    if title:
        figure.suptitle(_wrapped(title, TITLE_LETTERS), fontsize=LARGE, color=INK, parse_math=False)
    return figure


def _reliability(axes: Axes, name: str, bins: Sequence[ReliabilityBin]) -> None:
    total = sum(b.count for b in bins)
    error = sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / total
    axes.plot([0, 1], [0, 1], color=DIM, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.vlines(
        [b.confidence for b in bins], [b.confidence for b in bins], [b.accuracy for b in bins],
        color=ACCENT, linewidth=1.2, alpha=0.45, zorder=2,
    )  # fmt: skip
    axes.scatter(
        [b.confidence for b in bins], [b.accuracy for b in bins],
        s=[LEAST_DOT + (LARGEST_DOT - LEAST_DOT) * b.count / total for b in bins],
        color=ACCENT, edgecolor="white", linewidth=0.5, zorder=3, clip_on=False,
    )  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_xlim(0, 1)
    axes.set_ylabel("share of right answers", fontsize=USUAL, color=INK)
    _head(axes, _wrapped(name, ROW_LETTERS), f"calibration error {error:.3f}, n = {total}")
    _plain(axes)


def _counts(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    axes.bar(
        [b.low for b in bins], [b.count for b in bins],
        width=[b.high - b.low for b in bins], align="edge",
        color=GRID, edgecolor=DIM, linewidth=0.6, zorder=2,
    )  # fmt: skip
    axes.set_ylim(0, max(b.count for b in bins) * 1.1)
    axes.locator_params(axis="y", nbins=2, integer=True)
    axes.set_ylabel("answers", fontsize=USUAL, color=INK)
    axes.set_xlabel("probability of the answer", fontsize=USUAL, color=INK)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.grid(color=GRID, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=DIM)


def _sheet(height: float, width: float = WIDTH) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width, height), facecolor="white", layout="constrained")


def _new(height: float) -> tuple[Figure, Axes]:
    """A figure, `height` inches high, with one plot."""
    figure = _sheet(height)
    axes = figure.add_subplot()
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=DIM)
    return figure, axes


def _slice_axes(axes: Axes, scores: SliceScores, plane: Plane) -> None:
    """Model slices below the plot, and below them where they lie in the patient."""
    count = len(scores.bands)
    axes.set_xlim(0.5, count + 0.5)
    axes.set_xticks(_ticks(count))
    axes.set_xlabel("model slice", fontsize=USUAL, color=INK)
    places = _places_mm(scores)
    descending = places[0].sum() > places[-1].sum()
    ends = (places.max(), places.min()) if descending else (places.min(), places.max())
    below = axes.twiny()
    below.set_xlim(*ends)
    below.xaxis.set_ticks_position("bottom")
    below.xaxis.set_label_position("bottom")
    below.spines["bottom"].set_position(("outward", PLACES_BELOW))
    below.spines[["top", "left", "right"]].set_visible(False)
    axis, sign = DISPLAY_AXES[plane][0]
    first, last = AXIS_LETTERS[axis][::sign]
    below.set_xlabel(f"{first} ← {'xyz'[axis]}, mm (LPS) → {last}", fontsize=USUAL, color=INK)
    below.tick_params(labelsize=SMALL, labelcolor=INK, color=DIM)


def _ticks(count: int) -> list[int]:
    """Slices to number: the first, the last, and steps of a power of two between."""
    step = next(s for s in (1, 2, 4, 8, 16, 32, 64, 128, count) if count / s <= 8)
    return [1, *(k for k in range(step, count + 1, step) if k > 1)]


def _mark(axis: Any, label: str) -> None:
    """Ticks of the fixed scale, and what it measures."""
    axis.set_ticks([0, *score_scale.MARKS], ["0", *(f"×{mark:.0f}" for mark in score_scale.MARKS)])
    axis.set_tick_params(labelsize=SMALL, labelcolor=INK, color=DIM)
    axis.set_label_text(label, fontsize=USUAL, color=INK)
    axis.minorticks_off()


def _head(axes: Axes, title: str, second: str) -> None:
    axes.set_title(
        _wrapped(title, TITLE_LETTERS), fontsize=LARGE, color=INK, loc="left", parse_math=False,
        pad=20 if second else 8,
    )  # fmt: skip
    line = axes.annotate(
        second, (0, 1), xycoords="axes fraction", xytext=(0, 7), textcoords="offset points",
        fontsize=SMALL + 0.5, color=DIM,
    )  # fmt: skip
    line.set_in_layout(False)  # or a narrow plot would be made narrower still


def _foot(figure: Figure) -> None:
    figure.supxlabel(CAVEAT, x=0.01, ha="left", fontsize=SMALL - 0.5, color=DIM)


def _wrapped(text: str, letters: int) -> str:
    return "\n".join(textwrap.wrap(text, letters, max_lines=MOST_LINES, placeholder=" …") or [""])


def _places_mm(scores: SliceScores) -> Float:
    """(S, 2) ends of the bands along the patient axis."""
    return np.array([(band.from_mm, band.to_mm) for band in scores.bands], dtype=np.float64)


def _hex(times_uniform: float) -> str:
    return "#{:02x}{:02x}{:02x}".format(*score_scale.rgb(times_uniform))


def _over(function: Any, values: Any) -> Float:
    found = np.vectorize(function, otypes=[np.float64])(np.asarray(values, dtype=np.float64))
    return np.asarray(found)


_positions = partial(_over, score_scale.position)
_multiples = partial(_over, score_scale.multiple)
