"""Slices are even by a line through all of them: rounding is no gap, and a gap is no rounding."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from med2e3.errors import GapError
from med2e3.geometry import Geometry
from med2e3.io import list_series, load_volume
from med2e3.io.dicom.positions import SlicePositions, evened, is_even
from med2e3.volume import SeriesInfo, Volume
from tests.med2e3.io.mixed import add, body

Write = Callable[..., Path]

#: How positions are rounded, in mm.
ROUNDING = (0.1, 0.01, 0.001)

#: Random scans of each kind.
SCANS = 120


def turned(random: np.random.Generator, kind: str) -> np.ndarray:
    """Right-handed axes (columns): the patient's own, or anywhere."""
    if kind == "axial":
        return np.eye(3)
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0]
    return axes * np.array([np.linalg.det(axes), 1, 1])


class Scan:
    """A random even scan: `count` slices every `spacing` mm, anywhere in the patient."""

    def __init__(self, random: np.random.Generator, kind: str) -> None:
        self.axes = turned(random, kind)
        self.normal = np.cross(self.axes[:, 0], self.axes[:, 1])
        self.count = int(random.integers(6, 150))
        self.spacing = float(random.uniform(0.3, 5.0))
        start = random.uniform(-300, 300, 3)
        self.places = start + np.arange(self.count)[:, None] * self.spacing * self.normal

    def positions(self, places: np.ndarray, rounding: float) -> SlicePositions:
        rounded = np.round(places / rounding) * rounding
        along = rounded @ self.normal
        order = np.argsort(along)
        columns, rows = self.axes[:, 0], self.axes[:, 1]
        return SlicePositions(rounded[order], rows, columns, (1, 1), self.normal, along[order])


@pytest.mark.parametrize("rounding", ROUNDING)
@pytest.mark.parametrize("kind", ["axial", "oblique"])
class TestRandomScans:
    def scans(self, kind: str, rounding: float) -> list[tuple[Scan, np.random.Generator]]:
        random = np.random.default_rng(zlib.crc32(f"{kind} {rounding}".encode()))
        return [(Scan(random, kind), random) for _ in range(SCANS)]

    def test_an_even_scan_is_even_with_its_own_spacing(self, kind: str, rounding: float) -> None:
        for scan, _ in self.scans(kind, rounding):
            positions = scan.positions(scan.places, rounding)
            assert is_even(positions), (scan.spacing, scan.count)
            step = np.diff(evened(positions).origins, axis=0)
            np.testing.assert_allclose(
                np.linalg.norm(step, axis=1), scan.spacing, atol=2 * rounding / (scan.count - 1)
            )

    def test_a_missing_slice_is_found(self, kind: str, rounding: float) -> None:
        for scan, random in self.scans(kind, rounding):
            lost = int(random.integers(1, scan.count - 1))
            places = np.delete(scan.places, lost, axis=0)
            assert not is_even(scan.positions(places, rounding)), (scan.spacing, scan.count)

    def test_several_missing_slices_are_found(self, kind: str, rounding: float) -> None:
        for scan, random in self.scans(kind, rounding):
            lost = random.choice(np.arange(1, scan.count - 1), scan.count // 5 + 1, replace=False)
            if len(set(np.diff(np.setdiff1d(np.arange(scan.count), lost)))) == 1:
                continue  # every second slice: even again, with twice the step
            places = np.delete(scan.places, lost, axis=0)
            assert not is_even(scan.positions(places, rounding)), (scan.spacing, scan.count)

    def test_slices_that_lie_unevenly_are_found(self, kind: str, rounding: float) -> None:
        for scan, random in self.scans(kind, rounding):
            by = max(0.3, 0.3 * scan.spacing)
            away = random.permutation(np.resize([-by, by, 0.0], scan.count))
            places = scan.places + away[:, None] * scan.normal
            assert not is_even(scan.positions(places, rounding)), (scan.spacing, scan.count)

    def test_one_slice_beside_the_others_is_found(self, kind: str, rounding: float) -> None:
        for scan, random in self.scans(kind, rounding):
            places = scan.places.copy()
            by = max(0.6, 0.12 * scan.spacing)
            places[random.integers(1, scan.count - 1)] += by * scan.axes[:, 0]
            assert not is_even(scan.positions(places, rounding)), (scan.spacing, scan.count)


def rounded(spacing: float, axes: np.ndarray) -> Callable[[pydicom.Dataset, int], None]:
    def edit(dataset: pydicom.Dataset, k: int) -> None:
        place = np.array([-31.04, 47.56, 205.27]) + k * spacing * axes[:, 2]
        dataset.ImagePositionPatient = [f"{x:.1f}" for x in place]
        dataset.ImageOrientationPatient = [f"{x:.6f}" for x in (*axes[:, 0], *axes[:, 1])]

    return edit


@pytest.mark.parametrize("kind", ["axial", "oblique"])
@pytest.mark.parametrize("spacing", [0.3125, 0.625, 0.75, 1.25])
def test_a_series_rounded_to_a_tenth_opens_as_it_is(
    series: Write, kind: str, spacing: float
) -> None:
    axes = turned(np.random.default_rng(4), kind)
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    voxels = np.random.default_rng(3).integers(-900, 900, (12, 5, 4)).astype(np.int16)
    of = Volume(voxels, Geometry.from_spacing((12, 5, 4), (1, 1, 1)), SeriesInfo(modality="CT"))
    folder = series(rounded(spacing, axes), of=of)
    assert list_series(folder)[0].facts.trouble == ""
    loaded = load_volume(folder)
    assert loaded.warnings == ()
    assert loaded.shape == (12, 5, 4)
    assert not loaded.geometry.is_tilted
    assert loaded.geometry.spacing_mm[0] == pytest.approx(spacing, abs=0.2 / 11)
    assert {loaded.voxels.tobytes(), loaded.voxels[::-1].tobytes()} & {
        of.voxels.tobytes(), of.voxels[::-1].tobytes()
    }  # fmt: skip


def test_a_slice_missing_among_thin_rounded_ones_is_named(series: Write) -> None:
    voxels = np.zeros((30, 5, 4), np.int16)
    of = Volume(voxels, Geometry.from_spacing((30, 5, 4), (1, 1, 1)), SeriesInfo(modality="CT"))
    edit = rounded(0.3, np.eye(3))
    folder = series(lambda d, k: False if k == 12 else edit(d, k), of=of)
    with pytest.raises(GapError, match=r"between slice_0012\.dcm and slice_0014\.dcm"):
        load_volume(folder)


def test_resampling_of_slices_that_jitter_keeps_their_number(series: Write) -> None:
    """The smallest step is no grid: twelve slices stay twelve."""
    away = np.resize([0.0, 0.2, -0.2], 12)
    of = Volume(
        np.zeros((12, 5, 4), np.int16), Geometry.from_spacing((12, 5, 4), (1, 1, 1)), SeriesInfo()
    )

    def jitter(dataset: pydicom.Dataset, k: int) -> None:
        dataset.ImagePositionPatient = [0, 0, 1.0 * k + away[k]]

    folder = series(jitter, of=of)
    with pytest.raises(GapError, match="unevenly spaced"):
        load_volume(folder)
    assert load_volume(folder, resample_gaps=True).shape == (12, 5, 4)


def test_a_tilt_that_rounding_explains_is_none(tmp_path: Path) -> None:
    """Twelve thin slices: 0.1 mm sideways over all of them would be a tilt of 0.8°."""

    def edit(dataset: pydicom.Dataset, k: int) -> None:
        dataset.ImagePositionPatient = [0.1 * (k > 5), 0, 0.6 * k]

    add(tmp_path, "s", body(), edit)
    loaded = load_volume(tmp_path)
    assert loaded.warnings == ()
    assert loaded.shape == (12, 32, 28)


class TestTiltThatIsNone:
    def beside(self, folder: Path, degrees: float, modality: str = "CT") -> Path:
        """Axial images of which each lies further along the patient's y."""

        def edit(dataset: pydicom.Dataset, k: int) -> None:
            y, z = 3 * k * np.sin(np.radians(degrees)), 3 * k * np.cos(np.radians(degrees))
            dataset.ImagePositionPatient = [0, y, z]
            dataset.Modality = modality

        add(folder, "s", body(), edit)
        return folder

    @pytest.mark.parametrize("degrees", [50, 87.7])
    def test_images_beside_each_other_are_no_stack(self, tmp_path: Path, degrees: float) -> None:
        (found,) = list_series(self.beside(tmp_path, degrees))
        assert not found.is_volume
        assert f"{degrees:.1f}° off their normal" in found.reason
        assert "They are no stack" in found.reason

    @pytest.mark.parametrize(("degrees", "words"), [(22, "Gantry tilt of 22.0°"), (40, "at 40.0°")])
    def test_no_gantry_is_tilted_so_far(self, tmp_path: Path, degrees: float, words: str) -> None:
        (said,) = load_volume(self.beside(tmp_path, degrees)).warnings
        assert words in said
        assert ("Gantry" in said) == (degrees < 30)
        assert "shows as air" in said

    def test_neither_tilt_nor_air_is_said_of_mr(self, tmp_path: Path) -> None:
        said = " ".join(load_volume(self.beside(tmp_path, 22, "MR")).warnings)
        assert "do not lie straight above each other" in said
        assert "ilt" not in said
        assert "air" not in said
