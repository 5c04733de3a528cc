"""The forms of annotations: their lines, their handles, and what moving a handle does.

Works in LPS mm on the annotation's own plane. Knows nothing of screens or values; `kinds` says
which kind has which form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from app.viewmodels.annotation.model import Annotation, Form
from med2e3.geometry import Float
from med2e3.measures import Point, point
from med2e3.regions import Region

#: Corners of the polygon that an ellipse is drawn as: at 500 pixels its sides are 12 long, and off
#: the curve by less than a tenth of a pixel.
ELLIPSE_CORNERS = 128

#: The shorter of two diameters begins at this share of the longer one.
FIRST_SHORT = 0.6


def region(annotation: Annotation) -> Region | None:
    """The area that an annotation encloses, if it encloses one."""
    shape = annotation.kind.region
    return None if shape is None else Region(annotation.plane, shape, annotation.points_mm)


def lines(annotation: Annotation) -> list[Float]:
    """The lines to draw, each (n, 3) LPS mm; closed ones end where they began."""
    return annotation.kind.form.lines(annotation)


def handles(annotation: Annotation) -> Float:
    """The points (n, 3), LPS mm, by which an annotation is reshaped."""
    return annotation.kind.form.handles(annotation)


def with_handle(annotation: Annotation, handle: int, to_mm: Point) -> Annotation:
    """The annotation after its handle was moved to a point of its plane."""
    return annotation.kind.form.with_handle(annotation, handle, to_mm)


def moved(annotation: Annotation, by_mm: Sequence[float]) -> Annotation:
    """The annotation shifted within its plane."""
    shifted = np.asarray(annotation.points_mm) + np.asarray(by_mm)
    return annotation.with_points(tuple(point(p) for p in shifted))


def centre_mm(annotation: Annotation) -> Point:
    """The middle of the annotation, which a view goes to."""
    points = handles(annotation)
    return point((points.min(axis=0) + points.max(axis=0)) / 2)


def box_corners(annotation: Annotation) -> list[Point]:
    """The four corners, in order, of the box along the plane's axes with two given corners."""
    (x0, y0), (x1, y1) = annotation.plane.to_plane(annotation.points_mm)
    corners = annotation.plane.to_patient_mm([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return [point(c) for c in corners]


def diameters(annotation: Annotation) -> tuple[Point, ...]:
    """The ends of both diameters from those of the longer one, whose middle the shorter crosses."""
    a, b = np.asarray(annotation.points_mm[0]), np.asarray(annotation.points_mm[1])
    half = np.cross(annotation.plane.normal, b - a) * FIRST_SHORT / 2
    middle = (a + b) / 2
    return point(a), point(b), point(middle - half), point(middle + half)


def short_is_drawn(annotation: Annotation) -> bool:
    """Whether the shorter of two diameters is the reader's and not the one that was proposed."""
    proposed = np.asarray(diameters(annotation)[2:])
    return not np.allclose(proposed, np.asarray(annotation.points_mm[2:]), rtol=0, atol=1e-6)


def simplified(points: Float, tolerance: float) -> Float:
    """An outline (n, d) without the points within `tolerance` of it (Douglas-Peucker)."""
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        between = points[first + 1 : last]
        away = _distances(between, points[first], points[last])
        worst = int(np.argmax(away))
        if away[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return points[keep]


def _distances(points: Float, a: Float, b: Float) -> Float:
    """Distances (n,) of points (n, d) from the segment between `a` and `b`."""
    along = b - a
    length = float(along @ along)
    share = np.clip((points - a) @ along / length, 0, 1) if length else np.zeros(len(points))
    return np.asarray(np.linalg.norm(points - (a + share[:, None] * along), axis=1))


def _points(annotation: Annotation) -> Float:
    return np.asarray(annotation.points_mm)


def _corners(annotation: Annotation) -> Float:
    return np.asarray(box_corners(annotation))


def _path(annotation: Annotation) -> list[Float]:
    points = _points(annotation)
    return [points] if len(points) > 1 else []


def _pairs(annotation: Annotation) -> list[Float]:
    points = _points(annotation)
    return [line for line in (points[:2], points[2:]) if len(line) == 2]


def _outline(annotation: Annotation) -> list[Float]:
    points = _points(annotation)
    return [np.vstack([points, points[:1]])]


def _box(annotation: Annotation) -> list[Float]:
    corners = _corners(annotation)
    return [np.vstack([corners, corners[:1]])]


def _ellipse(annotation: Annotation) -> list[Float]:
    corners = annotation.plane.to_plane(annotation.points_mm)
    middle, half = corners.mean(axis=0), (corners[1] - corners[0]) / 2
    turn = np.linspace(0, 2 * math.pi, ELLIPSE_CORNERS + 1)
    around = np.column_stack([np.cos(turn), np.sin(turn)])
    return [annotation.plane.to_patient_mm(middle + half * around)]


def _with_point(annotation: Annotation, handle: int, to_mm: Point) -> Annotation:
    points = list(annotation.points_mm)
    points[handle] = to_mm
    return annotation.with_points(tuple(points))


def _with_corner(annotation: Annotation, handle: int, to_mm: Point) -> Annotation:
    """The opposite corner stays where it is."""
    opposite = box_corners(annotation)[(handle + 2) % 4]
    return annotation.with_points((opposite, to_mm))


def _with_diameter(annotation: Annotation, handle: int, to_mm: Point) -> Annotation:
    return annotation.with_points(_diameters_with(annotation, handle, to_mm))


def _diameters_with(annotation: Annotation, handle: int, to_mm: Point) -> tuple[Point, ...]:
    """The ends of both diameters after one was moved; they stay perpendicular.

    The shorter one, once drawn, keeps its share along the longer one, and its reach to both sides,
    when an end of the longer one moves; an end of the shorter one takes its crossing along with it.
    """
    a, b, c, d = (np.asarray(p) for p in annotation.points_mm)
    share, reach_c, reach_d = _crossing(a, b, c, d)
    if handle < 2:
        ends = [a, b]
        ends[handle] = np.asarray(to_mm)
        a, b = ends
        if not short_is_drawn(annotation):  # what was proposed is proposed anew
            return diameters(annotation.with_points((point(a), point(b))))
        side = _across(annotation, a, b)
    else:
        side = _across(annotation, a, b)
        to = np.asarray(to_mm)
        length = float((b - a) @ (b - a))
        share = min(max(float((to - a) @ (b - a)) / length, 0.0), 1.0) if length else 0.5
        reach = float((to - a) @ side)
        reach_c, reach_d = (reach, reach_d) if handle == 2 else (reach_c, reach)
    foot = a + share * (b - a)
    return point(a), point(b), point(foot + reach_c * side), point(foot + reach_d * side)


def _crossing(a: Float, b: Float, c: Float, d: Float) -> tuple[float, float, float]:
    """Where the shorter diameter crosses, as a share of the longer; how far its ends reach."""
    along = b - a
    length = float(along @ along)
    share = float((c - a) @ along) / length if length else 0.5
    side = d - c
    span = float(np.linalg.norm(side))
    if not span:
        return share, 0.0, 0.0
    foot = a + share * along
    return share, float((c - foot) @ side) / span, float((d - foot) @ side) / span


def _across(annotation: Annotation, a: Float, b: Float) -> Float:
    """The unit vector across a → b, within the plane, turned as the shorter diameter was."""
    p, normal = np.asarray(annotation.points_mm), annotation.plane.normal
    sense = -1.0 if float(normal @ np.cross(p[1] - p[0], p[3] - p[2])) < 0 else 1.0
    side = np.cross(normal, b - a) * sense
    length = float(np.linalg.norm(side))
    return np.asarray(side / length) if length else np.asarray(annotation.plane.down)


#: One line through all points, in their order.
PATH = Form(_path, _points, _with_point)

#: Two lines, of two points each.
TWO_LINES = Form(_pairs, _points, _with_point, points_per_line=2)

#: Two lines that stay perpendicular: the longer diameter's ends, then those of the shorter one.
DIAMETERS = Form(_pairs, _points, _with_diameter, points_per_line=2)

#: A closed line through all points.
OUTLINE = Form(_outline, _points, _with_point)

#: A box along the plane's axes, by two opposite corners; and the ellipse in it.
BOX = Form(_box, _corners, _with_corner)
ELLIPSE = Form(_ellipse, _corners, _with_corner)
