"""A volume: voxels with geometry, and what its file says about it. Knows nothing of models.

A `Volume` never changes once made; operations return another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import GeometryError, ImageReadError, InputError
from med2e3.geometry import Geometry, Plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: HU outside the body that a CT reconstructs as air; what resampling puts where there is no data.
AIR_HU = -1024


@dataclass(frozen=True)
class Window:
    """A grey-level window in the volume's units (HU for CT): DICOM PS3.3 C.11.2.1.2."""

    centre: float
    width: float

    @property
    def low(self) -> float:
        """The value shown as black."""
        return self.centre - self.width / 2

    @property
    def high(self) -> float:
        """The value shown as white."""
        return self.centre + self.width / 2


#: No window of any modality is wider, nor its centre further from 0.
WIDEST_WINDOW = 1e9

#: CT presets by the names that the interface and the command line use.
WINDOWS: dict[str, Window] = {
    "soft tissue": Window(40, 400),
    "lung": Window(-600, 1500),
    "bone": Window(480, 2500),
    "brain": Window(40, 80),
    "mediastinum": Window(50, 350),
    "liver": Window(60, 160),
    "CTA": Window(170, 600),
    "angio": Window(300, 800),
    "stroke": Window(40, 40),
    "subdural": Window(75, 215),
    "spine": Window(50, 300),
    "temporal bone": Window(600, 3000),
}


@dataclass(frozen=True)
class SeriesInfo:
    """What the source says about a series; empty strings where it says nothing.

    `unit` is its own word for what the values are in: the Rescale Type of DICOM, e.g. "HU", "mgml".
    `exposure_mas` is the exposure of the images in mAs; "80–210" where it changes from one to
    another.
    """

    patient_name: str = ""
    patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_uid: str = ""
    study_date: str = ""
    study_description: str = ""
    accession_number: str = ""
    series_uid: str = ""
    series_number: str = ""
    series_description: str = ""
    modality: str = ""
    body_part: str = ""
    kernel: str = ""
    manufacturer: str = ""
    frame_of_reference_uid: str = ""
    unit: str = ""
    windows: tuple[Window, ...] = ()
    study_time: str = ""
    peak_kilovolts: str = ""
    exposure_mas: str = ""

    @property
    def is_ct(self) -> bool:
        """Whether the source says that the series is CT."""
        return self.modality == "CT"

    @property
    def may_be_ct(self) -> bool:
        """Whether the source says CT or names no modality, as NIfTI and most other formats."""
        return self.is_ct or not self.modality


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels (slice, row, column), in HU for most CT (`info.unit`), with their place in a patient.

    `voxels` is int16 where every value is a whole number that fits, else float32. `slice_uids` has
    one SOP Instance UID a slice along axis 0, or is empty. `warnings` are sentences for the user.
    """

    voxels: NDArray[np.int16] | NDArray[np.float32]
    geometry: Geometry
    info: SeriesInfo = field(default_factory=SeriesInfo)
    slice_uids: tuple[str, ...] = ()
    source: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.voxels.dtype not in (np.dtype(np.int16), np.dtype(np.float32)):
            raise ImageReadError(
                f"Voxels of type {self.voxels.dtype}: a volume holds int16 or float32. "
                "Convert the array first (`med2e3.volume.compact`)."
            )
        if tuple(self.voxels.shape) != self.geometry.shape:
            raise GeometryError(
                f"The voxels have shape {tuple(self.voxels.shape)}, the geometry "
                f"{self.geometry.shape}; both must be (slice, row, column) of one grid."
            )
        if self.slice_uids and len(self.slice_uids) != self.voxels.shape[0]:
            raise GeometryError(
                f"{len(self.slice_uids)} SOP Instance UIDs for {self.voxels.shape[0]} slices; "
                "there must be one a slice, or none."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        return self.geometry.shape

    @cached_property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value; computed once, it reads every voxel."""
        return float(self.voxels.min()), float(self.voxels.max())

    @property
    def name(self) -> str:
        """What to call the series in a title: its description, else its number, else its source."""
        if self.info.series_description:
            return self.info.series_description
        if self.info.series_number:
            return f"Series {self.info.series_number}"
        return self.source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or "volume"

    def in_plane(self, plane: Plane) -> Volume:
        """The same voxels (a view, no copy) turned to be looked at in `plane`.

        SOP Instance UIDs stay only where a slice is still a stored instance.
        """
        turn = self.geometry.orientation(plane)
        uids = self.slice_uids if turn.axes[0] == 0 else ()
        return replace(
            self,
            voxels=turn.apply(self.voxels),
            geometry=self.geometry.oriented(plane),
            slice_uids=uids[::-1] if turn.flips[0] else uids,
        )

    def with_warnings(self, *sentences: str) -> Volume:
        """The same volume with more warnings."""
        return self.described(self.source, (*self.warnings, *sentences))

    def described(self, source: str, warnings: tuple[str, ...]) -> Volume:
        """The same voxels with another source and other warnings."""
        other = replace(self, source=source, warnings=warnings)
        if "value_range" in self.__dict__:  # of the same voxels: not to be read again
            other.__dict__["value_range"] = self.value_range
        return other

    def with_range(self, low: float, high: float) -> Volume:
        """The same volume, told its smallest and largest value by who has just put them in."""
        other = replace(self)
        other.__dict__["value_range"] = (low, high)
        return other

    def plot(
        self, *, window: Window | str | None = None, at: tuple[int, int, int] | None = None
    ) -> Figure:
        """The slices of the three planes through a voxel, as a matplotlib figure in mm.

        `at` is an index (slice, row, column), by default the middle. `window` is one of `WINDOWS`
        by name or a `Window`; by default CT is shown in soft tissue, other volumes from their
        smallest to their largest value. Raises `InputError` for another window or voxel.
        """
        from med2e3.display import planes_figure

        index = tuple(n // 2 for n in self.shape) if at is None else at
        if len(index) != 3 or any(not 0 <= k < n for k, n in zip(index, self.shape, strict=True)):
            raise InputError(
                f"There is no voxel {tuple(index)}: the volume has {self.shape} slices, rows and "
                "columns, counted from 0."
            )
        slices = {}
        for plane in Plane:
            turned, turn = self.in_plane(plane), self.geometry.orientation(plane)
            k = index[turn.axes[0]]
            slices[plane] = (turned, turned.shape[0] - 1 - k if turn.flips[0] else k)
        shown = self._shown_window(window)
        return planes_figure(slices, (shown.low, shown.high))

    def _shown_window(self, window: Window | str | None) -> Window:
        if isinstance(window, str):
            if window not in WINDOWS:
                raise InputError(
                    f"There is no window “{window}”. Use one of: {', '.join(WINDOWS)}."
                )
            return WINDOWS[window]
        if window is not None:
            return window
        low, high = self.value_range
        if self.info.is_ct or (self.info.may_be_ct and low <= AIR_HU + 200 and high > 0):
            return WINDOWS["soft tissue"]
        return Window((low + high) / 2, max(high - low, 1e-6))

    def _repr_png_(self) -> bytes:
        from med2e3.display import png_of

        return png_of(self.plot())

    def _repr_html_(self) -> str:
        """For notebooks: what it is, its three planes, and its warnings; no name of a patient."""
        from med2e3.display import html_of

        slices, rows, columns = self.shape
        ds, dr, dc = self.geometry.spacing_mm
        low, high = self.value_range
        unit = self.info.unit or ("HU" if self.info.is_ct else "")
        lines = (
            f"{self.info.modality or 'modality not given'}, {self.geometry.plane}, "
            f"{slices} slices of {rows} × {columns}, {ds:.3g} × {dr:.3g} × {dc:.3g} mm",
            f"values {low:g} to {high:g} {unit}".rstrip(),
        )
        return html_of(self.name, lines, self.plot(), notes=self.warnings)


def compact(values: NDArray[Any]) -> NDArray[np.int16] | NDArray[np.float32]:
    """Values as int16 where nothing is lost by it, else as float32.

    Raises `ImageReadError` when a value is not finite.
    """
    if values.dtype == np.int16:
        return values
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise ImageReadError(
            f"{bad} of {values.size} voxels are not finite numbers (NaN or infinity). "
            "Replace them (for CT by air, −1024 HU) and open the file again."
        )
    limits = np.iinfo(np.int16)
    low, high = values.min(), values.max()
    if limits.min <= low and high <= limits.max:
        whole = values.astype(np.int16)
        if np.array_equal(whole, values):
            return whole
    return values.astype(np.float32)
