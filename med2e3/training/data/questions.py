"""Questions about reports by a local language model, as M3D-VQA was made: nine a report, checked.

Two passes: the model writes nine questions of five topics with four choices each; then it is shown
each again with its report and says whether the answer follows. What cannot be read, or is not
confirmed, is kept apart with its reason. Every report is written as it is done, so that a run that
was stopped goes on with the next. Knows nothing of how the model is loaded.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.io.references import below
from med2e3.io.texts import OBJECTS, check_text, read_json, read_text

#: Prompts in, continuations out.
Writes = Callable[[Sequence[str]], list[str]]

#: M3D-VQA's columns.
COLUMNS = (
    "Image Path", "Text", "Question Type", "Question", "Choice A", "Choice B", "Choice C",
    "Choice D", "Answer", "Answer Choice",
)  # fmt: skip

#: Questions of a report, and the type of each: plane, phase, organ, abnormality ×3, location ×3.
TYPES = (1, 2, 3, 4, 4, 4, 5, 5, 5)
TOPICS = {
    1: "the imaging plane (axial, coronal, sagittal)",
    2: "the contrast phase or the window",
    3: "an organ",
    4: "the kind or the look of an abnormality",
    5: "the place of an abnormality",
}

LETTERS = "ABCD"

#: In our own words. The form of a line is what is read.
WRITE_PROMPT = (
    "You write exam questions about a CT scan. You know the scan from this report alone.\n"
    "File: {image}\n"
    "Report: {report}\n"
    "Write nine questions that somebody who sees only the scan can answer, each with four "
    "different choices of which exactly one is right. Put the right choice at any letter, evenly. "
    "Never mention the report or the file. Never ask which organs or abnormalities are seen at "
    "all. Topics:\n{topics}\n"
    "Write one line for each question in this form and nothing else:\n"
    "1. QUESTION? A. CHOICE B. CHOICE C. CHOICE D. CHOICE Answer: LETTER"
)
CHECK_PROMPT = (
    "You check an exam question about a CT scan against the scan's report.\n"
    "Report: {report}\n"
    "Question: {question}\n"
    "Choices: {choices}\n"
    "Stated answer: {letter}. {answer}\n"
    "Is the question clear, does the report say the stated answer, and is it the only right one? "
    "Write one word: yes or no."
)

_LINE = re.compile(r"^\s*(?:Question[- ]?)?(\d+)\s*[.):]\s*(.+)$", re.MULTILINE)
_CHOICE = re.compile(r"\s+([A-D])[.)]\s+")
_ANSWER = re.compile(r"\s*Answer:?\s*\(?([A-D])\b.*$", re.IGNORECASE)
_YES = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)

#: Words by which a question tells that it was made of a report.
_TELLS = re.compile(r"\b(report|file ?name|text|according to the)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """A volume and the text about it; `image` is its path in the list."""

    image: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question with four choices; `letter` is the right one."""

    number: int
    question: str
    choices: tuple[str, str, str, str]
    letter: str

    @property
    def answer(self) -> str:
        """The right choice."""
        return self.choices[LETTERS.index(self.letter)]

    @property
    def kind(self) -> int:
        """Its M3D-VQA type."""
        return TYPES[self.number - 1]


@dataclass(frozen=True)
class Rejected:
    """What was not taken: of which report and question, in which pass, why, and what was said."""

    image: str
    number: int
    stage: str
    reason: str
    said: str


@dataclass(frozen=True)
class Tally:
    """What a run has so far: reports done, questions wanted, kept, rejected by reason."""

    reports: int
    wanted: int
    kept: int
    reasons: dict[str, int]

    @property
    def pass_rate(self) -> float:
        """Kept questions by those wanted."""
        return self.kept / self.wanted if self.wanted else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "pass_rate": round(self.pass_rate, 4)}


def read_reports(path: Path, split: str = "train") -> list[Report]:
    """Reports of an M3D-Cap list (JSON), or of a folder of .txt files. Raises `InputError`."""
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        pairs = [(str(file.relative_to(path).with_suffix(".npy")), file) for file in files]
    else:
        pairs = _pairs(path, split)
    reports = []
    for image, file in pairs:
        try:
            text = " ".join(read_text(file).split())
        except (OSError, ValueError) as error:
            raise InputError(f"The report {file} cannot be read: {error}.") from error
        if text:
            reports.append(Report(image, text))
    if not reports:
        raise InputError(f"{path} holds no report (.txt files, or an M3D-Cap list).")
    return reports


def _pairs(path: Path, split: str) -> list[tuple[str, Path]]:
    try:
        said = read_json(path)
        rows = said[split] if isinstance(said, dict) else said
        named = [(str(row["image"]), str(row["text"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no M3D-Cap list with a split “{split}”: {error!r}.") from error
    pairs = []
    for image, name in named:
        file = below(path.parent, name)
        if file is None:
            raise InputError(
                f"{path} names {name!r}, which lies outside {path.parent.absolute()}, and such a "
                "file is not read. Put the reports beside the list."
            )
        pairs.append((image, file))
    return pairs


def write_prompt(report: Report) -> str:
    """What the model is asked in the first pass."""
    topics = "\n".join(f"{n}. about {TOPICS[kind]}" for n, kind in enumerate(TYPES, start=1))
    name = report.image.rpartition("/")[2]
    return WRITE_PROMPT.format(image=name, report=report.text, topics=topics)


def check_prompt(report: Report, one: Question) -> str:
    """What the model is asked in the second pass."""
    choices = " ".join(f"{a}. {c}" for a, c in zip(LETTERS, one.choices, strict=True))
    return CHECK_PROMPT.format(
        report=report.text, question=one.question, choices=choices, letter=one.letter,
        answer=one.answer,
    )  # fmt: skip


def read_questions(text: str) -> Iterator[Question | tuple[int, str, str]]:
    """The questions in an answer, or (number, reason, line) for one that is none.

    A number that is missing counts as one that is none: nine are always told of.
    """
    found: dict[int, Question | tuple[int, str, str]] = {}
    for match in _LINE.finditer(text):
        number, line = int(match[1]), match[2].strip()
        if 1 <= number <= len(TYPES) and number not in found:
            found[number] = _question(number, line)
    for number in range(1, len(TYPES) + 1):
        yield found.get(number, (number, "no such line", text[:200]))


def _question(number: int, line: str) -> Question | tuple[int, str, str]:
    answer = _ANSWER.search(line)
    if answer is None:
        return number, "no answer", line
    parts = _CHOICE.split(line[: answer.start()])
    question, letters, texts = parts[0].strip(), parts[1::2], [p.strip() for p in parts[2::2]]
    if question.endswith("Choices:"):
        question = question.removesuffix("Choices:").strip()
    if letters != list(LETTERS) or not all(texts):
        return number, "not four choices", line
    if len({text.lower().rstrip(".") for text in texts}) < len(texts):
        return number, "two choices alike", line
    if not question.endswith("?"):
        return number, "no question", line
    if _TELLS.search(question):
        return number, "tells of the report", line
    a, b, c, d = texts
    return Question(number, question, (a, b, c, d), answer[1].upper())


def confirmed(said: str) -> bool | None:
    """Whether the second pass says yes; None where it says neither."""
    found = _YES.match(said.strip())
    return None if found is None else found[1].lower() == "yes"


def make_questions(
    reports: Sequence[Report], write: Writes, target: Path, *, batch: int = 1,
    progress: Callable[[float, str], None] | None = None,
) -> Tally:  # fmt: skip
    """Questions of all reports to `target` (CSV), what was rejected beside it (`.rejected.jsonl`).

    Goes on where an earlier run stopped: `.done.jsonl` has a line for every report that is whole,
    and what the files hold beyond the last of them is cut off. Raises `InputError` for a target of
    other reports.
    """
    state = _State(target)
    done = state.open(reports)
    for first in range(done, len(reports), batch):
        part = reports[first : first + batch]
        said = write([write_prompt(report) for report in part])
        for report, text in zip(part, said, strict=True):
            state.add(report, *_checked(report, text, write))
        if progress:
            progress((first + len(part)) / len(reports), f"report {first + len(part)}")
    return state.tally()


def _checked(report: Report, text: str, write: Writes) -> tuple[list[Question], list[Rejected]]:
    """One report: what its answer holds, and what of it the second pass confirms."""
    kept: list[Question] = []
    rejected: list[Rejected] = []
    read: list[Question] = []
    for one in read_questions(text):
        if isinstance(one, Question):
            read.append(one)
        else:
            number, reason, line = one
            rejected.append(Rejected(report.image, number, "reading", reason, line))
    verdicts = write([check_prompt(report, one) for one in read]) if read else []
    for one, said in zip(read, verdicts, strict=True):
        verdict = confirmed(said)
        if verdict:
            kept.append(one)
            continue
        reason = "neither yes nor no" if verdict is None else "not confirmed"
        rejected.append(Rejected(report.image, one.number, "check", reason, said[:200]))
    return kept, rejected


class _State:
    """The three files of a run, appended to report by report."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.rejected = target.with_name(target.name + ".rejected.jsonl")
        self.done = target.with_name(target.name + ".done.jsonl")

    def open(self, reports: Sequence[Report]) -> int:
        """How many reports are done; cuts what a stopped run left half."""
        lines = _whole_lines(self.done)
        for place, line in enumerate(lines):
            if place >= len(reports) or line.get("image") != reports[place].image:
                raise InputError(
                    f"{self.target} has questions about other reports: number {place + 1} is "
                    f"{line.get('image')!r}. Name another file."
                )
        if not lines:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with self.target.open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerow(COLUMNS)
            self.rejected.write_text("", encoding="utf-8")
            self.done.write_text("", encoding="utf-8")
            return 0
        for path, key in ((self.target, "csv_bytes"), (self.rejected, "rejected_bytes")):
            with path.open("r+b") as file:
                file.truncate(int(lines[-1][key]))
        return len(lines)

    def add(self, report: Report, kept: Sequence[Question], rejected: Sequence[Rejected]) -> None:
        """One report whole: its line in `done` comes last."""
        with self.target.open("a", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            for one in kept:
                row = (report.image, report.text, one.kind, one.question, *one.choices)
                writer.writerow((*row, one.answer, one.letter))
        with self.rejected.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(r), ensure_ascii=False) + "\n" for r in rejected)
        sizes = {"csv_bytes": self.target.stat().st_size,
                 "rejected_bytes": self.rejected.stat().st_size}  # fmt: skip
        line = {"image": report.image, "kept": len(kept), "rejected": len(rejected), **sizes}
        with self.done.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def tally(self) -> Tally:
        """Of all reports that are done, also in earlier runs."""
        lines = _whole_lines(self.done)
        reasons: dict[str, int] = {}
        for line in _whole_lines(self.rejected):
            reasons[line["reason"]] = reasons.get(line["reason"], 0) + 1
        kept = sum(int(line["kept"]) for line in lines)
        return Tally(len(lines), len(TYPES) * len(lines), kept, reasons)


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file; a last one that was cut is cut off. Raises `InputError`."""
    if not path.is_file():
        return []
    check_text(path, "lines of JSON", OBJECTS)
    raw = path.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        with path.open("r+b") as file:
            file.truncate(whole)
    try:
        return [json.loads(line) for line in raw[:whole].decode("utf-8").splitlines()]
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}. Move it away.") from error
