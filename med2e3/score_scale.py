"""The fixed scale on which slice scores are drawn, in multiples of uniform. Knows no pictures.

One multiple has one place and one colour in every answer, model and volume: nothing is stretched
per question. Window and figures draw on this one scale.
"""

from __future__ import annotations

import bisect
import math

#: Multiple of uniform at the end of the scale: all the weight on one of 32 slices.
LARGEST = 32.0

#: Multiples marked on a legend.
MARKS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

RGB = tuple[int, int, int]

#: Positions 0..1 and their colours: lightness rises steadily from slate over plum and orange to
#: pale yellow, so that the order is seen with any colour vision and in print.
_POSITIONS = (0.00, 0.20, 0.45, 0.70, 0.88, 1.00)
_COLOURS: tuple[RGB, ...] = (
    (38, 42, 54),
    (70, 52, 112),
    (158, 58, 110),
    (232, 112, 62),
    (250, 186, 70),
    (252, 244, 178),
)


def position(times_uniform: float) -> float:
    """Place of a multiple on the scale: 0 at ×0, 1 at ×32 and beyond; logarithmic above ×1."""
    return min(math.log2(1.0 + max(times_uniform, 0.0)) / math.log2(1.0 + LARGEST), 1.0)


def multiple(place: float) -> float:
    """The multiple of uniform at a place 0..1 of the scale: the inverse of `position`."""
    return float((1.0 + LARGEST) ** place - 1.0)


def rgb(times_uniform: float) -> RGB:
    """The colour of a multiple of uniform, 0..255 each."""
    place = position(times_uniform)
    k = max(bisect.bisect_left(_POSITIONS, place), 1)
    share = (place - _POSITIONS[k - 1]) / (_POSITIONS[k] - _POSITIONS[k - 1])
    red, green, blue = (
        round(a + (b - a) * share) for a, b in zip(_COLOURS[k - 1], _COLOURS[k], strict=True)
    )
    return red, green, blue
