"""Image folders become the published npy files; whatever is wrong with a folder is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from med2e3.errors import InputError
from med2e3.training.data import prepare
from med2e3.training.data.prepare import (
    GRID,
    Outcome,
    cut_report,
    plain_letters,
    prepare_cases,
    read_stack,
)

SMALL = (4, 16, 16)


def write_series(folder: Path, stack: Any, suffix: str = ".png") -> None:
    """Slices by their numbers, counted from 1 without leading zeros: 10 sorts before 2 as text."""
    folder.mkdir(parents=True)
    for number, image in enumerate(stack, start=1):
        Image.fromarray(image).save(folder / f"{number}{suffix}")


@pytest.fixture
def stack() -> Any:
    """12 slices of 20 × 24; slice k is as bright as its number, so that order shows."""
    made = np.zeros((12, 20, 24), np.uint8)
    for k in range(12):
        made[k, 2:18, 3:20] = 20 * (k + 1)
    return made


@pytest.mark.parametrize("case", ["up", "mixed"])
def test_a_folder_of_images_becomes_the_recorded_array(
    case: str, fixtures: Path, tmp_path: Path
) -> None:
    golden = np.load(fixtures / "preprocessing" / "golden.npz")
    write_series(tmp_path / "in" / "0001" / "Axial", golden[f"cap.{case}.u8"])
    (outcome,) = prepare_cases(tmp_path / "in", tmp_path / "out")
    made = np.load(tmp_path / "out" / outcome.image)
    assert made.shape == (1, *GRID)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made[:, ::3, ::7, ::7], golden[f"cap.{case}.out_sub"])


def test_slices_are_ordered_by_number(stack: Any, tmp_path: Path) -> None:
    write_series(tmp_path / "scan", stack)
    read, problems = read_stack(tmp_path / "scan")
    assert read[:, 10, 10].tolist() == [20 * (k + 1) for k in range(12)]
    assert problems == ()


def test_colours_become_grey_as_pillow_weighs_them(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    red = np.zeros((3, 8, 8), np.uint8)
    red[0] = 200
    Image.fromarray(np.moveaxis(red, 0, -1)).save(tmp_path / "scan" / "1.png")
    read, _ = read_stack(tmp_path / "scan")
    assert read[0, 0, 0] == round(200 * 0.299)


def test_odd_sizes_and_broken_files_are_left_out_and_named(stack: Any, tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "0001" / "scan", stack)
    folder = tmp_path / "in" / "0001" / "scan"
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(folder / "13.png")
    (folder / "14.jpeg").write_bytes(b"\xff\xd8\xff nothing")
    (outcome,) = prepare_cases(tmp_path / "in", tmp_path / "out", SMALL)
    assert outcome.made
    said = " ".join(outcome.problems)
    assert "13.png is (5, 5)" in said
    assert "14.jpeg cannot be read" in said


def test_a_series_that_cannot_be_used_fails_and_the_rest_goes_on(
    stack: Any, tmp_path: Path
) -> None:
    case = tmp_path / "in" / "0001"
    write_series(case / "a", stack)
    write_series(case / "named", stack)
    (case / "named" / "1.png").rename(case / "named" / "first.png")
    write_series(case / "black", np.zeros((3, 8, 8), np.uint8))
    (case / "text.txt").write_text("study_findings: A cyst.", encoding="utf-8")
    outcomes = {o.image: o for o in prepare_cases(tmp_path / "in", tmp_path / "out", SMALL)}
    assert outcomes["0001/a.npy"] == Outcome("0001/a.npy", "0001/text.txt", made=True)
    assert "first.png is not named by its number" in outcomes["0001/named.npy"].problems[0]
    assert outcomes["0001/black.npy"].failed
    listed = json.loads((tmp_path / "out" / "M3D_Cap.json").read_text(encoding="utf-8"))
    assert listed == {"train": [{"image": "0001/a.npy", "text": "0001/text.txt"}]}
    assert (tmp_path / "out" / "0001" / "text.txt").read_text(encoding="utf-8") == "A cyst."


def test_an_interrupted_run_goes_on_where_it_stopped(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write_series(tmp_path / "in" / "0001" / name, stack)
    whole = prepare_cases(tmp_path / "in", tmp_path / "whole", SMALL)

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare_cases(tmp_path / "in", out, SMALL, progress=stop)
    assert not list(out.rglob("*.part"))
    again = prepare_cases(tmp_path / "in", out, SMALL)
    assert [outcome.made for outcome in again] == [False, False, True]
    for outcome in whole:
        one, two = (np.load(tmp_path / f / outcome.image) for f in ("whole", "out"))
        np.testing.assert_array_equal(one, two)


def test_several_processes_do_what_one_does(stack: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_series(tmp_path / "in" / "0001" / name, stack)
    one = prepare_cases(tmp_path / "in", tmp_path / "one", SMALL)
    two = prepare_cases(tmp_path / "in", tmp_path / "two", SMALL, processes=2)
    assert one == two
    for outcome in one:
        assert (tmp_path / "one" / outcome.image).read_bytes() == (
            tmp_path / "two" / outcome.image
        ).read_bytes()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Pöschl", "Poschl"), ("Po\u0308schl", "Poschl"), ("Groß", "Gross"), ("Ørsted", "Orsted"),
        ("Łódź", "Lodz"), ("Æsop œuvre Œ", "AEsop oeuvre OE"), ("İstanbul ı", "Istanbul i"),
        ("½ dose", "1_2 dose"), ("Axial_C+", "Axial_C+"),
    ],
)  # fmt: skip
def test_names_are_ascii_as_the_published_ones_are(name: str, written: str) -> None:
    assert plain_letters(name).strip() == written


def test_accents_leave_file_names_and_clashes_are_refused(stack: Any, tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "0001" / "Pöschl", stack)
    (outcome,) = prepare_cases(tmp_path / "in", tmp_path / "out", SMALL)
    assert outcome.image == "0001/Poschl.npy"
    write_series(tmp_path / "in" / "0001" / "Poschl", stack)
    with pytest.raises(InputError, match="differ in accents"):
        prepare_cases(tmp_path / "in", tmp_path / "again", SMALL)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CASE/SERIES"):
        prepare_cases(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: x\nstudy_findings: A cyst.\nAnd air.\n", "A cyst. And air."),
        ("study_findings:  \n a \ndiscussion: Long talk.", "a  discussion: Long talk."),
        ("discussion: Long talk.\nstudy_findings: ok", "Long talk. study_findings: ok"),
        ("A plain text.\n", "A plain text."),
        ("study_findings: ok", "study_findings: ok"),
        ("discussion: no", "discussion: no"),
        ("", ""),
    ],
)
def test_the_report_is_cut_out_of_a_cases_text(text: str, expected: str) -> None:
    assert cut_report(text) == expected


def test_the_command_prepares_and_reports(stack: Any, tmp_path: Path, capsys: Any) -> None:
    from med2e3.cli import main

    write_series(tmp_path / "in" / "0001" / "a", stack)
    code = main(
        ["data", "prepare", str(tmp_path / "in"), str(tmp_path / "out"), "--grid", "4", "16", "16"]
    )  # fmt: skip
    said = capsys.readouterr()
    assert code == 0
    assert said.out.strip() == str(tmp_path / "out" / prepare.LIST_FILE)
    assert "1 series prepared, 0 were there, 0 failed" in said.err
