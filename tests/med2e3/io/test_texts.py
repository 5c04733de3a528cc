"""Lists, records and pictures of training and evaluation are read within bounds, all by one way."""

from __future__ import annotations

import ast
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from med2e3.errors import Med2E3Error, ResourceError
from med2e3.evaluation.ct_rate_files import _entries
from med2e3.evaluation.m3d_files import read_captions, read_conversations, read_vqa
from med2e3.evaluation.m3d_region_files import mask_rows
from med2e3.evaluation.predictions import kind_of_lines, read_predictions
from med2e3.evaluation.reading import load_array
from med2e3.evaluation.tables import columns_of, rows_of
from med2e3.evidence.replay import read_record
from med2e3.io.texts import (
    LONGEST_LINE,
    check_regular,
    lines_of,
    read_json,
    read_picture,
    read_text,
)
from med2e3.model.requests import read_requests
from med2e3.retrieval.finder import read_texts
from med2e3.training.data.prepare import read_stack
from med2e3.training.data.questions import read_reports
from med2e3.training.data.samples import read_array
from med2e3.training.insight.pairs import read_pairs
from med2e3.volume import WINDOWS

PACKAGES = ("training", "evaluation", "evidence", "retrieval")
ROOT = Path(__file__).resolve().parents[3] / "med2e3"

#: Every reader of a file that somebody names, by what it reads.
READERS: dict[str, Callable[[Path], Any]] = {
    "captions of slices": lambda p: read_pairs(p, (4, 8, 8), WINDOWS["lung"]),
    "captions": lambda p: read_captions(p, p.parent),
    "conversations": lambda p: read_conversations(p, p.parent),
    "questions": lambda p: list(read_vqa(p, p.parent)),
    "metadata": _entries,
    "masks": lambda p: list(mask_rows(p)),
    "rows": lambda p: list(rows_of(p)),
    "heading": columns_of,
    "predictions": read_predictions,
    "kind of predictions": kind_of_lines,
    "record": read_record,
    "prompts": read_requests,
    "texts": read_texts,
    "reports": read_reports,
    "array": load_array,
    "prepared array": lambda p: read_array(p, "row 1"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    pipe = tmp_path / "list.json"
    os.mkfifo(pipe)
    with pytest.raises(Med2E3Error, match=r"list\.json"):
        READERS[name](pipe)


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"array", "prepared array"}))
def test_an_endless_device_is_refused(name: str, tmp_path: Path) -> None:
    link = tmp_path / "list.json"
    link.symlink_to("/dev/zero")
    with pytest.raises(Med2E3Error, match=r"list\.json"):
        READERS[name](link)


def test_a_text_of_more_than_is_free_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("med2e3.io.bounds.free_bytes", lambda: 1_000_000)
    path = tmp_path / "captions.jsonl"
    with path.open("wb") as file:
        file.truncate(2_000_000)
    for read in (
        lambda p: read_pairs(p, (4, 8, 8), WINDOWS["lung"]), read_predictions, read_record,
        read_requests, read_texts,
    ):  # fmt: skip
        with pytest.raises(ResourceError, match=r"captions\.jsonl \(a (text|list)\) needs"):
            read(path)
    small = tmp_path / "small.json"
    small.write_text("[1]")
    assert read_json(small) == [1]
    assert read_text(small) == "[1]"


def test_json_that_is_nested_too_deeply_is_an_error_of_its_value(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(path)


def test_a_line_without_an_end_is_not_read_to_its_end() -> None:
    asked: list[int] = []

    class Endless:
        def readline(self, most: int) -> str:
            asked.append(most)
            return "x" * most

    with pytest.raises(ValueError, match="line 1 has more than 16,777,216 letters"):
        list(lines_of(Endless()))  # type: ignore[arg-type]
    assert asked == [LONGEST_LINE + 1]


def picture(path: Path, columns: int, rows: int) -> Path:
    """A PNG of some bytes that claims this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    lines = zlib.compress(b"\0" * (1 + columns) * rows if rows < 100 else b"\0")
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    )
    return path


def test_a_small_picture_that_claims_a_huge_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "1.png", 6, 4)
    picture(tmp_path / "2.png", 12_000, 12_000)
    monkeypatch.setattr("med2e3.io.bounds.free_bytes", lambda: 10**9)
    assert read_picture(tmp_path / "1.png", "L").shape == (4, 6)
    assert read_picture(tmp_path / "1.png", "RGB").shape == (4, 6, 3)
    with pytest.raises(ResourceError, match="a picture of 12000 × 12000"):
        read_picture(tmp_path / "2.png", "L")
    stack, problems = read_stack(tmp_path)
    assert stack.shape == (1, 4, 6)
    assert len(problems) == 1
    assert "2.png cannot be read" in problems[0]


def test_an_array_of_more_than_is_free_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "mask.npy", np.zeros((10, 10, 10)))
    monkeypatch.setattr("med2e3.io.bounds.free_bytes", lambda: 7_999)
    with pytest.raises(ResourceError, match="an array of 10 × 10 × 10"):
        load_array(tmp_path / "mask.npy")
    monkeypatch.setattr("med2e3.io.bounds.free_bytes", lambda: 8_000)
    assert load_array(tmp_path / "mask.npy").shape == (10, 10, 10)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname"])
def test_lists_name_nothing_outside_their_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("A report.")
    (folder / "list.json").write_text(json.dumps({"train": [{"image": "a.npy", "text": name}]}))
    with pytest.raises(Med2E3Error, match="lies outside"):
        read_reports(folder / "list.json")


def test_what_is_not_there_is_told_by_who_opens_it(tmp_path: Path) -> None:
    check_regular(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")


def calls(path: Path) -> list[SimpleNamespace]:
    """What a module calls: the function's last name, what it is a part of, and the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            found.append(SimpleNamespace(name=node.func.attr, owner=owner, line=node.lineno))
    return found


def test_no_reader_goes_past_the_bound() -> None:
    past = [
        f"{path.relative_to(ROOT)}:{call.line}: {call.owner}.{call.name}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for call in calls(path)
        if call.name == "read_text"
        or (call.name == "read_bytes" and "check_text(" not in path.read_text(encoding="utf-8"))
        or (call.owner, call.name) in {("json", "load"), ("Image", "open")}
    ]
    assert not past
