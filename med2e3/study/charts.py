"""Figures of a study's table, as SVG inside a page: answers, certainty, slice scores, times.

Each function takes plain values and returns a matplotlib `Figure`. Colours of text and lines become
variables of the page, so that one drawing is read on a light and on a dark ground. Knows no tables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from med2e3 import score_scale
from med2e3.figures import ACCENT, DIM, GRID, INK, SMALL, USUAL, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Variables of the page by the colours that they replace.
VARIABLES = {INK: "var(--ink)", DIM: "var(--dim)", GRID: "var(--line)", ACCENT: "var(--accent)"}

#: Letters of an answer or a question beside a plot.
LETTERS = 44

#: Answers of a question that are drawn; the rest is one bar.
MOST_ANSWERS = 6

#: Inches of a row.
ROW = 0.27


def answer_figure(counts: Mapping[str, int], total: int) -> Figure:
    """How often each answer was given to one question, most often first, of `total`."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ordered[:MOST_ANSWERS]
    if len(ordered) > MOST_ANSWERS:
        rest = sum(count for _, count in ordered[MOST_ANSWERS:])
        shown.append((f"{len(ordered) - MOST_ANSWERS} other answers", rest))
    figure, axes = _sheet(0.42 + ROW * len(shown))
    places = np.arange(len(shown))
    axes.barh(places, [count for _, count in shown], height=0.66, color=ACCENT)
    for place, (_, count) in zip(places, shown, strict=True):
        axes.annotate(
            str(count), (count, place), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=SMALL, color=INK,
        )  # fmt: skip
    _rows(axes, [text for text, _ in shown])
    axes.set_xlim(0, max(1, total))
    axes.set_xlabel("volumes", fontsize=USUAL, color=INK)
    return figure


def certainty_figure(probabilities: Mapping[str, Sequence[float]]) -> Figure:
    """The probabilities of the answers to each question: every one, and the median."""
    figure, axes = _sheet(0.5 + ROW * len(probabilities))
    for place, values in enumerate(probabilities.values()):
        axes.plot(
            values, np.full(len(values), place), "o", markersize=4, markeredgewidth=0,
            color=ACCENT, alpha=0.45, clip_on=False,
        )  # fmt: skip
        if len(values):
            axes.plot([np.median(values)] * 2, [place - 0.36, place + 0.36], color=INK, lw=1.4)
    _rows(axes, list(probabilities))
    axes.set_xlim(0, 1)
    axes.set_xlabel("probability of the answer; the line is the median", fontsize=USUAL, color=INK)
    return figure


def score_map(means: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Mean slice scores (S,) of each question in multiples of uniform, on the fixed scale."""
    from matplotlib.colors import ListedColormap

    times = np.array(list(means.values()))  # (Q, S)
    places = np.vectorize(score_scale.position, otypes=[float])(times)
    steps = [score_scale.multiple(place) for place in np.linspace(0, 1, 256)]
    colours = ["#{:02x}{:02x}{:02x}".format(*score_scale.rgb(step)) for step in steps]
    figure, axes = _sheet(0.62 + ROW * len(means))
    mesh = axes.pcolormesh(
        np.arange(times.shape[1] + 1) + 0.5, np.arange(len(times) + 1) - 0.5, places,
        cmap=ListedColormap(colours), vmin=0, vmax=1, edgecolor="face", linewidth=0.3,
    )  # fmt: skip
    _rows(axes, list(means), grid=False)
    axes.set_xlabel("model slice, in display order", fontsize=USUAL, color=INK)
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=12)
    bar.outline.set_visible(False)
    if bar.solids is not None:  # the page lets no image in, not even one that it holds
        bar.solids.set_rasterized(False)
        bar.solids.set_edgecolor("face")
    marks = (0.0, *score_scale.MARKS)
    bar.set_ticks([score_scale.position(m) for m in marks], labels=[f"×{m:.0f}" for m in marks])
    bar.ax.tick_params(labelsize=SMALL, labelcolor=INK, color=DIM)
    return figure


def time_figure(seconds: Mapping[str, Sequence[float]]) -> Figure:
    """How long each part of the work took for one volume or answer: all times, and the median."""
    figure, axes = _sheet(0.5 + ROW * len(seconds))
    for place, values in enumerate(seconds.values()):
        kept = [max(value, 1e-4) for value in values]
        axes.plot(
            kept, np.full(len(kept), place), "o", markersize=3.5, markeredgewidth=0, color=ACCENT,
            alpha=0.35,
        )  # fmt: skip
        if kept:
            axes.plot([np.median(kept)] * 2, [place - 0.36, place + 0.36], color=INK, lw=1.4)
    _rows(axes, list(seconds))
    axes.set_xscale("log")
    axes.set_xlabel("seconds", fontsize=USUAL, color=INK)
    axes.minorticks_off()
    return figure


def inline_svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an SVG element whose ids begin with `name`, in the colours of the page."""
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{name}-", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def _sheet(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=DIM)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(DIM)
    return figure, axes


def _rows(axes: Axes, labels: Sequence[str], *, grid: bool = True) -> None:
    """A row for each label, the first on top."""
    short = [text if len(text) <= LETTERS else f"{text[: LETTERS - 2]} …" for text in labels]
    axes.set_yticks(np.arange(len(labels)), short, fontsize=USUAL - 0.5, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    if grid:
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
