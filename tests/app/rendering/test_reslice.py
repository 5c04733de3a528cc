"""Exact pictures by VTK are those of scipy, at the borders too; read without lock, copy or wait."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from app.imaging import linear
from app.imaging.raster import IndexRaster, Raster, StoredVoxels
from app.imaging.slab import Mode, Slab
from app.rendering import reslice as choosing
from app.rendering.image_reslice import STRIP_SAMPLES, _filter, _shared
from app.rendering.image_reslice import reslice as by_vtk
from app.viewmodels.images.viewer import Viewer
from med2e3.errors import Cancelled
from med2e3.geometry import Geometry, Plane
from med2e3.preloading import preload_modules
from med2e3.volume import Volume
from tests.app.imaging.test_sampler import AFFINES, CT, noise, raster_of

#: VTK rounds a place to 1/131072 of a voxel; along three axes, over steps of at most 2400 HU.
FLOAT_HU = 3 * 2400 / 131072

#: Whole HU: apart only where two ways of rounding meet.
WHOLE_HU = 1


def going_on() -> bool:
    return False


def compared(volume: Volume, raster: Raster, mode: Mode) -> np.ndarray:
    """What VTK reads, after it was held against scipy."""
    voxels = StoredVoxels(volume)
    placed = voxels.to_index(raster)
    theirs = by_vtk(voxels, placed, mode, going_on)
    ours = linear.reslice(voxels, placed, mode, going_on)
    assert theirs.dtype == ours.dtype == volume.voxels.dtype
    assert theirs.shape == raster.shape
    assert np.array_equal(theirs == voxels.outside, ours == voxels.outside)
    apart = np.abs(theirs.astype(float) - ours)
    if theirs.dtype == np.float32:
        assert apart.max() <= FLOAT_HU
    else:
        assert apart.max() <= WHOLE_HU
        assert (apart > 0).mean() < 0.01
    return theirs


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("layers", [1, 2, 9])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", AFFINES)
def test_vtk_reads_what_scipy_reads(name: str, mode: Mode, layers: int, dtype: Any) -> None:
    volume = noise(AFFINES[name], dtype)
    for degrees in (33.0, 90.0, 147.0):
        image = compared(volume, raster_of(volume, degrees, layers), mode)
        assert 0.1 < (image == -1024).mean() < 0.9


@pytest.mark.parametrize("plane", list(Plane))
def test_a_view_into_turned_memory_is_read_as_any_other(plane: Plane) -> None:
    volume = noise(AFFINES["sheared by a gantry"]).in_plane(plane)
    compared(volume, raster_of(volume), Mode.MAXIMUM)
    compared(volume, raster_of(volume, layers=5), Mode.MEAN)


def test_a_volume_that_skips_memory_is_read_too() -> None:
    whole = noise(AFFINES["oblique"])
    matrix = whole.geometry.affine_lps.copy()
    matrix[:3, 2] *= 2
    voxels = whole.voxels[:, :, ::2]
    volume = Volume(voxels, Geometry(voxels.shape, matrix), CT)
    compared(volume, raster_of(volume), Mode.MAXIMUM)


@pytest.mark.parametrize("shape", [(1, 9, 11), (9, 1, 11), (9, 11, 1), (1, 1, 7), (1, 1, 1)])
@pytest.mark.parametrize("layers", [1, 4])
def test_volumes_of_a_single_slice_row_or_column_are_read_to_their_edges(
    shape: tuple[int, int, int], layers: int
) -> None:
    voxels = np.random.default_rng(2).integers(-900, 900, shape).astype(np.float32)
    volume = Volume(voxels, Geometry.from_spacing(shape, (4.0, 3.0, 3.0)), CT)
    for degrees in (0.0, 20.0, 70.0):
        raster = raster_of(volume, degrees, layers)
        for mode in Mode:
            image = compared(volume, raster, mode)
            assert (image != -1024).any()


@pytest.mark.parametrize("beyond", [-0.5 - 2e-4, -0.5 + 2e-4, -0.5, 0.0, -1e-4])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_outermost_values_hold_for_half_a_voxel(axis: int, beyond: float) -> None:
    """Rasters along the voxels, near both borders of each axis, a slab of them as well."""
    volume = noise(AFFINES["straight"])
    voxels, steps = StoredVoxels(volume), np.eye(3)
    across, down = (steps[k] for k in range(3) if k != axis)
    for end in (beyond, volume.shape[axis] - 1 - beyond):
        origin = np.full(3, -2.5)
        origin[axis] = end
        for layers in (1, 3):
            raster = IndexRaster(origin, down, across, (36, 36), layers, steps[axis] * 0.25)
            for mode in Mode:
                theirs = by_vtk(voxels, raster, mode, going_on)
                ours = linear.reslice(voxels, raster, mode, going_on)
                assert np.array_equal(theirs == -1024, ours == -1024)
                assert np.abs(theirs.astype(int) - ours).max() <= WHOLE_HU
            assert (theirs != -1024).any() == (layers == 3 or beyond > -0.5001)


def test_the_voxels_are_shared_and_seen_when_they_change() -> None:
    volume = noise(AFFINES["straight"])
    voxels = StoredVoxels(volume)
    placed = voxels.to_index(raster_of(volume))
    before = by_vtk(voxels, placed, Mode.MAXIMUM, going_on)
    volume.voxels[:] += 1
    after = by_vtk(voxels, placed, Mode.MAXIMUM, going_on)
    assert np.array_equal(after[before != -1024], before[before != -1024] + 1)
    scalars = _shared(voxels).GetPointData().GetScalars()
    assert np.shares_memory(np.frombuffer(scalars, np.int16), volume.voxels)


def large(layers: int) -> tuple[StoredVoxels, IndexRaster]:
    """Voxels, and a raster of several strips through them."""
    shape = (40, 300, 300)
    volume = Volume(np.zeros(shape, np.int16), Geometry.from_spacing(shape, (2.0, 1.0, 1.0)), CT)
    raster = IndexRaster(
        np.array([20.0, 0, 0]), np.array([0, 0.4, 0]), np.array([0.01, 0, 0.4]), (700, 700),
        layers, np.array([0.5, 0, 0]),
    )  # fmt: skip
    return StoredVoxels(volume), raster


def test_reading_stops_before_the_next_strip() -> None:
    voxels, raster = large(layers=4)
    strips = len(list(raster.strips(STRIP_SAMPLES)))
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    assert strips > 10
    with pytest.raises(Cancelled):
        by_vtk(voxels, raster, Mode.MAXIMUM, stopped)
    assert asked == 3


def test_other_threads_go_on_while_vtk_reads() -> None:
    voxels, raster = large(layers=60)
    work = _filter(raster, Mode.MAXIMUM, voxels.outside)
    work.SetInputData(_shared(voxels))
    work.SetOutputExtent(0, raster.shape[1] - 1, 0, raster.shape[0] - 1, 0, 0)
    started, ended = threading.Event(), threading.Event()

    def read() -> None:
        started.set()
        work.Update()
        ended.set()

    thread, interval = threading.Thread(target=read), sys.getswitchinterval()
    sys.setswitchinterval(30.0)  # no thread takes the lock from another
    try:
        thread.start()
        started.wait()
        assert not ended.is_set()
    finally:
        sys.setswitchinterval(interval)
        thread.join()


def test_pictures_read_on_several_threads_at_once_are_those_of_one() -> None:
    volume = noise(AFFINES["oblique"])
    voxels = StoredVoxels(volume)
    rasters = [voxels.to_index(raster_of(volume, degrees, 3)) for degrees in range(5, 45, 10)]
    alone = [by_vtk(voxels, raster, Mode.MEAN, going_on) for raster in rasters]
    before, wrong = threading.active_count(), []

    def read(k: int) -> None:
        for _ in range(20):
            if not np.array_equal(by_vtk(voxels, rasters[k], Mode.MEAN, going_on), alone[k]):
                wrong.append(k)

    threads = [threading.Thread(target=read, args=(k,)) for k in range(len(rasters))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert threading.active_count() == before


# --- which of the two reads -----------------------------------------------------------------------


def test_few_samples_load_no_vtk_and_many_do() -> None:
    story = (
        "import sys, numpy as np\n"
        "from app.imaging.raster import StoredVoxels\n"
        "from app.imaging.slab import Mode\n"
        "from app.rendering.reslice import reslice\n"
        "from tests.app.imaging.test_sampler import AFFINES, noise, raster_of\n"
        "from dataclasses import replace\n"
        "volume = noise(AFFINES['oblique'])\n"
        "voxels = StoredVoxels(volume)\n"
        "for size in ((80, 90), (400, 400)):\n"
        "    raster = replace(voxels.to_index(raster_of(volume)), shape=size)\n"
        "    reslice(voxels, raster, Mode.MAXIMUM, lambda: False)\n"
        "    print('vtkmodules.vtkImagingCore' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]


@pytest.mark.skipif(os.name != "posix", reason="needs dlopen")
def test_the_libraries_are_loaded_before_they_are_imported() -> None:
    assert preload_modules("vtkmodules", choosing.LIBRARIES) == len(choosing.LIBRARIES)


@pytest.fixture
def without_vtk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An installation whose VTK cannot be imported."""
    monkeypatch.setitem(sys.modules, "app.rendering.image_reslice", None)
    choosing._vtk.cache_clear()
    yield
    choosing._vtk.cache_clear()


@pytest.mark.usefixtures("without_vtk")
def test_without_vtk_scipy_reads_large_pictures_too() -> None:
    voxels, raster = large(layers=1)
    image = choosing.reslice(voxels, raster, Mode.MAXIMUM, going_on)
    assert image.shape == (700, 700)
    assert (image == 0).any()


def test_the_value_under_the_mouse_is_that_of_the_pixel_on_the_screen() -> None:
    volume = noise(AFFINES["oblique"])
    viewer = Viewer(reslice=by_vtk)
    viewer.show(volume)
    viewer.turn(Plane.AXIAL, 0.4)
    viewer.set_slab(Slab(8.0, Mode.MEAN))
    viewer.settle()
    state = viewer.shown[Plane.CORONAL]
    image = state.pixels()
    outside = 0
    for row, column in np.ndindex(*image.shape):
        value = state.value_at(row, column)
        outside += value is None
        assert (-1024 if value is None else value) == image[row, column]
    assert 0 < outside < image.size
