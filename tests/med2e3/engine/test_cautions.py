"""What has to be said of every answer: of volumes that are no phantoms, and of other windows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.engine.cautions import OTHER_WINDOW, cautions, is_trained_window
from med2e3.engine.likeness import (
    MARGIN,
    Likeness,
    fit,
    read_likeness,
    vector_of,
    write_likeness,
)
from med2e3.errors import DataError
from med2e3.phantoms import Wish, make_phantom
from med2e3.phantoms.maker import NO_PHANTOM, PHANTOM_MAKER, made_as_phantom
from med2e3.volume import WINDOWS, Volume

GRID = (32, 128, 128)


@pytest.fixture(scope="module")
def demo() -> med2e3.Model:
    return med2e3.load("demo", device="cpu")


@pytest.fixture(scope="module")
def phantom() -> Volume:
    """A phantom whose file says nothing of its maker, of a seed that nothing else uses."""
    return make_phantom(19_500_001, Wish(shape=GRID)).volume


def made_by(volume: Volume, maker: str) -> Volume:
    return replace(volume, info=replace(volume.info, manufacturer=maker))


def test_a_phantom_that_does_not_say_so_is_known_by_its_features(
    demo: med2e3.Model, phantom: Volume
) -> None:
    assert made_as_phantom(phantom) is None
    assert demo.read(phantom).cautions == ()


@pytest.mark.parametrize("kind", ["noise", "faint noise", "blank"])
def test_a_volume_unlike_any_phantom_means_nothing_in_every_record(
    demo: med2e3.Model, phantom: Volume, kind: str
) -> None:
    rng = np.random.default_rng(1)
    noise = {"noise": 600.0, "faint noise": 40.0, "blank": 0.0}[kind]
    voxels = rng.normal(0, noise, phantom.shape).astype(phantom.voxels.dtype)
    answer = demo.read(replace(phantom, voxels=voxels)).ask("Which phase is this CT?")
    answer.complete()
    assert answer.record["cautions"] == [NO_PHANTOM]


def test_who_made_the_file_decides_where_it_says_so(demo: med2e3.Model, phantom: Volume) -> None:
    assert demo.read(made_by(phantom, "Scanners and Sons")).cautions == (NO_PHANTOM,)
    assert demo.read(made_by(phantom, PHANTOM_MAKER)).cautions == ()


def test_a_real_scan_is_no_phantom(demo: med2e3.Model, shared: Path) -> None:
    volume = med2e3.load_volume(shared / "ct" / "abdomen_3mm.nii.gz")
    assert made_as_phantom(volume) is None
    assert demo.read(volume).cautions == (NO_PHANTOM,)


@pytest.mark.slow
def test_real_scans_are_unlike_phantoms_also_without_their_maker(
    demo: med2e3.Model, shared: Path
) -> None:
    for name in ("body_j2k_dicom", "head_tilt_dicom"):
        volume = med2e3.load_volume(shared / "ct" / name)
        assert made_as_phantom(volume) is False
        assert demo.read(made_by(volume, "")).cautions == (NO_PHANTOM,)


def test_an_answer_in_another_window_says_so(demo: med2e3.Model, phantom: Volume) -> None:
    volume = made_by(phantom, PHANTOM_MAKER)
    assert demo.read(volume, window="lung").cautions == (OTHER_WINDOW,)
    info = SimpleNamespace(default_window=None)
    assert is_trained_window(info, None)
    assert not is_trained_window(info, WINDOWS["lung"])


def test_a_model_that_is_no_demo_says_nothing_of_phantoms(phantom: Volume) -> None:
    info: Any = SimpleNamespace(is_demo=False, default_window=None)
    assert cautions(info, phantom, None, None) == ()  # type: ignore[arg-type]


def test_where_likeness_was_not_measured_it_is_no_phantom(
    demo: med2e3.Model, phantom: Volume, tmp_path: Path
) -> None:
    session = demo.read(phantom)
    unknown = replace(demo.info, path=str(tmp_path))
    window = demo.info.default_window
    assert cautions(unknown, phantom, window, session.computed()) == (NO_PHANTOM,)


def test_distance_is_the_root_mean_square_in_units_of_the_spread() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(5, 2, (400, 16))
    found = fit(vectors[:300], vectors[300:], ("abc", "made up"))
    assert found.distance(found.mean) == 0
    assert found.distance(found.mean + 3 * found.spread) == pytest.approx(3)
    assert found.limit == pytest.approx(MARGIN * max(map(found.distance, vectors[300:])))
    assert all(map(found.is_like, vectors[300:]))
    assert not found.is_like(vectors[0] + 20)


def test_the_vector_is_mean_and_deviation_of_both_kinds_of_tokens() -> None:
    three, two = torch.full((1, 4, 2), 3.0), torch.arange(6.0).reshape(1, 3, 1, 2)
    vector = vector_of(SimpleNamespace(tokens3d=three, tokens2d=two))
    assert vector is not None
    np.testing.assert_allclose(vector, [3, 3, 0, 0, 2, 3, 2, 2])
    assert vector_of(SimpleNamespace(tokens3d=None, tokens2d=None)) is None


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Any]:
    """A file with values changed, and facts of the model that it lies beside."""
    likeness = Likeness("abc", "made up", np.array([1.5, 2.0]), np.array([1.0, 0.5]), 2.0)

    def write(**changes: Any) -> Any:
        path = tmp_path / "likeness.json"
        write_likeness(path, likeness)
        said = json.loads(path.read_text(encoding="utf-8")) | changes
        path.write_text(json.dumps(said), encoding="utf-8")
        return SimpleNamespace(path=str(tmp_path), weights_sha256="abc")

    return write


def test_the_file_is_read_as_it_was_written(written: Callable[..., Any], tmp_path: Path) -> None:
    found = read_likeness(written())
    assert found is not None
    assert (found.what, found.limit, found.mean.tolist()) == ("made up", 2.0, [1.5, 2.0])
    nowhere: Any = SimpleNamespace(path=str(tmp_path / "none"), weights_sha256="abc")
    assert read_likeness(nowhere) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "no likeness of this format"),
        ({"spread": [1.0]}, "no likeness of this format"),
        ({"spread": [1.0, 0.0]}, "no likeness of this format"),
        ({"mean": "many"}, "cannot be read"),
        ({"limit": None}, "cannot be read"),
        ({"weights_sha256": "other"}, "of other weights"),
    ],
)
def test_a_damaged_file_or_one_of_other_weights_is_refused(
    written: Callable[..., Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_likeness(written(**changes))


def test_scores_of_a_follow_up_lean_on_the_question_before_it(
    tiny_folder: Callable[..., Path], ct: Volume
) -> None:
    """Where the model was trained on conversations; else on the last question alone."""
    history = [("Is there a nodule?", "Yes.")]
    for turns, guide in ((2, "Is there a nodule? Where is it?"), (0, "Where is it?")):
        model = med2e3.load(tiny_folder(history_turns=turns), device="cpu")
        assert model.info.history_turns == turns
        answer = model.read(ct).ask("Where is it?", history=history, max_new_tokens=1)
        answer.complete()
        assert answer.record["scored_by"] == guide
        assert answer.record["history"] == [list(turn) for turn in history]
