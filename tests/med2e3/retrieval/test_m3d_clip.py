"""Volumes are found by text, and texts by volume, as the recorded similarities say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.errors import CheckpointError, ImageReadError, InputError, QuestionError
from med2e3.geometry import Geometry
from med2e3.io import write_dicom_series, write_nifti
from med2e3.retrieval.finder import (
    Retriever,
    load_retriever,
    nearest_texts,
    rank_volumes,
    read_texts,
)
from med2e3.volume import Volume


@pytest.fixture(scope="module")
def retriever(fixtures: Path) -> Retriever:
    source = fixtures / "m3d_clip"
    return load_retriever(source / "checkpoint", hub=source / "hub", device="cpu")


@pytest.fixture(scope="module")
def golden(fixtures: Path) -> Any:
    return np.load(fixtures / "m3d_clip" / "golden.npz")


@pytest.fixture(scope="module")
def texts(fixtures: Path) -> list[str]:
    return list(json.loads((fixtures / "m3d_clip" / "texts.json").read_text()))


def _grids(golden: Any) -> Any:
    return golden["volumes_u8"][:, 0].astype(np.float32) / 255


def test_features_are_the_recorded_ones(
    retriever: Retriever, golden: Any, texts: list[str]
) -> None:
    for grid, expected in zip(_grids(golden), golden["image_feat"], strict=True):
        np.testing.assert_allclose(retriever.volume_features(grid), expected, rtol=0, atol=1e-5)
    found = retriever.text_features(texts)
    np.testing.assert_allclose(found, golden["text_feat"], rtol=0, atol=1e-5)


def test_volumes_in_a_folder_are_ranked_as_recorded(
    retriever: Retriever, golden: Any, texts: list[str], tmp_path: Path
) -> None:
    # Whole volumes: their border is not black, so that reading them from files crops nothing.
    for k, grid in enumerate(_grids(golden)):
        folder = tmp_path / f"patient {k}"
        folder.mkdir()
        np.save(folder / "scan.npy", np.maximum(grid, 1e-3))
    grids = [np.maximum(grid, 1e-3) for grid in _grids(golden)]
    shown: list[str] = []
    for text in texts:
        ranking = rank_volumes(
            retriever, text, tmp_path, progress=lambda _, what: shown.append(what)
        )
        wanted = retriever.text_features([text])[0]
        expected = [float(retriever.volume_features(grid) @ wanted) for grid in grids]
        order = np.argsort(expected)[::-1]
        assert [match.name for match in ranking.matches] == [f"patient {k}/scan.npy" for k in order]
        found = [match.similarity for match in ranking.matches]
        np.testing.assert_allclose(found, np.sort(expected)[::-1], atol=1e-6)
        assert ranking.unreadable == ()
    assert shown[0] == "patient 0/scan.npy"
    json.dumps(ranking.as_dict())


def test_the_texts_nearest_to_a_volume_come_first(
    retriever: Retriever, golden: Any, texts: list[str]
) -> None:
    for grid, row in zip(_grids(golden), golden["similarity"], strict=True):
        matches = nearest_texts(retriever, grid, texts)
        assert [match.name for match in matches] == [texts[k] for k in np.argsort(-row)]
        np.testing.assert_allclose(
            [match.similarity for match in matches], np.sort(row)[::-1], atol=1e-5
        )


def test_every_format_below_a_folder_is_found_and_what_is_broken_is_named(
    retriever: Retriever, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    geometry = Geometry.from_spacing((6, 20, 20), (3.0, 1.0, 1.0))

    def scan() -> Volume:
        voxels = generator.integers(-100, 200, geometry.shape).astype(np.int16)
        return Volume(voxels, geometry)

    (tmp_path / "deep" / "dicom").mkdir(parents=True)
    write_dicom_series(scan(), tmp_path / "deep" / "dicom")
    write_nifti(scan(), tmp_path / "a.nii.gz")
    np.save(tmp_path / "deep" / "b.npy", generator.random((6, 20, 20), dtype=np.float32))
    (tmp_path / "broken.nii.gz").write_bytes(b"no NIfTI")
    (tmp_path / "notes.txt").write_text("not an image")
    ranking = rank_volumes(retriever, "liver", tmp_path)
    names = sorted(match.name for match in ranking.matches)
    assert names[0] == "a.nii.gz"
    assert names[1] == "deep/b.npy"
    assert names[2].startswith("deep/dicom: Series")
    assert len(names) == 3
    assert len(ranking.unreadable) == 1
    assert "broken.nii.gz" in ranking.unreadable[0]


def test_a_folder_without_volumes_says_so(retriever: Retriever, tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="no volume"):
        rank_volumes(retriever, "liver", tmp_path)
    with pytest.raises(ImageReadError, match="is no folder"):
        rank_volumes(retriever, "liver", tmp_path / "nowhere")


def test_an_empty_text_is_refused(retriever: Retriever, tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="empty"):
        rank_volumes(retriever, " ", tmp_path)


def test_a_text_longer_than_the_encoder_reads_is_cut_the_same_way_every_time(
    retriever: Retriever,
) -> None:
    long = "pleural effusion " * 600
    features = retriever.text_features([long, long])
    np.testing.assert_array_equal(features[0], features[1])
    assert np.linalg.norm(features[0]) == pytest.approx(1, abs=1e-5)


def test_texts_come_from_lines_or_json(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n two \n", encoding="utf-8")
    (tmp_path / "b.json").write_text('["three", "four"]', encoding="utf-8")
    (tmp_path / "c.json").write_text('{"five": 5}', encoding="utf-8")
    assert read_texts(tmp_path / "a.txt") == ["one", "two"]
    assert read_texts(tmp_path / "b.json") == ["three", "four"]
    with pytest.raises(InputError, match="no JSON list"):
        read_texts(tmp_path / "c.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_texts(tmp_path / "d.txt")


def test_a_model_of_another_kind_is_refused(fixtures: Path) -> None:
    with pytest.raises(CheckpointError, match="does not compare"):
        load_retriever(fixtures / "m3d_lamed" / "checkpoint", device="cpu")
