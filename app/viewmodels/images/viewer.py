"""What the three linked planes show: volume, crosshair, window, tool. Knows no widgets.

The crosshair is a point of the patient in LPS mm; each plane shows the slice through it. `planes`
are the stored slices in the three anatomical planes; `shown` is what the views show: the same ones,
or oblique planes in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.imaging import oblique, windows
from app.imaging.colour_names import ColourMap
from app.imaging.plane import PlaneState
from app.imaging.reslice import Sampler
from app.imaging.slab import Slab
from app.imaging.viewport import Viewport
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.display import Display
from med2e3.geometry import Plane
from med2e3.measures import SlicePlane
from med2e3.volume import Volume, Window

Float = NDArray[np.float64]


class Tool(StrEnum):
    """Tools of the left mouse button that move or look at the image.

    The tool in hand can also be one that draws: a plain name, which images do not know.
    """

    CROSSHAIR = "crosshair"
    WINDOW = "window"
    ZOOM = "zoom"
    PAN = "pan"


@dataclass(frozen=True)
class Readout:
    """The voxel under the mouse: its value, its centre's place in LPS mm, and the value's unit."""

    value: float
    patient_mm: tuple[float, float, float]
    unit: str


@dataclass(frozen=True)
class Greys:
    """How values become colours, in all planes."""

    window: Window
    inverted: bool
    colours: ColourMap


@dataclass(frozen=True, eq=False)
class _Shown:
    """What was on the screen before a preview."""

    volume: Volume | None
    planes: dict[Plane, PlaneState]
    turned: dict[Plane, PlaneState]
    sampler: Sampler | None
    crosshair_mm: Float
    greys: Greys
    opened_with: Window
    full_range: Window | None
    unit: str
    slab: Slab
    maximised: Plane | None


class Viewer:
    """The open volume and how it is looked at."""

    def __init__(self, *, crosshair_visible: bool = True, corner_text: bool = True) -> None:
        self.volume: Volume | None = None
        self.planes: dict[Plane, PlaneState] = {}
        self._turned: dict[Plane, PlaneState] = {}
        self._sampler: Sampler | None = None
        self.slab = Slab()
        self.can_turn = True
        self.reference_lines = False
        self.crosshair_mm: Float = np.zeros(3)
        self.window = Window(40, 400)
        self._opened_with = self.window
        self._told_window = False
        self._full_range: Window | None = None
        self.unit = "HU"
        self.inverted = False
        self.colours = ColourMap.GREY
        self.dragging_window = False
        self.drags = 0
        self.tool: str = Tool.CROSSHAIR
        self.display = Display()
        self.crosshair_visible = crosshair_visible
        self.corner_text = corner_text
        self.maximised: Plane | None = None
        self.active = Plane.AXIAL
        self.space_held = False
        self.readout: Readout | None = None
        self.volume_changed: Signal[[]] = Signal()
        self.slices_changed: Signal[[]] = Signal()
        self.window_changed: Signal[[]] = Signal()
        self.look_changed: Signal[[]] = Signal()
        #: The reader was brought to a place in this plane; the mouse only makes planes active.
        self.sent_to: Signal[[Plane]] = Signal()
        self.readout_changed: Signal[[]] = Signal()
        self.voxels_filled: Signal[[]] = Signal()
        self._before: _Shown | None = None

    def show(self, volume: Volume | None) -> None:
        """Show another volume from its middle, or none; a preview of it keeps its place."""
        previewed, self._before = self.previewing, None
        if previewed and volume is not None and self._same_grid(volume):
            self._complete(volume)
        else:
            self._start(volume)

    @property
    def previewing(self) -> bool:
        """Whether a volume is shown whose voxels are still filling."""
        return self._before is not None

    def preview(self, volume: Volume) -> None:
        """Show a volume that is still filling; `drop_preview` brings back what was shown."""
        if self._before is None:
            self._before = _Shown(
                self.volume, self.planes, self._turned, self._sampler, self.crosshair_mm,
                self.greys, self._opened_with, self._full_range, self.unit, self.slab,
                self.maximised,
            )  # fmt: skip
        self._start(volume)

    def take_filled(self) -> None:
        """More voxels of the preview have arrived."""
        for state in (*self.planes.values(), *self._turned.values()):
            state.forget_pixels()
        self.voxels_filled.emit()

    def drop_preview(self) -> None:
        """Show again what was shown before the preview, exactly as it was."""
        before, self._before = self._before, None
        if before is not None:
            self.volume, self.planes = before.volume, before.planes
            self._turned, self._sampler = before.turned, before.sampler
            self.crosshair_mm, self.readout = before.crosshair_mm, None
            self.window, self.inverted = before.greys.window, before.greys.inverted
            self._opened_with, self.colours = before.opened_with, before.greys.colours
            self._full_range = before.full_range
            self.unit, self.slab, self.maximised = before.unit, before.slab, before.maximised
            self._place()
            self.volume_changed.emit()

    def _start(self, volume: Volume | None) -> None:
        self.volume = volume
        self.planes = {} if volume is None else {p: PlaneState(p, volume) for p in Plane}
        self._turned, self._sampler, self.slab = {}, None, Slab()
        self.readout = None
        if volume is not None:
            self.window = self._opened_with = windows.initial(volume)
            self._told_window = False
            self.inverted, self.colours = False, ColourMap.GREY
            self.unit = windows.unit_of(volume)
            self.crosshair_mm = volume.geometry.centre_mm
            self._place()
        self.volume_changed.emit()

    def _complete(self, volume: Volume) -> None:
        untouched = self.window == self._opened_with
        looks = {plane: (state.zoom, state.centre) for plane, state in self.planes.items()}
        self.volume = volume
        self.planes = {p: PlaneState(p, volume) for p in Plane}
        for plane, (zoom, centre) in looks.items():
            self.planes[plane].zoom, self.planes[plane].centre = zoom, centre
        self._turned, self._sampler = {}, None
        self._give_slab()
        self._move(moving=True)
        if untouched and not self._told_window:
            self.window = self._opened_with = windows.initial(volume)
        self.unit = windows.unit_of(volume)  # a preview is filled with air
        self._place()
        self.volume_changed.emit()

    def _same_grid(self, volume: Volume) -> bool:
        if self.volume is None:
            return False
        mine, other = self.volume.geometry, volume.geometry
        return mine.shape == other.shape and np.array_equal(mine.affine_lps, other.affine_lps)

    # --- where -----------------------------------------------------------------------------

    def move_crosshair(self, patient_mm: Float) -> None:
        """Bring all planes to the voxel nearest to a point in LPS mm, kept inside the volume."""
        if self.volume is None:
            return
        if self._turned:
            self.crosshair_mm = oblique.kept_inside(self._turned, patient_mm)
        else:
            geometry = self.volume.geometry
            last = np.asarray(geometry.shape) - 1
            index = np.clip(geometry.to_index(patient_mm), 0, last)
            self.crosshair_mm = geometry.to_patient_mm(index)
        self._move(moving=True)
        self._place()
        self.slices_changed.emit()

    def point(self, plane: Plane, row: float, column: float) -> None:
        """Bring the crosshair to a (row, column) of the slice that `plane` shows."""
        if plane in self.planes:
            self.move_crosshair(self.shown[plane].mm_at(row, column))

    def scroll(self, plane: Plane, steps: int) -> None:
        """Move `plane` by so many slices; it stops at the first and the last one."""
        if plane in self.planes:
            self.go_to_shown(plane, self.shown[plane].slice_index + steps)

    def go_to_slice(self, plane: Plane, slice_index: float) -> None:
        """Go to a stored slice (0-based, display order) of an anatomical plane."""
        self._go(self.planes.get(plane), slice_index)

    def go_to_shown(self, plane: Plane, slice_index: float) -> None:
        """Show a slice of what `plane` shows, oblique or not; the others keep their place."""
        self._go(self.shown.get(plane), slice_index)

    def _go(self, state: PlaneState | None, slice_index: float) -> None:
        if state is None:
            return
        inside = min(max(slice_index, 0.0), state.count - 1.0)
        self.move_crosshair(state.mm_at(*state.crosshair, slice_index=inside))

    def hover(self, plane: Plane, row: float, column: float) -> None:
        """Read the voxel under the mouse."""
        state = self.shown.get(plane)
        value = state.value_at(row, column) if state is not None else None
        if state is None or value is None:
            self.leave()
            return
        x, y, z = (float(v) for v in state.mm_at(round(row), round(column)))
        self.readout = Readout(value, (x, y, z), self.unit)
        self.readout_changed.emit()

    def leave(self) -> None:
        """The mouse is over no voxel."""
        self.readout = None
        self.readout_changed.emit()

    # --- how -------------------------------------------------------------------------------

    @property
    def preset(self) -> str:
        """The preset in use, or an empty string."""
        if self.window == self._full_range:
            return windows.FULL_RANGE
        return windows.name_of(self.window)

    def set_window(self, window: Window) -> None:
        """Show all planes with this window."""
        self.window = window
        self.window_changed.emit()

    def open_with(self, window: Window) -> None:
        """Show a series that has just opened with this window, and go back to it at a reset."""
        self._opened_with, self._told_window = window, True
        self.set_window(window)

    def use_preset(self, name: str) -> None:
        """Show all planes with a preset of `windows.PRESETS`."""
        if self.volume is None or (name == windows.FULL_RANGE and self.previewing):
            return
        window = windows.preset(name, self.volume)
        self._full_range = window if name == windows.FULL_RANGE else None
        self.set_window(window)

    @property
    def greys(self) -> Greys:
        """How values are shown now."""
        return Greys(self.window, self.inverted, self.colours)

    @property
    def first_greys(self) -> Greys:
        """How they were shown when the volume opened."""
        return Greys(self._opened_with, False, ColourMap.GREY)

    def show_greys(self, greys: Greys) -> None:
        """Show values again as they were shown once."""
        self.inverted, self.colours = greys.inverted, greys.colours
        self.set_window(greys.window)

    def end_drag(self) -> None:
        """The mouse was let go: dragging the window again is another drag."""
        self.drags += self.dragging_window
        self.dragging_window = False

    def drag_window(self, dx: float, dy: float) -> None:
        """Change the window by a mouse movement in pixels."""
        self.dragging_window = True
        self.set_window(windows.dragged(self.window, dx, dy))

    def look(self, plane: Plane, viewport: Viewport) -> None:
        """Zoom and pan one plane."""
        if plane in self.planes:
            self.shown[plane].look(viewport)
            self.look_changed.emit()

    def reset(self) -> None:
        """Fit every plane, with the window that the volume opened with."""
        if self.volume is None:
            return
        for state in (*self.planes.values(), *self._turned.values()):
            state.reset_view()
        self.inverted = False
        self.set_window(self._opened_with)
        self.look_changed.emit()

    def choose_tool(self, tool: str) -> None:
        """Give the left mouse button another meaning."""
        self.tool = tool
        self.look_changed.emit()

    def activate(self, plane: Plane) -> None:
        """Let the keys act on this plane."""
        if plane != self.active:
            self.active = plane
            self.look_changed.emit()

    def send_to(self, plane: Plane) -> None:
        """Let the keys act on this plane, and whoever shows only one plane show this one."""
        self.activate(plane)
        self.sent_to.emit(plane)

    def hold_space(self, held: bool) -> None:
        """While Space is held, the left button pans."""
        self.space_held = held
        self.look_changed.emit()

    def use_colours(self, colours: ColourMap) -> None:
        """Show all planes in a colour map, not inverted; another volume opens in grey again."""
        self.inverted = colours is ColourMap.INVERTED_GREY
        self.colours = ColourMap.GREY if self.inverted else colours
        self.window_changed.emit()

    @property
    def colours_shown(self) -> ColourMap:
        """The map in use; grey turned round by `invert` is the inverted grey."""
        turned = self.inverted and self.colours is ColourMap.GREY
        return ColourMap.INVERTED_GREY if turned else self.colours

    def invert(self) -> None:
        """Swap black and white, or the two ends of the colour map."""
        self.inverted = not self.inverted
        self.window_changed.emit()

    def dress(self, display: Display, *, crosshair: bool, corner_text: bool) -> None:
        """Show images by other preferences."""
        self.display = display
        self.crosshair_visible, self.corner_text = crosshair, corner_text
        self.look_changed.emit()

    def toggle_crosshair(self) -> None:
        """Show or hide the lines through the common point."""
        self.crosshair_visible = not self.crosshair_visible
        self.look_changed.emit()

    def toggle_reference_lines(self) -> None:
        """Show or hide, where the crosshair is hidden, where the other planes cross a view."""
        self.reference_lines = not self.reference_lines
        self.look_changed.emit()

    def toggle_corner_text(self) -> None:
        """Show or hide the text in the corners of the views."""
        self.corner_text = not self.corner_text
        self.look_changed.emit()

    def maximise(self, plane: Plane | None) -> None:
        """Let one plane fill the centre; again, or None: back to all of them."""
        self.maximised = None if plane == self.maximised else plane
        self.look_changed.emit()

    # --- oblique planes and slabs ----------------------------------------------------------

    @property
    def shown(self) -> dict[Plane, PlaneState]:
        """What the views show: stored slices, or oblique planes in their place."""
        return self._turned or self.planes

    @property
    def is_turned(self) -> bool:
        """Whether the planes were turned out of the stored ones."""
        return bool(self._turned)

    def turn(self, keep: Plane, radians: float) -> None:
        """Turn the other two planes about the normal of `keep`, from its columns to its rows."""
        source = self._source()
        if source is None:
            return
        self._turned = oblique.turned(self.shown, source, self.crosshair_mm, keep, radians)
        self._move(moving=True)
        self.slices_changed.emit()
        self.look_changed.emit()

    def turn_onto(self, target: SlicePlane, patient_mm: Float) -> Plane | None:
        """Turn the planes so that one shows `target` at a point of it; which one does.

        None where planes cannot be turned now: they only go to the point.
        """
        source, name = self._source(), None
        if source is not None and self.can_turn:
            name, self._turned = oblique.turned_onto(self.planes, source, target)
        self.move_crosshair(patient_mm)
        self.look_changed.emit()
        return name

    def _source(self) -> tuple[Volume, Sampler] | None:
        if self.volume is None:
            return None
        if self._sampler is None:
            self._sampler = Sampler(self.volume)
        return self.volume, self._sampler

    def straighten(self) -> None:
        """Back to the stored planes; zoom and pan start anew where a plane was turned."""
        if self._turned:
            self._turned = {}
            self.move_crosshair(self.crosshair_mm)
            self.look_changed.emit()

    def set_slab(self, slab: Slab) -> None:
        """Show slabs, or planes alone (a thickness of 0)."""
        self.slab = slab
        self._give_slab()
        self._move(moving=True)
        self.slices_changed.emit()
        self.look_changed.emit()

    @property
    def is_coarse(self) -> bool:
        """Whether a picture is coarser than it can be, because something has just moved."""
        return self.next_coarse() is not None

    def next_coarse(self) -> PlaneState | None:
        """The plane that should become exact next, the active one first; None if all are."""
        order = (self.active, *(plane for plane in Plane if plane is not self.active))
        states = (self.shown[plane] for plane in order if plane in self.shown)
        return next((state for state in states if state.is_coarse), None)

    def settle(self) -> None:
        """Show everything as finely as it can be at once, however long that takes."""
        self._move(moving=False)
        self.slices_changed.emit()

    def _move(self, *, moving: bool) -> None:
        for state in self.shown.values():
            state.moving = moving

    def _give_slab(self) -> None:
        for state in (*self.planes.values(), *self._turned.values()):
            state.slab = self.slab

    def _place(self) -> None:
        for state in (*self.planes.values(), *self._turned.values()):
            state.place(self.crosshair_mm)
