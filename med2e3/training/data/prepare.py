"""Folders of slice images to prepared volumes, as M3D-Cap's npy files were made; texts with them.

A case is a folder with text files and one folder of images a series. Every output is written whole
or not at all, and what exists is kept: an interrupted run goes on where it stopped. Knows nothing
of models.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from anyascii import anyascii
from numpy.typing import NDArray

from med2e3.errors import (
    DataError,
    ImageReadError,
    InputError,
    PreprocessingError,
    ResourceError,
)
from med2e3.files import write_array, write_whole
from med2e3.io.texts import read_picture, read_text
from med2e3.spawning import isolated_context

IMAGE_SUFFIXES = (".jpeg", ".png")

#: Where a report begins in a case's text; the second is taken when hardly anything follows the
#: first, and the whole text when hardly anything follows either.
FINDINGS, DISCUSSION = "study_findings:", "discussion:"
FEWEST_LETTERS = 5

#: The list of prepared volumes and texts, in the form of M3D-Cap's.
LIST_FILE, LIST_SPLIT = "M3D_Cap.json", "train"

#: Latin letters of living languages that Unidecode writes otherwise than anyascii.
PUBLISHED_LETTERS = {"Æ": "AE", "Ǽ": "AE", "Œ": "OE", "Ŋ": "NG", "Ə": "@", "ə": "@", "ẞ": "SS"}

#: The published grid.
GRID = (32, 256, 256)


@dataclass(frozen=True)
class Outcome:
    """What became of one series: its volume, whether it was made now, and what was left out."""

    image: str
    text: str
    made: bool
    problems: tuple[str, ...] = ()
    failed: bool = False


@dataclass(frozen=True)
class Series:
    """One folder of images, and where its volume and its text go; all relative to their roots."""

    images: str
    output: str
    text: str


@dataclass(frozen=True)
class Task:
    """A series with the roots that its paths start from, for a process of its own."""

    source: Path
    target: Path
    series: Series
    grid: tuple[int, int, int]


def prepare_cases(
    source: Path,
    target: Path,
    grid: Sequence[int] = GRID,
    *,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Every case below `source` to `target`, with the list; returns what became of each series.

    Raises `InputError` when there is no series at all. A series that cannot be used is an outcome
    that `failed`, not an exception.
    """
    found = list(find_series(source))
    if not found:
        raise InputError(
            f"There is no folder of {' or '.join(IMAGE_SUFFIXES)} images below {source}. Expected "
            "is CASE/SERIES/1.jpeg, with the text beside the series. DICOM, NIfTI and other "
            "volumes are prepared with --window."
        )
    target.mkdir(parents=True, exist_ok=True)
    write_texts(source, target, found)
    shape = (int(grid[0]), int(grid[1]), int(grid[2]))
    tasks = [Task(source, target, series, shape) for series in found]
    outcomes = []
    for outcome in _each(tasks, processes):
        outcomes.append(outcome)
        if progress:
            progress(len(outcomes), len(tasks))
    rows = [{"image": o.image, "text": o.text} for o in outcomes if not o.failed and o.text]
    write_whole(target / LIST_FILE, json.dumps({LIST_SPLIT: rows}, indent=1))
    return outcomes


def _each(tasks: list[Task], processes: int) -> Iterator[Outcome]:
    if processes < 2 or len(tasks) < 2:
        yield from map(prepare_series, tasks)
        return
    with ProcessPoolExecutor(processes, isolated_context(), _one_thread) as pool:
        yield from pool.map(prepare_series, tasks, chunksize=4)


def _one_thread() -> None:
    """Each process computes with one thread: several would fight for the cores."""
    import torch

    torch.set_num_threads(1)


def find_series(source: Path) -> Iterator[Series]:
    """Every folder with images, sorted; its text is the first .txt file beside it.

    Raises `InputError` when two folders would be written to the same file.
    """
    written: dict[str, str] = {}
    for folder in sorted(path for path in source.rglob("*") if path.is_dir()):
        if not _images(folder):
            continue
        case = folder.parent.relative_to(source)
        texts = sorted(folder.parent.glob("*.txt"))
        own = (case / f"{plain_letters(folder.name)}.npy").as_posix()
        if own in written:
            raise InputError(
                f"“{folder.name}” and “{written[own]}” in {folder.parent} differ in accents only "
                f"and would both become {own}. Rename one of them."
            )
        written[own] = folder.name
        text = (case / texts[0].name).as_posix() if texts else ""
        yield Series(folder.relative_to(source).as_posix(), own, text)


def plain_letters(name: str) -> str:
    """A name in ASCII, as the published files have it: “Pöschl” → “Poschl”, “ß” → “ss”, “Ø” → “O”.

    The published code uses Unidecode, whose licence (GPL) does not go with this package's. anyascii
    writes Latin letters as it does but for `PUBLISHED_LETTERS`; other scripts may differ.
    """
    whole = unicodedata.normalize("NFC", name)
    for letter, written in PUBLISHED_LETTERS.items():
        whole = whole.replace(letter, written)
    return str(anyascii(whole)).replace("/", "_")  # "½" is written "1/2", which is two folders


def _images(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in IMAGE_SUFFIXES and path.is_file()]


def prepare_series(task: Task) -> Outcome:
    """One series to its file, unless that is there."""
    series = task.series
    path = task.target / series.output
    if path.is_file():
        return Outcome(series.output, series.text, made=False)
    try:
        stack, problems = read_stack(task.source / series.images)
        volume = prepare_stack(stack, task.grid)
    except (DataError, PreprocessingError) as error:
        said = f"{series.images}: {error}"
        return Outcome(series.output, series.text, made=False, problems=(said,), failed=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_array(path, volume)
    return Outcome(series.output, series.text, made=True, problems=problems)


def read_stack(folder: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The images in the order of their numbers, (S, H, W) of 8 bits, and what was left out.

    Slices of another size than most are dropped, as published. Raises `DataError` when a name is
    no number, or no image can be read.
    """
    numbered = []
    for path in _images(folder):
        try:
            numbered.append((int(path.stem), path.name, path))
        except ValueError as error:
            raise DataError(
                f"{path.name} is not named by its number, so the order of the slices is unknown. "
                "Name them 1.jpeg, 2.jpeg, …"
            ) from error
    slices, problems = [], []
    for _, _, path in sorted(numbered):
        try:
            slices.append((path.name, _grey(path)))
        except (OSError, ValueError, ResourceError) as error:
            problems.append(f"{folder.name}/{path.name} cannot be read ({error}); left out")
    if not slices:
        raise DataError("none of its images can be read.")
    usual = Counter(image.shape for _, image in slices).most_common(1)[0][0]
    for name, image in slices:
        if image.shape != usual:
            problems.append(f"{folder.name}/{name} is {image.shape}, not {usual}; left out")
    return np.stack([image for _, image in slices if image.shape == usual]), tuple(problems)


def _grey(path: Path) -> NDArray[np.uint8]:
    return read_picture(path, "L")


def prepare_stack(stack: NDArray[np.uint8], grid: Sequence[int]) -> NDArray[np.float32]:
    """(S, H, W) of 8 bits → (1, *grid) float32: min-max, crop to what is above it, resize."""
    from med2e3.preprocessing import published

    return published(stack, grid).numpy()


def write_texts(source: Path, target: Path, found: Sequence[Series]) -> None:
    """The reports of the cases, cut out of their texts."""
    for name in sorted({series.text for series in found if series.text}):
        write_report(source / name, target / name)


def write_report(text: Path, path: Path) -> None:
    """The report in a case's text to a file of its own, unless that is there.

    Raises `ImageReadError` for a text that cannot be read.
    """
    if path.is_file():
        return
    try:
        said = read_text(text, errors="replace")
    except OSError as error:
        raise ImageReadError(f"{text} cannot be read: {error.strerror}.") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, cut_report(said))


def cut_report(text: str) -> str:
    """The report in a case's text, on one line."""
    for heading in (FINDINGS, DISCUSSION):
        _, found, rest = text.partition(heading)
        report = (rest if found else text).replace("\n", " ").strip()
        if len(report.replace(" ", "")) >= FEWEST_LETTERS:
            return report
    return text.replace("\n", " ").strip()
