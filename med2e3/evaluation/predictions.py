"""Every prediction as one line of JSON, written as it is made, and read again.

Each line says by itself which weights said it, and of which phantoms' seed: lines of several runs
can be put into one table. Knows nothing of figures but which answers are right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from med2e3.engine import ModelInfo
from med2e3.errors import InputError
from med2e3.evaluation.free_judge import is_right_freely
from med2e3.evaluation.metrics import closed_right_strict, same_words, says_yes
from med2e3.evaluation.records import FREE, WINDOW, Examined, Prediction
from med2e3.io.texts import OBJECTS, check_regular, check_text, lines_of, read_text


class PredictionWriter:
    """Appends lines to an open file and hands each on to the system at once."""

    def __init__(self, file: TextIO, about: dict[str, Any]) -> None:
        self._file = file
        self._about = about

    def write(self, line: dict[str, Any]) -> None:
        """One prediction."""
        text = json.dumps({**line, **self._about}, ensure_ascii=False, allow_nan=False)
        self._file.write(text)  # whole or not at all
        self._file.write("\n")
        self._file.flush()

    def write_examined(self, examined: Examined) -> None:
        """All predictions about one phantom, with the verdict on each."""
        for line in examined.lines():
            if line["record"] == "asked":
                line["correct"] = verdict(Prediction.from_dict(line))
            self.write(line)


@contextmanager
def writing(
    path: Path | None, info: ModelInfo, seed: int, *, go_on: bool = False
) -> Iterator[PredictionWriter | None]:
    """A writer to `path` (an older file of that name is replaced), or None where there is none.

    `go_on` writes after what is there. Raises `InputError` when the file cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        file = path.open("a" if go_on else "w", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"Predictions cannot be written to {path}: {error.strerror or error}."
        ) from error
    about = {"seed": seed, "model": info.name, "weights_sha256": info.weights_sha256}
    with file:
        yield PredictionWriter(file, about)


def verdict(asked: Prediction) -> bool | None:
    """Whether an answer is right, by the strict rules; None for a report, which is no yes or no."""
    if asked.topic == "report":
        return None
    if asked.use == FREE:
        return is_right_freely(asked.topic, asked.truth, asked.answer)
    if asked.is_closed:
        return closed_right_strict(asked.answer, asked.letter, asked.truth)
    if asked.topic == "presence" or asked.use == WINDOW:
        return says_yes(asked.answer) is asked.is_present
    return same_words(asked.answer, asked.truth)


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that a stopped run left; a last line that was cut is cut off the file.

    Empty where there is no file. Raises `InputError` naming a line before the last that is no JSON
    object.
    """
    if not path.is_file():
        return []
    try:
        check_text(path, "lines of JSON", OBJECTS)
        raw = path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        lines = _parsed(path, raw[:whole].decode("utf-8"))
        if whole < len(raw):
            with path.open("r+b") as file:
                file.truncate(whole)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be gone on with: {error}.") from error
    return lines


def _parsed(path: Path, text: str) -> list[dict[str, Any]]:
    lines = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            said = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}, is no JSON: {error}.") from error
        if not isinstance(said, dict):
            raise InputError(f"{path}, line {number}, is no object with named fields.")
        lines.append(said)
    return lines


def kind_of_lines(path: Path) -> str:
    """What the predictions in a file are about, by its first line: "file", "retrieval", or "asked"
    and "pointed" for phantoms. Raises `InputError`.
    """
    try:
        check_regular(path)
        with path.open(encoding="utf-8") as file:
            said = json.loads(next(lines_of(file), ""))
        return str(said["record"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no predictions of ours: {error!r}.") from error


def read_predictions(path: Path) -> tuple[list[Examined], dict[str, Any]]:
    """What was asked of phantoms, as `PredictionWriter.write_examined` wrote it, of what model.

    Raises `InputError` naming the line that is none of ours, or of another model or seed.
    """
    phantoms: dict[int, list[dict[str, Any]]] = {}
    about: dict[str, Any] = {}
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as predictions: {error}.") from error
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            of = {k: line[k] for k in ("model", "seed", "weights_sha256")}
            phantoms.setdefault(line["phantom"], []).append(line)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}, is no prediction about a phantom: {error!r}. A run that "
                "was stopped may have cut the last line: remove it."
            ) from error
        about = about or of
        if of != about:
            raise InputError(f"{path}, line {number}, is of {of}, the lines before of {about}.")
    if not phantoms:
        raise InputError(f"{path} holds no predictions.")
    return [Examined.from_lines(lines) for lines in phantoms.values()], about
