"""Up to six series side by side: the open one, the one beside it, and others that follow it, too.

Each further series is linked with the open one as the second is (`compare`). Slices, zoom with pan,
and the window are locked apart from each other. Knows no widgets.
"""

from __future__ import annotations

from collections.abc import Callable

from app.imaging.turn import Turn
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.compare import Compare, Link
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from med2e3.volume import Volume

#: How many rows and columns of series there can be; the last is the largest.
SHAPES = ((1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3))

#: The shape for a series and one beside it.
PAIR = (1, 2)

#: Series side by side at most.
MOST = 6


class SideBySide:
    """The series in their cells: cell 0 has the open one, every other one of its own or none."""

    def __init__(self, compare: Compare) -> None:
        self.first = compare
        more = (Compare(compare.viewer) for _ in range(MOST - 2))
        #: The links of the cells after the first with the open series.
        self.pairs: tuple[Compare, ...] = (compare, *more)
        self.shape: tuple[int, int] | None = None
        self.pointed = 0
        self.changed: Signal[[]] = Signal()
        self.note_changed: Signal[[]] = Signal()
        self._keeps: list[Volume | None] = []
        self._busy = False
        for pair in self.pairs:
            pair.changed.connect(self._followed)
            pair.note_changed.connect(self.note_changed.emit)
        compare.viewer.first_seen.connect(self._first_arrives)
        compare.viewer.volume_changed.connect(self._first_changed)

    @property
    def viewers(self) -> tuple[Viewer, ...]:
        """The viewer of each cell, whether it shows a series or not."""
        return (self.first.viewer, *(pair.other for pair in self.pairs))

    @property
    def active(self) -> bool:
        """Whether series stand side by side in place of the planes of one."""
        return self.first.viewer.volume is not None and self.shown_shape is not None

    @property
    def shown_shape(self) -> tuple[int, int] | None:
        """Rows and columns: those chosen, or a pair while a second series is shown."""
        return self.shape or (PAIR if any(pair.active for pair in self.pairs) else None)

    @property
    def count(self) -> int:
        """How many cells there are."""
        rows, columns = self.shown_shape or (0, 0)
        return rows * columns

    @property
    def lead(self) -> Compare:
        """The link whose state stands for all: the first one that links anything."""
        return next((pair for pair in self.pairs if pair.active), self.first)

    # --- cells -------------------------------------------------------------------------------

    def choose(self, rows: int, columns: int) -> None:
        """Show so many cells; series in cells that are gone are closed."""
        if (rows, columns) not in SHAPES:
            return
        self.shape = (rows, columns)
        for pair in self.pairs[self.count - 1 :]:
            pair.close()
        self.changed.emit()

    def put(self, volume: Volume, cell: int) -> None:
        """Show a series in a cell after the first; the cells grow until it is there."""
        pair = self.pairs[cell - 1]
        pair.open(volume)
        lead = self.lead
        if pair is not lead and pair.active:
            self._like(pair, lead)
        if self.count <= cell:
            self.shape = next(shape for shape in SHAPES if shape[0] * shape[1] > cell)
        self.changed.emit()

    def free_cell(self) -> int:
        """The first cell without a series, or the second one where all are taken."""
        taken = [pair.active for pair in self.pairs[: max(self.count - 1, 1)]]
        return taken.index(False) + 1 if False in taken else 1

    def clear(self, cell: int) -> None:
        """Take the series out of a cell after the first."""
        self.pairs[cell - 1].close()

    def close(self) -> None:
        """Show the planes of the open series again."""
        self.shape = None
        for pair in self.pairs:
            pair.close()
        self.changed.emit()

    def point(self, cell: int) -> None:
        """The mouse is over a cell: the keys are for its series."""
        self.pointed = cell if cell < self.count and self.viewers[cell].volume is not None else 0
        hand = self.viewers[self.pointed]
        self.first.pointed = hand is self.first.other
        self.first.hand_elsewhere = hand if self.pointed > 1 else None

    # --- locks -------------------------------------------------------------------------------

    def lock(
        self, *, slices: bool | None = None, zoom: bool | None = None, window: bool | None = None
    ) -> None:
        """Let all share slices, zoom with pan, or their window, or not; None: as it is."""
        for pair in self.pairs:
            pair.lock(slices=slices, zoom=zoom, window=window)

    def swap_link(self) -> None:
        """Link what is not linked, or unlink it."""
        linked = self.lead.link is not Link.NONE
        for pair in self.pairs:
            if pair.active:
                (pair.unlink if linked else pair.relink)()

    def choose_plane(self, plane: Plane) -> None:
        """Show all in another plane."""
        self.first.choose_plane(plane)
        self.changed.emit()

    def lie(self, change: Callable[[Turn], Turn]) -> None:
        """Turn or mirror on the screen; all that are linked."""
        linked = self.lead.link is not Link.NONE
        plane = self.plane
        viewers = self.viewers if linked and self.active else (self.first.hand,)
        for viewer in viewers:
            if viewer.volume is not None:
                viewer.lie(plane, change)

    @property
    def plane(self) -> Plane:
        """The plane in which all are seen, or that the keys act on."""
        return self.first.plane if self.active else self.first.viewer.active

    # --- words -------------------------------------------------------------------------------

    @property
    def note(self) -> str:
        """How the series are linked; the first warning where there is one."""
        shown = [pair for pair in self.pairs if pair.active]
        doubtful = next((pair for pair in shown if pair.doubtful), None)
        if doubtful is not None:
            return doubtful.note
        return shown[0].note if shown else "Drag series from the list into the cells"

    @property
    def doubtful(self) -> bool:
        """Whether the reader must not take what is shown for one place."""
        return any(pair.active and pair.doubtful for pair in self.pairs)

    @property
    def different(self) -> bool:
        """Whether not all are of one patient."""
        return any(pair.active and bool(pair.different) for pair in self.pairs)

    def apart(self, cell: int) -> str:
        """What the series of a cell does not share with the open one, in words."""
        if not cell or not self.pairs[cell - 1].active:
            return ""
        return self.pairs[cell - 1].apart_words

    # --- following ---------------------------------------------------------------------------

    def _followed(self) -> None:
        """What the second series is told, all others are told."""
        if self._busy:
            return
        self._busy = True
        for pair in self.pairs[1:]:
            if pair.active and pair.plane is not self.first.plane:
                pair.choose_plane(self.first.plane)
        if any(pair.active for pair in self.pairs):
            self.first.viewer.allow_turning(allowed=False)
        self._busy = False
        self.changed.emit()

    def _like(self, pair: Compare, lead: Compare) -> None:
        """Lock a series that was just put beside the others as these are."""
        if lead.link is Link.NONE:
            pair.unlink()
        pair.lock(slices=lead.slices_linked, zoom=lead.zoom_linked)
        if pair.plane is not self.first.plane:
            pair.choose_plane(self.first.plane)

    def _first_arrives(self) -> None:
        """Another series comes into the first cell: where cells were chosen, the others stay."""
        if self.shape is not None and not any(volume is not None for volume in self._keeps):
            self._keeps = [pair.other.volume for pair in self.pairs]

    def _first_changed(self) -> None:
        """Another series is in the first cell: those that were to stay are linked with it."""
        viewer = self.first.viewer
        if viewer.previewing:
            return
        kept, self._keeps = self._keeps, []
        if viewer.volume is None:
            self.shape = None
        else:
            for cell, volume in enumerate(kept, start=1):
                if volume is not None and self.pairs[cell - 1].other.volume is not volume:
                    self.put(volume, cell)
        self.changed.emit()
