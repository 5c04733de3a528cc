"""The published lists, row by row, and every way in which a row can be wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from med2e3.errors import DataError, InputError
from med2e3.evaluation.m3d_files import read_conversations
from med2e3.model.requests import Requests
from med2e3.training.data.formats import SampleFile, open_samples
from med2e3.training.data.records import CsvRecords, JsonRecords
from med2e3.training.data.samples import Sample

HEADER = (
    "Image Path,Text,Question Type,Question,Choice A,Choice B,Choice C,Choice D,Answer,"
    "Answer Choice\r\n"
)


def source(file: Path, form: str, **more: Any) -> SampleFile:
    return SampleFile(form, file, file.parent, **more)


def samples(file: Path, form: str, **more: Any) -> list[Sample]:
    opened = open_samples(source(file, form, **more))
    return [opened.sample(k) for k in range(len(opened))]


def conversation(**changes: Any) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": "7",
        "vision3d": ["a/7.npy"],
        "question": "Which plane?",
        "conversations": [
            {"from": "human", "value": "<image3d>\nWhich plane?"},
            {"from": "gpt", "value": "Axial."},
        ],
    }
    return {name: value for name, value in {**said, **changes}.items() if value is not None}


@pytest.fixture
def vqa(tmp_path: Path) -> Path:
    """As the published files: CRLF, quotes, commas and line ends inside fields, NA, accents."""
    path = tmp_path / "vqa.csv"
    rows = (
        'x/1.npy,x/t.txt,1,"Which plane, please?",Axial,Coronal,NA,"So-called ""oblique""",Axial,A',
        'x/2.npy,x/t.txt,4,"What is\r\nseen?",Pöschl view,B2,C2,D2,Pöschl view,A',
        "x/3.npy,x/t.txt,5,Where?,None,Left,Right,NA,None,A",
    )
    path.write_bytes((HEADER + "\r\n".join(rows) + "\r\n").encode())
    return path


@pytest.mark.parametrize("field", ["text", "image"])
@pytest.mark.parametrize("absolute", [False, True])
def test_no_list_chooses_a_file_outside_its_folder(
    field: str, absolute: bool, tmp_path: Path
) -> None:
    """What a report list names as a text is learned by heart: it must not be a file of the user."""
    folder = tmp_path / "lists"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "t.txt").write_text("A secret.", encoding="utf-8")
    outside = str(tmp_path / "t.txt") if absolute else "x/../../t.txt"
    file = folder / "cap.json"
    row = {"image": "1.npy", "text": "t.txt"} | {field: outside}
    file.write_text(json.dumps({"train": [row]}), encoding="utf-8")
    with pytest.raises(DataError, match=r"entry 1 names .*outside.*--data"):
        samples(file, "m3d-cap", split="train")


def test_closed_questions_list_their_choices(vqa: Path) -> None:
    first, second, third = samples(vqa, "m3d-vqa-closed")
    assert first.image == vqa.parent / "x/1.npy"
    asked = 'Which plane, please? Choices: A. Axial B. Coronal C. nan D. So-called "oblique"'
    assert first.turns == ((asked, "A. Axial"),)
    assert first.question == asked
    assert second.turns[0][0].startswith("What is\r\nseen? Choices: A. Pöschl view B. B2")
    assert third.turns[0][1] == "A. None", "a choice that is a word, not a gap"


@pytest.mark.parametrize(
    ("choice", "expected"), [("nan", " C. nan D."), ("NA", " C. NA D."), ("omit", "Coronal D.")]
)
def test_a_missing_choice_is_written_as_wished(vqa: Path, choice: str, expected: str) -> None:
    assert expected in samples(vqa, "m3d-vqa-closed", missing_choice=choice)[0].question


def test_open_questions_stand_alone(vqa: Path) -> None:
    assert samples(vqa, "m3d-vqa-open")[2].turns == (("Where?", "None"),)


def test_captions_ask_for_the_report_in_the_text_file(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("  A cyst.\n", encoding="utf-8")
    lists = {"train": [{"image": "1.npy", "text": "t.txt"}] * 2, "test": [], "other": {"a": 1}}
    path = tmp_path / "cap.json"
    path.write_text(json.dumps(lists), encoding="utf-8")
    first, _ = samples(path, "m3d-cap", split="train")
    assert first.turns[0][1] == "A cyst."
    assert first.question == first.turns[0][0]
    assert first == samples(path, "m3d-cap", split="train")[0], "the same at every reading"
    opened = open_samples(source(path, "m3d-cap", split="train"), seed=5)
    asked = [opened.sample(0, epoch).question for epoch in range(12)]
    assert len(set(asked)) > 4, "another wording in most epochs"
    assert asked == [Requests().draw(5, 0, epoch) for epoch in range(12)]
    own = tmp_path / "own.txt"
    own.write_text("Say it.\n", encoding="utf-8")
    assert samples(path, "m3d-cap", split="train", prompts=own)[1].question == "Say it."
    assert samples(path, "m3d-cap", split="test") == []
    with pytest.raises(DataError, match="train, test"):
        open_samples(source(path, "m3d-cap", split="validation"))


def test_conversations_keep_the_place_of_the_volume(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    turns = [
        {"from": "human", "value": 'A "brace" { [ in text. Look: <image3d>\nWhat?'},
        {"from": "gpt", "value": "This \\ that."},
        {"from": "human", "value": "Sure?"},
        {"from": "gpt", "value": "Yes."},
    ]
    path.write_text(json.dumps([conversation(), conversation(conversations=turns)], indent=1))
    first, second = samples(path, "conversations")
    assert first == Sample(
        tmp_path / "a/7.npy",
        (("<image3d>\nWhich plane?", "Axial."),),
        "Which plane?",
        f"{path}, entry 1",
    )
    assert second.turns[0] == ('A "brace" { [ in text. Look: <image3d>\nWhat?', "This \\ that.")
    assert second.turns[1] == ("Sure?", "Yes.")


def test_without_a_question_the_last_human_turn_is_what_slices_are_scored_by(
    tmp_path: Path,
) -> None:
    path = tmp_path / "talk.json"
    turns = [
        {"from": "human", "value": "<image3d>\nWhich plane?"}, {"from": "gpt", "value": "Axial."},
        {"from": "human", "value": "A nodule?"}, {"from": "gpt", "value": "No."},
    ]  # fmt: skip
    entries = [conversation(question=None), conversation(question=None, conversations=turns)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a/7.npy").write_bytes(b"")
    path.write_text(json.dumps(entries))
    assert [s.question for s in samples(path, "conversations")] == ["Which plane?", "A nodule?"]
    items = read_conversations(path, tmp_path)
    assert [i.scored_by or i.prompt for i in items] == ["Which plane?", "Which plane?", "A nodule?"]


def test_a_closed_question_whose_right_choice_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vqa.csv"
    path.write_text(HEADER + "1.npy,t,1,Which?,a,b,NA,NA,c,C\n1.npy,t,1,Which?,a,b,NA,NA,c,NA\n")
    opened = open_samples(source(path, "m3d-vqa-closed"))
    for row, said in ((0, "row 1: the answer choice is 'C'"), (1, "row 2: the answer .* 'NA'")):
        with pytest.raises(DataError, match=said):
            opened.sample(row)
    assert samples(path, "m3d-vqa-open")[0].spaced


HUMAN, GPT = {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question": 7}, "“question” is 7, which is no text"),
        (
            {"question": None, "conversations": [{"from": "human", "value": "<image3d>"}, GPT]},
            "neither “question” nor the last human turn",
        ),
        ({"vision3d": ["a.npy", "b.npy"]}, "exactly one volume"),
        ({"vision3d": None}, "exactly one volume"),
        ({"conversations": [HUMAN]}, "end with an answer"),
        ({"conversations": [GPT, HUMAN]}, "turn 1 is not by “human”"),
        ({"conversations": [HUMAN, {"from": "gpt", "value": " "}]}, "turn 2 has no text"),
        ({"conversations": [HUMAN, {"from": "gpt", "value": "<image3d>"}]}, "must stand once"),
        (
            {"conversations": [{"from": "human", "value": "<image3d><image3d>"}, GPT]},
            "must stand once",
        ),
    ],
)
def test_a_wrong_conversation_is_named(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps([conversation(), conversation(**changes)]), encoding="utf-8")
    opened = open_samples(source(path, "conversations"))
    opened.sample(0)
    with pytest.raises(DataError, match=said) as caught:
        opened.sample(1)
    assert "entry 2" in str(caught.value)


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vqa.csv"
    path.write_text(HEADER + "x/1.npy,t,1,Q,A,B,C,D,A,A\nx/2.npy,t,1,Q\n", encoding="utf-8")
    opened = open_samples(source(path, "m3d-vqa-closed"))
    assert len(opened) == 2
    with pytest.raises(DataError, match="row 2 has 4 fields where 10"):
        opened.sample(1)


@pytest.mark.parametrize("content", ["", "[", '[{"a": 1}, {"b"', "{}", "12"])
def test_a_list_that_is_none_or_was_cut_short_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"talk\.json"):
        JsonRecords(path)


def test_a_missing_list_and_a_missing_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        open_samples(source(tmp_path / "none.json", "conversations"))
    path = tmp_path / "half.csv"
    path.write_text("Image Path,Question\n", encoding="utf-8")
    with pytest.raises(DataError, match="lacks the column Answer"):
        open_samples(source(path, "m3d-vqa-open"))
    path.write_bytes(b"Image Path,Question,Answer\n\xff\xfe,a,b\n")
    with pytest.raises(DataError, match="no CSV text"):
        open_samples(source(path, "m3d-vqa-open"))


def test_an_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="m3d-vqa-closed"):
        SampleFile("m3d", tmp_path, tmp_path)


def test_rows_are_read_by_number_and_only_then(tmp_path: Path) -> None:
    """What a scan keeps of a row is where it begins."""
    path = tmp_path / "many.csv"
    with path.open("w", encoding="utf-8") as stream:
        stream.write("Question,Answer\n")
        for k in range(5000):
            stream.write(f'"question\n{k}",answer {k}\n')
    rows = CsvRecords(path, ("Question",))
    assert len(rows) == 5000
    assert rows[4321] == {"Question": "question\n4321", "Answer": "answer 4321"}
    assert rows.starts.nbytes < 50_000


def test_a_csv_row_ends_where_csv_says(tmp_path: Path) -> None:
    """Some characters end a line elsewhere; in CSV they are text."""
    path = tmp_path / "odd.csv"
    answers = ["liver\u2028and spleen", "liver\x0cand\x85spleen", "plain"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("Question", "Answer"), *(("Which?", a) for a in answers)])
    rows = CsvRecords(path, ("Question", "Answer"))
    assert [rows[k]["Answer"] for k in range(len(rows))] == answers
