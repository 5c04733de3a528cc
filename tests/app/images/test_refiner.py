"""Pictures are cheap while something moves; at rest the exact ones arrive, and stale ones never."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.imaging.oblique import MOVING_PLANE_SAMPLES, MOVING_SLAB_SAMPLES
from app.imaging.patch import Work
from app.imaging.sampler import Sampler
from app.imaging.slab import Mode, Slab
from app.rendering.reslice import reslice
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Message, Outcome, Stopped
from app.viewmodels.images.refiner import Refiner
from app.viewmodels.images.viewer import Viewer
from med2e3.errors import Cancelled, ResourceError
from med2e3.geometry import Geometry, Plane
from med2e3.io import write_nifti
from med2e3.volume import SeriesInfo, Volume
from tests.app.bodies import phantom

SHAPE = (60, 380, 360)
SIZE = (500.0, 400.0)


def noise(shape: tuple[int, int, int] = SHAPE) -> Volume:
    voxels = np.random.default_rng(7).integers(-900, 900, shape, dtype=np.int16)
    return Volume(voxels, Geometry.from_spacing(shape, (3.0, 0.8, 0.8)), SeriesInfo(modality="CT"))


def turned_viewer(slab: Slab | None = None) -> Viewer:
    viewer = Viewer()
    viewer.show(noise())
    if slab is not None:
        viewer.set_slab(slab)
    viewer.turn(Plane.SAGITTAL, 0.3)
    return viewer


def computed(state: Any) -> np.ndarray:
    """The exact pixels, computed here and now."""
    return np.asarray(state.work()(lambda: False))


# --- what is read while something moves ----------------------------------------------------------


@pytest.mark.parametrize("zoom", [0.4, 1.0, 3.0, 12.0])
@pytest.mark.parametrize("slab", [Slab(), Slab(20.0), Slab(80.0)])
def test_moving_pictures_cover_the_view_with_a_bounded_number_of_samples(
    slab: Slab, zoom: float
) -> None:
    state = turned_viewer(slab).shown[Plane.AXIAL]
    state.zoom = zoom
    viewport = state.viewport(*SIZE)
    patch = state.drawn(viewport)
    assert state.is_coarse
    assert patch.values.size <= (MOVING_SLAB_SAMPLES if slab.thickness_mm else MOVING_PLANE_SAMPLES)
    x, y, width, height = patch.rect(viewport)
    left, top, whole_width, whole_height = viewport.image_rect()
    assert x <= max(left, 0) + 1e-6
    assert y <= max(top, 0) + 1e-6
    assert x + width >= min(left + whole_width, SIZE[0]) - 1e-6
    assert y + height >= min(top + whole_height, SIZE[1]) - 1e-6


def test_enlarged_a_moving_picture_is_as_fine_as_the_exact_one() -> None:
    state = turned_viewer().shown[Plane.AXIAL]
    whole = state.drawn(state.viewport(*SIZE))
    state.zoom = 4.0
    patch = state.drawn(state.viewport(*SIZE))
    step = (patch.bottom_right[0] - patch.top_left[0]) / patch.values.shape[0]
    assert step == 1.0
    assert (whole.bottom_right[0] - whole.top_left[0]) / whole.values.shape[0] >= 1.0
    # Whole pixels of the grid: its samples lie where the exact ones do.
    assert patch.top_left[0] % 1 == 0.5


def test_what_was_moved_out_of_sight_costs_one_sample() -> None:
    state = turned_viewer(Slab(20.0)).shown[Plane.AXIAL]
    state.centre = (-5000.0, 0.0)
    assert state.drawn(state.viewport(*SIZE)).values.size == 1


@pytest.mark.parametrize("mode", list(Mode))
def test_a_moving_straight_slab_that_takes_long_leaves_pixels_out(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.imaging.plane.MOVING_VOXELS_SIDE_BY_SIDE", 20_000)
    viewer = Viewer()
    viewer.show(noise())
    viewer.set_slab(Slab(10.0, mode))
    state = viewer.shown[Plane.SAGITTAL]
    assert not viewer.shown[Plane.AXIAL].is_coarse
    assert state.is_coarse
    patch, exact = state.drawn(state.viewport(*SIZE)), state.pixels()
    rows, columns = patch.values.shape
    step = round((patch.bottom_right[0] - patch.top_left[0]) / rows)
    first = round(patch.top_left[0] + step / 2)
    assert step > 1
    assert np.array_equal(patch.values, exact[first::step, first::step][:rows, :columns])
    assert not state.is_coarse  # the exact one is there now, and is what is drawn


# --- when the exact one is made ------------------------------------------------------------------


class HeldJob:
    """A job that ends when a test says so."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.cancelled = False
        self._outcome: asyncio.Future[Outcome[Any]] = asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        self.cancelled = True
        self.end(Stopped())

    def end(self, outcome: Outcome[Any]) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def finish(self) -> None:
        self.end(Done(self.work(lambda: False)))

    def __await__(self) -> Generator[object, None, Outcome[Any]]:
        return self._outcome.__await__()


class Held:
    """Takes work and does none of it."""

    def __init__(self) -> None:
        self.jobs: list[HeldJob] = []

    def compute(self, work: Work) -> HeldJob:
        self.jobs.append(HeldJob(work))
        return self.jobs[-1]


class Bench:
    """A turned viewer, and its exact pictures on hold; made inside a running loop."""

    def __init__(self) -> None:
        self.viewer = turned_viewer(Slab(20.0))
        self.source, self.notices = Held(), Notices()
        self.tasks = Tasks(lambda error: pytest.fail(str(error)))
        self.exact = Refiner(
            self.viewer, self.source, self.tasks, self.notices, lambda e: Message(str(e))
        )

    @property
    def jobs(self) -> list[HeldJob]:
        return self.source.jobs

    async def turn_of_the_loop(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


def run(story: Any) -> None:
    async def told() -> None:
        bench = Bench()
        await story(bench)
        await bench.tasks.close()

    asyncio.run(told())


def test_at_rest_planes_become_exact_one_after_the_other() -> None:
    async def story(bench: Bench) -> None:
        bench.viewer.activate(Plane.CORONAL)
        bench.exact.start()
        (first,) = bench.jobs
        first.finish()
        await bench.turn_of_the_loop()
        coronal, axial = (bench.viewer.shown[p] for p in (Plane.CORONAL, Plane.AXIAL))
        assert not coronal.is_coarse
        assert np.array_equal(coronal.drawn(coronal.viewport(*SIZE)).values, computed(coronal))
        assert axial.is_coarse
        assert len(bench.jobs) == 2
        bench.jobs[1].finish()
        await bench.turn_of_the_loop()
        assert not bench.viewer.is_coarse
        assert not bench.exact.busy

    run(story)


@pytest.mark.parametrize(
    "act",
    [
        lambda viewer: viewer.scroll(Plane.AXIAL, 1),
        lambda viewer: viewer.turn(Plane.SAGITTAL, 0.01),
        lambda viewer: viewer.set_slab(Slab(20.0, Mode.MINIMUM)),
        lambda viewer: viewer.straighten(),
        lambda viewer: viewer.show(noise()),
        lambda viewer: viewer.take_filled(),
    ],
    ids=["scroll", "turn", "slab", "straighten", "volume", "filled"],
)
def test_a_newer_movement_stops_the_work_that_nobody_waits_for(act: Any) -> None:
    async def story(bench: Bench) -> None:
        bench.exact.start()
        (job,) = bench.jobs
        state = bench.viewer.shown[Plane.AXIAL]
        act(bench.viewer)
        assert job.cancelled
        job.finish()
        await bench.turn_of_the_loop()
        assert not bench.exact.busy
        if any(state is each for each in bench.viewer.shown.values()):
            assert state.is_coarse  # what came too late is not shown

    run(story)


def test_a_movement_that_leaves_the_plane_as_it_is_does_not_stop_its_work() -> None:
    async def story(bench: Bench) -> None:
        bench.exact.start()
        (job,) = bench.jobs
        bench.viewer.scroll(Plane.CORONAL, 1)
        assert not job.cancelled
        bench.exact.start()
        assert bench.jobs == [job]
        job.finish()
        await bench.turn_of_the_loop()
        assert not bench.viewer.shown[Plane.AXIAL].is_coarse

    run(story)


def test_a_failure_is_said_and_not_tried_again_by_itself() -> None:
    async def story(bench: Bench) -> None:
        bench.exact.start()
        bench.jobs[0].end(Failed(ResourceError("No memory for 3 GB.")))
        await bench.turn_of_the_loop()
        assert bench.notices.message == Message("No memory for 3 GB.")
        assert len(bench.jobs) == 1
        assert bench.viewer.is_coarse

    run(story)


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_work_that_is_stopped_ends_within_a_strip(
    turn: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.imaging.slab.STRIP_VOXELS", 1 << 18)
    viewer = Viewer()
    viewer.show(noise())
    viewer.set_slab(Slab(40.0))
    if turn:
        viewer.turn(Plane.SAGITTAL, turn)
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(Cancelled):
        viewer.shown[Plane.AXIAL].work()(stopped)
    assert asked == 3


# --- the real window -----------------------------------------------------------------------------


@pytest.fixture
def wide(gui: Any, tmp_path: Path) -> Any:
    """The window with a volume of which exact slabs take long."""
    assert gui.open(write_nifti(noise(), tmp_path / "noise.nii"))
    return gui


def test_both_volumes_in_the_window_are_read_by_vtk(wide: Any) -> None:
    for viewer in (wide.viewer, wide.workspace.compare.other):
        assert viewer.reslice is reslice


def test_after_a_drag_the_exact_slab_arrives_from_another_thread(
    wide: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    image = Sampler.image

    def watched(self: Sampler, *args: Any) -> Any:
        threads.append(threading.current_thread().name)
        return image(self, *args)

    monkeypatch.setattr(Sampler, "image", watched)
    wide.do(lambda: wide.viewer.set_slab(Slab(20.0)))
    wide.do(lambda: wide.viewer.turn(Plane.SAGITTAL, 0.3))
    view = wide.view(Plane.AXIAL)
    moving = wide.pixels(view)
    assert wide.viewer.is_coarse
    wide.until(lambda: not wide.viewer.is_coarse)
    resting = wide.pixels(view)
    assert set(threads) == {"viewer-planes"}
    assert (moving != resting).any()
    for plane in (Plane.AXIAL, Plane.CORONAL):
        state = wide.viewer.shown[plane]
        assert np.array_equal(state.pixels(), computed(state))


def test_other_windows_of_an_exact_slab_are_painted_without_computing_it_again(
    wide: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide.do(lambda: wide.viewer.set_slab(Slab(20.0)))
    wide.do(lambda: wide.viewer.turn(Plane.SAGITTAL, 0.3))
    wide.until(lambda: not wide.viewer.is_coarse)
    monkeypatch.setattr(Sampler, "image", lambda *_: pytest.fail("computed again"))
    before = wide.pixels(wide.view(Plane.AXIAL))
    wide.do(lambda: wide.viewer.drag_window(40, 30))
    assert (wide.pixels(wide.view(Plane.AXIAL)) != before).any()


def test_the_volume_beside_becomes_exact_too(wide: Any) -> None:
    compare = wide.workspace.compare
    wide.do(lambda: compare.open(noise()))
    wide.do(lambda: compare.other.set_slab(Slab(20.0)))
    wide.do(lambda: compare.other.turn(Plane.SAGITTAL, 0.3))
    assert compare.other.is_coarse
    wide.until(lambda: not compare.other.is_coarse)


def test_closing_while_an_exact_slab_is_computed_leaves_no_thread(wide: Any) -> None:
    wide.do(lambda: wide.viewer.set_slab(Slab(80.0)))
    wide.do(lambda: wide.viewer.turn(Plane.SAGITTAL, 0.3))
    wide.do(wide.workspace.refiner.start)
    assert wide.workspace.refiner.busy  # the fixture closes the window, and looks for threads


def test_a_slab_of_a_small_volume_is_exact_at_once() -> None:
    viewer = Viewer()
    viewer.show(phantom())
    viewer.set_slab(Slab(10.0))
    assert not viewer.is_coarse
