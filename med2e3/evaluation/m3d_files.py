"""Reads the files of M3D-Bench and Med-2E3: questions, captions, conversations and their volumes.

Layouts as published (M3D-VQA's CSV, M3D-Cap's JSON, Med-2E3's conversations and answers). Every
complaint names the file and the row. Knows nothing of models.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.evaluation.reading import Reading
from med2e3.evaluation.tables import json_of
from med2e3.io.references import below
from med2e3.io.texts import check_regular, lines_of, read_text
from med2e3.model.prompts import IMAGE_PLACEHOLDER

#: M3D-VQA's question types by number.
TYPES = {1: "plane", 2: "phase", 3: "organ", 4: "abnormality", 5: "location"}

LETTERS = "ABCD"
COLUMNS = (
    "Image Path", "Question Type", "Question", "Choice A", "Choice B", "Choice C", "Choice D",
    "Answer", "Answer Choice",
)  # fmt: skip

#: How M3D-VQA marks a choice that there is not. Only these: a choice may well be called "None".
MISSING = ("", "NA")

#: What the published prompts say in place of a missing choice, because pandas reads "NA" as a
#: number that is none; models were trained on it.
PUBLISHED_MISSING = "nan"


@dataclass(frozen=True)
class Item:
    """One question about one volume, with its right answer.

    `row` tells where it stands in its file (1 is the first data row). `letter` is the right choice
    of a closed question among `choices`. `history` are earlier (question, answer) turns, and
    `scored_by` is what the slice scores follow where the file states it apart from the prompt.
    `spaced` says that it is a question of M3D-VQA, which M3D-LaMed learned after a space. `case`
    is the same for all series of one examination, "" where that is not known. `reading` says how
    the volume is read. `labels` are those of `clinical.LABELS` that a report should claim, as 0 and
    1; empty where they are not known. `mask` is the file of the mask that the answer should draw,
    of the value `mask_id` (0: of all that is not 0); `grid` is the shape of the prepared volume
    that boxes are stated of.
    """

    row: int
    image: Path
    topic: str
    prompt: str
    truth: str
    letter: str = ""
    choices: int = 0
    history: tuple[tuple[str, str], ...] = ()
    id: str = ""
    scored_by: str = ""
    spaced: bool = False
    case: str = ""
    reading: Reading = field(default_factory=Reading)
    labels: tuple[int, ...] = ()
    mask: Path | None = None
    mask_id: int = 0
    grid: tuple[int, ...] = ()

    @property
    def cluster(self) -> str:
        """What stands or falls together in an interval: the case, or the image alone."""
        return self.case or str(self.image)


@dataclass(frozen=True)
class Listed:
    """The questions of a list, and a sentence for each of its rows that is none."""

    items: list[Item]
    skipped: tuple[str, ...] = ()


def read_vqa(file: Path, images: Path, *, keep_missing: bool = True) -> Listed:
    """Both forms of every row of an M3D-VQA CSV: open, then closed.

    A missing choice is written "nan" as in the published prompts, or left out of the prompt with
    `keep_missing` False; the choices to guess among are those that are there. A row without a
    question, an answer, a type or its right choice is skipped and named. Raises `InputError` for a
    file that is no such list, a volume that is not there, and when every row is skipped.
    """
    items: list[Item] = []
    skipped: list[str] = []
    case_of = _cases(images)
    for row, said in _csv_rows(file):
        where = f"{file}, row {row}"
        image = _image(said["Image Path"], images, where)
        try:
            items += _vqa_items(row, said, image, where, keep_missing, case_of(image.parent))
        except InputError as error:
            skipped.append(str(error))
    if not items:
        raise InputError(f"No row of {file} can be asked. {skipped[0]}")
    return Listed(items, tuple(skipped))


def _vqa_items(
    row: int, said: dict[str, str], image: Path, where: str, keep_missing: bool, case: str
) -> list[Item]:
    """One row, open and closed; raises `InputError` for a row that cannot be asked."""
    topic = _topic(said["Question Type"], where)
    question, answer = said["Question"].strip(), said["Answer"].strip()
    if not question or not answer:
        raise InputError(f"{where}: the question or its answer is empty.")
    choices = {a: said[f"Choice {a}"].strip() for a in LETTERS}
    letter = said["Answer Choice"].strip()
    if choices.get(letter, "") in MISSING:
        raise InputError(
            f"{where}: the answer choice is {letter!r}, which is no choice of this row "
            f"({', '.join(f'{a}: {c!r}' for a, c in choices.items())}). Correct the row."
        )
    there = {a: c for a, c in choices.items() if c not in MISSING}
    shown = {a: there.get(a, PUBLISHED_MISSING) for a in LETTERS} if keep_missing else there
    listed = " ".join(f"{a}. {c}" for a, c in shown.items())
    base = Item(row, image, topic, question, answer, spaced=True, case=case)
    closed = replace(
        base, prompt=f"{question} Choices: {listed}", truth=f"{letter}. {there[letter]}",
        letter=letter, choices=len(there),
    )  # fmt: skip
    return [base, closed]


def read_captions(file: Path, images: Path, split: str = "test") -> list[Item]:
    """The volumes of one split of an M3D-Cap JSON with their texts; `prompt` stays empty.

    Texts are files relative to `images`, as the images are. Raises `InputError`.
    """
    said = json_of(file)
    if isinstance(said, dict):
        if split not in said:
            raise InputError(f"{file} has no split {split!r}; it has {', '.join(map(str, said))}.")
        said = said[split]
    items = []
    for row, entry in _entries(file, said):
        where = f"{file}, entry {row}"
        image = _image(_text(entry, "image", where), images, where)
        text = _image(_text(entry, "text", where), images, where, what="text")
        try:
            truth = read_text(text).strip()
        except (OSError, ValueError) as error:
            raise InputError(f"{where}: {text} cannot be read as text: {error}.") from error
        if not truth:
            raise InputError(f"{where}: the text {text} is empty.")
        items.append(Item(row, image, "report", "", truth, case=str(text)))
    return items


def read_conversations(file: Path, images: Path, answers: Path | None = None) -> list[Item]:
    """The questions of a Med-2E3 conversation JSON, one item an answer wanted.

    The wanted answers stand in the conversation, or in `answers`: a list of the same length whose
    ids must be the same, place by place. Raises `InputError`.
    """
    entries = list(_entries(file, json_of(file)))
    case_of = _cases(images)
    wanted = None if answers is None else _wanted(file, entries, answers)
    items = []
    for row, entry in entries:
        where = f"{file}, entry {row}"
        volumes = entry.get("vision3d")
        if not isinstance(volumes, list) or len(volumes) != 1 or entry.get("vision2d"):
            raise InputError(
                f"{where}: it names {volumes!r} as volumes; a model here reads exactly one volume "
                "at a time, and no single images."
            )
        image = _image(str(volumes[0]), images, where)
        case = case_of(image.parent)
        base = Item(
            row, image, _topic(entry.get("question_type", ""), where, optional=True), "", "",
            id=str(entry.get("id", "")), scored_by=_bare(_guide(entry, where)), case=case,
        )  # fmt: skip
        items += _turns(entry, base, None if wanted is None else wanted[row - 1], where)
    return items


def _turns(
    entry: dict[str, Any], base: Item, wanted: dict[str, Any] | None, where: str
) -> list[Item]:
    """An item for every question of one conversation; with `wanted`, for the last one."""
    turns = entry.get("conversations")
    if not isinstance(turns, list) or not turns:
        raise InputError(f"{where}: “conversations” is empty.")
    said = [(_text(t, "from", where), _text(t, "value", where)) for t in turns]
    asked = [_bare(value) for who, value in said if who == "human"]
    told = [value.strip() for who, value in said if who == "gpt"]
    order = [who for who, _ in said]
    if order != ["human", "gpt"] * len(told) + ["human"] * (len(asked) - len(told)):
        raise InputError(f"{where}: human and gpt do not speak in turn: {', '.join(order)}.")
    if wanted is not None:
        history = tuple(zip(asked[:-1], told, strict=False))
        letter = str(wanted.get("answer_choice", "") or "").strip()
        topic = _topic(wanted.get("question_type", ""), where, optional=True)
        return [
            replace(
                base, prompt=asked[-1], truth=str(wanted["answer"]).strip(), letter=letter,
                choices=_count_choices(asked[-1]) if letter else 0, history=history,
                topic=base.topic if base.topic != "all" else topic,
            )
        ]  # fmt: skip
    if len(told) < len(asked):
        raise InputError(
            f"{where}: the last question has no answer to compare with. Give the answers' file."
        )
    return [
        replace(base, prompt=q, truth=a, history=tuple(zip(asked[:k], told[:k], strict=True)))
        for k, (q, a) in enumerate(zip(asked, told, strict=True))
    ]


def _wanted(
    file: Path, entries: list[tuple[int, dict[str, Any]]], answers: Path
) -> list[dict[str, Any]]:
    """The answers, checked place by place against the questions."""
    rows = [entry for _, entry in _entries(answers, json_of(answers))]
    if len(rows) != len(entries):
        raise InputError(
            f"{answers} has {len(rows)} answers, {file} has {len(entries)} questions: they do not "
            "belong together."
        )
    for (row, question), answer in zip(entries, rows, strict=True):
        asked, told = str(question.get("id")), str(answer.get("id"))
        if asked != told:
            raise InputError(
                f"Entry {row} has the id {asked!r} in {file}, but {told!r} in {answers}: they must "
                "be in the same order."
            )
        if not str(answer.get("answer", "") or "").strip():
            raise InputError(f"{answers}, entry {row}: there is no answer.")
    return rows


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Data rows with their number, every column as text: "NA" stays "NA"."""
    try:
        check_regular(file)
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(lines_of(stream), strict=True)
            absent = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
            if absent:
                raise InputError(
                    f"{file} has no column {', '.join(absent)}; it is no M3D-VQA file. Its columns "
                    f"are {', '.join(reader.fieldnames or ())}."
                )
            row = 0
            for row, said in enumerate(reader, start=1):
                if None in said or None in said.values():
                    raise InputError(
                        f"{file}, row {row}: it has more or fewer fields than the heading; a text "
                        "with a comma must stand in quotes."
                    )
                yield row, said
            if not row:
                raise InputError(f"{file} has no rows.")
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as CSV: {error}.") from error


def _entries(file: Path, said: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if not isinstance(said, list) or not said:
        raise InputError(f"{file} holds no list of entries.")
    for row, entry in enumerate(said, start=1):
        if not isinstance(entry, dict):
            raise InputError(f"{file}, entry {row}, is {entry!r}, not an object.")
        yield row, entry


def _text(entry: Any, key: str, where: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: “{key}” is missing or no text.")
    return value


def _image(name: str, root: Path, where: str, what: str = "image") -> Path:
    path = below(root, name.strip())
    if path is None:
        raise InputError(
            f"{where}: the {what} {name.strip()!r} lies outside {root}, and such a file is not "
            "read. Name a folder that holds it with --images."
        )
    if not name.strip() or not path.exists():
        raise InputError(
            f"{where}: the {what} {path} does not exist. Paths are relative to {root}; name their "
            "folder with --images."
        )
    return path


def _cases(root: Path) -> Callable[[Path], str]:
    """The case of a folder's images, "" where none is known; every folder is looked at once.

    M3D-Cap keeps a case's series in a folder of their own, with the one text of all beside them.
    Other folders may hold any number of cases.
    """

    @cache
    def case_of(folder: Path) -> str:
        if folder == root or len(list(folder.glob("*.txt"))) != 1:
            return ""
        return str(folder)

    return case_of


def _topic(said: Any, where: str, *, optional: bool = False) -> str:
    """The topic of a question type; "all" where there is none and none is needed."""
    if optional and (said is None or str(said).strip() in MISSING):
        return "all"
    try:
        return TYPES[int(str(said).strip())]
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{where}: the question type is {said!r}; it must be 1 to {len(TYPES)}."
        ) from error


def _guide(entry: dict[str, Any], where: str) -> str:
    """The entry's own text for the slice scores (published: one for all turns); "" without one."""
    said = entry.get("question") or ""
    if not isinstance(said, str):
        raise InputError(f"{where}: “question” is {said!r}, which is no text.")
    return said


def _bare(value: str) -> str:
    return value.replace(IMAGE_PLACEHOLDER, " ").strip()


def _count_choices(prompt: str) -> int:
    """How many choices a closed prompt offers: what a guess is made among."""
    listed = prompt.rpartition("Choices:")[2]
    there = [f"{a}. " in listed and f"{a}. {PUBLISHED_MISSING}" not in listed for a in LETTERS]
    return max(1, sum(there))
