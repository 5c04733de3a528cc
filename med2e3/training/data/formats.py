"""The published lists of questions and answers, each row as a `Sample`: M3D-Cap, M3D-VQA, Med-2E3.

Knows nothing of volumes, tokens or order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from med2e3.errors import DataError, RecipeError
from med2e3.fields import CountOrNone
from med2e3.io.references import below
from med2e3.io.texts import read_text
from med2e3.model.prompts import IMAGE_PLACEHOLDER
from med2e3.model.regions import WORDINGS
from med2e3.model.requests import Requests, read_requests
from med2e3.training.data.pointers import Pointer, read_pointer
from med2e3.training.data.records import CsvRecords, JsonRecords, Records
from med2e3.training.data.samples import Sample

#: How a choice that the list leaves out ("NA") is written into the prompt. The published code reads
#: the list with pandas, which takes it for a missing number, so published models saw "nan".
MISSING_CHOICES: dict[str, str | None] = {"nan": "nan", "NA": "NA", "omit": None}

#: Formats of lists of masks, which M3D-LaMed alone trains on (`m3d_samples`).
MASK_FORMATS = ("m3d-seg", "m3d-refseg")

VQA_COLUMNS = (
    "Image Path", "Question", "Choice A", "Choice B", "Choice C", "Choice D", "Answer",
    "Answer Choice",
)  # fmt: skip


@dataclass(frozen=True)
class SampleFile:
    """One list of a recipe. Paths inside the list start from `images`.

    `split` names the list in a JSON file that holds several. `prompts` is a file of requests for
    reports in place of our own (`med2e3.model.requests`). `kinds` says what is asked of masks
    (boxes "REC", names "REG", masks "SEG"), `terms` names and describes their classes in place of
    ours.
    `limit` rows alone are used, drawn by the recipe's seed; 0: all.
    """

    format: str
    file: Path
    images: Path = Path()
    split: str = ""
    missing_choice: str = "nan"
    prompts: Path | None = None
    kinds: tuple[str, ...] = ("SEG",)
    terms: Path | None = None
    limit: CountOrNone = 0

    def __post_init__(self) -> None:
        known = (*FORMATS, *MASK_FORMATS)
        if self.format not in known:
            raise RecipeError(
                f"There is no data format “{self.format}”. Choose one of: {', '.join(known)}.",
                ("format",),
            )
        odd = [kind for kind in self.kinds if kind not in WORDINGS]
        if odd or not self.kinds:
            raise RecipeError(
                f"kinds = {list(self.kinds)} must name some of: {', '.join(WORDINGS)}.", ("kinds",)
            )
        if self.missing_choice not in MISSING_CHOICES:
            raise RecipeError(
                f"missing_choice = “{self.missing_choice}” is not one of: "
                f"{', '.join(MISSING_CHOICES)}.",
                ("missing_choice",),
            )

    def below(self, folder: Path) -> SampleFile:
        """The same with paths that start from `folder`."""
        return replace(
            self,
            file=folder / self.file,
            images=folder / self.images,
            prompts=None if self.prompts is None else folder / self.prompts,
            terms=None if self.terms is None else folder / self.terms,
        )


@dataclass(frozen=True, eq=False)
class OpenSource:
    """A list whose rows have been found; `seed` draws how reports are asked for."""

    source: SampleFile
    records: Records
    requests: Requests = field(default_factory=Requests)
    seed: int = 0

    def __len__(self) -> int:
        return len(self.records)

    def sample(self, index: int, epoch: int = 0) -> Sample:
        """Row `index` as an epoch sees it; raises `DataError` naming it when it cannot be used."""
        fields, where = self.records[index], self.records.where(index)
        row = _Row(fields, where, self.requests.draw(self.seed, index, epoch))
        return FORMATS[self.source.format].read(row, self.source)


def open_samples(source: SampleFile, seed: int = 0) -> OpenSource:
    """Finds the rows of a list; raises `DataError` when it is missing or of another format."""
    requests = read_requests(source.prompts)
    return OpenSource(source, FORMATS[source.format].open(source), requests, seed)


@dataclass(frozen=True)
class _Row:
    """A row with its place, for messages, and the request for a report that was drawn for it."""

    fields: dict[str, Any]
    where: str
    request: str

    def text(self, name: str) -> str:
        """A field that must hold text."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{self.where}: “{name}” is missing or empty.")
        return value

    def place(self, source: SampleFile, name: str) -> Path:
        """A file that the row names, which lies below the folder of the list's files."""
        path = below(source.images, name)
        if path is None:
            raise DataError(
                f"{self.where} names {name!r}, which lies outside {source.images.absolute()}, "
                "and such a file is not read. Name a folder that holds it with --data."
            )
        return path

    def pointer(self, source: SampleFile) -> Pointer | None:
        """Where what the row asks about lies, where the row says so."""
        return read_pointer(self.fields, self.where, lambda name: self.place(source, name))


def _conversation(row: _Row, source: SampleFile) -> Sample:
    """Med-2E3: turns of human and gpt in pairs, one volume, and the question for the scores.

    Where the list states no question for the scores, it is the last human turn, without its
    placeholder: as in an evaluation.
    """
    said = row.fields.get("conversations")
    if not isinstance(said, list) or not said or len(said) % 2:
        raise DataError(
            f"{row.where}: “conversations” must alternate question and answer, and end with an "
            "answer."
        )
    texts = []
    for number, part in enumerate(said):
        speaker = ("human", "gpt")[number % 2]
        if not isinstance(part, dict) or part.get("from") != speaker:
            raise DataError(f"{row.where}: turn {number + 1} is not by “{speaker}”.")
        value = part.get("value")
        if not isinstance(value, str) or not value.strip():
            raise DataError(f"{row.where}: turn {number + 1} has no text.")
        texts.append(value)
    volumes = row.fields.get("vision3d")
    if not isinstance(volumes, list) or len(volumes) != 1 or not isinstance(volumes[0], str):
        raise DataError(f"{row.where}: “vision3d” must name exactly one volume.")
    places = sum(text.count(IMAGE_PLACEHOLDER) for text in texts[::2])
    if places > 1 or any(IMAGE_PLACEHOLDER in text for text in texts[1::2]):
        raise DataError(
            f"{row.where}: {IMAGE_PLACEHOLDER} must stand once, in a question (or nowhere, then it "
            "leads the first one)."
        )
    turns = tuple(zip(texts[::2], texts[1::2], strict=True))
    guide = row.fields.get("question") or ""
    if not isinstance(guide, str):
        raise DataError(f"{row.where}: “question” is {guide!r}, which is no text.")
    question = guide.strip() or turns[-1][0].replace(IMAGE_PLACEHOLDER, " ").strip()
    if not question:
        raise DataError(
            f"{row.where}: neither “question” nor the last human turn says anything to score the "
            "slices by."
        )
    image, pointer = row.place(source, volumes[0]), row.pointer(source)
    return Sample(image, turns, question, row.where, pointer=pointer)


def _caption(row: _Row, source: SampleFile) -> Sample:
    """M3D-Cap: a volume and a text file, each by its path."""
    path = row.place(source, row.text("text"))
    try:
        report = read_text(path).strip()
    except (OSError, ValueError) as error:
        raise DataError(f"{row.where}: the text {path} cannot be read ({error}).") from error
    if not report:
        raise DataError(f"{row.where}: the text {path} is empty.")
    turns = ((row.request, report),)
    image, pointer = row.place(source, row.text("image")), row.pointer(source)
    return Sample(image, turns, row.request, row.where, pointer=pointer)


def _closed(row: _Row, source: SampleFile) -> Sample:
    """M3D-VQA with its choices; the right one must be among them."""
    listed, there = [], []
    for letter in "ABCD":
        said = row.fields[f"Choice {letter}"].strip()
        if said not in ("NA", ""):
            there.append(letter)
        choice = said if letter in there else MISSING_CHOICES[source.missing_choice]
        if choice is not None:
            listed.append(f"{letter}. {choice}")
    right = row.text("Answer Choice").strip()
    if right not in there:
        raise DataError(
            f"{row.where}: the answer choice is {right!r}, which is no choice of this row "
            f"({', '.join(there) or 'none is there'}). Correct the row, or leave out such rows "
            "(--skip-damaged)."
        )
    question = f"{row.text('Question')} Choices: {' '.join(listed)}"
    answer = f"{right}. {row.text('Answer')}"
    image = row.place(source, row.text("Image Path"))
    turns, pointer = ((question, answer),), row.pointer(source)
    return Sample(image, turns, question, row.where, spaced=True, pointer=pointer)


def _open(row: _Row, source: SampleFile) -> Sample:
    """M3D-VQA without its choices; also the yes/no list, which has the same columns."""
    question, answer = row.text("Question"), row.text("Answer")
    image = row.place(source, row.text("Image Path"))
    turns, pointer = ((question, answer),), row.pointer(source)
    return Sample(image, turns, question, row.where, spaced=True, pointer=pointer)


def _json(source: SampleFile) -> Records:
    return JsonRecords(source.file, source.split)


def _csv(*columns: str) -> Callable[[SampleFile], Records]:
    return lambda source: CsvRecords(source.file, columns)


@dataclass(frozen=True)
class Format:
    """How a list is opened, and how one of its rows is read."""

    open: Callable[[SampleFile], Records]
    read: Callable[[_Row, SampleFile], Sample]


#: By the name in a recipe.
FORMATS: dict[str, Format] = {
    "conversations": Format(_json, _conversation),
    "m3d-cap": Format(_json, _caption),
    "m3d-vqa-closed": Format(_csv(*VQA_COLUMNS), _closed),
    "m3d-vqa-open": Format(_csv("Image Path", "Question", "Answer"), _open),
}
