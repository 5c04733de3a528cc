"""Pictures of series for the list: one that cannot be made stops none of the others."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from app.services.jobs import Jobs
from app.services.studies import Studies
from app.services.thumbnails import thumbnail, thumbnail_of_single
from app.viewmodels.core.work import Done
from app.viewmodels.study.study import Thumbnail
from med2e3.io import open_source, write_dicom_series
from med2e3.io.single import SingleImage
from med2e3.volume import SeriesInfo, Window
from tests.app.bodies import phantom


def pictures(source: Any, known: set[Path] | None = None) -> tuple[Any, list[Any]]:
    """How the job ended, and the pictures that it told."""
    loop, told = asyncio.new_event_loop(), list[Any]()
    jobs = Jobs(loop)

    async def made() -> Any:
        return await Studies(jobs).thumbnails(source, known or set(), told.append)

    outcome = loop.run_until_complete(made())
    assert jobs.close()
    loop.close()
    return outcome, [event for event in told if isinstance(event, Thumbnail)]


@pytest.fixture
def source(tmp_path: Path) -> Any:
    """Two compressed series; no image of one can be decoded."""
    for name in ("damaged", "whole"):
        for path in write_dicom_series(phantom(name), tmp_path / name, seed=name):
            dataset = pydicom.dcmread(path)
            dataset.compress(RLELossless, generate_instance_uid=False)
            if name == "damaged":
                dataset.PixelData = encapsulate([b"\xff" * 200])
            dataset.save_as(path)
    return open_source(tmp_path)


def test_a_damaged_image_has_no_picture_and_the_other_series_has_one(source: Any) -> None:
    outcome, told = pictures(source)
    assert outcome == Done(None)
    by_folder = {event.path.parent.name: event.pixels for event in told}
    assert by_folder.keys() == {"damaged", "whole"}
    assert by_folder["damaged"] is None
    assert by_folder["whole"].max() > by_folder["whole"].min()


def test_an_error_of_any_kind_costs_one_picture(source: Any) -> None:
    def fails() -> Any:
        raise MemoryError("no room")

    first, *others = source.scan.series
    scan = dataclasses.replace(
        source.scan, series=(dataclasses.replace(first, middle=fails), *others)
    )
    outcome, told = pictures(dataclasses.replace(source, scan=scan))
    assert outcome == Done(None)
    assert len(told) == 2
    assert told[0].pixels is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_numbers_that_are_none_or_too_large_to_add_leave_the_rest_of_a_picture(
    value: float, modality: str
) -> None:
    """Warnings are errors here: none comes out of the sums."""
    values = np.tile(np.linspace(-200, 300, 40, dtype=np.float32), (40, 1))
    values[:20] = value
    pixels = thumbnail(values, SeriesInfo(modality=modality))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (40, 40)
    assert len(np.unique(pixels[:20])) == 1
    if modality == "CT":  # a window of its own: what can be shown is shown
        assert pixels[20:].max() > pixels[20:].min()
    single = SingleImage(values, "X-ray", SeriesInfo(), windows=(Window(50.0, 400.0),))
    shown = thumbnail_of_single(single)
    assert shown.dtype == np.uint8
    assert shown[20:].max() > shown[20:].min()


def test_what_is_there_already_is_not_made_again(source: Any) -> None:
    _, told = pictures(source)
    outcome, again = pictures(source, {event.path for event in told})
    assert outcome == Done(None)
    assert len(told) == 2
    assert not again
