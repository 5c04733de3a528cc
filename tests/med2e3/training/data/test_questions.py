"""Questions about reports: a scripted model, a small real one, and every way to be rejected."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from med2e3.cli import main
from med2e3.errors import InputError
from med2e3.evaluation.m3d_files import read_vqa
from med2e3.training.data.questions import (
    COLUMNS,
    TYPES,
    Question,
    Report,
    confirmed,
    make_questions,
    read_questions,
    read_reports,
)

GOOD = "\n".join(
    f"{n}. What of {n}? A. one {n} B. two C. three D. four Answer: {'ABCD'[n % 4]}"
    for n in range(1, 10)
)


class Scripted:
    """Writes nine good questions for every report, and confirms them; notes what it was asked."""

    def __init__(self, text: str = GOOD, verdict: str = "Yes.") -> None:
        self.text, self.verdict, self.asked = text, verdict, 0
        self.stop_at = -1

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        said = []
        for prompt in prompts:
            if "You write exam questions" in prompt:
                if self.asked == self.stop_at:
                    raise KeyboardInterrupt
                self.asked += 1
                said.append(self.text)
            else:
                said.append(self.verdict)
        return said


REPORTS = [Report(f"c/{k}.npy", f"A nodule of {k} mm.") for k in range(3)]


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_nine_questions_a_report_in_m3d_vqas_columns(tmp_path: Path) -> None:
    target = tmp_path / "out/vqa.csv"
    tally = make_questions(REPORTS, Scripted(), target, batch=2)
    head, *rows = rows_of(target)
    assert tuple(head) == COLUMNS
    assert len(rows) == 27
    assert [int(row[2]) for row in rows[:9]] == list(TYPES)
    assert rows[0] == [
        "c/0.npy", "A nodule of 0 mm.", "1", "What of 1?", "one 1", "two", "three", "four", "two",
        "B",
    ]  # fmt: skip
    assert (tally.reports, tally.wanted, tally.kept, tally.pass_rate) == (3, 27, 27, 1)
    (tmp_path / "c").mkdir()
    for k in range(3):
        (tmp_path / f"c/{k}.npy").write_bytes(b"")
    listed = read_vqa(target, tmp_path)
    assert len(listed.items) == 54, "our own reader takes them, open and closed"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1. Which? A. a B. b C. c D. d", "no answer"),
        ("1. Which? A. a B. b C. c Answer: A", "not four choices"),
        ("1. Which? A. a B. a. C. c D. d Answer: A", "two choices alike"),
        ("1. It is seen. A. a B. b C. c D. d Answer: A", "no question"),
        ("1. What does the report say? A. a B. b C. c D. d Answer: A", "tells of the report"),
        ("2. Which? A. a B. b C. c D. d Answer: A", "no such line"),
        ("I cannot help with that.", "no such line"),
        ("", "no such line"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_reason(
    line: str, reason: str, tmp_path: Path
) -> None:
    first = next(iter(read_questions(line)))
    assert not isinstance(first, Question)
    assert first[1] == reason
    target = tmp_path / "vqa.csv"
    tally = make_questions(REPORTS[:1], Scripted(line), target)
    assert tally.reasons[reason] >= 1
    said = [json.loads(k) for k in (tmp_path / "vqa.csv.rejected.jsonl").read_text().splitlines()]
    assert {"image", "number", "stage", "reason", "said"} == set(said[0])
    assert tally.kept + len(said) == 9, "nine are always told of"


def test_the_check_decides(tmp_path: Path) -> None:
    for verdict, reason in (("No, it is not.", "not confirmed"), ("Maybe", "neither yes nor no")):
        tally = make_questions(REPORTS[:1], Scripted(verdict=verdict), tmp_path / f"{reason}.csv")
        assert (tally.kept, tally.reasons) == (0, {reason: 9})
    assert confirmed(" **Yes**") is True
    assert confirmed("nobody knows") is None
    assert confirmed("") is None


@pytest.mark.parametrize("cut", ["", "half a row,", "x"])
def test_a_stopped_run_goes_on_and_repeats_nothing(cut: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    make_questions(REPORTS, Scripted(), whole)
    target, writer = tmp_path / "vqa.csv", Scripted()
    writer.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        make_questions(REPORTS, writer, target)
    with target.open("a") as stream:
        stream.write(cut)
    with (tmp_path / "vqa.csv.done.jsonl").open("a") as stream:
        stream.write('{"image": "c/')
    again = Scripted()
    tally = make_questions(REPORTS, again, target)
    assert again.asked == 1
    assert target.read_bytes() == whole.read_bytes()
    assert tally.reports == 3
    with pytest.raises(InputError, match=r"other reports: number 1 is 'c/0\.npy'"):
        make_questions([Report("d.npy", "x")], Scripted(), target)


def test_reports_are_read_from_lists_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.txt").write_text("A cyst.\nNo more.")
    (tmp_path / "a/2.txt").write_text("  ")
    listed = tmp_path / "cap.json"
    listed.write_text(json.dumps({"train": [{"image": "a/1.npy", "text": "a/1.txt"}]}))
    wanted = [Report("a/1.npy", "A cyst. No more.")]
    assert read_reports(listed) == wanted
    assert read_reports(tmp_path) == wanted
    with pytest.raises(InputError, match="no M3D-Cap list with a split “test”"):
        read_reports(listed, "test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no report"):
        read_reports(tmp_path / "empty")


def test_a_small_real_model_goes_through_the_command(
    tmp_path: Path, tiny_tokenizer: object, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=1024, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "writer")
    tiny_tokenizer.save_pretrained(tmp_path / "writer")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/1.txt").write_text("A nodule in the left lung.")
    words = ["data", "questions", tmp_path / "texts", "--model", tmp_path / "writer",
             "--max-new-tokens", 4, "--device", "cpu"]  # fmt: skip
    assert main([*map(str, words), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["reports"], said["wanted"], said["kept"], said["pass_rate"]) == (1, 9, 0, 0.0)
    assert said["reasons"] == {"no such line": 9}
    assert main([*map(str, words)]) == 0
    shown = capsys.readouterr()
    assert "0 of 9 questions of 1 reports passed (0.0 %)" in shown.err
    assert main(["data", "questions", str(tmp_path / "texts"), "--model", str(tmp_path)]) == 1
    assert "no model's folder" in capsys.readouterr().err
    assert main(["data", "questions", "--help"]) == 0
