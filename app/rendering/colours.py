"""The fixed colour scale of slice scores, in multiples of uniform. Knows no widgets.

One multiple has one colour in every answer, model and volume: nothing is stretched per question.
"""

from __future__ import annotations

import itertools
import math

from PySide6.QtGui import QColor

#: Multiple of uniform at the end of the scale: all the weight on one of 32 slices.
LARGEST = 32.0

#: Multiples marked on a legend.
MARKS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

#: (position 0..1, red, green, blue): lightness rises steadily from slate over plum and orange to
#: pale yellow, so that the order is seen with any colour vision and in print.
_STOPS = (
    (0.00, 38, 42, 54),
    (0.20, 70, 52, 112),
    (0.45, 158, 58, 110),
    (0.70, 232, 112, 62),
    (0.88, 250, 186, 70),
    (1.00, 252, 244, 178),
)


def position(times_uniform: float) -> float:
    """Place of a multiple on the scale: 0 at ×0, 1 at ×32 and beyond; logarithmic above ×1."""
    return min(math.log2(1.0 + max(times_uniform, 0.0)) / math.log2(1.0 + LARGEST), 1.0)


def score_colour(times_uniform: float) -> QColor:
    """The colour of a multiple of uniform."""
    place = position(times_uniform)
    for (p0, *low), (p1, *high) in itertools.pairwise(_STOPS):
        if place <= p1:
            share = (place - p0) / (p1 - p0)
            r, g, b = (round(a + (c - a) * share) for a, c in zip(low, high, strict=True))
            return QColor(r, g, b)
    return QColor(*_STOPS[-1][1:])
