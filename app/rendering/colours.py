"""The colours of slice scores for Qt, on the fixed scale of `med2e3.score_scale`."""

from __future__ import annotations

from PySide6.QtGui import QColor

from med2e3.score_scale import rgb


def score_colour(times_uniform: float) -> QColor:
    """The colour of a multiple of uniform."""
    return QColor(*rgb(times_uniform))
