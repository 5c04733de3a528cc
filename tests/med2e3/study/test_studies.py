"""A study's table is the same however often, by whom and in how many pieces it was computed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import med2e3
from med2e3.errors import InputError, ResourceError
from med2e3.study.columns import COLUMNS
from med2e3.study.folder import StudyFolder
from med2e3.study.plan import Plan, read_plan
from med2e3.study.running import conclude
from med2e3.study.worker import Worker


def here(plan: Plan, out: Path, *, again: bool = False) -> Path:
    """The table of a study that one worker in this process ran: torch is loaded here already."""
    folder = StudyFolder.begin(out, plan)
    leases = folder.leases()
    folder.reopen_changed(leases, failed=again)
    Worker(folder).work(leases)
    folder.join()
    return folder.table


def rows_of(table: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(table).to_pylist()
    return rows


def failed(table: Path) -> int:
    return sum(1 for row in rows_of(table) if row["error"])


def test_the_table_says_what_asking_each_volume_says(make_plan: Callable, tmp_path: Path) -> None:
    plan = read_plan(make_plan(2))
    rows = rows_of(here(plan, tmp_path / "out"))
    assert [row["error"] for row in rows] == [""] * 4
    assert list(rows[0]) == list(COLUMNS)
    model = med2e3.load(plan.models[0].model)
    asked = [(v, q) for v in plan.volumes for q in plan.questions]
    assert [(row["volume"], row["question"]) for row in rows] == [
        (v.name, q.question) for v, q in asked
    ]
    for row, (volume, question) in zip(rows, asked, strict=True):
        answer = model.read(med2e3.load_volume(volume.path)).ask(
            question.question, max_new_tokens=5
        )
        answer.complete()
        assert answer.scores is not None
        assert row["answer"] == answer.text
        assert row["token_ids"] == answer.token_ids
        assert row["token_probabilities"] == answer.token_probabilities
        assert row["probability"] == pytest.approx(np.prod(answer.token_probabilities))
        np.testing.assert_array_equal(np.float32(row["scores"]), answer.scores.values)
        assert row["to_mm"] == [band.to_mm for band in answer.scores.bands]
        record = json.loads(row["record"])
        wanted = {k: v for k, v in answer.record.items() if not k.startswith("seconds")}
        assert record == json.loads(json.dumps(wanted))
        assert row["weights_sha256"] == model.info.weights_sha256


def test_a_volume_that_cannot_be_read_has_a_reason_and_the_rest_goes_on(
    make_plan: Callable, tmp_path: Path, compared: Callable
) -> None:
    plan = read_plan(make_plan(3))
    (tmp_path / "scans/ct1.nii.gz").write_bytes(b"no gzip")
    rows = rows_of(here(plan, tmp_path / "out"))
    assert [bool(row["error"]) for row in rows] == [False, False, True, True, False, False]
    assert "ct1.nii.gz" in rows[2]["error"]
    assert rows[2]["answer"] is None
    outcome = conclude(StudyFolder.open(tmp_path / "out"))
    assert (outcome.answers, outcome.errors) == (4, 2)
    assert outcome.reasons == {"scans/ct1.nii.gz": rows[2]["error"]}


def test_a_question_that_one_model_cannot_take_is_an_error_of_its_row(
    make_plan: Callable, tmp_path: Path
) -> None:
    path = make_plan(1)
    path.write_text(path.read_text().replace("questions:", f"questions:\n  - {'nodule ' * 400}"))
    rows = rows_of(here(read_plan(path), tmp_path / "out"))
    assert "tokens" in rows[0]["error"]
    assert [row["error"] for row in rows[1:]] == ["", ""]


def test_what_is_mended_is_read_again_and_nothing_else(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(make_plan(3))
    good = (tmp_path / "scans/ct1.nii.gz").read_bytes()
    (tmp_path / "scans/ct1.nii.gz").write_bytes(b"no gzip")
    here(plan, tmp_path / "out")
    (tmp_path / "scans/ct1.nii.gz").write_bytes(good)
    (tmp_path / "out/ray/checkpoint").mkdir(parents=True)
    read: list[str] = []
    real = Worker.answer
    monkeypatch.setattr(
        Worker, "answer", lambda self, m, v, beat: (read.append(v.name), real(self, m, v, beat))[1]
    )
    table = here(plan, tmp_path / "out")
    assert read == ["scans/ct1.nii.gz"]
    assert not (tmp_path / "out/ray").exists(), "Ray would take the unit for done"
    assert len(rows_of(table)) == 6
    assert not failed(table)


def test_a_passing_fault_is_tried_again_where_one_asks_for_it(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(make_plan(2))

    def fail(*_: object, **__: object) -> None:
        raise OSError("the share was away")

    with monkeypatch.context() as patched:
        patched.setattr("med2e3.study.answering.load_volume", fail)
        assert failed(here(plan, tmp_path / "out")) == 4
    assert rows_of(here(plan, tmp_path / "out"))[0]["error"] == "OSError: the share was away"
    assert not failed(here(plan, tmp_path / "out", again=True))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "What plane is this scan?",
            "Which plane is it?",
            "plan.questions.2.question was What pla",
        ),
        ("max_new_tokens: 5", "max_new_tokens: 6", "plan.decoding.max_new_tokens was 5, and is 6"),
        ("scans/*.nii.gz", "scans/ct0.nii.gz", "plan.volumes.2 was"),
        ("questions:", "plane: coronal\nquestions:", "plan.plane was null, and is coronal now"),
    ],
)
def test_another_plan_does_not_go_on_with_a_folder(
    make_plan: Callable, tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = make_plan(2)
    StudyFolder.begin(tmp_path / "out", read_plan(path))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        StudyFolder.begin(tmp_path / "out", read_plan(path))
    assert words in str(caught.value)
    assert "was begun by another study" in str(caught.value)


def test_another_model_in_the_same_place_does_not_go_on(
    make_plan: Callable, tmp_path: Path, tiny_folder: Callable, tiny_study_model: Path
) -> None:
    path = make_plan(1)
    mine = tmp_path / "model"
    subprocess.run(["cp", "-r", tiny_study_model, mine], check=True)
    path.write_text(path.read_text().replace(str(tiny_study_model), str(mine)))
    StudyFolder.begin(tmp_path / "out", read_plan(path))
    config = mine / "config.json"
    config.write_text(config.read_text().replace("{", '{"note": 1,', 1))
    with pytest.raises(InputError, match=r"models\.tiny\.settings_sha256 was"):
        StudyFolder.begin(tmp_path / "out", read_plan(path))
    subprocess.run(["rm", "-r", mine], check=True)
    subprocess.run(["cp", "-r", tiny_folder(score_norm="none"), mine], check=True)
    with pytest.raises(InputError, match=r"models\.tiny\.\w+_sha256 was"):
        StudyFolder.begin(tmp_path / "out", read_plan(path))


def test_a_folder_with_other_files_is_left_alone(make_plan: Callable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no study but other files"):
        StudyFolder.begin(tmp_path, read_plan(make_plan(1)))


def test_a_part_that_was_written_before_a_kill_is_not_computed_again(
    make_plan: Callable, tmp_path: Path, compared: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(make_plan(2))
    before = rows_of(here(plan, tmp_path / "out"))
    for lease in (tmp_path / "out/units").glob("*.json"):
        lease.unlink()  # as if killed between writing the part and saying so

    def refuse(*_: object) -> None:
        raise AssertionError("was computed again")

    monkeypatch.setattr("med2e3.study.worker.rows_of", refuse)
    assert rows_of(here(plan, tmp_path / "out")) == before


@pytest.mark.slow
def test_a_full_disk_ends_with_a_sentence_and_the_same_command_goes_on(
    make_plan: Callable, tmp_path: Path, compared: Callable
) -> None:
    """No file may grow beyond 9 kB in the worker's process: the parts of this study are larger."""
    path = make_plan(3)
    plan = read_plan(path)
    folder = StudyFolder.begin(tmp_path / "out", plan)
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from med2e3.study.worker import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder.path), "0", str(os.getpid()), "300"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["error"] == "ResourceError"
    assert "cannot be written: File too large" in said["sentence"]
    assert "run the same command again" in said["sentence"]
    assert not list(folder.parts.iterdir()), "no half part stays"
    again = here(plan, tmp_path / "out")
    assert compared(again) == compared(here(plan, tmp_path / "other"))


def test_without_room_for_the_table_the_parts_stay(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan(make_plan(1))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = rows_of(here(plan, tmp_path / "out"))
    with monkeypatch.context() as patched:
        patched.setattr("pyarrow.parquet.write_table", full)
        with pytest.raises(ResourceError, match=r"table\.parquet cannot be written: No space left"):
            here(plan, tmp_path / "out")
    assert rows_of(here(plan, tmp_path / "out")) == before


def test_a_sampled_study_repeats_itself(
    make_plan: Callable, tmp_path: Path, compared: Callable
) -> None:
    path = make_plan(2)
    path.write_text(path.read_text().replace("5}", "5, temperature: 1.5, seed: 3}"))
    first = here(read_plan(path), tmp_path / "one")
    assert compared(first) == compared(here(read_plan(path), tmp_path / "two"))
    greedy = rows_of(here(read_plan(make_plan(2)), tmp_path / "three"))
    assert [row["token_ids"] for row in greedy] != [r["token_ids"] for r in rows_of(first)]
