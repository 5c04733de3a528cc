"""What the 3D view renders: phantoms whose pixels are known from geometry alone."""

from __future__ import annotations

import numpy as np
import pytest

from app.imaging.camera import STANDARD_VIEWS, Camera, Projection
from app.rendering.scene.grid import grid_of, smoothed
from app.rendering.scene.presets import TRANSFERS
from app.rendering.scene.volume_scene import VolumeScene
from app.viewmodels.images.scene import WHOLE, FrameRequest, Preset, SceneLook, extent_of
from med2e3.errors import Cancelled
from med2e3.geometry import Geometry
from med2e3.volume import SeriesInfo, Volume

CT = SeriesInfo(modality="CT")
SIZE = (96, 96)
AIR, LUNG, FAT, MUSCLE, VESSEL, BONE = -1000, -700, -100, 60, 300, 1000


class Watch:
    """A job's context that may be stopped from the start."""

    def __init__(self, *, stopped: bool = False) -> None:
        self.stopped = stopped

    def emit(self, event: object) -> None: ...

    def cancelled(self) -> bool:
        return self.stopped

    def on_cancel(self, stop) -> None:
        if self.stopped:
            stop()


def straight(shape=(20, 24, 28), spacing_mm=(3.0, 2.0, 1.5)) -> Geometry:
    return Geometry.from_spacing(shape, spacing_mm, origin_mm=(-20.0, 5.0, 100.0))


def turned(degrees: float, axis: int) -> Geometry:
    a, b = [k for k in range(3) if k != axis]
    turn = np.eye(4)
    angle = np.radians(degrees)
    turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return Geometry((20, 24, 28), turn @ straight().affine_lps)


def flipped(*axes: int) -> Geometry:
    affine = straight().affine_lps.copy()
    for axis in axes:
        affine[:3, axis] *= -1
    return Geometry((20, 24, 28), affine)


def sheared() -> Geometry:
    affine = straight().affine_lps.copy()
    affine[1, 0] += 0.8
    return Geometry((20, 24, 28), affine)


GEOMETRIES = {
    "anisotropic": straight(),
    "slices flipped": flipped(0),
    "left-handed": flipped(2),
    "all flipped": flipped(0, 1, 2),
    "oblique": turned(20, 2),
    "oblique about the left": turned(-30, 0),
    "coronal": Geometry((20, 24, 28), straight().affine_lps[:, [1, 0, 2, 3]]),
    "sheared": sheared(),
}


def block(geometry: Geometry, dtype=np.int16) -> tuple[Volume, np.ndarray]:
    """Air with a block of bone off the middle in all axes, and the block's eight corners in mm."""
    voxels = np.full(geometry.shape, AIR, dtype)
    low, high = np.array([3, 4, 5]), np.array([8, 11, 10])
    voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = BONE
    corners = np.array(np.meshgrid(*zip(low - 0.5, high - 0.5, strict=True))).reshape(3, -1).T
    return Volume(voxels, geometry, CT), geometry.to_patient_mm(corners)


def alpha(
    volume: Volume, look: SceneLook, *, coarse: bool = False, stopped: bool = False
) -> np.ndarray:
    return pixels(volume, look, coarse=coarse, stopped=stopped) >> 24


def pixels(volume: Volume, look: SceneLook, *, coarse=False, stopped=False) -> np.ndarray:
    scene = VolumeScene(volume, Watch())
    return scene.draw(FrameRequest(look, SIZE, coarse), Watch(stopped=stopped)).pixels


def look(side: str = "A", preset: Preset = Preset.BONE, **changes) -> SceneLook:
    return SceneLook(Camera.facing(side), preset, size=SIZE, **changes)


def outline(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return columns.min(), columns.max() + 1, rows.min(), rows.max() + 1


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_block_appears_where_geometry_says(name: str) -> None:
    """From all six sides, on any grid: the picture's edges lie within two pixels of the mm."""
    volume, corners_mm = block(GEOMETRIES[name])
    scene, extent = VolumeScene(volume, Watch()), extent_of(volume)
    for side in STANDARD_VIEWS:
        projection = Projection(Camera.facing(side), SIZE, extent.centre_mm, extent.radius_mm)
        places = projection.to_screen(corners_mm)
        expected = (*_span(places[:, 0]), *_span(places[:, 1]))
        frame = scene.draw(FrameRequest(look(side), SIZE, False), Watch())
        found = outline(frame.pixels >> 24 > 100)
        # Between bone and air the opaque HU begin about a quarter of a voxel from the block's edge.
        assert found == pytest.approx(expected, abs=2.5), side


def _span(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def test_from_the_front_the_patients_right_is_on_the_viewers_left() -> None:
    """An asymmetric phantom: bone in the right, anterior, superior corner only. Never mirrored."""
    voxels = np.full((24, 24, 24), AIR, np.int16)
    voxels[2:8, 2:8, 2:8] = BONE  # slice 0 is superior, row 0 anterior, column 0 right
    geometry = Geometry.from_spacing((24, 24, 24), (2, 2, 2))
    volume = Volume(voxels, geometry, CT)
    assert geometry.edge_letters() == ("R", "L", "A", "P")
    half, scene = SIZE[0] / 2, VolumeScene(volume, Watch())
    expected = {  # (on the left, on top) for somebody who stands on that side
        "A": (True, True), "P": (False, True), "R": (False, True),
        "L": (True, True), "S": (False, True), "I": (True, True),
    }  # fmt: skip
    for side, (left, top) in expected.items():
        frame = scene.draw(FrameRequest(look(side), SIZE, False), Watch())
        rows, columns = np.nonzero(frame.pixels >> 24 > 100)
        assert (bool(columns.mean() < half), bool(rows.mean() < half)) == (left, top), side


@pytest.mark.parametrize(
    ("preset", "seen", "clear"),
    [
        (Preset.BONE, (BONE,), (AIR, LUNG, FAT, MUSCLE)),
        (Preset.VESSELS, (VESSEL, BONE), (AIR, LUNG, FAT, MUSCLE)),
        (Preset.LUNG, (LUNG,), (AIR, FAT, MUSCLE, BONE)),
        (Preset.SKIN, (FAT, MUSCLE, BONE), (AIR, LUNG)),
        (Preset.SOFT_TISSUE, (MUSCLE, VESSEL, BONE), (AIR, LUNG, FAT)),
    ],
)
def test_each_preset_makes_its_tissue_opaque_and_lets_the_rest_be(
    preset: Preset, seen: tuple[int, ...], clear: tuple[int, ...]
) -> None:
    """A thick slab of one tissue fills the volume: no other value lies on any ray."""
    for value in (*seen, *clear):
        voxels = np.full((16, 16, 16), value, np.int16)
        volume = Volume(voxels, Geometry.from_spacing((16, 16, 16), (4, 4, 4)), CT)
        middle = int(alpha(volume, look("A", preset))[48, 48])
        assert (middle > 150) if value in seen else (middle == 0), (value, middle)


def test_mip_shows_the_brightest_voxel_of_each_ray() -> None:
    voxels = np.full((16, 16, 16), 0, np.int16)
    voxels[8, 3, 8], voxels[8, 12, 8] = 300, 600
    voxels[3:5, :, 3:5] = 375  # exactly half way from −150 to 900
    volume = Volume(voxels, Geometry.from_spacing((16, 16, 16), (4, 4, 4)), CT)
    picture = pixels(volume, look("A", Preset.MIP))
    grey = picture & 255
    extent = extent_of(volume)
    projection = Projection(Camera.facing("A"), SIZE, extent.centre_mm, extent.radius_mm)
    x, y, _ = projection.to_screen(volume.geometry.to_patient_mm((8, 8, 8)))
    near = grey[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
    # A single voxel is reached by few samples exactly: near its value, above the nearer 300.
    assert 255 * 450 / 1050 < near.max() <= 255 * 750 / 1050 + 1
    x, y, _ = projection.to_screen(volume.geometry.to_patient_mm((3.5, 8, 3.5)))
    assert grey[int(y), int(x)] == pytest.approx(128, abs=6)


def test_the_clipping_box_cuts_at_the_millimetre() -> None:
    """A volume full of bone, kept from 25 to 75 % along R→L: that part stays, from the front."""
    voxels = np.full((16, 16, 16), BONE, np.int16)
    volume = Volume(voxels, Geometry.from_spacing((16, 16, 16), (4, 4, 4)), CT)
    extent = extent_of(volume)
    projection = Projection(Camera.facing("A"), SIZE, extent.centre_mm, extent.radius_mm)
    kept = ((0.25, 0.75), (0.0, 1.0), (0.4, 1.0))
    left, right, top, bottom = outline(alpha(volume, look(clip=kept)) > 100)
    ends = projection.to_screen(extent.at(np.array([(0.25, 0.5, 0.4), (0.75, 0.5, 0.4)])))
    assert (left, right) == pytest.approx(tuple(ends[:, 0]), abs=1.5)
    assert bottom == pytest.approx(ends[0, 1], abs=1.5)
    assert top < 12


def test_clipping_the_front_away_shows_what_lies_behind() -> None:
    voxels = np.full((16, 16, 16), AIR, np.int16)
    voxels[:, 2:5] = MUSCLE
    voxels[6:10, 10:13, 6:10] = BONE
    volume = Volume(voxels, Geometry.from_spacing((16, 16, 16), (4, 4, 4)), CT)
    covered = pixels(volume, look(preset=Preset.SKIN))[48, 48]
    kept = ((0.0, 1.0), (0.5, 1.0), (0.0, 1.0))
    behind = alpha(volume, look(preset=Preset.SKIN, clip=kept)) > 100
    assert covered >> 24 > 200
    assert outline(behind)[1] - outline(behind)[0] < 40  # the small block, not the wide plate


def test_float_voxels_and_coarse_frames_show_the_same_block() -> None:
    whole, _ = block(straight())
    floats = Volume(whole.voxels.astype(np.float32), whole.geometry, CT)
    exact = alpha(whole, look()) > 100
    for other in (alpha(floats, look()) > 100, alpha(whole, look(), coarse=True) > 100):
        assert (exact & other).sum() / (exact | other).sum() > 0.85


def test_a_shift_makes_softer_tissue_opaque() -> None:
    voxels = np.full((16, 16, 16), MUSCLE, np.int16)
    volume = Volume(voxels, Geometry.from_spacing((16, 16, 16), (4, 4, 4)), CT)
    assert alpha(volume, look())[48, 48] == 0
    assert alpha(volume, look(shift_hu=-250.0))[48, 48] > 150


def test_values_that_are_not_hu_use_their_own_range() -> None:
    """An MR volume of 0..5: its brightest part is what bone is in CT, the background is clear."""
    voxels = np.zeros((16, 16, 16), np.float32)
    voxels[4:12, 4:12, 4:12] = 5
    info = SeriesInfo(modality="MR")
    volume = Volume(voxels, Geometry.from_spacing((16, 16, 16), (4, 4, 4)), info)
    shown = alpha(volume, look()) > 100
    assert shown[48, 48]
    assert not shown[20, 20]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_coarser_grid_lies_where_the_volume_does(name: str) -> None:
    """Means of blocks stand at the middle of their voxels, in mm."""
    volume, _ = block(GEOMETRIES[name])
    grid = grid_of(volume, most=volume.voxels.size // 7)
    assert grid.voxels.size <= volume.voxels.size // 7
    for index in ((0, 0, 0), (3, 2, 4)):
        x, y, z = index
        at_mm = grid.affine_lps[:3, :3] @ np.array([x, y, z]) + grid.affine_lps[:3, 3]
        source = volume.geometry.to_index(at_mm)
        steps = [round(a / b) for a, b in zip(grid.spacing_mm, _spacing_xyz(volume), strict=True)]
        half = [(steps[p] - 1) / 2 for p in volume.geometry.patient_axes]
        cells = tuple(
            slice(round(c - h), round(c + h) + 1) for c, h in zip(source, half, strict=True)
        )
        assert grid.voxels[z, y, x] == pytest.approx(volume.voxels[cells].mean(), abs=1)
    assert np.linalg.det(grid.affine_lps[:3, :3]) > 0


def _spacing_xyz(volume: Volume) -> list[float]:
    mm = [0.0, 0.0, 0.0]
    for axis, patient in enumerate(volume.geometry.patient_axes):
        mm[patient] = volume.geometry.spacing_mm[axis]
    return mm


def test_a_stopped_frame_is_no_frame() -> None:
    volume, _ = block(straight())
    with pytest.raises(Cancelled):
        alpha(volume, look(), stopped=True)
    scene = VolumeScene(volume, Watch())
    with pytest.raises(Cancelled):
        scene.draw(FrameRequest(look(), SIZE, False), Watch(stopped=True))
    frame = scene.draw(FrameRequest(look(clip=WHOLE), SIZE, False), Watch())
    assert (frame.pixels >> 24 > 100).any()  # the scene works on after a stop


def test_skin_is_smoothed_and_everything_else_is_not() -> None:
    """One voxel of bone in air: averaged it is 0.125 of the step, without that it is all of it."""
    voxels = np.full((9, 9, 9), AIR, np.int16)
    voxels[4, 4, 4] = BONE
    grid = grid_of(Volume(voxels, Geometry.from_spacing((9, 9, 9), (4, 4, 4)), CT))
    soft = smoothed(grid)
    assert soft.voxels[4, 4, 4] == pytest.approx(AIR + 2000 * 0.125, abs=3)
    assert soft.voxels[4, 4, 5] == pytest.approx(AIR + 2000 * 0.0625, abs=3)
    assert soft.voxels[4, 4, 6] == AIR
    assert grid.voxels[4, 4, 4] == BONE
    assert [preset for preset in Preset if TRANSFERS[preset].smooth] == [Preset.SKIN]


def test_going_through_the_presets_and_back_shows_the_same_picture() -> None:
    volume, _ = block(straight())
    scene = VolumeScene(volume, Watch())
    pictures = [
        scene.draw(FrameRequest(look("A", preset), SIZE, False), Watch()).pixels
        for preset in (Preset.BONE, Preset.SKIN, Preset.MIP, Preset.BONE)
    ]
    assert np.array_equal(pictures[0], pictures[3])
    assert not np.array_equal(pictures[0], pictures[1])
