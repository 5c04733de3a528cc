"""The camera of the 3D view: direction, zoom and pan. Knows no pixel values, VTK or widgets.

The projection is parallel, so a mm has one length on the whole screen. All vectors are in LPS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Vector = tuple[float, float, float]

#: Zoom range, in multiples of the size at which the whole volume fits every standard view.
ZOOM_RANGE = (0.2, 20.0)

#: A drag over this many logical pixels turns by one radian: about half a turn across a cell.
PIXELS_A_RADIAN = 130.0

#: The six standard views by the side of the patient that faces the viewer: (direction towards the
#: viewer, direction that is up). The head is up; from above and below, anterior is.
STANDARD_VIEWS: dict[str, tuple[Vector, Vector]] = {
    "A": ((0, -1, 0), (0, 0, 1)),
    "P": ((0, 1, 0), (0, 0, 1)),
    "R": ((-1, 0, 0), (0, 0, 1)),
    "L": ((1, 0, 0), (0, 0, 1)),
    "S": ((0, 0, 1), (0, -1, 0)),
    "I": ((0, 0, -1), (0, -1, 0)),
}

VIEW_NAMES = {
    "A": "From the front",
    "P": "From behind",
    "R": "From the patient's right",
    "L": "From the patient's left",
    "S": "From the head",
    "I": "From the feet",
}


@dataclass(frozen=True)
class Camera:
    """A camera in parallel projection.

    `back` points towards the viewer and `up` upwards on the screen: perpendicular unit vectors.
    `pan_mm` (right, up) leads from the centre of the volume to the middle of the screen.
    """

    back: Vector
    up: Vector
    zoom: float = 1.0
    pan_mm: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def facing(cls, side: str) -> Camera:
        """The camera that looks at a side of the patient, a key of `STANDARD_VIEWS`."""
        return cls(*STANDARD_VIEWS[side])

    @property
    def right(self) -> Vector:
        """(3,) direction that points right on the screen; the picture is never mirrored."""
        return _vector(np.cross(self.up, self.back))

    @property
    def axes(self) -> Float:
        """(3, 3): the rows point right, up and towards the viewer."""
        return np.asarray([self.right, self.up, self.back])

    def turned(self, dx: float, dy: float) -> Camera:
        """The camera after a drag of (dx, dy) logical pixels: the front follows the mouse."""
        angle = math.hypot(dx, dy) / PIXELS_A_RADIAN
        if not angle:
            return self
        # A drag to the right turns about the screen's up, a drag downwards about its right.
        axis = (dy * np.asarray(self.right) + dx * np.asarray(self.up)) / math.hypot(dx, dy)
        turn = _rotation(axis, -angle)
        back = turn @ np.asarray(self.back)
        up = turn @ np.asarray(self.up)
        back /= np.linalg.norm(back)
        up -= back * (up @ back)  # rounding must not add up to a skewed picture
        return replace(self, back=_vector(back), up=_vector(up / np.linalg.norm(up)))

    def zoomed(self, factor: float) -> Camera:
        """The camera zoomed by `factor` about the middle of the screen."""
        low, high = ZOOM_RANGE
        return replace(self, zoom=min(max(self.zoom * factor, low), high))

    def panned(self, right_mm: float, up_mm: float) -> Camera:
        """The camera with the picture moved by so many mm to the right and upwards."""
        return replace(self, pan_mm=(self.pan_mm[0] - right_mm, self.pan_mm[1] - up_mm))


@dataclass(frozen=True)
class Projection:
    """The map of `camera` from the patient to a screen of (width, height) logical pixels.

    `centre_mm` is the middle of the volume; `radius_mm` what fits half of the
    shorter side of the screen at zoom 1.
    """

    camera: Camera
    size: tuple[float, float]
    centre_mm: Vector
    radius_mm: float

    @property
    def pixels_per_mm(self) -> float:
        """Screen pixels a mm."""
        return max(min(self.size) / (2 * self.radius_mm), 1e-6) * self.camera.zoom

    def to_screen(self, patient_mm: Float) -> Float:
        """(..., 3) LPS mm → (..., 3): x, y in pixels from the top left, and mm to the viewer."""
        offset = np.asarray(patient_mm, dtype=np.float64) - np.asarray(self.centre_mm)
        seen = offset @ self.camera.axes.T
        scale, (x0, y0) = self.pixels_per_mm, self.camera.pan_mm
        x = self.size[0] / 2 + (seen[..., 0] - x0) * scale
        y = self.size[1] / 2 - (seen[..., 1] - y0) * scale
        return np.stack([x, y, seen[..., 2]], axis=-1)


def _rotation(axis: Float, angle: float) -> Float:
    """(3, 3) right-handed turn about a unit vector (Rodrigues)."""
    x, y, z = axis
    k = np.asarray([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * (k @ k))


def _vector(values: Float) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
