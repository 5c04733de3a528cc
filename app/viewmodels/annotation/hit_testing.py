"""Finds the annotation under the mouse, by its handles and its lines. Knows no widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.viewmodels.annotation import shapes
from app.viewmodels.annotation.model import Annotation
from app.viewmodels.annotation.view_frame import FULL, ViewFrame
from med2e3.geometry import Float

#: Distance in logical pixels at which a handle, or a line, is taken hold of: what a hand with a
#: mouse hits without care, and less than what keeps two neighbouring handles apart.
HANDLE_REACH = 9.0
LINE_REACH = 6.0


@dataclass(frozen=True)
class Hit:
    """An annotation under the mouse, by one of its handles or by its line (`handle` None)."""

    uid: str
    handle: int | None


def hit(frame: ViewFrame, annotations: Sequence[Annotation], x: float, y: float) -> Hit | None:
    """The topmost annotation of the frame's own slice at a screen point; handles before lines."""
    at = np.array([x, y])
    own = [a for a in reversed(annotations) if frame.strength(a) == FULL]
    for annotation in own:
        away = np.linalg.norm(frame.to_screen(shapes.handles(annotation)) - at, axis=1)
        nearest = int(np.argmin(away))
        if away[nearest] <= HANDLE_REACH:
            return Hit(annotation.uid, nearest)
    for annotation in own:
        for line in shapes.lines(annotation):
            if distance(frame.to_screen(line), at) <= LINE_REACH:
                return Hit(annotation.uid, None)
    return None


def distance(line: Float, at: Float) -> float:
    """Distance of a point (2,) from a polyline (n, 2), in the same unit."""
    a, along = line[:-1], np.diff(line, axis=0)
    length = (along**2).sum(axis=1)
    share = ((at - a) * along).sum(axis=1) / np.where(length > 0, length, 1)
    nearest = a + np.clip(share, 0, 1)[:, None] * along
    return float(np.linalg.norm(nearest - at, axis=1).min())
