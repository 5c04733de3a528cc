"""`med2e3 ask` and `med2e3 info` as their users meet them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from med2e3.resources import resource_path

KEYS = {
    "series",
    "shape",
    "spacing_mm",
    "plane",
    "affine_lps",
    "value_min",
    "value_max",
    "unit",
    "warnings",
}


def test_info_says_what_was_read(run: Callable, series_folder: Path) -> None:
    facts = run("info", series_folder, "--json").json
    assert set(facts) >= KEYS
    assert facts["shape"] == [12, 24, 20]
    assert facts["spacing_mm"] == [3.0, 1.5, 1.25]
    assert facts["plane"] == "axial"
    assert (facts["value_min"], facts["value_max"]) == (-1000, 110)
    assert facts["unit"] == "HU"
    assert facts["series"]["series_description"] == "Body"
    assert "values -1000 to 110 HU\n" in run("info", series_folder).out


def test_info_gives_the_affine_from_index_to_lps(run: Callable, nifti_file: Path) -> None:
    affine = np.array(run("info", nifti_file, "--json").json["affine_lps"])
    shape = run("info", nifti_file, "--json").json["shape"]
    corners = [affine @ (*index, 1) for index in ([0, 0, 0], [n - 1 for n in shape])]
    low, high = np.min(corners, axis=0)[:3], np.max(corners, axis=0)[:3]
    np.testing.assert_allclose(low, (-12, -18, 90 - 33), atol=1e-4)
    np.testing.assert_allclose(high, (-12 + 19 * 1.25, -18 + 23 * 1.5, 90), atol=1e-4)


def test_ask_streams_an_answer_and_lists_the_top_bands(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    ran = run(
        "ask", series_folder, "What plane is this?", "--model", tiny_folder(),
        "--max-new-tokens", 5,
    )  # fmt: skip
    assert ran.code == 0
    assert "Most weighted slices (axial;" in ran.out
    assert ran.out.count("uniform") == 3
    assert "answers" in ran.err, "the notice about the model goes to stderr"


def test_ask_json_is_one_object_with_scores_that_sum_to_one(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    answer = run(
        "ask", series_folder, "What plane is this?", "--model", tiny_folder(), "--json",
        "--max-new-tokens", 5,
    ).json  # fmt: skip
    assert set(answer) >= {"answer", "model", "scores", "bands", "record"}
    assert len(answer["scores"]) == len(answer["bands"]) == 8
    assert sum(answer["scores"]) == pytest.approx(1, abs=1e-5)
    for number, band in enumerate(answer["bands"]):
        assert set(band) == {
            "model_slice", "from_mm", "to_mm", "source_slices", "weight", "times_uniform",
        }  # fmt: skip
        assert band["model_slice"] == number
        assert band["from_mm"] < band["to_mm"]
        first, last = band["source_slices"]
        assert 0 <= first <= last < 12
        assert band["times_uniform"] == pytest.approx(band["weight"] * 8, rel=1e-5)


def test_bands_tile_the_volume_in_mm(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    bands = run(
        "ask", series_folder, "What?", "--model", tiny_folder(), "--json", "--max-new-tokens", 2
    ).json["bands"]
    edges = sorted([b["from_mm"] for b in bands] + [b["to_mm"] for b in bands])
    assert edges[0] == pytest.approx(90 - 33 - 1.5)
    assert edges[-1] == pytest.approx(90 + 1.5)
    np.testing.assert_allclose(np.diff(edges)[1::2], 0, atol=1e-6)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_ask_stacks_in_the_plane_that_was_asked_for(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path], plane: str
) -> None:
    ran = run(
        "ask", series_folder, "What?", "--model", tiny_folder(), "--plane", plane,
        "--window", "lung", "--max-new-tokens", 2,
    )  # fmt: skip
    assert ran.code == 0
    assert f"({plane};" in ran.out


def test_the_same_seed_samples_the_same_answer(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    folder = tiny_folder()
    texts = [
        run(
            "ask", series_folder, "What?", "--model", folder, "--temperature", 1.5,
            "--seed", seed, "--max-new-tokens", 12, "--json",
        ).json["record"]["token_ids"]
        for seed in (7, 7, 8)
    ]  # fmt: skip
    assert texts[0] == texts[1] != texts[2]


def test_the_demo_model_answers_on_the_demo_study(run: Callable) -> None:
    ran = run("ask", resource_path("demo-study"), "What is the plane of this image?", "--json")
    assert ran.code == 0
    assert "axial" in ran.json["answer"].lower()
    assert len(ran.json["scores"]) == 32


@pytest.mark.parametrize("name", ["abdomen_3mm.nii.gz", "body_j2k_dicom"])
def test_the_demo_model_answers_on_real_ct(run: Callable, shared: Path, name: str) -> None:
    ran = run("ask", shared / "ct" / name, "What is the plane of this image?", "--json")
    assert ran.code == 0
    assert ran.json["answer"].strip()
    assert "mean nothing" in ran.err


def test_usage_errors_exit_with_two(run: Callable, series_folder: Path) -> None:
    assert run("ask", series_folder, "What?", "--plane", "diagonal").code == 2
    assert run("ask", series_folder).code == 2
    assert run("no-such-command").code == 2


def test_a_model_without_scores_says_so(run: Callable, series_folder: Path, fixtures: Path) -> None:
    ran = run(
        "ask", series_folder, "Can you segment the liver?",
        "--model", fixtures / "m3d_lamed" / "checkpoint", "--max-new-tokens", 4,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "This model has no slice scores." in ran.out


def test_ask_draws_the_scores_it_lists(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    figure = tmp_path / "scores.svg"
    ran = run(
        "ask", series_folder, "What plane is this?", "--model", tiny_folder(),
        "--max-new-tokens", 2, "--figure", figure,
    )  # fmt: skip
    assert ran.code == 0
    assert "Most weighted slices" in ran.out
    assert figure.read_text(encoding="utf-8").startswith("<?xml")


def test_a_figure_that_cannot_be_written_is_refused_before_the_work(
    run: Callable, series_folder: Path, tmp_path: Path
) -> None:
    ran = run(
        "ask", series_folder, "What?", "--model", "no such", "--figure", tmp_path / "scores.gif"
    )
    assert ran.code != 0
    assert "End it in .png, .svg, .pdf." in ran.err
    assert "no such" not in ran.err


def test_ask_keeps_what_it_read_and_reads_it_the_next_time(
    run: Callable,
    series_folder: Path,
    tiny_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from med2e3.engine import kept

    folder = tmp_path / "kept"
    monkeypatch.setattr(kept, "default_folder", lambda: folder)
    command = ("ask", series_folder, "What plane is this?", "--model", tiny_folder(), "--keep",
               "--max-new-tokens", 5, "--json")  # fmt: skip
    first = run(*command).json
    (file,) = folder.glob("*.safetensors")
    written = file.stat().st_ino
    monkeypatch.setattr("med2e3.engine.session.encode_volume", None)  # not called again
    second = run(*command).json
    assert second["answer"] == first["answer"]
    assert second["scores"] == first["scores"]
    assert file.stat().st_ino == written


def test_ask_says_why_it_kept_nothing(
    run: Callable,
    series_folder: Path,
    tiny_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from med2e3.engine import kept

    (tmp_path / "kept").write_text("no folder")
    monkeypatch.setattr(kept, "default_folder", lambda: tmp_path / "kept")
    ran = run("ask", series_folder, "What plane is this?", "--model", tiny_folder(), "--keep",
              "--max-new-tokens", 2)  # fmt: skip
    assert ran.code == 0
    assert "warning: What the model read of this volume" in ran.err
    assert "was not kept in" in ran.err
