"""`med2e3 study` at the command line; runs with workers are in test_kills.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from med2e3.cli import main


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "study", "--help")
    assert code == 0
    for option in ("--out", "--processes", "--engine", "--lease", "--again", "--dry-run", "--json"):
        assert option in out


def test_a_dry_run_says_what_would_be_asked_and_writes_nothing(
    make_plan: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_plan(3)
    code, out, _ = call(capsys, "study", path, "--dry-run")
    assert code == 0
    assert "3 volumes: scans/ct0.nii.gz, scans/ct1.nii.gz, scans/ct2.nii.gz" in out
    assert "1 model: tiny" in out
    assert f"6 answers into {tmp_path / 'plan'}" in out
    code, out, _ = call(capsys, "study", path, "--dry-run", "--json", "--out", tmp_path / "there")
    said = json.loads(out)
    assert (said["answers"], said["out"]) == (6, str(tmp_path / "there"))
    assert said["plan"]["decoding"]["max_new_tokens"] == 5
    assert {p.name for p in tmp_path.iterdir()} == {"plan.yaml", "scans"}


def test_a_wrong_plan_is_one_sentence_and_nothing_on_stdout(
    make_plan: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_plan(1, more="treads: 2")
    code, out, err = call(capsys, "study", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"med2e3: {path}, line 8: “treads” is no key of the plan. Did you mean")
    assert len(err.splitlines()) == 1


def test_a_model_that_is_not_there_is_said_before_anything_is_made(
    make_plan: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_plan(1)
    path.write_text(path.read_text().replace("name: tiny", "name: tiny}\n  - {model: no-such"))
    code, _, err = call(capsys, "study", path, "--out", tmp_path / "out")
    assert code == 1
    assert "no-such" in err
    assert not (tmp_path / "out").exists()


def test_an_address_without_ray_is_wrong_usage(
    make_plan: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "study", make_plan(1), "--address", "auto")
    assert code == 2
    assert "--engine ray" in err
