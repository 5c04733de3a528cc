"""Where voxels lie in the patient: affines, planes, and how a plane is looked at.

Patient space is LPS in mm (DICOM PS3.3 C.7.6.2.1.1): x grows to the patient's left, y to posterior,
z to superior. Arrays are (slice, row, column). Knows nothing of files, intensities or windows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import GeometryError

Float = NDArray[np.float64]

#: Letters of the negative and positive end of each LPS axis.
AXIS_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))

#: An axis that is off its nearest patient axis by more than this is called oblique. Scanners store
#: direction cosines with about six digits; positioning is rarely meant to better than this.
OBLIQUE_DEGREES = 0.5

#: Off-axis angle of the stacking direction against the slice normal that counts as gantry tilt.
TILT_DEGREES = 0.1

#: No corner of a grid lies further from the origin along an axis: 1 km, which also bounds what is
#: written in another unit than mm.
FARTHEST_MM = 1e6


class Plane(StrEnum):
    """The three anatomical planes, named as in M3D-VQA's plane questions."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


#: For each plane, the (patient axis, sign) along which slices, rows and columns of a radiological
#: display run: patient right on the viewer's left; anterior (axial) or superior (others) on top;
#: a sagittal image looks from the patient's left, anterior on the viewer's left. Slices run
#: superior → inferior, anterior → posterior and right → left.
DISPLAY_AXES: dict[Plane, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    Plane.AXIAL: ((2, -1), (1, +1), (0, +1)),
    Plane.CORONAL: ((1, +1), (2, -1), (0, +1)),
    Plane.SAGITTAL: ((0, +1), (2, -1), (1, +1)),
}


@dataclass(frozen=True)
class Orientation:
    """How a stored array becomes a display-oriented one: transpose by `axes`, then flip.

    `axes[k]` is the stored axis that becomes axis k (slice, row, column) of the view; `flips[k]`
    says whether it then runs backwards.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view (no copy) of `array` (slice, row, column) in this orientation."""
        turned = array.transpose(self.axes)
        return turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """The stored array again, from a view-oriented one; exact inverse of `apply`."""
        straight = array[
            tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        ]
        return straight.transpose(tuple(int(k) for k in np.argsort(self.axes)))


def _check_extent(shape: tuple[int, ...], affine: Float) -> None:
    """Raise `GeometryError` where a corner of the grid lies beyond `FARTHEST_MM`."""
    farthest = float(np.abs(affine[:3]).max())
    if farthest <= FARTHEST_MM:  # else products may overflow
        reach = np.abs(affine[:3, :3]) @ (np.array(shape) - 1) + np.abs(affine[:3, 3])
        farthest = float(reach.max())
    if farthest > FARTHEST_MM:
        raise GeometryError(
            f"The grid reaches {farthest:.3g} mm from the origin, and nothing in a patient lies "
            f"beyond {FARTHEST_MM:g} mm. The file's geometry is damaged or of another unit; export "
            "it again from its source."
        )


@dataclass(frozen=True, eq=False)
class Geometry:
    """The grid of a volume: its shape and the affine from index to patient_mm.

    `affine_lps` (4, 4) takes (slice, row, column, 1), at voxel centres, to LPS mm. Its columns may
    be oblique, flipped (left-handed) or sheared (gantry tilt), never degenerate.
    """

    shape: tuple[int, int, int]
    affine_lps: Float

    def __post_init__(self) -> None:
        affine = np.array(self.affine_lps, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(
                f"Shape {self.shape}: a volume needs three axes of at least one voxel each."
            )
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(
                f"The affine is not a finite 4 × 4 matrix: {affine.tolist()}. "
                "The file's geometry is damaged; export it again from its source."
            )
        if not np.allclose(affine[3], (0, 0, 0, 1)):
            raise GeometryError(
                f"The last row of the affine is {affine[3].tolist()}, not 0 0 0 1. "
                "Projective geometry is not supported; export the volume again."
            )
        _check_extent(shape, affine)
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        with np.errstate(all="ignore"):  # of axes without length
            volume = abs(float(np.linalg.det(affine[:3, :3])))
        if lengths.min() < 1e-6 or volume < 1e-4 * float(np.prod(lengths)):
            raise GeometryError(
                f"The axes of the volume are degenerate (spacing {lengths.tolist()} mm, "
                f"cell volume {volume:.3g} mm³): two of them are parallel or one has no length. "
                "The file's geometry is damaged; export it again from its source."
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine_lps", affine)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def from_spacing(
        cls,
        shape: Sequence[int],
        spacing_mm: Sequence[float],
        *,
        plane: Plane = Plane.AXIAL,
        origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Geometry:
        """A display-oriented grid in `plane` with the voxel (0, 0, 0) at `origin_mm` (LPS)."""
        affine = np.eye(4)
        affine[:3, :3] = 0.0
        for k, (axis, sign) in enumerate(DISPLAY_AXES[plane]):
            affine[axis, k] = sign * float(spacing_mm[k])
        affine[:3, 3] = origin_mm
        return cls(tuple(shape), affine)  # type: ignore[arg-type]

    @cached_property
    def inverse(self) -> Float:
        """(4, 4) from LPS mm to index."""
        return np.linalg.inv(self.affine_lps).astype(np.float64, copy=False)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along slice, row and column axis."""
        lengths = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @cached_property
    def directions(self) -> Float:
        """(3, 3) unit vectors in LPS; column k is the direction of array axis k."""
        return np.asarray(self.affine_lps[:3, :3] / np.asarray(self.spacing_mm))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, sheared grids included."""
        return abs(float(np.linalg.det(self.affine_lps[:3, :3]))) / 1000

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Length of the grid along each array axis, voxel edges included."""
        s, r, c = (n * d for n, d in zip(self.shape, self.spacing_mm, strict=True))
        return s, r, c

    @property
    def centre_mm(self) -> Float:
        """LPS position of the middle of the grid."""
        return self.to_patient_mm((np.asarray(self.shape) - 1) / 2)

    def to_patient_mm(self, index: Float | Sequence[float]) -> Float:
        """(..., 3) fractional (slice, row, column) → (..., 3) LPS mm."""
        points = np.asarray(index, dtype=np.float64)
        return np.asarray(points @ self.affine_lps[:3, :3].T + self.affine_lps[:3, 3])

    def to_index(self, patient_mm: Float | Sequence[float]) -> Float:
        """(..., 3) LPS mm → (..., 3) fractional (slice, row, column)."""
        points = np.asarray(patient_mm, dtype=np.float64)
        return np.asarray(points @ self.inverse[:3, :3].T + self.inverse[:3, 3])

    def contains(self, index: Float | Sequence[float]) -> bool:
        """Whether the point lies inside the grid, outer voxel edges included."""
        point = np.asarray(index)
        return bool(((point >= -0.5) & (point <= np.asarray(self.shape) - 0.5)).all())

    @cached_property
    def patient_axes(self) -> tuple[int, int, int]:
        """For each array axis the patient axis (0 x, 1 y, 2 z) that it follows best.

        The assignment is the permutation with the largest sum of |cosines|, so that no two array
        axes claim one patient axis, however oblique the grid is.
        """
        cosines = np.abs(self.directions)
        best = max(
            itertools.permutations(range(3)),
            key=lambda p: sum(cosines[p[k], k] for k in range(3)),
        )
        return best[0], best[1], best[2]

    @cached_property
    def plane(self) -> Plane:
        """The plane of the stored slices: the one whose normal the slice axis follows best."""
        return (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[self.patient_axes[0]]

    @cached_property
    def obliquity_degrees(self) -> float:
        """Largest angle between an array axis and the patient axis that it stands for."""
        cosines = [abs(self.directions[a, k]) for k, a in enumerate(self.patient_axes)]
        return math.degrees(math.acos(min(1.0, min(cosines))))

    @cached_property
    def is_oblique(self) -> bool:
        """Whether any axis is more than `OBLIQUE_DEGREES` off its patient axis."""
        return self.obliquity_degrees > OBLIQUE_DEGREES

    @cached_property
    def tilt_degrees(self) -> float:
        """Angle between the slice axis and the slice normal (gantry tilt); 0 if rectangular."""
        _, row, column = self.directions.T
        normal = np.cross(row, column)
        normal /= np.linalg.norm(normal)
        return math.degrees(math.acos(min(1.0, abs(float(normal @ self.directions[:, 0])))))

    @property
    def is_tilted(self) -> bool:
        """Whether the slices are stacked at an angle to their normal (a sheared grid)."""
        return self.tilt_degrees > TILT_DEGREES

    def orientation(self, plane: Plane) -> Orientation:
        """How the stored array must be turned to be looked at in `plane`."""
        axes, flips = [], []
        for patient_axis, sign in DISPLAY_AXES[plane]:
            stored = self.patient_axes.index(patient_axis)
            axes.append(stored)
            flips.append(bool(self.directions[patient_axis, stored] * sign < 0))
        return Orientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))

    def oriented(self, plane: Plane) -> Geometry:
        """The geometry of `orientation(plane).apply(array)`: same voxels, same patient_mm."""
        turn = self.orientation(plane)
        columns = self.affine_lps[:3, list(turn.axes)].copy()
        shape = [self.shape[a] for a in turn.axes]
        origin = self.affine_lps[:3, 3].copy()
        for k, flip in enumerate(turn.flips):
            if flip:
                origin += columns[:, k] * (shape[k] - 1)
                columns[:, k] *= -1
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = columns, origin
        return Geometry((shape[0], shape[1], shape[2]), affine)

    def cropped(self, start: Sequence[int], shape: Sequence[int]) -> Geometry:
        """The geometry of the box of `shape` voxels whose first voxel is `start`."""
        affine = self.affine_lps.copy()
        affine[:3, 3] = self.to_patient_mm([float(s) for s in start])
        return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), affine)

    def edge_letters(self) -> tuple[str, str, str, str]:
        """Orientation letters for an image of (row, column): left, right, top, bottom edge."""
        return self._edge_letters

    @cached_property
    def _edge_letters(self) -> tuple[str, str, str, str]:
        _, row, column = self.directions.T
        return (
            direction_letters(-column),
            direction_letters(column),
            direction_letters(-row),
            direction_letters(row),
        )


def direction_letters(direction: Float | Sequence[float]) -> str:
    """The patient side a vector points to: "L", or "LP", "LPS" when oblique; strongest first.

    Components below sin(`OBLIQUE_DEGREES`) are left out. Sides are named as in DICOM PS3.3
    C.7.6.1.1.1, but S and I (superior, inferior) stand for its H and F (head, foot).
    """
    vector = np.asarray(direction, dtype=np.float64)
    vector = vector / np.linalg.norm(vector)
    smallest = math.sin(math.radians(OBLIQUE_DEGREES))
    letters = []
    for axis in np.argsort(-np.abs(vector), kind="stable"):
        if abs(vector[axis]) > smallest:
            letters.append(AXIS_LETTERS[int(axis)][int(vector[axis] > 0)])
    return "".join(letters)
