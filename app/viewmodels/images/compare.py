"""Two volumes side by side in one plane: a prior, or another series, beside the open one.

Volumes of one frame of reference (DICOM PS3.3 C.7.4.1) are linked by patient mm. Others are linked
by position: first at the same share of their extents, then by equal movements in mm, and the note
says so. Linking again after scrolling one volume alone takes the two slices shown for one place.
Knows no widgets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ParamSpec

import numpy as np
from numpy.typing import NDArray

from app.imaging.plane import PlaneState
from app.imaging.slab import Slab
from app.imaging.turn import Turn
from app.viewmodels.core.patients import different_patients, known_same
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.look import Greys
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from med2e3.volume import Volume

Float = NDArray[np.float64]
P = ParamSpec("P")


class Link(StrEnum):
    """How the second volume follows the first."""

    FRAME = "frame of reference"
    POSITION = "position"
    NONE = "not linked"


NOTES = {
    Link.FRAME: "Linked by frame of reference: the same point of the patient",
    Link.POSITION: "Linked by position, not by frame of reference: the places may differ",
    Link.NONE: "Not linked: each scrolls alone",
}


#: Said where one of the two names no patient.
UNKNOWN = "Nothing says that they are of one patient"


@dataclass(frozen=True, eq=False)
class _Comparison:
    """A comparison to come back to: the second volume, its link and how it was looked at."""

    second: Volume
    plane: Plane
    link: Link
    offset_mm: Float
    crosshair_mm: Float
    greys: Greys
    slab: Slab
    looks: dict[Plane, tuple[float, tuple[float, float] | None]]
    locks: tuple[bool, bool, bool]


class Compare:
    """The second volume, and what links it to the first. `other` shows no volume while unused."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.other = Viewer(reslice=viewer.reslice)
        self.plane = Plane.AXIAL
        self.link = Link.NONE
        #: Whether linked volumes also share zoom and pan, and their window.
        self.zoom_linked = self.window_linked = True
        #: Whether linked volumes scroll together.
        self.slices_linked = True
        #: The viewer of a further series under the mouse, if it is over one.
        self.hand_elsewhere: Viewer | None = None
        #: Whether the mouse is over the second volume.
        self.pointed = False
        self.changed: Signal[[]] = Signal()
        self.note_changed: Signal[[]] = Signal()
        self._offset_mm: Float = np.zeros(3)
        self._busy = False
        self._first: Volume | None = None
        viewer.on_preview(self._put_away)
        viewer.volume_changed.connect(self._first_changed)
        for side in (viewer, self.other):
            side.sent_to.connect(self._follow_plane)
        for a, b in ((viewer, self.other), (self.other, viewer)):
            self._follow(a, b)

    @property
    def active(self) -> bool:
        """Whether a second volume is shown."""
        return self.other.volume is not None

    @property
    def hand(self) -> Viewer:
        """The viewer that keys act on: that of the volume under the mouse."""
        if self.hand_elsewhere is not None and self.hand_elsewhere.volume is not None:
            return self.hand_elsewhere
        return self.other if self.active and self.pointed else self.viewer

    @property
    def plane_of_keys(self) -> Plane:
        """The plane that keys scroll and mark: the compared one, else the active one.

        While two volumes compare, the active plane may be one of the second window that is not
        compared.
        """
        return self.plane if self.active else self.viewer.active

    @property
    def leader(self) -> Viewer:
        """The volume under the mouse, or the first one of two that are linked."""
        return self.hand if self.link is Link.NONE else self.viewer

    def reset(self) -> None:
        """Reset the volume under the mouse; linked volumes are reset by the first one."""
        self.leader.reset()

    def lie(self, change: Callable[[Turn], Turn]) -> None:
        """Turn or mirror on the screen what the keys act on; both where they are linked."""
        plane = self.plane_of_keys
        linked = self.active and self.link is not Link.NONE
        for viewer in (self.viewer, self.other) if linked else (self.hand,):
            viewer.lie(plane, change)

    def swap_link(self) -> None:
        """Link what is not linked, or unlink it."""
        if self.link is Link.NONE:
            self.relink()
        else:
            self.unlink()

    @property
    def same_frame(self) -> bool:
        """Whether both volumes name the same frame of reference."""
        a, b = self.viewer.volume, self.other.volume
        if a is None or b is None:
            return False
        mine, others = a.info.frame_of_reference_uid, b.info.frame_of_reference_uid
        return bool(mine) and mine == others

    @property
    def note(self) -> str:
        """A sentence on how the two are linked, after a warning where the patients differ."""
        said = NOTES[self.link]
        if apart := self.apart_mm:
            said = f"One series does not reach this place: the two are {apart:.0f} mm apart here"
        if self.link is not Link.NONE:
            said = ". ".join((said, *self._apart()))
        if self.link is Link.POSITION and self.unknown:
            said = f"{said}. {UNKNOWN}"
        # No place is the same in two patients, whatever a frame of reference says.
        return f"{different}. {said.split(':')[0]}" if (different := self.different) else said

    def _apart(self) -> list[str]:
        """What linked volumes do not share, in words."""
        words = [] if self.slices_linked else ["Each scrolls alone"]
        words += [] if self.zoom_linked else ["Each has its own zoom"]
        if not self.shares_window:
            why = f" (kernels {' and '.join(self.kernels)})" if self.kernels else ""
            words.append(f"Each has its own window{why}")
        return words

    @property
    def shares_window(self) -> bool:
        """Whether the two have one window: never those of two kernels, as of brain and bone."""
        return self.window_linked and self.kernels is None

    @property
    def apart_words(self) -> str:
        """What linked volumes do not share, in a few words."""
        if self.link is Link.NONE:
            return "not linked"
        words = ["scrolls alone"] * (not self.slices_linked)
        words += ["own zoom"] * (not self.zoom_linked)
        kernel = f" ({self.kernels[1]})" if self.kernels else ""
        words += [f"own window{kernel}"] * (not self.shares_window)
        return " · ".join(words)

    @property
    def different(self) -> str:
        """What says that the two are of different patients; empty where nothing does."""
        a, b = self.viewer.volume, self.other.volume
        return "" if a is None or b is None else different_patients(a.info, b.info)

    @property
    def unknown(self) -> bool:
        """Whether nothing says that the two are of one patient, nor that they are of two."""
        a, b = self.viewer.volume, self.other.volume
        return a is not None and b is not None and not known_same(a.info, b.info)

    @property
    def doubtful(self) -> bool:
        """Whether the reader must not take what is shown for one place."""
        return self.link is Link.POSITION or self.apart_mm > 0 or bool(self.different)

    @property
    def apart_mm(self) -> float:
        """Distance in mm between the places that the two volumes show; 0 where they agree.

        Linked volumes disagree where one of them ends before the place. A distance within a voxel
        counts as none, and so does any while they are not linked.
        """
        second = self.other.volume
        linked = self.link is not Link.NONE and self.slices_linked
        if not linked or second is None or self.viewer.volume is None:
            return 0.0
        wanted = self._mapped(self.viewer, self.viewer.crosshair_mm)
        apart = float(np.linalg.norm(wanted - self.other.crosshair_mm))
        return apart if apart > max(second.geometry.spacing_mm) else 0.0

    def open(self, volume: Volume) -> None:
        """Show a volume beside the open one, linked; does nothing while none is open."""
        first = self.viewer.volume
        if first is None:
            return
        self.viewer.straighten()
        self._first = first
        self._busy = True
        self.other.show(volume)
        self._busy = False
        self._allow_turning(allowed=False)
        self.zoom_linked = self.window_linked = self.slices_linked = True
        self.plane = self.viewer.active
        self.link = Link.FRAME if self.same_frame else Link.POSITION
        self._offset_mm = (
            np.zeros(3) if self.same_frame else self._by_share() - self.viewer.crosshair_mm
        )
        self._align()
        self.changed.emit()

    def close(self) -> None:
        """Show the open volume alone again."""
        if not self.active:
            return
        self.link, self.pointed = Link.NONE, False
        self.other.show(None)
        self._allow_turning(allowed=True)
        self.changed.emit()

    def choose_plane(self, plane: Plane) -> None:
        """Compare in another plane."""
        self.plane = plane
        self.viewer.activate(plane)
        self.other.activate(plane)
        self.changed.emit()

    def unlink(self) -> None:
        """Let each scroll, zoom and window alone."""
        self.link = Link.NONE
        self.changed.emit()

    def relink(self) -> None:
        """Link again; without a common frame of reference what is shown now is the same place."""
        if not self.active:
            return
        self.link = Link.FRAME if self.same_frame else Link.POSITION
        if self.link is Link.POSITION:
            self._offset_mm = self.other.crosshair_mm - self.viewer.crosshair_mm
        self._align()
        self.changed.emit()

    # --- following -------------------------------------------------------------------------

    def _follow(self, leader: Viewer, follower: Viewer) -> None:
        at = leader.crosshair_mm

        def moved() -> None:
            nonlocal at
            # `slices_changed` also announces exact pixels of the same place. These must not move
            # the follower: where one series ends, the other would be drawn back to that end.
            before, at = at, leader.crosshair_mm
            if self.slices_linked and not np.array_equal(before, at):
                self._linked(follower.move_crosshair, self._mapped(leader, at))
            if self.active:
                self.note_changed.emit()

        leader.slices_changed.connect(moved)
        leader.window_changed.connect(lambda: self._share_window(leader, follower))
        leader.zoomed.connect(lambda plane: self._share_zoom(leader, follower, plane))
        leader.slab_changed.connect(lambda: self._share_slab(leader, follower))
        # Tool and display settings are the reader's: both volumes have the same, linked or not.
        leader.tool_changed.connect(lambda: self._shared(follower.take_tool_of, leader))
        leader.display_changed.connect(lambda: self._shared(follower.take_display_of, leader))

    def _linked(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Change the other volume, unless the two are not linked."""
        if self.link is not Link.NONE:
            self._shared(act, *args, **kwargs)

    def _share_slab(self, leader: Viewer, follower: Viewer) -> None:
        if self.slices_linked:
            self._linked(follower.set_slab, leader.slab)

    def _share_window(self, leader: Viewer, follower: Viewer) -> None:
        if self.shares_window:
            self._linked(_window, leader, follower)

    def _share_zoom(self, leader: Viewer, follower: Viewer, plane: Plane) -> None:
        if self.zoom_linked:
            self._linked(self._zoom, leader, follower, plane)

    def lock(
        self, *, slices: bool | None = None, zoom: bool | None = None, window: bool | None = None
    ) -> None:
        """Let the two share slices, zoom with pan, their window, or none; None: as it is.

        Slices that are locked again are one place from now on, where no frame of reference says so.
        """
        if slices and not self.slices_linked and self.link is Link.POSITION:
            self._offset_mm = self.other.crosshair_mm - self.viewer.crosshair_mm
        self.slices_linked = self.slices_linked if slices is None else slices
        self.zoom_linked = self.zoom_linked if zoom is None else zoom
        self.window_linked = self.window_linked if window is None else window
        self._align()
        self.changed.emit()

    @property
    def kernels(self) -> tuple[str, str] | None:
        """The kernels of the two where they differ: one window cannot show both."""
        a, b = self.viewer.volume, self.other.volume
        if a is None or b is None or not (a.info.kernel and b.info.kernel):
            return None
        both = a.info.kernel, b.info.kernel
        return None if both[0] == both[1] else both

    def _shared(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Change the other volume, linked or not; what follows there does not come back."""
        if self._busy or not self.active:
            return
        self._busy = True
        try:
            act(*args, **kwargs)
        finally:
            self._busy = False

    def _align(self) -> None:
        first, second = self.viewer, self.other
        if self.slices_linked:
            self._linked(second.move_crosshair, self._mapped(first, first.crosshair_mm))
        self._share_window(first, second)
        for plane in first.planes:
            if self.link is not Link.NONE:
                second.planes[plane].lie(first.planes[plane].turn)
            self._share_zoom(first, second, plane)
        self._share_slab(first, second)
        self._shared(second.take_tool_of, first)
        self._shared(second.take_display_of, first)

    def _mapped(self, leader: Viewer, patient_mm: Float) -> Float:
        """A point of one volume in the coordinates of the other."""
        sign = 1 if leader is self.viewer else -1
        return np.asarray(patient_mm + sign * self._offset_mm)

    def _zoom(self, leader: Viewer, follower: Viewer, plane: Plane) -> None:
        """Show the same mm on the screen, with the same place in the middle of the view."""
        state, other = leader.planes[plane], follower.planes[plane]
        other.fit_mm = state.fit_mm or whole_mm(state)
        other.zoom = state.zoom
        _, rows, columns = state.geometry.shape
        middle = state.centre or ((rows - 1) / 2, (columns - 1) / 2)
        there = other.geometry.to_index(self._mapped(leader, state.mm_at(*middle)))
        other.centre = (float(there[1]), float(there[2]))
        follower.zoomed.emit(plane)

    def _allow_turning(self, *, allowed: bool) -> None:
        self.viewer.allow_turning(allowed=allowed)
        self.other.allow_turning(allowed=allowed)

    def _by_share(self) -> Float:
        """The point of the second volume at the share of its extents where the first one is."""
        a, b = (self.viewer.planes[Plane.AXIAL], self.other.planes[Plane.AXIAL])
        share = (a.geometry.to_index(self.viewer.crosshair_mm) + 0.5) / np.asarray(a.geometry.shape)
        return b.geometry.to_patient_mm(share * np.asarray(b.geometry.shape) - 0.5)

    def _follow_plane(self, plane: Plane) -> None:
        """Compare in the plane of the measurement or key image that the reader goes to."""
        if self.active and plane != self.plane:
            self.choose_plane(plane)

    def _first_changed(self) -> None:
        """Another volume ends the comparison."""
        if self.viewer.volume is not self._first:
            self.close()

    def _put_away(self) -> Callable[[], object]:
        """Return what resumes the comparison, should the volume on its way not open."""
        second = self.other.volume
        if second is None:
            return lambda: None
        looks = {plane: (state.zoom, state.centre) for plane, state in self.other.planes.items()}
        kept = _Comparison(
            second, self.plane, self.link, self._offset_mm,
            self.other.crosshair_mm, self.other.greys, self.other.slab, looks,
            (self.zoom_linked, self.window_linked, self.slices_linked),
        )  # fmt: skip
        return lambda: self._take_up(kept)

    def _take_up(self, kept: _Comparison) -> None:
        self._first, self.plane = self.viewer.volume, kept.plane
        self.zoom_linked, self.window_linked, self.slices_linked = kept.locks
        self._busy = True
        self.other.show(kept.second)
        self.other.set_slab(kept.slab)
        for plane, (zoom, centre) in kept.looks.items():
            self.other.planes[plane].zoom, self.other.planes[plane].centre = zoom, centre
        self.other.move_crosshair(kept.crosshair_mm)
        self.other.show_greys(kept.greys)
        for viewer in (self.viewer, self.other):  # the mouse was over other planes meanwhile
            viewer.activate(kept.plane)
        self._busy = False
        self._allow_turning(allowed=False)
        self.link, self._offset_mm = kept.link, kept.offset_mm
        self._align()
        self.changed.emit()


def whole_mm(state: PlaneState) -> tuple[float, float]:
    """(height, width) of a plane's slices, voxel edges included."""
    _, height, width = state.geometry.extent_mm
    return height, width


def _window(leader: Viewer, follower: Viewer) -> None:
    """The same window and colours, where both count in the same unit."""
    if leader.unit == follower.unit:
        follower.show_greys(leader.greys)
