"""Reads 3D-RAD: questions of six tasks about CT-RATE's volumes, a CSV a subtask.

As published (Tang-xiaoxiao/3D-RAD): closed questions list all four choices, "-" where there is
none; what came before is text in the question, with one volume. Knows nothing of models.
"""

from __future__ import annotations

from pathlib import Path

from med2e3.errors import InputError
from med2e3.evaluation.ct_rate_files import CtRate, case_of
from med2e3.evaluation.m3d_files import LETTERS, Item, Listed
from med2e3.evaluation.tables import columns_of, rows_of

COLUMNS = ("Task", "VolumeName", "Question", "Answer", "QuestionType")

#: The six tasks by number.
TASKS = {
    1: "image observation", 2: "anomaly detection", 3: "medical computation",
    4: "existence detection", 5: "static temporal", 6: "longitudinal temporal",
}  # fmt: skip

#: How a choice that there is not is written.
ABSENT = ("-", "", "NA", "nan")


def read_rad3d(folder: Path, volumes: CtRate) -> Listed:
    """All tables below a folder, in the order of their names. Odd rows are skipped and named.

    Raises `InputError` where there is no such table, or no row of any can be asked.
    """
    items: list[Item] = []
    skipped: list[str] = []
    tables = [
        path for path in sorted(folder.rglob("*.csv")) if set(COLUMNS) <= set(columns_of(path))
    ]
    if not tables:
        raise InputError(f"{folder} has no table with the columns {', '.join(COLUMNS)}.")
    for table in tables:
        for row, said in rows_of(table):
            try:
                items.append(_item(said, row, volumes))
            except (InputError, KeyError, ValueError) as error:
                skipped.append(f"{table}, row {row}: {error}")
    if not items:
        raise InputError(f"No row of the tables in {folder} can be asked. {skipped[0]}")
    return Listed(items, tuple(skipped))


def _item(said: dict[str, str], row: int, volumes: CtRate) -> Item:
    """One question; raises `InputError`, KeyError or ValueError for a row that is none."""
    topic = TASKS[int(said["Task"])]
    question, answer = said["Question"].strip(), said["Answer"].strip()
    if not question or not answer:
        raise InputError("the question or its answer is empty.")
    name = said["VolumeName"]
    path, reading = volumes.place(name)
    letter, choices, listed = "", 0, ""
    if said["QuestionType"].strip().lower().startswith("clos"):
        letter = said.get("AnswerChoice", "").strip()
        offered = {a: said[f"Choice {a}"].strip() for a in LETTERS if f"Choice {a}" in said}
        if offered.get(letter, "") in ABSENT:
            raise InputError(f"the answer choice is {letter!r}, which is no choice of this row.")
        choices = sum(text not in ABSENT for text in offered.values())
        listed = "\nChoices: " + " ".join(f"{a}. {text or '-'}" for a, text in offered.items())
        answer = f"{letter}. {answer}"
    return Item(
        row, path, topic, f"{question}{listed}\nAnswer:", answer, letter, choices, id=name,
        spaced=True, case=case_of(name), reading=reading,
    )  # fmt: skip
