"""The VTK objects of a 3D scene, made and set; importing this imports VTK (a quarter of a second).

Knows nothing of cameras, presets' names or frames: `app.rendering.scene.volume_scene` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Importing the two OpenGL2 modules registers classes that the ray caster's constructor asks for;
# no graphics context is ever made.
from vtkmodules import vtkRenderingVolume, vtkRenderingVolumeOpenGL2  # noqa: F401
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPiecewiseFunction
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkRenderingCore import (
    vtkColorTransferFunction,
    vtkLight,
    vtkRenderer,
    vtkVolume,
    vtkVolumeProperty,
)
from vtkmodules.vtkRenderingOpenGL2 import vtkGenericOpenGLRenderWindow

from app.rendering.scene.grid import SceneGrid
from app.rendering.scene.presets import Transfer
from app.rendering.scene.unlocked import make

#: VTK's name for keeping only what lies inside the six cropping planes.
INSIDE = 0x0002000

PROGRESS = ("VolumeMapperRenderProgressEvent", "VolumeMapperComputeGradientsProgressEvent")


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything that VTK needs to see; `window` only carries a size and the wish to stop."""

    mapper: Any
    look: Any
    volume: Any
    window: Any
    renderer: Any
    lamp: Any
    image: Any
    voxels: Any  # VTK reads this memory without owning it
    library: str

    @property
    def camera(self) -> Any:
        """What the renderer looks through."""
        return self.renderer.GetActiveCamera()

    def light(self, shares: tuple[float, float, float], shininess: float) -> None:
        """How surfaces answer to light."""
        ambient, diffuse, specular = shares
        self.look.SetAmbient(ambient)
        self.look.SetDiffuse(diffuse)
        self.look.SetSpecular(specular)
        self.look.SetSpecularPower(shininess)

    def use(self, transfer: Transfer) -> None:
        """Other curves of opacity and colour."""
        opacity, colour = vtkPiecewiseFunction(), vtkColorTransferFunction()
        for value, alpha in transfer.opacity:
            opacity.AddPoint(value, alpha)
        for value, rgb in transfer.colour:
            colour.AddRGBPoint(value, *rgb)
        self.look.SetScalarOpacity(opacity)
        self.look.SetColor(colour)
        self.look.SetShade(not transfer.mip)
        if transfer.mip:
            self.mapper.SetBlendModeToMaximumIntensity()
        else:
            self.mapper.SetBlendModeToComposite()

    def crop(self, planes_mm: Sequence[float], *, active: bool) -> None:
        """Keep what lies between three pairs of planes, in the grid's own coordinates."""
        self.mapper.SetCropping(active)
        self.mapper.SetCroppingRegionPlanes(*planes_mm)
        self.mapper.SetCroppingRegionFlags(INSIDE)

    def on_progress(self, act: Callable[[], object]) -> None:
        """Call `act` now and then while VTK works."""
        for event in PROGRESS:
            self.mapper.AddObserver(event, lambda *_: act())


def make_parts(grid: SceneGrid) -> Parts:
    """A scene of one volume in parallel projection under one lamp."""
    image, voxels = _image(grid)
    library = str(vtkRenderingVolume.__file__)
    mapper = make(vtkRenderingVolume.vtkFixedPointVolumeRayCastMapper, library)
    mapper.SetInputData(image)
    mapper.IntermixIntersectingGeometryOff()  # there is nothing else, and no depth to read
    mapper.AutoAdjustSampleDistancesOff()
    mapper.SetImageSampleDistance(1.0)
    look = vtkVolumeProperty()
    look.SetInterpolationTypeToLinear()
    look.SetScalarOpacityUnitDistance(1.0)  # opacity is given a mm
    volume = vtkVolume()
    volume.SetMapper(mapper)
    volume.SetProperty(look)
    volume.SetUserMatrix(_placing(grid))
    window, renderer, lamp = vtkGenericOpenGLRenderWindow(), vtkRenderer(), vtkLight()
    window.AddRenderer(renderer)
    renderer.AddVolume(volume)
    lamp.SetLightTypeToSceneLight()
    renderer.AddLight(lamp)
    renderer.GetActiveCamera().ParallelProjectionOn()
    return Parts(mapper, look, volume, window, renderer, lamp, image, voxels, library)


def _image(grid: SceneGrid) -> tuple[Any, Any]:
    """The voxels as VTK sees them, without a copy; placed in the patient by `_placing`."""
    image = vtkImageData()
    image.SetDimensions(*grid.voxels.shape[::-1])
    image.SetSpacing(*grid.spacing_mm)
    scalars = numpy_to_vtk(grid.voxels.reshape(-1), deep=False)
    image.GetPointData().SetScalars(scalars)
    return image, grid.voxels


def _placing(grid: SceneGrid) -> Any:
    """From the grid's own mm to LPS mm: directions and origin; the spacing is the image's."""
    matrix = vtkMatrix4x4()
    for row in range(3):
        for column in range(3):
            cosine = grid.affine_lps[row, column] / grid.spacing_mm[column]
            matrix.SetElement(row, column, float(cosine))
        matrix.SetElement(row, 3, float(grid.affine_lps[row, 3]))
    return matrix
