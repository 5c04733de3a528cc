"""The 3D view: preset, camera, clipping box, and which frame is asked for next. Knows no VTK.

A change asks for a coarse frame at once and, when nothing changes any more, for an exact one. At
most one frame is on its way: a coarse one may finish, so that a drag moves; an exact one that has
become stale is stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.imaging import windows
from app.imaging.camera import Camera, Projection
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Listener, Message, Outcome, Progress
from app.viewmodels.images.viewer import Viewer
from med2e3.volume import Volume

Float = NDArray[np.float64]


class Preset(StrEnum):
    """What is opaque, and in which colour; the curves are in `app.rendering.scene.presets`."""

    BONE = "bone"
    VESSELS = "vessels"
    LUNG = "lung"
    SKIN = "skin"
    SOFT_TISSUE = "soft tissue"
    MIP = "MIP"


#: The range of HU over which the curves are defined; what other units are stretched from.
RANGE_HU = (-1000.0, 1500.0)

#: How far the curves of a preset can be shifted, in HU: from fat to contrast.
SHIFT_HU = 300

#: The longest side of an exact frame in device pixels: beyond it a frame takes seconds on two
#: cores, and the volume has no finer detail to show.
LARGEST_FRAME = 1100

#: Coarse frames: the shrink they begin with, its range, and the seconds that one should take.
FIRST_SHRINK = 2.0
SHRINK_RANGE = (1.5, 5.0)
FRAME_SECONDS = 0.07

#: The whole volume, as fractions along R→L, A→P and I→S.
WHOLE = ((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
Clip = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

#: Space around the longest edge of the volume at zoom 1.
MARGIN = 1.08

#: The least thickness that a clipping box keeps, as a fraction of the volume.
THINNEST = 0.02


@dataclass(frozen=True)
class SceneLook:
    """Everything that a frame depends on; `size` in device pixels."""

    camera: Camera
    preset: Preset
    shift_hu: float = 0.0
    clip: Clip = WHOLE
    size: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class FrameRequest:
    """A frame of `size` device pixels; coarse ones take longer steps along each ray."""

    look: SceneLook
    size: tuple[int, int]
    coarse: bool


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """(rows, columns) of premultiplied 0xAARRGGBB pixels, and the look that they show.

    `spacing_mm` is the grid that was rendered, along R→L, A→P and I→S.
    """

    pixels: NDArray[np.uint32]
    look: SceneLook
    coarse: bool
    seconds: float
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Extent:
    """Where the rendered grid lies, outer voxel edges included.

    `corner_mm` is its right anterior inferior corner in LPS; `edges_mm` its three edges from there
    (towards L, P and S), oblique where the volume is.
    """

    corner_mm: tuple[float, float, float]
    edges_mm: tuple[tuple[float, float, float], ...]

    @property
    def centre_mm(self) -> tuple[float, float, float]:
        """The middle of the volume."""
        x, y, z = np.asarray(self.corner_mm) + np.asarray(self.edges_mm).sum(axis=0) / 2
        return float(x), float(y), float(z)

    @property
    def radius_mm(self) -> float:
        """Half the longest edge with a margin: what fits the screen in every standard view."""
        return max(float(np.linalg.norm(edge)) for edge in self.edges_mm) / 2 * MARGIN

    @property
    def diagonal_mm(self) -> float:
        """The longest way through the volume."""
        diagonals = [np.asarray(signs) @ np.asarray(self.edges_mm) for signs in _SIGNS]
        return max(float(np.linalg.norm(diagonal)) for diagonal in diagonals)

    def at(self, fractions: Float) -> Float:
        """(..., 3) fractions along the three edges → (..., 3) LPS mm."""
        return np.asarray(np.asarray(self.corner_mm) + fractions @ np.asarray(self.edges_mm))


_SIGNS = ((1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1))


def extent_of(volume: Volume) -> Extent:
    """The outline of a volume, its axes in the order and direction of LPS."""
    geometry = volume.geometry
    low, high = np.full(3, -0.5), np.asarray(geometry.shape) - 0.5
    corner, edges = low.copy(), np.zeros((3, 3))
    for axis, patient in enumerate(geometry.patient_axes):
        forward = geometry.directions[patient, axis] > 0
        corner[axis] = low[axis] if forward else high[axis]
        length = geometry.shape[axis] * (1 if forward else -1)
        edges[patient] = geometry.affine_lps[:3, axis] * length
    x, y, z = geometry.to_patient_mm(corner)
    rows = tuple((float(e[0]), float(e[1]), float(e[2])) for e in edges)
    return Extent((float(x), float(y), float(z)), rows)


class Renderer(Protocol):
    """Renders frames."""

    def render(
        self, volume: Volume, request: FrameRequest, listener: Listener
    ) -> Job[RenderedFrame]:
        """Render one frame; events: `Progress` while a volume is prepared for the first time."""
        ...

    def release(self) -> None:
        """Free the memory of the volume of the last frame."""
        ...


class Scene:
    """The 3D view of the open volume."""

    def __init__(
        self,
        viewer: Viewer,
        renderer: Renderer,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._viewer = viewer
        self._renderer = renderer
        self._tasks = tasks
        self._explain = explain
        self._rendering: LatestJob[RenderedFrame] = LatestJob()
        self._asked: FrameRequest | None = None
        self._shrink = FIRST_SHRINK
        self.shown = False
        self.look = SceneLook(Camera.facing("A"), Preset.BONE)
        self.clipping = False
        self.extent: Extent | None = None
        self.frame: RenderedFrame | None = None
        self.doing = ""
        self.message: Message | None = None
        self.changed: Signal[[]] = Signal()
        self.frame_changed: Signal[[]] = Signal()
        viewer.on_preview(self._put_away)
        viewer.first_seen.connect(self._face_front)
        viewer.volume_changed.connect(self._volume_changed)

    # --- what the user does ----------------------------------------------------------------

    def show(self, *, shown: bool) -> None:
        """Say whether the view is visible: no frame is made while it is not."""
        self.shown = shown
        self._next()

    def resize(self, size: tuple[int, int]) -> None:
        """Take over the size of the view in device pixels."""
        self._use(replace(self.look, size=size))

    def use_preset(self, preset: Preset) -> None:
        """Make other tissue opaque; the shift, which belonged to the last preset, starts at 0."""
        self._use(replace(self.look, preset=preset, shift_hu=0.0))

    def shift(self, shift_hu: float) -> None:
        """Move the curves of the preset along the HU axis."""
        inside = min(max(shift_hu, -SHIFT_HU), SHIFT_HU)
        self._use(replace(self.look, shift_hu=float(inside)))

    def turn(self, dx: float, dy: float) -> None:
        """Turn by a drag in logical pixels."""
        self._use(replace(self.look, camera=self.look.camera.turned(dx, dy)))

    def zoom(self, factor: float) -> None:
        """Enlarge about the middle."""
        self._use(replace(self.look, camera=self.look.camera.zoomed(factor)))

    def pan(self, right_mm: float, up_mm: float) -> None:
        """Move the picture."""
        self._use(replace(self.look, camera=self.look.camera.panned(right_mm, up_mm)))

    def face(self, side: str) -> None:
        """Turn to a standard view and keep the zoom."""
        zoom = self.look.camera.zoom
        self._use(replace(self.look, camera=replace(Camera.facing(side), zoom=zoom)))

    def reset(self) -> None:
        """Show the whole volume from the front, with nothing clipped or shifted."""
        self.clipping = False
        camera = Camera.facing("A")
        self._use(replace(self.look, camera=camera, clip=WHOLE, shift_hu=0.0))

    def toggle_clipping(self) -> None:
        """Show the clipping box, or take it away with its effect."""
        self.clipping = not self.clipping
        self._use(replace(self.look, clip=WHOLE))

    def clip_to(self, axis: int, end: int, fraction: float) -> None:
        """Move a face of the box: `axis` 0 R→L, 1 A→P, 2 I→S; `end` 0 the first, 1 the last."""
        pairs = [list(pair) for pair in self.look.clip]
        low, high = pairs[axis]
        if end == 0:
            pairs[axis][0] = min(max(fraction, 0.0), high - THINNEST)
        else:
            pairs[axis][1] = max(min(fraction, 1.0), low + THINNEST)
        (a, b), (c, d), (e, f) = pairs
        self._use(replace(self.look, clip=((a, b), (c, d), (e, f))))

    def retry(self) -> None:
        """Try again after a failure."""
        self.message = None
        self._next()

    # --- what follows ----------------------------------------------------------------------

    @property
    def shift_text(self) -> str:
        """How far the curves are shifted: in the unit of CT, else as a share of the values' range,
        over which they are stretched then; empty where they are not shifted.
        """
        shift, volume = self.look.shift_hu, self._viewer.volume
        if not shift or volume is None:
            return ""
        if windows.is_ct(volume):
            text = windows.with_unit(f"{shift:+.0f}", self._viewer.unit)
        else:
            text = f"{100 * shift / (RANGE_HU[1] - RANGE_HU[0]):+.1f} %"
        return text.replace("-", "−")

    def projection(self, width: float, height: float) -> Projection | None:
        """How the patient lies on a view of that size; None without a volume."""
        if self.extent is None:
            return None
        size = (width, height)
        return Projection(self.look.camera, size, self.extent.centre_mm, self.extent.radius_mm)

    @property
    def note(self) -> str:
        """What is not shown in full: a sentence, or empty."""
        volume, frame = self._viewer.volume, self.frame
        if volume is None or frame is None:
            return ""
        mm = [0.0, 0.0, 0.0]
        for axis, patient in enumerate(volume.geometry.patient_axes):
            mm[patient] = volume.geometry.spacing_mm[axis]
        if all(np.isclose(a, b, rtol=1e-3) for a, b in zip(mm, frame.spacing_mm, strict=True)):
            return ""
        ours, full = (" × ".join(f"{v:.1f}" for v in vs) for vs in (frame.spacing_mm, mm))
        return f"large volume: shown at {ours} mm of {full} mm"

    def _use(self, look: SceneLook) -> None:
        if look != self.look:
            self.look = look
            self._next()
        self.changed.emit()

    def _volume_changed(self) -> None:
        self._stop()
        self.frame = self.message = None
        volume = None if self._viewer.previewing else self._viewer.volume
        self.extent = None if volume is None else extent_of(volume)
        if volume is None:
            self._renderer.release()
        self.changed.emit()
        self.frame_changed.emit()
        self._next()

    def _face_front(self) -> None:
        """Show another volume from the front, with nothing clipped."""
        self.look = replace(self.look, clip=WHOLE, camera=Camera.facing("A"))
        self.clipping = False

    def _put_away(self) -> Callable[[], object]:
        """Return what restores camera and box, should the volume on its way not open."""
        before, clipping = self.look, self.clipping

        def bring_back() -> None:
            self.look = replace(self.look, clip=before.clip, camera=before.camera)
            self.clipping = clipping

        return bring_back

    def _stop(self) -> None:
        self._rendering.cancel()
        self._asked = None
        self.doing = ""

    def _next(self) -> None:
        """Start the frame that is wanted now, unless one worth waiting for is being rendered."""
        volume = self._viewer.volume
        if self._tasks.closed:  # a window that closes may still be resized
            return
        if not (self.shown and volume is not None and self.extent and self.message is None):
            return
        if self._rendering.busy and self._asked is not None:
            if self._asked.coarse or self._asked.look == self.look:
                return
            self._stop()
        request = self._wanted()
        if request is not None:
            self._asked = request
            job = self._rendering.start(self._renderer.render, volume, request, self._event)
            self._tasks.start(self._follow(job, request))

    def _wanted(self) -> FrameRequest | None:
        """The next frame of this look: a coarse one, then an exact one, then None."""
        width, height = self.look.size
        coarse = self.frame is None or self.frame.look != self.look
        there = self.frame is not None and not self.frame.coarse and not coarse
        if there or min(width, height) < 2:
            return None
        fit = min(1.0, LARGEST_FRAME / max(width, height))
        shrink = fit / self._shrink if coarse else fit
        size = (max(2, round(width * shrink)), max(2, round(height * shrink)))
        return FrameRequest(self.look, size, coarse)

    async def _follow(self, job: Job[RenderedFrame], request: FrameRequest) -> None:
        outcome = await self._rendering.result(job)
        if outcome is not None:
            self._asked = None
            self.doing = ""
            self._take(outcome, request)
            self._next()

    def _take(self, outcome: Outcome[RenderedFrame], request: FrameRequest) -> None:
        if isinstance(outcome, Done):
            first, self.frame = self.frame is None, outcome.value
            if request.coarse and not first:  # the first one also prepared the volume
                self._adapt(outcome.value.seconds)
        elif isinstance(outcome, Failed):
            self.message = self._explain(outcome.error)
        self.frame_changed.emit()

    def _adapt(self, seconds: float) -> None:
        """Half the way to the size at which a coarse frame takes `FRAME_SECONDS`."""
        ideal = self._shrink * (seconds / FRAME_SECONDS) ** 0.5
        low, high = SHRINK_RANGE
        self._shrink = min(max((self._shrink + ideal) / 2, low), high)

    def _event(self, event: object) -> None:
        if isinstance(event, Progress):
            self.doing = event.doing
            self.frame_changed.emit()
