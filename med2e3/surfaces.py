"""Surfaces of masks in LPS mm, by pyvista: for files, notebooks and 3D scenes.

A surface is closed, its normals point outward, and it holds what the voxels of its mask hold, on
any grid: oblique, sheared, mirrored. pyvista is imported when the first surface is made. Knows no
windows and no models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import InputError
from med2e3.files import whole_file
from med2e3.geometry import Float, Geometry

if TYPE_CHECKING:
    import pyvista

#: Triangles of a surface: more are thinned out. Beyond it viewers of meshes turn slow, and the
#: steps of a voxel are no longer seen.
MOST_TRIANGLES = 500_000

#: Rounds of smoothing, tried in this order until the volume is kept: twenty take away the steps
#: of voxels, fewer keep what is one voxel thin.
SMOOTHINGS = (20, 10, 5, 2)

#: Share of the widest waves that smoothing lets pass (Taubin): at 0.1 steps go, folds stay.
PASS_BAND = 0.1

#: Largest change of the volume by smoothing or thinning out.
VOLUME_TOLERANCE = 0.02

#: What each format says about its coordinates, where it has room for it.
COMMENT = "Coordinates in millimetres, LPS: x to the left, y to posterior, z to superior."

#: The header of a binary STL, in bytes.
STL_HEADER = 80

#: Suffixes of files that hold a surface.
SUFFIXES = (".stl", ".ply", ".obj")


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface: `points` (N, 3) in LPS mm and `triangles` (M, 3), outward by right hand.

    Where two voxels of a mask touch at an edge alone, four triangles share that edge.
    """

    points: NDArray[np.float32]
    triangles: NDArray[np.int64]

    @property
    def millilitres(self) -> float:
        """The volume within."""
        return _signed_mm3(self.points, self.triangles) / 1000

    @property
    def area_cm2(self) -> float:
        """The area of all triangles."""
        a, b, c = np.moveaxis(self.points.astype(np.float64)[self.triangles], 1, 0)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 200

    def mesh(self) -> pyvista.PolyData:
        """The surface for pyvista, e.g. to be added to a plotter."""
        import pyvista

        return pyvista.PolyData.from_regular_faces(self.points, self.triangles)


def surface_of(mask: NDArray[Any], geometry: Geometry, label: int | None = None) -> Surface:
    """The surface of a mask (slice, row, column) on the grid of `geometry`.

    `label` is the value of a label map whose voxels count; without it all voxels that are not 0 do.
    Where the mask touches the border of the grid the surface is closed there. Raises `InputError`
    for an empty mask and for one of another shape.
    """
    if mask.shape != geometry.shape:
        raise InputError(
            f"The mask has shape {mask.shape}, its geometry {geometry.shape}; both must be "
            "(slice, row, column) of one grid."
        )
    inside = mask != 0 if label is None else mask == label
    start, part = _cropped(inside)
    if part is None:
        what = "The mask is" if label is None else f"Label {label} is"
        raise InputError(f"{what} empty, so it has no surface. Choose one that has voxels.")
    column_row_slice = geometry.affine_lps[:, [2, 1, 0, 3]]
    to_mm = column_row_slice.copy()
    to_mm[:3, 3] += column_row_slice[:3, :3] @ np.asarray(start[::-1])
    points, triangles = _thinned(*_smoothed(*_voxel_faces(part, to_mm)))
    if _signed_mm3(points, triangles) < 0:  # the grid is left-handed
        triangles = triangles[:, ::-1]
    return Surface(points, np.ascontiguousarray(triangles))


def coarsened(
    mask: NDArray[Any], geometry: Geometry, most: int, label: int | None = None
) -> tuple[NDArray[np.bool_], Geometry]:
    """A mask about its voxels alone, with at most `most` of them along each axis, and its grid.

    A coarse voxel belongs to it where any of the voxels does that it stands for: thin parts stay.
    Raises `InputError` for an empty mask.
    """
    inside = np.asarray(mask != 0 if label is None else mask == label)
    lows, spans = [], []
    for axis in range(3):
        used = np.flatnonzero(inside.any(axis=tuple(k for k in range(3) if k != axis)))
        if not len(used):
            raise InputError("The mask is empty. Choose one that has voxels.")
        lows.append(int(used[0]))
        spans.append(slice(int(used[0]), int(used[-1]) + 1))
    part = inside[tuple(spans)]
    steps = [-(-n // most) for n in part.shape]
    padded = np.pad(part, [(0, -n % step) for n, step in zip(part.shape, steps, strict=True)])
    (a, b, c), (i, j, k) = (n // s for n, s in zip(padded.shape, steps, strict=True)), steps
    coarse = np.asarray(padded.reshape(a, i, b, j, c, k).any(axis=(1, 3, 5)))
    affine = geometry.affine_lps.copy()
    middle = [low + (step - 1) / 2 for low, step in zip(lows, steps, strict=True)]
    affine[:3, 3] = geometry.to_patient_mm(middle)
    affine[:3, :3] *= steps
    return coarse, Geometry((a, b, c), affine)


def check_surface_path(path: Path) -> None:
    """Raises `InputError` when the suffix of `path` is none of a surface."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"“{path.name}” cannot hold a surface: its name ends in “{path.suffix}”. "
            f"End it in {', '.join(SUFFIXES)}."
        )


def save_surface(surface: Surface, path: Path) -> None:
    """Write a surface whole or not at all, as STL, PLY or OBJ by the suffix of `path`.

    The header says the units and axes. Raises `InputError` for another suffix and where the file
    cannot be written.
    """
    check_surface_path(path)
    suffix = path.suffix.lower()
    try:
        with whole_file(path) as draft:
            named = draft.with_name(f"{draft.name}{suffix}")  # pyvista goes by the suffix
            try:
                surface.mesh().save(named)
                _say_units(named, suffix)
                named.replace(draft)
            finally:
                named.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"The surface cannot be written to {path}: {error}.") from error


def _cropped(inside: NDArray[np.bool_]) -> tuple[tuple[int, int, int], NDArray[np.uint8] | None]:
    """The box of the mask with a rim of zeros, and the index of its first voxel; None if empty."""
    lows, spans = [], []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        used = np.flatnonzero(inside.any(axis=others))
        if not len(used):
            return (0, 0, 0), None
        lows.append(int(used[0]) - 1)
        spans.append(slice(int(used[0]), int(used[-1]) + 1))
    return (lows[0], lows[1], lows[2]), np.pad(inside[tuple(spans)].astype(np.uint8), 1)


def _voxel_faces(part: NDArray[np.uint8], to_mm: Float) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The outer faces of the voxels, two triangles each: their volume is the mask's, exactly.

    Surface nets put a point at each corner of a voxel. Flying edges, which cut the corners, would
    lose 7 % of a ball of 5 voxels across and half of a line of voxels.
    """
    import pyvista

    grid = pyvista.ImageData(dimensions=part.shape[::-1])
    grid.point_data["mask"] = part.ravel()
    net = grid.contour_labels(
        scalars="mask", smoothing=False, output_mesh_type="triangles", pad_background=False
    )
    # Where voxels touch at an edge alone it has a point twice; smoothing would tear them apart.
    net = net.clean(tolerance=0.0)
    corners = np.asarray(net.points, dtype=np.float64)
    return corners @ to_mm[:3, :3].T + to_mm[:3, 3], np.asarray(net.regular_faces, np.int64)


def _smoothed(
    points: NDArray[Any], triangles: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Smoothed as far as the volume is kept."""
    import pyvista

    mesh = pyvista.PolyData.from_regular_faces(points, triangles)
    wanted = _signed_mm3(points, triangles)
    for rounds in SMOOTHINGS:
        smooth = mesh.smooth_taubin(n_iter=rounds, pass_band=PASS_BAND, normalize_coordinates=True)
        moved = np.asarray(smooth.points)
        if abs(_signed_mm3(moved, triangles) / wanted - 1) <= VOLUME_TOLERANCE:
            return moved, triangles
    return points, triangles


def _thinned(
    points: NDArray[Any], triangles: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """At most about `MOST_TRIANGLES`, as far as holes stay open and the volume is kept."""
    if len(triangles) > MOST_TRIANGLES:
        import pyvista

        mesh = pyvista.PolyData.from_regular_faces(points, triangles)
        fewer = mesh.decimate_pro(1 - MOST_TRIANGLES / len(triangles), preserve_topology=True)
        left, faces = np.asarray(fewer.points), np.asarray(fewer.regular_faces, np.int64)
        if abs(_signed_mm3(left, faces) / _signed_mm3(points, triangles) - 1) <= VOLUME_TOLERANCE:
            points, triangles = left, faces
    return np.asarray(points, dtype=np.float32), triangles


def _signed_mm3(points: NDArray[Any], triangles: NDArray[np.int64]) -> float:
    """The volume within; negative where the triangles face inward (divergence theorem)."""
    about = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    a, b, c = np.moveaxis(about[triangles], 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6


def _say_units(path: Path, suffix: str) -> None:
    """Put `COMMENT` where the format has room: the header of STL, comments of PLY and OBJ."""
    if suffix == ".stl":
        with path.open("r+b") as file:
            file.write(COMMENT.encode("ascii").ljust(STL_HEADER)[:STL_HEADER])
        return
    data = path.read_bytes()
    if suffix == ".obj":
        path.write_bytes(f"# {COMMENT}\n".encode() + data)
        return
    first, rest = data.split(b"\n", 1)
    path.write_bytes(first + b"\n" + _after_format(rest))


def _after_format(header: bytes) -> bytes:
    """A PLY without its first line, with the comment after the second, which names the format."""
    line, rest = header.split(b"\n", 1)
    return line + f"\ncomment {COMMENT}\n".encode() + rest
