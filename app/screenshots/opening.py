"""States of opening, for pictures: loading, a huge study, many series, warnings, models that fail.

Knows no files that last and no sizes.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PySide6.QtWidgets import QWidget

from app.screenshots.stage import Stage, State
from app.viewmodels.core.notices import Remedy
from app.viewmodels.core.waiting import until
from app.viewmodels.core.work import Job, Listener, Message, Outcome, Progress, Stopped
from app.viewmodels.study.library import Library
from app.viewmodels.study.study import Preview, Target
from med2e3.geometry import Geometry
from med2e3.io import write_dicom_series
from med2e3.volume import SeriesInfo, Volume

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary, Source

#: Slices of the huge study; all of them are one in memory.
HUGE = 3000

#: Series of the long list: patients, and series of each.
MANY = (3, 6)

GAPS = (
    "Series 1.2.3: 3 gaps between slices (6.99 mm where 2.00 mm is usual); instances are "
    "probably missing. Open it anyway with resampling, or re-send the series."
)


class _Held:
    """A job that goes on until it is stopped."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    def cancel(self) -> None:
        self._ended.set()

    def __await__(self) -> Generator[Any, None, Outcome[Any]]:
        yield from self._ended.wait().__await__()
        return Stopped()


class _Half:
    """A library whose series never arrive whole: what stands on the screen stays there."""

    def __init__(self, library: Library, volume: Volume) -> None:
        self._library = library
        self._volume = volume

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def load(
        self, source: Source, series: SeriesSummary, listener: Listener, *, resample: bool = False
    ) -> Job[Volume]:
        listener(Preview(self._volume))
        listener(Progress(0.42, "Reading 27 of 64 slices"))
        return _Held()


async def _loading(stage: Stage) -> QWidget | None:
    """A series whose second half is still to come."""
    study, volume = stage.workspace.study, stage.workspace.viewer.volume
    if volume is None or study.chosen is None:
        return None
    voxels = volume.voxels.copy()
    voxels[len(voxels) // 2 + 2 :] = voxels.min()
    library = study.library
    study.library = cast(Library, _Half(library, replace(volume, voxels=voxels)))

    def back() -> None:
        study.cancel()
        study.library = library

    stage.afterwards.append(back)
    target = Target(stage.target.path, study.chosen, others=stage.target.others)
    study.start(target)
    await until(study.progressed, lambda: study.progress.fraction > 0)
    return stage.window


async def _huge(stage: Stage) -> QWidget:
    """3,000 slices, whose strip and numbers must still be readable."""
    grid = np.arange(512)
    round_ = ((grid[:, None] - 256) / 190) ** 2 + ((grid[None] - 256) / 240) ** 2 < 1
    one = np.where(round_, 40, -1000).astype(np.int16)
    voxels = np.broadcast_to(one, (HUGE, *one.shape))
    geometry = Geometry.from_spacing(voxels.shape, (0.4, 0.7, 0.7))
    info = SeriesInfo(modality="CT", series_description="Whole body, 0.4 mm")
    viewer, before = stage.workspace.viewer, stage.workspace.viewer.volume
    viewer.show(Volume(voxels, geometry, info))
    stage.afterwards.append(lambda: viewer.show(before))
    return stage.window


async def opened(stage: Stage, place: Path) -> QWidget:
    """Open a place that is made for a picture; afterwards the study of all pictures again."""
    study = stage.workspace.study
    await study.open(Target(place))
    stage.afterwards.append(lambda: study.open(stage.target))
    return stage.window


async def _many_series(stage: Stage) -> QWidget:
    """Several patients with priors, long names, and files that no volume shows."""
    grid = Geometry.from_spacing((4, 48, 48), (5.0, 7.0, 7.0))
    voxels = np.full(grid.shape, 40, np.int16)
    with tempfile.TemporaryDirectory() as folder:
        for patient in range(MANY[0]):
            for series in range(MANY[1]):
                info = SeriesInfo(
                    modality="CT",
                    patient_name=("Abendroth^Anneliese", "Müller-Lüdenscheidt^Karl", "Ng^Li")[
                        patient
                    ],
                    patient_id=f"P{patient}",
                    study_uid=f"1.2.{patient}.{series // 3}",
                    study_date=f"202{series // 3 + 4}0{patient + 1}12",
                    study_description="CT Thorax/Abdomen mit KM, Verlaufskontrolle",
                    series_uid=f"1.2.{patient}.{series // 3}.{series}",
                    series_number=str(series),
                    series_description=("Thorax 1.0 Br36", "Lunge 1.0 Bl57", "Abdomen venös 3.0")[
                        series % 3
                    ],
                )
                where = Path(folder) / str(patient) / str(series)
                write_dicom_series(Volume(voxels, grid, info), where, seed=f"{patient}.{series}")
        (Path(folder) / "notes.txt").write_text("not an image")
        (Path(folder) / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\1" * 40)
        return await opened(stage, Path(folder))


async def _skipped_files(stage: Stage) -> QWidget:
    await _many_series(stage)
    dialog = stage.window.series.show_skipped()
    stage.afterwards.append(dialog.hide)
    return dialog


async def _error(remedy: bool, stage: Stage) -> QWidget:
    details = "GapError: 3 gaps\nslice_0012.dcm, slice_0040.dcm, slice_0041.dcm"
    way_out = Remedy("Open with resampling", lambda: None) if remedy else None
    stage.workspace.notices.show(Message(GAPS, details), way_out)
    stage.window.errors.more.setChecked(not remedy)
    return stage.window


async def _warned(stage: Stage) -> QWidget | None:
    viewer, volume = stage.workspace.viewer, stage.workspace.viewer.volume
    if volume is None:
        return None
    viewer.show(
        volume.with_warnings(
            "The slices are tilted by −18.5° against the table; they were straightened by "
            "resampling, and values between the scanned slices are interpolated.",
            "The images were compressed with loss (JPEG, ratio 12): fine detail and HU may differ.",
        )
    )
    stage.window.warnings.more.setChecked(True)
    stage.afterwards.append(lambda: viewer.show(volume))
    return stage.window


async def _model(name: str, stage: Stage) -> QWidget:
    """Another model, or none; afterwards the one of all pictures again."""
    assistant = stage.workspace.assistant
    before = assistant.model.name if assistant.model is not None else ""
    await assistant.load_model(name)
    if before:
        stage.afterwards.append(lambda: assistant.load_model(before))
    return stage.window


async def _no_such_model(stage: Stage) -> QWidget:
    return await _model("/models/Med-2E3", stage)


#: Every picture of opening by its name.
OPENING: dict[str, State] = {
    "loading": State(_loading),
    "huge": State(_huge),
    "many-series": State(_many_series),
    "left-out": State(_skipped_files),
    "error": State(lambda stage: _error(False, stage)),
    "error-remedy": State(lambda stage: _error(True, stage)),
    "warnings": State(_warned),
    "model-failed": State(_no_such_model),
}
