"""One image or report that belongs to no volume, and how it is looked at. Knows no widgets.

A series of several is gone through one by one. On a scout the slices of the open volume are lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.imaging import numbers, windows
from app.imaging.viewport import Viewport
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.patients import date, details
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Message
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.study import Study
from med2e3.geometry import Geometry
from med2e3.volume import Volume, Window
from med2e3.words import person_name

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary
    from med2e3.io.single import Single, SingleImage, SingleTable

Float = NDArray[np.float64]

#: What a step of the window is where no other is known.
ANY_WINDOW = Window(0.0, 1.0)


class SinglePictures:
    """The image or report that is shown by itself; `summary` is None while there is none."""

    def __init__(
        self,
        study: Study,
        viewer: Viewer,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._study = study
        self._viewer = viewer
        self._tasks = tasks
        self._explain = explain
        self._reading: LatestJob[Single] = LatestJob()
        self.summary: SeriesSummary | None = None
        self.number = 0
        self.shown: Single | None = None
        self.message: Message | None = None
        self.window = ANY_WINDOW
        self.inverted = False
        self.zoom = 1.0
        self.centre: tuple[float, float] | None = None
        #: What is under the mouse, in words.
        self.readout = ""
        #: Something else is shown, or is on its way.
        self.changed: Signal[[]] = Signal()
        #: The same is seen in another way.
        self.looked: Signal[[]] = Signal()
        self.readout_changed: Signal[[]] = Signal()
        #: The reader asked for something: it is to be brought into view.
        self.asked: Signal[[]] = Signal()
        study.changed.connect(self._follow)
        viewer.slices_changed.connect(self.looked.emit)
        viewer.volume_changed.connect(self.looked.emit)
        viewer.activated.connect(self.looked.emit)

    # --- what is shown -----------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether anything is shown or on its way."""
        return self.summary is not None

    @property
    def count(self) -> int:
        """How many images or reports the series has."""
        return 0 if self.summary is None else self.summary.seen

    @property
    def image(self) -> SingleImage | None:
        """The image that is shown; None for a report and for nothing."""
        from med2e3.io.single import SingleImage

        return self.shown if isinstance(self.shown, SingleImage) else None

    @property
    def table(self) -> SingleTable | None:
        """The report that is shown; None for an image and for nothing."""
        from med2e3.io.single import SingleTable

        return self.shown if isinstance(self.shown, SingleTable) else None

    @property
    def title(self) -> str:
        """What is shown, in a few words."""
        summary = self.summary
        if summary is None:
            return ""
        info = summary.info
        name = " ".join(filter(None, (info.series_number, info.series_description)))
        return " · ".join(filter(None, (summary.kind[:1].upper() + summary.kind[1:], name)))

    def show(self, summary: SeriesSummary) -> None:
        """Show a series that is no volume, from its middle on, and ask for room for it."""
        self.offer(summary)
        self.asked.emit()

    def offer(self, summary: SeriesSummary) -> None:
        """Show a series wherever there is room for it already."""
        if summary is not self.summary and summary.seen:
            self.summary, self.number = summary, (summary.seen - 1) // 2
            self.shown = None
            self.reset()
            self._read()

    def go(self, number: int) -> None:
        """Show another one of the series."""
        if self.summary is not None and number != self.number:
            self.number = min(max(number, 0), self.count - 1)
            self._read()

    def step(self, by: int) -> None:
        """Go on or back; the ends are no reason to begin anew."""
        if self.count:
            self.go(min(max(self.number + by, 0), self.count - 1))

    def close(self) -> None:
        """Show nothing."""
        if self.summary is not None:
            self.summary = self.shown = self.message = None
            self.changed.emit()

    # --- how it is looked at -----------------------------------------------------------------

    def viewport(self, width: float, height: float) -> Viewport | None:
        """How the image lies on a view of that size in logical pixels."""
        image = self.image
        if image is None:
            return None
        shape = image.values.shape[0], image.values.shape[1]
        spacing = image.spacing_mm or (1.0, 1.0)
        return Viewport((width, height), shape, spacing, self.zoom, self.centre)

    def look(self, viewport: Viewport) -> None:
        """Take over zoom and centre."""
        self.zoom, self.centre = viewport.zoom, viewport.centre
        self.looked.emit()

    def reset(self) -> None:
        """Fit the image into the view, in its own window."""
        self.zoom, self.centre, self.inverted = 1.0, None, False
        image = self.image
        if image is not None and image.windows:
            self.window = image.windows[0]
        self.looked.emit()

    def drag_window(self, dx: float, dy: float) -> None:
        """Change the window by a drag; colours have none."""
        image = self.image
        if image is not None and not image.is_colour:
            self.window = windows.dragged(self.window, dx, dy)
            self.looked.emit()

    def invert(self) -> None:
        """Swap black and white."""
        self.inverted = not self.inverted
        self.looked.emit()

    # --- words -------------------------------------------------------------------------------

    def whose(self) -> list[str]:
        """The lines of the upper left corner: the patient, the study."""
        shown, show = self.shown, self._viewer.corners
        if shown is None:
            return []
        info, lines = shown.info, []
        if show.patient_name:
            lines.append(person_name(info.patient_name))
            lines.append(details(info) if show.corner_identity else "")
        if show.corner_study:
            lines.append(" ".join(filter(None, (date(info.study_date), info.study_description))))
        return [line for line in lines if line]

    def how(self) -> list[str]:
        """The lines of the lower right corner: zoom, window, and what distances are of."""
        image = self.image
        if image is None:
            return []
        lines = [f"×{self.zoom:.1f}" if self.zoom != 1.0 else ""]
        if not image.is_colour:
            lines += ["inverted" if self.inverted else "", windows.describe(self.window)]
        return [line for line in lines if line]

    def where(self) -> list[str]:
        """The lines of the lower left corner: which of the series, and its size."""
        image = self.image
        if image is None:
            return []
        rows, columns = image.values.shape[:2]
        which = f"{self.number + 1}/{self.count}" if self.count > 1 else ""
        lines = [which, f"{columns} × {rows}"]
        if image.spacing_mm is None:
            lines.append("no distances known")
        elif image.spacing_of:
            lines.append(f"mm {image.spacing_of}")
        return [line for line in lines if line]

    def hover(self, row: float, column: float) -> None:
        """The mouse is over a fractional (row, column)."""
        value = self.value_at(row, column)
        place = f" at column {round(column)}, row {round(row)}" if value else ""
        self._say(value + place)

    def leave(self) -> None:
        """The mouse is elsewhere."""
        self._say("")

    def _say(self, words: str) -> None:
        if words != self.readout:
            self.readout = words
            self.readout_changed.emit()

    def value_at(self, row: float, column: float) -> str:
        """The value under the mouse in words, as its modality states it; empty outside."""
        image = self.image
        r, c = round(row), round(column)
        if image is None or not (0 <= r < len(image.values) and 0 <= c < image.values.shape[1]):
            return ""
        if image.is_colour:
            red, green, blue = (int(n) for n in image.values[r, c])
            return f"red {red} · green {green} · blue {blue}"
        return windows.with_unit(numbers.signed(float(image.values[r, c]), 0), image.unit)

    # --- the open volume on a scout ------------------------------------------------------------

    def slice_outline(self) -> Float | None:
        """(n, 2) fractional (row, column) of the active plane's slice, seen edge on.

        None where the image has no place in the patient, or lies in another frame of reference.
        """
        state = self._viewer.shown.get(self._viewer.active) if self._shares_place() else None
        return None if state is None else self._outline(state.geometry, state.slice_index)

    def range_outlines(self) -> list[Float]:
        """The same of the first and last slice of that plane."""
        state = self._viewer.shown.get(self._viewer.active) if self._shares_place() else None
        if state is None:
            return []
        return [self._outline(state.geometry, k) for k in (0, state.geometry.shape[0] - 1)]

    def _outline(self, geometry: Geometry, index: int) -> Float:
        image = self.image
        assert image is not None
        assert image.place is not None
        _, rows, columns = (n - 0.5 for n in geometry.shape)
        edges = ((-0.5, -0.5), (-0.5, columns), (rows, columns), (rows, -0.5))
        corners = [geometry.to_patient_mm((float(index), row, column)) for row, column in edges]
        return np.asarray(image.place.to_index(np.array(corners)))

    def _shares_place(self) -> bool:
        image, volume = self.image, self._viewer.volume
        if image is None or image.place is None or volume is None:
            return False
        return shares_frame(image.info.frame_of_reference_uid, volume)

    # --- reading -------------------------------------------------------------------------------

    def _read(self) -> None:
        source, summary = self._study.listed, self.summary
        if source is None or summary is None:
            return
        self.message = None
        job = self._reading.start(self._study.library.single, source, summary, self.number)
        self._tasks.start(self._take(job))
        self.changed.emit()

    async def _take(self, job: Job[Single]) -> None:
        outcome = await self._reading.result(job)
        if outcome is None or self.summary is None:  # another one is wanted by now
            return
        if isinstance(outcome, Done):
            first = self.shown is None
            self.shown = outcome.value
            if first:
                self.reset()
        elif isinstance(outcome, Failed):
            self.shown, self.message = None, self._explain(outcome.error)
        self.changed.emit()

    def _follow(self) -> None:
        """What is no longer listed is no longer shown; the same series of a later look is."""
        if self.summary is None or any(one is self.summary for one in self._study.series):
            return
        was = set(self.summary.files)
        same = (s for s in self._study.series if s.seen and set(s.files) == was)
        self.summary = next(same, None)
        if self.summary is None:
            self.shown = self.message = None
            self.changed.emit()


def shares_frame(frame_of_reference: str, volume: Volume) -> bool:
    """Whether a place in that frame of reference (PS3.3 C.7.4.1) is a place in the volume's."""
    return bool(frame_of_reference) and frame_of_reference == volume.info.frame_of_reference_uid


def scout_of(series: tuple[SeriesSummary, ...], volume: Volume | None) -> SeriesSummary | None:
    """The first scout on which the volume's slices can be drawn."""
    if volume is None:
        return None
    for one in series:
        if one.is_scout and one.seen and shares_frame(one.info.frame_of_reference_uid, volume):
            return one
    return None
