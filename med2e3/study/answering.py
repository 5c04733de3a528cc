"""The rows of one unit: one volume, read and encoded once, and every question about it.

Knows nothing of who else works at the study.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from med2e3.errors import Cancelled, Med2E3Error
from med2e3.io import load_volume
from med2e3.study.columns import Row
from med2e3.study.identity import (
    hash_of,
    place_signature,
    processor_name,
    versions,
    volume_sha256,
)
from med2e3.study.plan import Plan, PlannedQuestion, PlannedVolume

if TYPE_CHECKING:
    from med2e3.engine import Answer, Model, Session
    from med2e3.volume import Volume

#: Called again and again while a unit is worked at; raises `Cancelled` to stop it.
Beat = Callable[[], None]

#: What of an answer's record depends on the run and not on the answer.
TIMES = ("seconds", "seconds_to_first_token")


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model of the plan, loaded: the name that the table calls it, and what identifies it."""

    name: str
    model: Model
    identity: dict[str, str]


@dataclass(frozen=True, eq=False)
class Unit:
    """The volume of a unit as it was found; `reason` says why it could not be read.

    `part` is the hash of everything that changes the unit's rows.
    """

    planned: PlannedVolume
    volume: Volume | None
    reason: str
    signature: str
    sha256: str
    part: str
    seconds: float


def open_unit(loaded: LoadedModel, planned: PlannedVolume, plan: Plan, beat: Beat) -> Unit:
    """Read a unit's volume. Raises `Cancelled`; what cannot be read becomes a reason."""
    began = time.perf_counter()
    signature = place_signature(planned.path)
    volume, reason, sha256 = None, "", ""
    try:
        volume = load_volume(
            planned.path,
            series=planned.series,
            resample_gaps=planned.resample_gaps,
            progress=lambda fraction, what: beat(),
        )
        sha256 = volume_sha256(volume)
    except Exception as error:
        reason = reason_of(error)
    return Unit(
        planned, volume, reason, signature, sha256,
        _part(loaded, planned, plan, sha256 or [reason, signature]),
        time.perf_counter() - began,
    )  # fmt: skip


def _part(loaded: LoadedModel, planned: PlannedVolume, plan: Plan, content: Any) -> str:
    """The hash of everything that changes the rows of a unit, their names included."""
    from med2e3.model.placing import device_of

    info = loaded.model.info
    said = plan.as_json()
    return hash_of(
        {
            "model": [loaded.name, loaded.identity, info.dtype, info.quantize],
            "processor": processor_name(device_of(loaded.model.backend.network)),
            "volume": [planned.name, str(planned.path), planned.series, planned.resample_gaps],
            "content": content,
            "asked": [said[key] for key in ("questions", "plane", "window", "decoding", "threads")],
            "versions": versions(),
        }
    )


def rows_of(loaded: LoadedModel, unit: Unit, plan: Plan, worker: str, beat: Beat) -> list[Row]:
    """A row for each question, in the plan's order. Raises `Cancelled`.

    What cannot be answered has an `error` in place of an answer.
    """
    common = _common(loaded, unit, plan) | {"worker": worker}
    session, reason, seconds = _encode(loaded.model, unit, plan, beat)
    rows = []
    for question in plan.questions:
        row: Row = {**common, "question_name": question.name, "question": question.question}
        row |= {"seconds_reading": unit.seconds, "seconds_encoding": seconds}
        row |= {"error": reason} if session is None else _answered(session, question, plan, beat)
        row["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        rows.append(row)
    return rows


def _encode(
    model: Model, unit: Unit, plan: Plan, beat: Beat
) -> tuple[Session | None, str, float | None]:
    """The session, or why there is none, and the seconds that it took."""
    if unit.volume is None:
        return None, unit.reason, None
    began = time.perf_counter()
    try:
        session = model.read(
            unit.volume, plane=plan.plane, window=plan.window,
            progress=lambda fraction, what: beat(),
        )  # fmt: skip
    except Exception as error:
        return None, reason_of(error), None
    return session, "", time.perf_counter() - began


def _answered(session: Session, question: PlannedQuestion, plan: Plan, beat: Beat) -> Row:
    decoding = plan.decoding
    try:
        answer = session.ask(
            question.question, max_new_tokens=decoding.max_new_tokens,
            temperature=decoding.temperature, top_p=decoding.top_p, seed=decoding.seed,
        )  # fmt: skip
        for _ in answer:
            beat()
        return _row_of(answer)
    except Exception as error:
        return {"error": reason_of(error)}


def _row_of(answer: Answer) -> Row:
    record = {name: value for name, value in answer.record.items() if name not in TIMES}
    row: Row = {
        "answer": answer.text,
        "probability": math.prod(answer.token_probabilities) if answer.token_ids else 0.0,
        "finish_reason": answer.finish_reason,
        "error": "",
        "boxes": json.dumps(record["boxes"]),
        "mask_ml": [mask.millilitres for mask in answer.masks],
        "token_ids": list(answer.token_ids),
        "token_probabilities": list(answer.token_probabilities),
        "plane": record["input"]["plane"],
        "window": record["input"]["window_centre_width"],
        "record": json.dumps(record, ensure_ascii=False),
        "seconds_to_first_token": answer.seconds_to_first_token,
        "seconds": answer.seconds,
    }
    if answer.scores is not None:
        bands = answer.scores.bands
        row |= {
            "scores": answer.scores.values,
            "from_mm": [band.from_mm for band in bands],
            "to_mm": [band.to_mm for band in bands],
            "first_slice": [band.source_slices[0] for band in bands],
            "last_slice": [band.source_slices[1] for band in bands],
            "effective_slices": answer.scores.effective_slices,
        }
    return row


def _common(loaded: LoadedModel, unit: Unit, plan: Plan) -> Row:
    """What all rows of a unit share."""
    from med2e3.model.placing import device_of

    info, volume, decoding = loaded.model.info, unit.volume, plan.decoding
    return {
        "volume": unit.planned.name,
        "model": loaded.name,
        "warnings": [] if volume is None else list(volume.warnings),
        "path": str(unit.planned.path),
        "study_uid": "" if volume is None else volume.info.study_uid,
        "series_uid": "" if volume is None else volume.info.series_uid,
        "volume_sha256": unit.sha256,
        "weights_sha256": info.weights_sha256,
        "kind": info.kind,
        "dtype": info.dtype,
        "processor": processor_name(device_of(loaded.model.backend.network)),
        "threads": plan.threads,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "seed": decoding.seed,
        "max_new_tokens": decoding.max_new_tokens,
        **versions(),
        "part": unit.part,
    }


def reason_of(error: Exception) -> str:
    """Why something could not be done, for the table. Raises the error itself where it is a stop.

    An error that is none of the project's own keeps its kind: nobody wrote it for readers.
    """
    if isinstance(error, Cancelled):
        raise error
    if isinstance(error, Med2E3Error):
        return str(error)
    if isinstance(error, MemoryError):
        return "The computer has too little free memory for it."
    return f"{type(error).__name__}: {error}"
