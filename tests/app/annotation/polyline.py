"""A kind that the program does not have: loaded before the app, it adds its row to the table."""

from __future__ import annotations

import itertools

from app.viewmodels.annotation import kinds, shapes
from app.viewmodels.annotation.model import Annotation, Ends, Kind, Subject
from app.viewmodels.annotation.quantities import Measure, Quantity, Reading
from med2e3.measures import length_mm

PATH = Measure("path", "path_mm", "mm")


def path(annotation: Annotation, subject: Subject) -> Reading:
    """The length of the line through all points."""
    steps = itertools.pairwise(annotation.points_mm)
    long = sum(length_mm(a, b) for a, b in steps)
    return Reading((Quantity(PATH, long, "mm"),), (f"{long:.1f} mm along",))


TRAIL = Kind(
    name="trail",
    title="Trail",
    action="Measure along a trail",
    key="Shift+T",
    icon="measure_length",
    points=2,
    form=shapes.PATH,
    read=path,
    quantities=(PATH,),
    ends=Ends.REPEAT,
)

kinds.KINDS = (*kinds.KINDS, TRAIL)
