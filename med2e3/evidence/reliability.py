"""How often a model was right when it was so sure: a file beside its weights, `reliability.json`.

The evaluation on phantoms writes it (`med2e3 evaluate MODEL --reliability FILE`). It names the hash
of the weights that were measured, so that no other model is judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from med2e3.engine import ModelInfo
from med2e3.engine.info import check_measured
from med2e3.errors import DataError, InputError
from med2e3.evidence.values import from_json, to_json
from med2e3.files import write_whole
from med2e3.io.texts import read_text

if TYPE_CHECKING:
    from med2e3.figures import ReliabilityBin

#: The file's name in a model's folder, and the version of its fields.
FILE, FORMAT = "reliability.json", 1

#: Answers are sure from the probability on above which this share of them was right.
AIM = 0.98


@dataclass(frozen=True)
class Level:
    """Answers whose probability lies in low..high: how many, and which share was right."""

    low: float
    high: float
    count: int
    right: float


@dataclass(frozen=True)
class Reliability:
    """What was measured: `forms` has the levels of closed, presence and open answers.

    `what` says on what ("500 phantoms, seed 37"); `weights_sha256` which weights gave the answers.
    `enough` is the probability of each form from which on answers count as sure; `enough_on` says
    on what it was chosen where that is not `what`.
    """

    format: int
    weights_sha256: str
    what: str
    forms: dict[str, tuple[Level, ...]]
    enough: dict[str, float] = field(default_factory=dict)
    enough_on: str = ""

    def level(self, form: str, probability: float) -> Level | None:
        """The level of an answer of a form; None where none such was measured."""
        return next(
            (
                level
                for level in self.forms.get(form, ())
                if level.low <= probability < level.high or probability == level.high == 1.0
            ),
            None,
        )


def enough_of(levels: Sequence[Level]) -> float:
    """The lowest edge of a level from which on `AIM` of the answers were right; 1 where none is."""
    count = right = 0.0
    found = 1.0
    for level in sorted(levels, key=lambda one: -one.low):
        count += level.count
        right += level.right * level.count
        if count and right / count >= AIM:
            found = level.low
    return found


def levels_of(bins: Mapping[str, Sequence[ReliabilityBin]]) -> dict[str, tuple[Level, ...]]:
    """The levels of each form that an evaluation counted answers of."""
    return {
        name: tuple(Level(b.low, b.high, b.count, round(b.accuracy, 6)) for b in found)
        for name, found in bins.items()
        if found
    }


def thresholds(bins: Mapping[str, Sequence[ReliabilityBin]]) -> dict[str, float]:
    """Of each form the probability from which on answers count as sure, chosen on these."""
    return {name: enough_of(levels) for name, levels in levels_of(bins).items()}


def write_reliability(
    path: Path,
    weights_sha256: str,
    what: str,
    bins: Mapping[str, Sequence[ReliabilityBin]],
    apart: tuple[dict[str, float], str] | None = None,
) -> None:
    """Write what an evaluation counted; `apart` are thresholds and what they were chosen on.

    Without them the thresholds are chosen on what was counted. Raises `InputError` where the file
    cannot be written.
    """
    forms = levels_of(bins)
    enough, enough_on = apart or (thresholds(bins), "")
    found = Reliability(FORMAT, weights_sha256, what, forms, enough, enough_on)
    try:
        write_whole(path, to_json(found) + "\n")
    except OSError as error:
        raise InputError(f"The reliability cannot be written to {path}: {error}.") from error


def read_reliability(info: ModelInfo) -> Reliability | None:
    """What was measured of a model; None where its folder has no such file.

    Raises `DataError` for a damaged file, and for one that was measured of other weights.
    """
    path = Path(info.path) / FILE
    if not path.is_file():
        return None
    try:
        found = from_json(Reliability, read_text(path))
    except (OSError, ValueError, InputError) as error:
        raise DataError(f"{path} cannot be read ({error}). Evaluate the model again.") from error
    if found.format != FORMAT:
        raise DataError(
            f"{path} has format {found.format}, and this version reads {FORMAT}. "
            "Evaluate the model again."
        )
    check_measured(path, found.weights_sha256, info)
    return found
