"""Reads CT-RATE as published: reports, labels, metadata, questions, and the volumes they name.

The folder is that of the hub, whole or a part of it; files are found by their columns, volumes by
their names. The scripts that were published with Med-2E3 for it crash (they strip a dictionary),
and the arrays that they read cannot be had, so that how volumes are prepared is ours, and stated:

- HU are stored numbers × RescaleSlope + RescaleIntercept of the metadata; "_fixed" volumes carry
  them themselves;
- the grid has the metadata's XYSpacing and ZSpacing, and the orientation of the file;
- slices are axial; grey levels run from −1000 to 200 HU, unless a window is given.

Knows nothing of models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from med2e3.errors import InputError
from med2e3.evaluation.clinical import LABELS
from med2e3.evaluation.m3d_files import Item, Listed
from med2e3.evaluation.reading import Reading
from med2e3.evaluation.tables import columns_of, json_of, rows_of

#: Centre and width, in HU, where none is given: −1000 to 200, as reports of chest CT were trained.
WINDOW = (-400.0, 1200.0)

NAME = "VolumeName"
REPORT_COLUMNS = (NAME, "Findings_EN")
LABEL_COLUMNS = (NAME, *LABELS)
METADATA_COLUMNS = (NAME, "RescaleSlope", "RescaleIntercept", "XYSpacing", "ZSpacing")

#: Types of questions in CT-RATE's conversations, and the topic of each.
TOPICS = {
    "long_answer": "long answer", "short_answer": "short answer",
    "multiple_choice": "choice", "report_generation": "report",
}  # fmt: skip

#: The first "(a)" of a right answer: what a prediction must hold (published rule).
_CHOICE = re.compile(r"\([a-zA-Z]\)")

#: What the conversations call the volume.
_PLACEHOLDER = re.compile(r"<image>\s*")


@dataclass(frozen=True)
class CtRate:
    """The files of one split, by what they are; volumes by their names."""

    reports: Path | None
    labels: dict[str, tuple[int, ...]]
    metadata: dict[str, dict[str, str]]
    questions: Path | None
    volumes: dict[str, Path]
    window: tuple[float, float]

    def place(self, name: str) -> tuple[Path, Reading]:
        """Where a volume lies and how it is read; raises `InputError`."""
        path = self.volumes.get(stem(name))
        if path is None:
            raise InputError(f"the volume {name} is not below the folder.")
        if path.name.endswith(".npy") or any("_fixed" in part for part in path.parts):
            return path, Reading(window=None if path.name.endswith(".npy") else self.window)
        said = self.metadata.get(stem(name))
        if said is None:
            raise InputError(f"the metadata have no row for {name}, and its file is not corrected.")
        try:
            slope, intercept = float(said["RescaleSlope"]), float(said["RescaleIntercept"])
            row, column = (float(x) for x in json.loads(said["XYSpacing"]))
            spacing = (float(said["ZSpacing"]), row, column)
        except (ValueError, TypeError) as error:
            raise InputError(f"the metadata of {name} cannot be read: {error}.") from error
        if not (slope and all(size > 0 for size in spacing)):
            raise InputError(f"the metadata of {name} state slope {slope} and spacing {spacing}.")
        return path, Reading(slope, intercept, spacing, self.window)


def open_ct_rate(
    folder: Path, split: str = "valid", window: tuple[float, float] | None = None
) -> CtRate:
    """What a folder has of one split ("valid" or "train"); raises `InputError`.

    Lists of another split, by their names, are not looked at.
    """
    tables = {path: columns_of(path) for path in _files(folder, "*.csv", split)}
    reports = _with(tables, REPORT_COLUMNS)
    labels = _with(tables, LABEL_COLUMNS)
    metadata = _with(tables, METADATA_COLUMNS)
    questions = [path for path in _files(folder, "*.json", split) if "vqa" in path.name.lower()]
    for what, found in (("reports", reports), ("labels", labels), ("metadata", metadata)):
        if len(found) > 1:
            listed = ", ".join(str(path.relative_to(folder)) for path in found)
            raise InputError(f"{folder} has several lists of {what} for {split}: {listed}.")
    if not reports and not questions:
        raise InputError(
            f"{folder} has no list of reports (columns {', '.join(REPORT_COLUMNS)}) and no "
            f"questions (a .json with “vqa” in its name) of the split “{split}”."
        )
    return CtRate(
        reports[0] if reports else None,
        {stem(row[NAME]): _marks(row, labels[0], n) for n, row in _rows(labels[:1])},
        {stem(row[NAME]): row for _, row in _rows(metadata[:1])},
        questions[0] if questions else None,
        _volumes(folder),
        window or WINDOW,
    )


def open_volumes(folder: Path, window: tuple[float, float] | None = None) -> CtRate:
    """The volumes below a folder with the metadata of both splits, without any list of questions.

    Raises `InputError`.
    """
    tables = {path: columns_of(path) for path in sorted(folder.rglob("*.csv"))}
    metadata = _with(tables, METADATA_COLUMNS)
    rows = {stem(row[NAME]): row for _, row in _rows(metadata)}
    return CtRate(None, {}, rows, None, _volumes(folder), window or WINDOW)


def read_reports(data: CtRate) -> Listed:
    """A report a volume: its findings. Rows without text or without their volume are skipped."""
    items: list[Item] = []
    skipped: list[str] = []
    for row, said in _rows([data.reports] if data.reports else []):
        where = f"{data.reports}, row {row}"
        name, truth = said[NAME], " ".join(said["Findings_EN"].split())
        if not truth:
            skipped.append(f"{where}: the findings of {name} are empty.")
            continue
        try:
            path, reading = data.place(name)
        except InputError as error:
            skipped.append(f"{where}: {error}")
            continue
        labels = data.labels.get(stem(name), ())
        case = case_of(name)
        items.append(
            Item(row, path, "report", "", truth, id=name, case=case, reading=reading, labels=labels)
        )
    return _listed(items, skipped, data.reports)


def read_questions(data: CtRate) -> Listed:
    """The questions of CT-RATE's conversations, each by itself; odd ones are skipped and named."""
    items: list[Item] = []
    skipped: list[str] = []
    for row, entry in enumerate(_entries(data.questions), start=1):
        where = f"{data.questions}, entry {row}"
        try:
            items += _conversation(entry, row, data)
        except (InputError, KeyError, TypeError, AttributeError) as error:
            skipped.append(f"{where}: {error if isinstance(error, InputError) else repr(error)}")
    return _listed(items, skipped, data.questions)


def choice_right(answer: str, truth: str) -> bool | None:
    """CT-RATE's rule: the first "(a)" of the truth stands anywhere in the answer; None without."""
    found = _CHOICE.search(truth)
    return found[0] in answer if found else None


def stem(name: str) -> str:
    """A volume's name without folder and ending; 3D-RAD calls "test" what CT-RATE calls "valid"."""
    bare = re.sub(r"\.(nii\.gz|nii|npy|npz)$", "", name.strip().rpartition("/")[2])
    return re.sub(r"^test_", "valid_", bare)


def case_of(name: str) -> str:
    """The examination of a volume: "valid_1_a_2" is the second reconstruction of "valid_1_a"."""
    return stem(name).rpartition("_")[0]


def _conversation(entry: dict[str, object], row: int, data: CtRate) -> list[Item]:
    name = str(entry["image"])
    path, reading = data.place(name)
    turns = entry["conversations"]
    if not isinstance(turns, list) or len(turns) % 2:
        raise InputError("“conversations” must alternate question and answer.")
    items = []
    for asked, told in zip(turns[::2], turns[1::2], strict=True):
        kind = str(asked.get("type") or told.get("type") or "long_answer")
        prompt = _PLACEHOLDER.sub("", str(asked["value"])).strip()
        prompt = re.sub(r"<\w+>\s*$", "", prompt).strip()  # the published tag of the task
        truth = str(told["value"]).strip()
        if not prompt or not truth:
            raise InputError("a question or its answer is empty.")
        topic = TOPICS.get(kind, kind.replace("_", " "))
        labels = data.labels.get(stem(name), ()) if topic == "report" else ()
        items.append(
            Item(row, path, topic, prompt, truth, id=str(entry.get("id", "")), case=case_of(name),
                 reading=reading, labels=labels)
        )  # fmt: skip
    return items


def _listed(items: list[Item], skipped: list[str], file: Path | None) -> Listed:
    if file is not None and not items:
        raise InputError(f"No row of {file} can be asked. {(skipped or ['It is empty.'])[0]}")
    return Listed(items, tuple(skipped))


def _entries(file: Path | None) -> list[dict[str, object]]:
    if file is None:
        return []
    said = json_of(file)
    if not isinstance(said, list):
        raise InputError(f"{file} holds no list of entries.")
    return said


def _files(folder: Path, pattern: str, split: str) -> list[Path]:
    """Lists whose name does not say that they are of the other split."""
    other = re.compile(r"train" if split != "train" else r"val", re.IGNORECASE)
    return [path for path in sorted(folder.rglob(pattern)) if not other.search(path.name)]


def _with(tables: dict[Path, tuple[str, ...]], columns: Sequence[str]) -> list[Path]:
    return [path for path, there in tables.items() if set(columns) <= set(there)]


def _rows(files: Sequence[Path]) -> Iterator[tuple[int, dict[str, str]]]:
    for file in files:
        yield from rows_of(file)


def _marks(row: dict[str, str], file: Path, number: int) -> tuple[int, ...]:
    try:
        marks = tuple(int(float(row[label])) for label in LABELS)
    except (ValueError, TypeError) as error:
        raise InputError(f"{file}, row {number}: a label is no 0 or 1 ({error}).") from error
    if not set(marks) <= {0, 1}:
        raise InputError(f"{file}, row {number}: labels must be 0 or 1, not {sorted(set(marks))}.")
    return marks


def _volumes(folder: Path) -> dict[str, Path]:
    """Volumes by name; of several of one name the prepared, then the corrected one is taken."""
    found: dict[str, Path] = {}
    patterns = ("*.nii.gz", "*.nii", "*.npy")
    for path in sorted((p for x in patterns for p in folder.rglob(x)), key=_preference):
        found[stem(path.name)] = path
    return found


def _preference(path: Path) -> tuple[bool, bool, str]:
    fixed = any("_fixed" in part for part in path.parts)
    return path.suffix == ".npy", fixed, str(path)
