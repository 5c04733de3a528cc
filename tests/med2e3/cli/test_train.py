"""What `med2e3 train` says at its end."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import med2e3.training
from med2e3.cli import main
from med2e3.training.stages.published import DAMAGED_FILE


def test_a_sample_that_no_epoch_could_use_is_counted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ["list, entry 2: it is not there.", "list, entry 4: cut short,\nin two lines."]

    def train(recipe: str, folder: Path, **options: Any) -> Path:
        with (folder / DAMAGED_FILE).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([line] for line in [*said, *reversed(said), said[0]])
        return folder / "model"

    monkeypatch.setattr(med2e3.training, "train", train)
    assert main(["train", "pretrain", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "2 samples could not be used" in shown.err
    assert shown.out.strip() == str(tmp_path / "model")
