"""What belongs to no volume can be seen by itself, in the values and colours that its file has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from med2e3.errors import ImageReadError
from med2e3.io import open_source
from med2e3.io.single import Single, SingleImage, SingleTable
from tests.med2e3.io import single_images as made


def indexed(path: Path) -> object:
    (series,) = open_source(path).scan.series
    return series


def read(path: Path, number: int = 0) -> Single:
    (series,) = open_source(path).scan.series
    assert series.singles is not None
    assert series.singles.kind == series.summary.kind
    assert series.singles.count == series.summary.seen
    return series.singles.read(number)


def image(path: Path, number: int = 0) -> SingleImage:
    single = read(path, number)
    assert isinstance(single, SingleImage)
    return single


KINDS = {
    made.x_ray: ("X-ray (CR)", 1), made.capture: ("secondary capture", 1),
    made.dose_page: ("dose page", 1), made.ultrasound: ("ultrasound (US)", 2),
    made.palette: ("secondary capture", 1), made.magnetic: ("MR image", 1),
    made.dose_report: ("dose report (SR)", 1), made.ecg: ("ECG", 0), made.video: ("video", 0),
}  # fmt: skip


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_each_kind_is_named_and_no_volume(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    (summary,) = open_source(make(tmp_path)).series
    assert not summary.is_volume
    assert (summary.kind, summary.seen) == KINDS[make]
    assert summary.reason


def test_an_x_ray_keeps_its_numbers_window_and_spacing_at_the_detector(tmp_path: Path) -> None:
    shown = image(made.x_ray(tmp_path))
    assert np.array_equal(shown.values, made.ramp())
    assert shown.is_inverted
    assert shown.unit == ""
    assert (shown.windows[0].centre, shown.windows[0].width) == (1200, 2000)
    assert (shown.spacing_mm, shown.spacing_of) == ((0.2, 0.1), "at the detector")
    assert shown.place is None


def test_a_capture_without_a_window_shows_all_of_its_numbers(tmp_path: Path) -> None:
    shown = image(made.capture(tmp_path))
    assert (shown.windows[0].low, shown.windows[0].high) == (0, 2399)
    assert shown.unit == ""
    assert shown.spacing_mm is None


@pytest.mark.parametrize("make", [made.dose_page, made.palette], ids=["RGB", "a palette"])
def test_colours_are_those_of_the_file(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    assert np.array_equal(image(make(tmp_path)).values, made.thirds())


def test_packed_colours_of_every_frame_are_turned_to_rgb(tmp_path: Path) -> None:
    path = made.ultrasound(tmp_path)
    for number, right in enumerate((made.thirds(), made.thirds()[:, ::-1])):
        shown = image(path, number)
        assert shown.values.shape == right.shape
        inside = np.abs(shown.values.astype(int) - right)[:, 8::16]  # off the edges of the thirds
        assert np.median(inside) <= 4
    assert shown.spacing_mm == (0.4, 0.5)


def test_mr_has_no_unit_and_ct_scouts_have_hounsfield_units(tmp_path: Path) -> None:
    assert image(made.magnetic(tmp_path / "mr")).unit == ""
    scout = image(made.scout_of(tmp_path / "ct", "1.2.3", (-45.0, 10.0, 100.0)))
    assert scout.unit == "HU"
    assert scout.values[0, 0] == -1024


def test_a_point_of_the_patient_is_found_on_a_scout(tmp_path: Path) -> None:
    scout = image(made.scout_of(tmp_path, "1.2.3", (-45.0, 10.0, 100.0)))
    assert scout.place is not None
    points = np.array([[-45.0, 10.0, 100.0], [-20.0, 99.0, 40.0]])
    assert scout.place.to_index(points) == pytest.approx(np.array([[0.0, 0.0], [30.0, 25.0]]))


def test_a_dose_report_is_a_table_of_names_values_and_units(tmp_path: Path) -> None:
    table = read(made.dose_report(tmp_path))
    assert isinstance(table, SingleTable)
    assert table.title == "X-Ray Radiation Dose Report"
    assert [tuple(row) for row in table.rows] == [
        (0, "CT Dose Length Product Total", "412.5 mGy.cm"),
        (0, "CT Acquisition", ""),
        (1, "Acquisition Protocol", "Abdomen"),
        (1, "CT Acquisition Type", "Spiral Acquisition"),
        (1, "Mean CTDIvol", "8.4 mGy"),
    ]


def test_an_image_that_is_cut_short_says_so(tmp_path: Path) -> None:
    for make in (made.capture, made.dose_page):
        path = make(tmp_path / make.__name__)
        (series,) = open_source(path).scan.series
        path.write_bytes(path.read_bytes()[:-400])
        with pytest.raises(ImageReadError, match=r"Copy"):
            series.singles.read(0)


def test_volumes_are_not_seen_one_by_one(tmp_path: Path) -> None:
    from tests.med2e3.io.mixed import two_kernels

    for series in open_source(two_kernels(tmp_path / "two")).scan.series:
        assert series.singles is None
        assert (series.summary.kind, series.summary.seen) == ("", 0)
