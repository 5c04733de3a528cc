"""`med2e3 models`, `convert` and `retrieve` on checkpoints in the published layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from med2e3.io.write import write_nifti


def test_models_lists_the_published_ones_with_their_licence(run: Callable) -> None:
    out = run("models").out
    assert "m3d-clip" in out.lower()
    assert "Apache" in out or "MIT" in out


def test_a_published_checkpoint_is_converted_and_answers(
    run: Callable, golden_folder: Path, series_folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "native"
    ran = run("convert", golden_folder / "checkpoint", target, "--hub", golden_folder / "hub")
    assert ran.code == 0, ran.err
    assert (target / "README.md").is_file()
    asked = run(
        "ask", series_folder, "What?", "--model", target, "--max-new-tokens", 3, "--json"
    )  # fmt: skip
    assert asked.code == 0, asked.err
    assert len(asked.json["scores"]) == 32


def test_an_unknown_source_is_refused_and_leaves_nothing(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    ran = run("convert", tmp_path / "source", tmp_path / "target")
    assert ran.code == 1
    assert not (tmp_path / "target").exists()


def test_downloading_an_unknown_name_says_which_are_known(run: Callable) -> None:
    ran = run("download", "no-such-model", "--yes")
    assert ran.code == 1
    assert "no-such-model" in ran.err
    assert "m3d-clip" in ran.err.lower()


@pytest.fixture
def clip(fixtures: Path) -> tuple[Path, Path]:
    """M3D-CLIP in its published layout at a tiny size, and its hub folder."""
    return fixtures / "m3d_clip" / "checkpoint", fixtures / "m3d_clip" / "hub"


def test_retrieve_ranks_the_volumes_of_a_folder(
    run: Callable, clip: tuple[Path, Path], tmp_path: Path, make_volume: Callable
) -> None:
    for name, slices in (("a", 12), ("b", 20)):
        write_nifti(make_volume(slices), tmp_path / f"{name}.nii.gz")
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    ran = run(
        "retrieve", "a liver cyst", tmp_path, "--model", clip[0], "--hub", clip[1], "--json"
    )  # fmt: skip
    assert ran.code == 0, ran.err
    similarities = [match["similarity"] for match in ran.json["matches"]]
    assert len(similarities) == 2
    assert similarities == sorted(similarities, reverse=True)
    assert "broken" in ran.err


def test_retrieve_ranks_texts_for_a_volume(
    run: Callable, clip: tuple[Path, Path], nifti_file: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a liver cyst\nno finding\n", encoding="utf-8")
    ran = run(
        "retrieve", texts, nifti_file, "--texts", "--model", clip[0], "--hub", clip[1]
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert {line.split(maxsplit=1)[1] for line in ran.out.splitlines()} == {
        "a liver cyst", "no finding",
    }  # fmt: skip


def test_ask_takes_the_choices_of_precision_and_place(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    ran = run(
        "ask", series_folder, "What?", "--model", tiny_folder(), "--dtype", "bfloat16",
        "--device-map", "auto", "--max-new-tokens", 2, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["record"]["model"]["dtype"] == "bfloat16"
