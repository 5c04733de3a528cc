"""The 3D scene: a volume rendered by VTK's fixed-point ray caster into an array of pixels.

Nothing here opens a window or needs OpenGL: the ray caster runs on the processor, and its picture
is read from its memory instead of being drawn. So it works without a display and without system
libraries, and never shares a graphics context with Qt. Used on one thread; only `abort` may be
called from another. VTK is imported when the first scene is made.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging import windows
from app.imaging.camera import Projection
from app.rendering.scene.grid import SceneGrid, grid_of, smoothed
from app.rendering.scene.presets import Transfer, transfer_of
from app.rendering.scene.unlocked import Unlocked, address_of
from app.viewmodels.core.work import Progress
from app.viewmodels.images.scene import Extent, FrameRequest, RenderedFrame, SceneLook, extent_of
from med2e3.errors import Cancelled, ResourceError
from med2e3.preloading import preload_modules
from med2e3.volume import Volume

#: Steps along a ray in multiples of the finest spacing; opacity is corrected for them. Larger exact
#: steps draw rings like those of wood on smooth surfaces; on coarse grids more than 0.5 mm do, too.
EXACT_STEP, COARSE_STEP = 0.5, 1.6
LONGEST_EXACT_STEP_MM = 0.5

#: How light falls: (share of ambient, diffuse, specular light), and the size of highlights.
LIGHT, SHININESS = (0.25, 0.95, 0.2), 14.0

#: Where the lamp stands, in (right, up, back): over the viewer's left shoulder.
LAMP = (-0.35, 0.55, 1.0)

#: Modules of VTK that need all others which `vtk_parts` imports.
LIBRARIES = ("vtkRenderingVolumeOpenGL2", "vtkRenderingVolume", "vtkRenderingOpenGL2")

#: Bits of a colour in the ray caster's fixed-point picture, beyond the eight of a pixel.
EXTRA_BITS = 7

_MISSING = (
    "The 3D view needs VTK, which could not be loaded ({error}). The other views work without it; "
    "install the package again (`pip install --force-reinstall vtk`) to have 3D."
)


class VolumeScene:
    """One volume, ready to be looked at from anywhere."""

    def __init__(self, volume: Volume, watch: Any) -> None:
        """`watch`: a job's context. Raises `ResourceError` (no VTK) and `Cancelled`."""
        try:
            preload_modules("vtkmodules", LIBRARIES)
            from app.rendering.scene.vtk_parts import make_parts
        except ImportError as error:
            raise ResourceError(_MISSING.format(error=error)) from error
        watch.emit(Progress(-1, "Preparing the 3D view"))
        self.extent: Extent = extent_of(volume)
        self._range = None if windows.is_ct(volume) else volume.value_range
        self._grid: SceneGrid = grid_of(volume, watch.cancelled)
        self._make = make_parts
        self._smooth = False
        self._take(self._grid)

    def _take(self, grid: SceneGrid) -> None:
        """Show these voxels from now on."""
        self._parts = self._make(grid)
        self._parts.light(LIGHT, SHININESS)
        self._mapper = Unlocked(self._parts.mapper, self._parts.library)
        self._transfer: Transfer | None = None
        if not self._mapper.complete:
            self._parts.on_progress(lambda: time.sleep(0))

    def abort(self) -> None:
        """Stop the frame on its way; may be called from any thread."""
        self._parts.window.SetAbortRender(1)

    def draw(self, request: FrameRequest, watch: Any) -> RenderedFrame:
        """One frame. Raises `Cancelled` when it was stopped."""
        began = time.perf_counter()
        transfer = transfer_of(request.look.preset, request.look.shift_hu, self._range)
        if transfer.smooth is not self._smooth:
            self._smooth = transfer.smooth
            self._take(smoothed(self._grid) if self._smooth else self._grid)
        self._parts.window.SetAbortRender(0)
        watch.on_cancel(self.abort)
        self._aim(request.look, request.size)
        self._tune(request, transfer)
        pixels = self._render(watch)
        seconds = time.perf_counter() - began
        return RenderedFrame(pixels, request.look, request.coarse, seconds, self._grid.spacing_mm)

    def _aim(self, look: SceneLook, size: tuple[int, int]) -> None:
        shown = Projection(look.camera, size, self.extent.centre_mm, self.extent.radius_mm)
        camera, (pan_x, pan_y) = look.camera, look.camera.pan_mm
        right, up, back = camera.axes
        focus = np.asarray(self.extent.centre_mm) + right * pan_x + up * pan_y
        away = self.extent.diagonal_mm
        parts = self._parts
        parts.window.SetSize(*size)
        parts.camera.SetFocalPoint(*focus)
        parts.camera.SetPosition(*(focus + back * away))
        parts.camera.SetViewUp(*up)
        parts.camera.SetParallelScale(size[1] / 2 / shown.pixels_per_mm)
        parts.camera.SetClippingRange(away * 0.01, away * 3)
        parts.lamp.SetPosition(*(focus + (np.asarray(LAMP) @ camera.axes) * away))
        parts.lamp.SetFocalPoint(*focus)

    def _tune(self, request: FrameRequest, transfer: Transfer) -> None:
        look = request.look
        if transfer != self._transfer:
            self._parts.use(transfer)
            self._transfer = transfer
        finest = min(self._grid.spacing_mm)
        exact = min(finest * EXACT_STEP, LONGEST_EXACT_STEP_MM)
        self._parts.mapper.SetSampleDistance(finest * COARSE_STEP if request.coarse else exact)
        # The grid's own coordinates: voxel centres at multiples of the spacing.
        shape = self._grid.voxels.shape[::-1]
        planes = [
            (fraction * n - 0.5) * mm
            for pair, n, mm in zip(look.clip, shape, self._grid.spacing_mm, strict=True)
            for fraction in pair
        ]
        self._parts.crop(planes, active=look.clip != ((0.0, 1.0),) * 3)

    def _render(self, watch: Any) -> NDArray[np.uint32]:
        parts, none = self._parts, [0.0, 0.0, 0.0]
        parts.mapper.PerImageInitialization(parts.renderer, parts.volume, 0, none, none, [0] * 6)
        self._mapper.call("PerVolumeInitialization", parts.renderer, parts.volume)
        parts.mapper.PerSubVolumeInitialization(parts.renderer, parts.volume, 0)
        if not watch.cancelled():
            self._mapper.call("RenderSubVolume")
        if watch.cancelled():
            raise Cancelled("A newer frame was asked for.")
        return _pixels(parts.mapper.GetRayCastImage())


def _pixels(picture: Any) -> NDArray[np.uint32]:
    """The ray caster's picture, a (rows, columns) array with the top row first.

    It holds (height, width, RGBA) of 15 bits, bottom row first, of the part where the volume is.
    """
    wide, high = picture.GetImageMemorySize()
    width, height = picture.GetImageInUseSize()
    left, bottom = picture.GetImageOrigin()
    columns, rows = picture.GetImageViewportSize()
    memory = (ctypes.c_uint16 * (wide * high * 4)).from_address(address_of(picture.GetImage()))
    part = np.frombuffer(memory, np.uint16).reshape(high, wide, 4)[:height, :width]
    eight = np.minimum(part >> EXTRA_BITS, 255).astype(np.uint32)
    result = np.zeros((rows, columns), np.uint32)
    target = result[::-1][bottom : bottom + height, left : left + width]
    shown = eight[: target.shape[0], : target.shape[1]]
    target[:] = shown[..., 3] << 24 | shown[..., 0] << 16 | shown[..., 1] << 8 | shown[..., 2]
    return result
