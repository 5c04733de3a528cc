"""How reports are asked for: one list, drawn anew for each row and epoch, replaceable by a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from med2e3.errors import InputError
from med2e3.model.requests import REPORT_REQUESTS, Requests, read_requests
from med2e3.phantoms.questions import WORDINGS


def test_a_request_follows_from_seed_row_and_epoch() -> None:
    requests = Requests()
    drawn = {(s, r, e): requests.draw(s, r, e) for s in (0, 1) for r in range(40) for e in (0, 1)}
    assert drawn == {key: Requests().draw(*key) for key in drawn}
    rows = [drawn[0, r, 0] for r in range(40)]
    assert len(set(rows)) > 12, "many wordings"
    assert [drawn[0, r, 1] for r in range(40)] != rows, "another epoch asks otherwise"
    assert [drawn[1, r, 0] for r in range(40)] != rows, "another seed asks otherwise"


def test_what_the_demo_model_learned_is_among_them() -> None:
    published = {"Can you provide a caption consists of findings for this medical image?"}
    assert set(WORDINGS["report"]) - published <= set(REPORT_REQUESTS)
    assert len(set(REPORT_REQUESTS)) == len(REPORT_REQUESTS) == 24


def test_a_file_of_prompts_takes_the_lists_place(tmp_path: Path) -> None:
    lines = tmp_path / "own.txt"
    lines.write_text("\ufeffSay it.\r\n\n  Write it. \n", encoding="utf-8")
    listed = tmp_path / "own.json"
    listed.write_text('["Say it.", "Write it."]', encoding="utf-8")
    for path in (lines, listed):
        found = read_requests(path)
        assert found.texts == ("Say it.", "Write it.")
        assert found.source == str(path)
        assert found.about()["sha256"] != Requests().about()["sha256"]
    assert read_requests(None) == Requests()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", " \n\n", "holds no prompt"),
        ("a.json", '{"a": 1}', "no JSON list of texts"),
        ("a.json", "[1]", "no JSON list of texts"),
        ("a.json", "[", "cannot be read"),
        ("none.txt", None, "cannot be read"),
    ],
)
def test_a_bad_file_of_prompts_is_named(
    name: str, text: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_requests(path)
