"""A volume and masks in 3D, for a notebook or a script, by pyvista.

    from med2e3.notebook import show3d
    show3d(volume, {"liver": mask, "answer": answer.masks[0]})

The scene is in LPS mm: x to the patient's left, y to posterior, z to superior. pyvista is imported
when the first scene is made. Knows no models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import InputError
from med2e3.geometry import Float, Geometry
from med2e3.label_colours import label_colour
from med2e3.surfaces import Surface, surface_of
from med2e3.volume import Volume, Window

if TYPE_CHECKING:
    import pyvista

#: Voxels along an axis that are rendered at most: of a larger volume every second, third, … one
#: is taken. Beyond it a graphics card of a laptop, and software in its place, stops being smooth.
MOST_VOXELS = 256

#: What a CT shows where nothing else is asked for: bone and vessels with contrast medium, which
#: lie above soft tissue.
DENSE = Window(300, 300)

#: Opacity of a voxel at the upper end of the window, without masks and with them: it must not hide
#: them.
ALONE, BESIDE_MASKS = 0.9, 0.35

#: Colours from the lower to the upper end of the window: contrast medium is darker than bone.
TISSUE = ("#a3634a", "#e3c39a", "#fdf6ea")

#: Points of the names of masks.
TEXT = 10

BACKGROUND, INK = "#14161a", "#dfe3ea"


class PlacedVoxels(Protocol):
    """Voxels with their place: an answer's mask, or a volume read from a file of labels."""

    @property
    def voxels(self) -> NDArray[Any]: ...  # noqa: D102
    @property
    def geometry(self) -> Geometry: ...  # noqa: D102


#: A mask on the grid of the volume, or one that brings its own.
Mask = NDArray[Any] | PlacedVoxels


def show3d(
    volume: Volume | None,
    masks: Mapping[str, Mask] | Sequence[Mask] = (),
    *,
    window: Window | None = None,
    opacity: float = 1.0,
    off_screen: bool | None = None,
) -> Any:
    """Show a volume and surfaces of masks; what pyvista's `Plotter.show` returns.

    See `scene3d`. In a notebook the scene is drawn by pyvista's backend of that notebook, which may
    ask for the packages of `pyvista[jupyter]`; elsewhere it opens a window.
    """
    return scene3d(volume, masks, window=window, opacity=opacity, off_screen=off_screen).show()


def scene3d(
    volume: Volume | None,
    masks: Mapping[str, Mask] | Sequence[Mask] = (),
    *,
    window: Window | None = None,
    opacity: float = 1.0,
    off_screen: bool | None = None,
) -> pyvista.Plotter:
    """The scene, to be added to: LPS mm, seen from the front, patient's left on the right.

    Masks are arrays on the grid of `volume` or bring their own grid; their voxels that are not 0
    become surfaces of `opacity` 0..1, below 1 where one holds others. What lies below `window` is
    clear, what lies above is as dense as it gets; the default is bone and contrast medium for CT,
    the upper half of the values for others. Raises `InputError` where there is nothing to show, and
    as `surface_of` does.
    """
    named = _named(masks)
    if volume is None and not named:
        raise InputError("There is nothing to show in 3D: give a volume, masks, or both.")
    surfaces = {name: surface_of(*_placed(name, mask, volume)) for name, mask in named.items()}
    import pyvista

    scene = pyvista.Plotter(off_screen=off_screen)
    scene.set_background(BACKGROUND)
    if volume is not None:
        _add_volume(scene, volume, window, BESIDE_MASKS if surfaces else ALONE)
    for k, (name, surface) in enumerate(surfaces.items()):
        _add_surface(scene, k, name, surface, opacity)
    scene.add_axes(xlabel="L", ylabel="P", zlabel="S", color=INK, label_size=(0.5, 0.2))
    _look_from_the_front(scene)
    return scene


def _named(masks: Mapping[str, Mask] | Sequence[Mask]) -> dict[str, Mask]:
    if isinstance(masks, Mapping):
        return dict(masks)
    return {f"mask {k + 1}": mask for k, mask in enumerate(masks)}


def _placed(name: str, mask: Mask, volume: Volume | None) -> tuple[NDArray[Any], Geometry]:
    if not isinstance(mask, np.ndarray):
        return mask.voxels, mask.geometry
    if volume is None:
        raise InputError(
            f"“{name}” is an array without a place, and there is no volume on whose grid it lies. "
            "Give the volume too, or a mask that has `voxels` and `geometry`."
        )
    return mask, volume.geometry


def _add_volume(
    scene: pyvista.Plotter, volume: Volume, window: Window | None, densest: float
) -> None:
    import pyvista
    from matplotlib.colors import LinearSegmentedColormap

    voxels, affine = _rendered_grid(volume)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    grid = pyvista.ImageData(dimensions=voxels.shape[::-1], spacing=spacing[::-1])
    grid.point_data["values"] = voxels.ravel()
    to_mm = np.eye(4)  # of (column, row, slice) in mm along the axes of the grid
    to_mm[:3, :3] = (affine[:3, :3] / spacing)[:, ::-1]
    to_mm[:3, 3] = affine[:3, 3]
    if window is None:
        low, high = volume.value_range
        window = DENSE if volume.info.is_ct else Window((low + 3 * high) / 4, (high - low) / 2)
    scene.add_volume(
        grid, scalars="values", clim=(window.low, window.high),
        cmap=LinearSegmentedColormap.from_list("tissue", TISSUE),
        opacity=[0.0, densest / 3, densest], shade=True, ambient=0.3, diffuse=0.9,
        show_scalar_bar=False,
        opacity_unit_distance=float(spacing.min()), user_matrix=to_mm, name="volume",
    )  # fmt: skip


def _rendered_grid(volume: Volume) -> tuple[NDArray[Any], Float]:
    """Voxels, thinned to `MOST_VOXELS` an axis, and their affine, which is right-handed for
    (column, row, slice): rendering takes the inside of a mirrored grid for its outside.
    """
    voxels, affine = volume.voxels, volume.geometry.affine_lps.copy()
    steps = [-(-n // MOST_VOXELS) for n in voxels.shape]
    voxels = voxels[:: steps[0], :: steps[1], :: steps[2]]
    affine[:3, :3] *= steps
    if np.linalg.det(affine[:3, 2::-1]) < 0:
        affine[:3, 3] += affine[:3, 0] * (voxels.shape[0] - 1)
        affine[:3, 0] *= -1
        voxels = voxels[::-1]
    return np.ascontiguousarray(voxels), affine


def _add_surface(
    scene: pyvista.Plotter, k: int, name: str, surface: Surface, opacity: float
) -> None:
    """The k-th surface, with its name and size in its colour at the upper left."""
    colour = label_colour(k)
    scene.add_mesh(
        surface.mesh(), color=colour, opacity=opacity, smooth_shading=True,
        ambient=0.15, specular=0.25, specular_power=15, name=name,
    )  # fmt: skip
    scene.add_text(
        f"{name}  {surface.millilitres:.1f} ml", position=(0.02, 0.95 - 0.04 * k), viewport=True,
        font_size=TEXT, color=colour, name=f"name of {name}",
    )  # fmt: skip


def _look_from_the_front(scene: pyvista.Plotter) -> None:
    """A little from above and from the patient's right, so that every axis is seen."""
    scene.camera_position = [(-0.35, -1.0, 0.25), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0)]
    scene.reset_camera()
    scene.camera.zoom(1.2)  # what is reset is the ball around the scene, which is larger
