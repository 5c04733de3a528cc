"""Files of M3D-Bench are read as published, and what is wrong in them is named with its row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from med2e3.errors import ImageReadError, InputError, ResourceError
from med2e3.evaluation.m3d_files import read_captions, read_conversations, read_vqa
from med2e3.evaluation.m3d_region_files import place
from med2e3.evaluation.reading import load_array

from .conftest import COLUMNS, ROWS, Files


def test_a_row_is_asked_open_and_closed_as_published(files: Files) -> None:
    items = read_vqa(files.csv(*ROWS), files.root).items
    assert len(items) == 6
    opened, closed = items[:2]
    assert (opened.prompt, opened.truth, opened.letter) == ("Which plane is it?", "axial", "")
    assert closed.prompt == (
        "Which plane is it? Choices: A. axial B. coronal C. sagittal D. nan"
    )  # as pandas makes it of NA
    assert (closed.truth, closed.letter, closed.choices) == ("A. axial", "A", 3)
    assert [i.topic for i in items[::2]] == ["plane", "phase", "location"]
    assert [i.row for i in items[::2]] == [1, 2, 3]
    assert closed.image == files.root / "a/1.npy"
    assert all(i.spaced for i in items)


def test_na_is_missing_but_none_is_a_choice(files: Files) -> None:
    closed = read_vqa(files.csv(*ROWS), files.root, keep_missing=False).items[3]
    assert closed.prompt == "Which phase, please? Choices: A. None B. left"
    assert (closed.truth, closed.choices) == ("A. None", 2)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("Image Path", "a/9.npy", r"row 2: the image .*9\.npy does not exist.*--images"),
        ("Image Path", " ", "row 2: the image .* does not exist"),
    ],
)
def test_a_volume_that_is_not_there_is_named(
    files: Files, column: str, value: str, says: str
) -> None:
    row = list(ROWS[1])
    row[COLUMNS.index(column)] = value
    with pytest.raises(InputError, match=says):
        read_vqa(files.csv(ROWS[0], tuple(row)), files.root)


@pytest.mark.parametrize("absolute", [False, True])
def test_no_list_chooses_a_file_outside_its_folder(files: Files, absolute: bool) -> None:
    secret = files.root.parent / "secret.npy"
    np.save(secret, np.zeros((1, 2, 2, 2), np.float32))
    name = str(secret) if absolute else f"a/../../{secret.name}"
    row = list(ROWS[1])
    row[COLUMNS.index("Image Path")] = name
    with pytest.raises(InputError, match=r"row 2: the image .*secret.*outside.*--images"):
        read_vqa(files.csv(ROWS[0], tuple(row)), files.root)
    with pytest.raises(InputError, match=r"secret\.npy leads out of its folder"):
        place(f"../{secret.name}", files.root)
    inside = str(files.root / "a" / "1.npy")  # a whole path into the folder itself is no way out
    row[COLUMNS.index("Image Path")] = inside
    assert str(read_vqa(files.csv(tuple(row)), files.root).items[0].image) == inside


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("Question Type", "7", "row 2: the question type is '7'"),
        ("Question", "  ", "row 2: the question or its answer is empty"),
        ("Answer Choice", "C", "row 2: the answer choice is 'C', which is no choice"),
        ("Answer Choice", "NA", "row 2: the answer choice is 'NA'"),
    ],
)
def test_an_odd_row_is_named_and_skipped(files: Files, column: str, value: str, says: str) -> None:
    row = list(ROWS[1])
    row[COLUMNS.index(column)] = value
    listed = read_vqa(files.csv(ROWS[0], tuple(row), ROWS[2]), files.root)
    assert [i.row for i in listed.items] == [1, 1, 3, 3]
    assert len(listed.skipped) == 1
    assert says in listed.skipped[0]
    with pytest.raises(InputError, match=f"No row of .* can be asked.*{says.replace('2', '1')}"):
        read_vqa(files.csv(tuple(row)), files.root)


def test_a_file_of_another_kind_is_refused(files: Files) -> None:
    with pytest.raises(InputError, match="no column Question Type, Question"):
        read_vqa(files.csv(("a", "b"), columns=("Image Path", "Answer")), files.root)
    with pytest.raises(InputError, match="has no rows"):
        read_vqa(files.csv(), files.root)
    with pytest.raises(InputError, match="row 1: it has more or fewer fields"):
        read_vqa(files.csv(ROWS[0][:5]), files.root)
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_vqa(files.root / "nowhere.csv", files.root)
    (files.root / "bytes.csv").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_vqa(files.root / "bytes.csv", files.root)


def test_captions_are_read_by_split(files: Files) -> None:
    pair = {"image": "b/2.npy", "text": "b/2.txt"}
    file = files.json("cap.json", {"train": [], "test": [pair]})
    (item,) = read_captions(file, files.root)
    assert item.truth == "A nodule in the left lung of b/2."
    assert item.topic == "report"
    with pytest.raises(InputError, match="no split 'test9'; it has train, test"):
        read_captions(file, files.root, "test9")
    with pytest.raises(InputError, match="holds no list"):
        read_captions(file, files.root, "train")
    (files.root / "b/2.txt").write_text("  ")
    with pytest.raises(InputError, match=r"entry 1: the text .* is empty"):
        read_captions(file, files.root)
    broken = files.json("cap.json", [{"image": "b/2.npy"}])
    with pytest.raises(InputError, match="entry 1: “text” is missing"):
        read_captions(broken, files.root)


def talk(*turns: str, **more: object) -> dict[str, object]:
    who = ("human", "gpt")
    said = [{"from": who[k % 2], "value": turn} for k, turn in enumerate(turns)]
    return {"id": "7", "conversations": said, "vision3d": ["a/1.npy"], **more}


def test_a_conversation_is_asked_turn_by_turn_with_the_right_answers_before(files: Files) -> None:
    file = files.json("c.json", [talk("<image3d>\nWhat?", "This.", "Where?", "There.")])
    first, second = read_conversations(file, files.root)
    assert (first.prompt, first.truth, first.history) == ("What?", "This.", ())
    assert (second.prompt, second.truth) == ("Where?", "There.")
    assert second.history == (("What?", "This."),)
    assert (first.id, first.scored_by) == ("7", "")


def test_the_text_that_a_conversation_states_for_the_scores_is_kept(files: Files) -> None:
    said = talk("<image3d>\nWhat?", "This.", "Where?", "There.", question="<image3d>\nWhat, where?")
    items = read_conversations(files.json("c.json", [said]), files.root)
    assert [item.scored_by for item in items] == ["What, where?", "What, where?"]


def test_answers_are_matched_by_place_and_id(files: Files) -> None:
    asked = files.json(
        "c.json",
        [
            talk("<image3d>\nWhat? Choices: A. this B. that C. nan D. nan", id="1"),
            talk("Where?", id="2"),
        ],
    )
    told = [
        {"id": "1", "answer": "A. this", "answer_choice": "A", "question_type": 3},
        {"id": 2, "answer": "there", "question_type": 5},
    ]
    first, second = read_conversations(asked, files.root, files.json("a.json", told))
    assert (first.letter, first.choices, first.topic) == ("A", 2, "organ")
    assert (second.letter, second.truth, second.topic) == ("", "there", "location")
    with pytest.raises(InputError, match=r"Entry 1 has the id '1' in .* but '2'"):
        read_conversations(asked, files.root, files.json("a.json", told[::-1]))
    with pytest.raises(InputError, match=r"has 1 answers, .* has 2 questions"):
        read_conversations(asked, files.root, files.json("a.json", told[:1]))
    with pytest.raises(InputError, match="no answer to compare with"):
        read_conversations(asked, files.root)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (talk("What?", "This.", vision3d=["a/1.npy", "b/2.npy"]), "exactly one volume"),
        (talk("What?", "This.", vision2d=["x.png"]), "exactly one volume"),
        (talk("What?", "This.", vision3d=["a/5.npy"]), r"5\.npy does not exist"),
        (talk("What?", "This.", question_type=9), "question type is 9"),
        (talk("What?", "This.", question=7), "“question” is 7"),
        (talk(), "“conversations” is empty"),
        ({"id": "1", "vision3d": ["a/1.npy"], "conversations": [{"from": "human"}]}, "“value”"),
        (
            {
                "vision3d": ["a/1.npy"],
                "conversations": [{"from": "gpt", "value": "x"}, {"from": "human", "value": "y"}],
            },
            "do not speak in turn: gpt, human",
        ),
    ],
)
def test_a_bad_conversation_is_named(files: Files, entry: object, says: str) -> None:
    with pytest.raises(InputError, match=f"entry 2: .*{says}"):
        read_conversations(files.json("c.json", [talk("What?", "This."), entry]), files.root)


def test_the_recorded_conversations_are_read(golden_folder: Path, files: Files) -> None:
    source = golden_folder / "inputs" / "eval.json"
    entries = json.loads(source.read_text(encoding="utf-8"))
    arrays = np.load(golden_folder / "inputs" / "volumes_u8.npz")
    for name in {path for entry in entries for path in entry["vision3d"]}:
        np.save(files.root / name, arrays[Path(name).stem])
    told = files.json("a.json", [{"id": e["id"], "answer": "axial"} for e in entries])
    items = read_conversations(source, files.root, told)
    assert [i.prompt for i in items] == [e["question"] for e in entries]


def test_what_is_no_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"nothing")
    with pytest.raises(ImageReadError, match="cannot be read as a NumPy array"):
        load_array(path)
    np.save(path, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageReadError, match="cannot be read as a NumPy array"):
        load_array(path)


def test_a_case_is_the_folder_with_one_text_and_else_not_known(files: Files) -> None:
    flat = files.root / "flat.npy"
    np.save(flat, np.zeros((1, 8, 32, 32), np.float32))
    (files.root / "about.txt").write_text("Not the text of a case.")
    rows = [*ROWS, ("b/3.npy", *ROWS[2][1:]), ("flat.npy", *ROWS[2][1:])]
    cases = {i.image: (i.case, i.cluster) for i in read_vqa(files.csv(*rows), files.root).items}
    first, second = files.root / "a/1.npy", files.root / "b/2.npy"
    assert cases[first] == (str(first.parent), str(first.parent))
    assert cases[second] == ("", str(second))  # two texts in its folder
    assert cases[flat] == ("", str(flat))
    said = [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "left"}]
    talk = [{"id": n, "conversations": said, "vision3d": [n]} for n in ("a/1.npy", "b/2.npy")]
    items = read_conversations(files.json("c.json", talk), files.root)
    assert [i.case for i in items] == [str(first.parent), ""]
    pairs = [{"image": n, "text": "a/1.txt"} for n in ("a/1.npy", "b/2.npy")]
    reports = read_captions(files.json("cap.json", pairs), files.root)
    assert {i.cluster for i in reports} == {str(files.root / "a/1.txt")}


def test_a_list_that_is_nested_too_deeply_is_named(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(InputError, match=r"deep\.json cannot be read as JSON: it is nested"):
        read_captions(path, tmp_path)


def test_a_list_of_more_than_is_free_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"test": [{}] * 1000}))
    monkeypatch.setattr("med2e3.io.bounds.free_bytes", lambda: 10_000)
    with pytest.raises(ResourceError, match=r"long\.json \(a list\) needs"):
        read_captions(path, tmp_path)
