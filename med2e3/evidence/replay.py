"""Runs the record of an answer again, and says that it is equal, or what differs.

A record names weights, versions, the grid that the model was shown, the prompt's tokens and the
decoding: what differs of these is named, whether or not the answer came out the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.engine import Answer, Model, Session
from med2e3.engine.info import Progress
from med2e3.engine.interruption import StopCheck
from med2e3.engine.record import FORMAT
from med2e3.errors import DataError
from med2e3.evidence.values import from_json, to_json
from med2e3.io.texts import read_json
from med2e3.preprocessing import MIN_MAX
from med2e3.volume import Volume, Window

#: Scores and probabilities of equal runs may differ by this: other numbers of threads add up sums
#: in another order.
TOLERANCE = 1e-4

#: What a record must have to be run again.
NEEDED = ("model", "versions", "input", "question", "prompt_ids", "decoding", "token_ids")


@dataclass(frozen=True)
class Difference:
    """What differs, as the record has it and as it is now; both in words.

    `decides` is True for what the model was given or said, False for versions and places.
    """

    what: str
    then: str
    now: str
    decides: bool = True


@dataclass(frozen=True)
class Replay:
    """The answer of the record, the answer now, and every difference."""

    question: str
    then: str
    now: str
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing that decides differs: the same input gave the same tokens."""
        return not any(difference.decides for difference in self.differences)

    @property
    def sentence(self) -> str:
        """Equal, or what differs, in words."""
        told = "; ".join(f"{d.what}: {d.then} then, {d.now} now" for d in self.differences)
        if self.equal:
            return f"Equal: “{self.now}”." + (f" Other than then: {told}." if told else "")
        return f"Not equal: {told}."

    def to_json(self) -> str:
        """As one JSON object."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Replay:
        """Back from JSON. Raises `InputError`."""
        return from_json(cls, text)


def read_record(path: Path) -> dict[str, Any]:
    """A record from a JSON file: by itself, or as `record` in what `med2e3 ask --json` printed.

    Raises `DataError` for another file, and for a record of another format.
    """
    try:
        said = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is no record of an answer: it cannot be read ({error})."
        ) from error
    if isinstance(said, dict) and isinstance(said.get("record"), dict):
        said = said["record"]
    return checked(said, str(path))


def checked(record: Any, name: str = "This") -> dict[str, Any]:
    """The record, where it is one of this format. Raises `DataError`."""
    if not isinstance(record, dict) or "question" not in record:
        raise DataError(
            f"{name} is no record of an answer. Give a file that `med2e3 ask --json` printed, or "
            "a record that was saved with an answer."
        )
    if record.get("format") != FORMAT:
        raise DataError(
            f"{name} is a record of format {record.get('format', 'unknown')!r}, and this version "
            f"runs format {FORMAT}. Ask the question again to make one."
        )
    missing = [key for key in NEEDED if key not in record]
    if missing:
        raise DataError(f"{name} is a damaged record: it lacks {', '.join(missing)}.")
    return record


def replay(
    record: Mapping[str, Any],
    model: Model,
    volume: Volume,
    progress: Progress | None = None,
    cancelled: StopCheck | None = None,
) -> Replay:
    """Ask the record's question of the volume again, with its plane, window and decoding.

    Raises `DataError` for a record that cannot be run, and what `read` and `ask` raise.
    """
    held = checked(dict(record))
    try:
        session = _read(held, model, volume, progress, cancelled)
        answer = _ask(held, session)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"The record is damaged: {error}. Ask the question again.") from error
    now = json.loads(json.dumps(answer.record))
    found = [*_settings(held, now), *_given(held, now), *_results(held, now)]
    return Replay(held["question"], str(held["answer"]), answer.text, tuple(found))


def _read(
    record: dict[str, Any],
    model: Model,
    volume: Volume,
    progress: Progress | None,
    cancelled: StopCheck | None,
) -> Session:
    given = record["input"]
    values = given["window_centre_width"]
    window: Window | str = MIN_MAX if values is None else Window(*(float(v) for v in values))
    turned = volume.in_plane(volume.geometry.plane).shape
    whole = sorted(given["crop_shape"]) == sorted(turned)
    return model.read(
        volume, plane=given["plane"], window=window, crop=not whole, progress=progress,
        cancelled=cancelled,
    )  # fmt: skip


def _ask(record: dict[str, Any], session: Session) -> Answer:
    decoding = record["decoding"]
    guide = record.get("scored_by", "")
    answer = session.ask(
        record["question"],
        history=[(q, a) for q, a in record.get("history", ())],
        max_new_tokens=decoding["max_new_tokens"],
        temperature=decoding["temperature"],
        top_p=decoding["top_p"],
        seed=decoding["seed"],
        leave_out=record.get("left_out", ()),
        scored_by="" if guide == record["question"] else guide,
    )
    answer.complete()
    return answer


def _settings(then: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    """Weights, which decide, and what may move the last digits: versions, device, precision."""
    found = []
    for key in ("name", "weights_sha256", "dtype", "quantize", "device"):
        old, new = then["model"].get(key), now["model"].get(key)
        if old != new:
            decides = key in ("weights_sha256", "dtype", "quantize")
            found.append(Difference(_MODEL[key], _short(old), _short(new), decides))
    for key in sorted({*then["versions"], *now["versions"]}):
        old, new = then["versions"].get(key), now["versions"].get(key)
        if old != new:
            found.append(Difference(f"version of {key}", str(old), str(new), decides=False))
    return found


#: The facts about a model by the words of a sentence.
_MODEL = {
    "name": "model", "weights_sha256": "weights (SHA-256)", "dtype": "precision",
    "quantize": "quantisation", "device": "device",
}  # fmt: skip

#: What the model was given, by the words of a sentence.
_INPUT = {
    "shape": "shape of the volume", "plane": "plane", "window_centre_width": "window",
    "crop_start": "start of the crop", "crop_shape": "size of the crop",
    "grid_shape": "grid of the model", "grid_sha256": "input (SHA-256 of the grid)",
}  # fmt: skip


def _given(then: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    found = []
    for key, words in _INPUT.items():
        old, new = then["input"].get(key), now["input"].get(key)
        if old != new:
            found.append(Difference(words, _short(old), _short(new)))
    if list(then["prompt_ids"]) != now["prompt_ids"]:
        sizes = len(then["prompt_ids"]), len(now["prompt_ids"])
        found.append(Difference("tokens of the prompt", f"{sizes[0]} ids", f"{sizes[1]} other ids"))
    return found


def _results(then: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    found = []
    if list(then["token_ids"]) != now["token_ids"]:
        pairs = zip(then["token_ids"], now["token_ids"], strict=False)
        same = next((k for k, (a, b) in enumerate(pairs) if a != b), None)
        place = min(len(then["token_ids"]), len(now["token_ids"])) if same is None else same
        found.append(
            Difference(
                f"answer, from token {place + 1} on", f"“{then['answer']}”", f"“{now['answer']}”"
            )
        )
    elif not _close(then.get("token_probabilities", []), now["token_probabilities"]):
        found.append(_apart("probabilities of the tokens", then, now, "token_probabilities"))
    old, new = _weights(then), _weights(now)
    if not _close(old, new):
        found.append(Difference("slice scores", _peak(old), _peak(new)))
    return found


def _apart(what: str, then: dict[str, Any], now: dict[str, Any], key: str) -> Difference:
    old, new = (float(np.prod(record[key])) for record in (then, now))
    return Difference(what, f"{old:.4f} together", f"{new:.4f} together")


def _weights(record: dict[str, Any]) -> list[float]:
    scores = record.get("scores")
    return [] if scores is None else [float(band["weight"]) for band in scores["bands"]]


def _peak(weights: list[float]) -> str:
    if not weights:
        return "none"
    place = int(np.argmax(weights))
    return f"highest {weights[place]:.4f} on model slice {place + 1}"


def _close(first: list[float], second: list[float]) -> bool:
    return len(first) == len(second) and np.allclose(first, second, rtol=0, atol=TOLERANCE)


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 and text.isalnum() else text
