"""`med2e3 evidence`, `med2e3 replay` and `med2e3 ask --test` as their users meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from med2e3.cli.answer_tests import TESTS
from med2e3.errors import QuestionError
from med2e3.evidence.interventions import TESTS as RUN
from med2e3.io.write import write_nifti
from med2e3.resources import resource_path

STUDY = resource_path("demo-study")
QUESTION = "Is there a pleural effusion?"


def test_the_help_names_every_test(run: Callable) -> None:
    assert tuple(RUN) == TESTS
    ran = run("evidence", "--help")
    assert all(name in ran.out.replace("\n", " ") for name in TESTS)


def test_ask_says_how_sure_it_is_and_tests_the_answer(run: Callable) -> None:
    ran = run("ask", STUDY, QUESTION, "--device", "cpu", "--test", "mirrored,leave-out")
    assert ran.code == 0, ran.err
    assert "Probability of this answer: 0." in ran.out
    assert "presence answers (100 phantoms, seed 37)" in ran.out
    assert "mirrored: With right and left exchanged the answer becomes" in ran.out
    assert "[-right-] {+left+}" in ran.out
    assert "leave-out: Without the weight of model slices" in ran.out


def test_ask_json_has_certainty_and_tests(run: Callable) -> None:
    said = run("ask", STUDY, QUESTION, "--device", "cpu", "--test", "blank", "--json").json
    assert said["certainty"]["form"] == "presence"
    assert [option["text"] for option in said["certainty"]["options"]] == ["Yes", "No"]
    (blank,) = said["tests"]
    assert blank["before"] == said["answer"]
    assert blank["same"] is False
    assert said["record"]["format"] == 1


def test_ask_says_where_each_word_attends_to_and_calls_it_no_proof(run: Callable) -> None:
    ran = run("ask", STUDY, QUESTION, "--device", "cpu", "--attention")
    assert ran.code == 0, ran.err
    assert "Attention of each word, not proof" in ran.out
    said = run("ask", STUDY, QUESTION, "--device", "cpu", "--attention", "--json").json
    found = said["attention"]
    assert found["note"] == "attention, not proof"
    assert [one["word"] for one in found["words"]] == said["answer"].split()
    assert found["difference"] < 1e-3
    for one in found["words"]:
        assert np.sum(one["to_2d"]) == pytest.approx(one["share_2d"], rel=1e-4)
        assert f"{one['word']:<16}{100 * one['share_2d']:5.1f} %" in ran.out


def test_evidence_keeps_attention_and_says_where_there_is_none(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = ("evidence", series_folder, "what plane is this ?", "--model", tiny_folder(),
             "--device", "cpu", "--attention")  # fmt: skip
    assert "words" in run(*words, "--json").json["answers"][0]["attention"]

    def refuse(*_: object) -> None:
        raise QuestionError("Not exactly.")

    monkeypatch.setattr("med2e3.evidence.attention.attention_of", refuse)
    assert run(*words, "--json").json["answers"][0]["attention"] == {"why_not": "Not exactly."}
    assert "No attention is shown. Not exactly." in run(*words).out


def test_evidence_writes_what_it_found(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_folder(score_norm="layer_norm")
    ran = run(
        "evidence", series_folder, "what plane is this ?", "is there a nodule ?",
        "--model", model, "--device", "cpu", "--test", "all", "--other", series_folder,
        "--rewording", "where is the nodule ?", "--leave-one-out", "--bands", "1,2",
        "--export", tmp_path / "e.json", "--export", tmp_path / "e.csv",
        "--figure", tmp_path / "m.svg", "--sort", "similarity", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    said = ran.json
    assert len(said["answers"]) == 2
    tests = {outcome["test"] for outcome in said["answers"][0]["tests"]}
    assert tests == set(TESTS)
    assert said["answers"][0]["tests"][0]["left_out"] == [0, 1]
    assert len(said["answers"][1]["leave_one_out"]["without"]) == 8
    assert len(said["matrix"]["pairs"]) == 1
    kept = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert kept == said["answers"]
    assert (tmp_path / "m.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (tmp_path / "e.csv").stat().st_size > 0


def test_evidence_measures_faithfulness_against_marks(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    ran = run(
        "evidence", series_folder, "what plane is this ?", "--model", tiny_folder(),
        "--device", "cpu", "--faithfulness", "--marks", "3,4",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "AOPC of deletion" in ran.out
    assert "relevance rank accuracy" in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--test", "tickle"], "There is no test 'tickle'"),
        (["--bands", "0"], "--bands holds '0'"),
        (["--bands", "x"], "--bands holds 'x'"),
        (["--export", "e.xlsx"], "End its name in"),
        (["--test", "other-volume"], "needs the volume of another patient"),
        (["--bands", "1,2,3,4,5,6,7,8", "--test", "leave-out"], "All 8 slices"),
    ],
)
def test_bad_input_is_named(
    words: list[str], said: str, run: Callable, series_folder: Path,
    tiny_folder: Callable[..., Path],
) -> None:  # fmt: skip
    ran = run(
        "evidence", series_folder, "what plane is this ?", "--model", tiny_folder(),
        "--device", "cpu", *words,
    )  # fmt: skip
    assert ran.code == 1
    assert said in ran.err


def test_replay_says_equal_or_what_differs(
    run: Callable, tmp_path: Path, make_volume: Callable, tiny_folder: Callable[..., Path]
) -> None:
    model = tiny_folder()
    scan = tmp_path / "scan.nii.gz"
    write_nifti(make_volume(), scan)
    asked = run(
        "ask", scan, "what plane is this ?", "--model", model, "--device", "cpu",
        "--max-new-tokens", 4, "--json",
    )  # fmt: skip
    record = tmp_path / "record.json"
    record.write_text(asked.out, encoding="utf-8")
    same = run("replay", record, "--model", model, "--device", "cpu")
    assert (same.code, same.out[:6]) == (0, "Equal:"), same.err
    there = run("replay", record, scan, "--model", model, "--device", "cpu", "--json")
    assert there.json["equal"] is True
    other = tmp_path / "other.nii.gz"
    volume = make_volume()
    voxels = np.array(volume.voxels)
    voxels[3, 10, 12] += 90
    write_nifti(type(volume)(voxels, volume.geometry, volume.info), other)
    differs = run("replay", record, other, "--model", model, "--device", "cpu")
    assert differs.code == 1
    assert "input (SHA-256 of the grid)" in differs.out
    named = run("replay", record, scan, "--device", "cpu", "--model", "demo")
    assert named.code == 1
    assert "weights (SHA-256)" in named.out
    scan.unlink()
    gone = run("replay", record, "--model", model)
    assert gone.code == 1
    assert "Name where they are" in gone.err
    record.write_text("{}", encoding="utf-8")
    refused = run("replay", record)
    assert refused.code == 1
    assert "no record of an answer" in refused.err


def test_evaluate_faithfulness_and_reliability(
    run: Callable, tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_folder()
    ran = run(
        "evaluate", model, "--faithfulness", "--phantoms", 2, "--seed", 3, "--device", "cpu",
        "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    figures = ran.json["figures"]
    assert {"AOPC of deletion", "pointing game", "probability, blank volume"} <= set(figures)
    assert figures["pointing game"]["count"] >= 1
    file = tmp_path / "reliability.json"
    done = run(
        "evaluate", model, "--phantoms", 1, "--device", "cpu", "--reliability", file, "--json"
    )
    assert done.code == 0, done.err
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["weights_sha256"] == done.json["weights_sha256"]
    assert kept["what"] == "1 phantoms, seed 1"
    for form, levels in kept["forms"].items():
        bins = done.json["reliability"][form]
        assert [one["count"] for one in levels] == [one["count"] for one in bins]
    refused = run("evaluate", model, "--faithfulness", "--workers", 2)
    assert refused.code == 2
    assert "--workers would change nothing with --faithfulness" in refused.err
