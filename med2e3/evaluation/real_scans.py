"""Scans of people before a model of phantoms: is it said that its answers mean nothing?

Nothing else is counted of them, for nothing else would mean anything. Knows nothing of questions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from med2e3.engine import Model
from med2e3.errors import InputError
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.intervals import estimate
from med2e3.phantoms.maker import NO_PHANTOM
from med2e3.retrieval.collection import find_candidates

#: The name of the one figure.
SAID = "said that the answer means nothing"


def run(
    model: Model, folder: Path, progress: Callable[[float, str], None] | None = None
) -> Results:  # fmt: skip
    """Reads every volume below a folder.

    Raises `ImageReadError` where there is none, and `InputError` for a model that is not of
    phantoms alone.
    """
    if not model.info.is_demo:
        raise InputError(
            f"The model {model.info.name} is not of phantoms alone: its answers about scans are "
            "not said to mean nothing. Measure it on scans with known answers: --m3d-vqa, "
            "--ct-rate."
        )
    found, unreadable = find_candidates(folder)
    said: list[list[float]] = []
    skipped = list(unreadable)
    for number, one in enumerate(found, start=1):
        try:
            session = model.read(one.load())
        except InputError as error:
            skipped.append(f"{one.name}: {error}")
            continue
        said.append([float(NO_PHANTOM in session.cautions)])
        if progress:
            progress(number / len(found), f"volume {number} of {len(found)}")
    share = estimate(said)
    return Results(
        model=model.info.name,
        what=f"{len(said)} volumes of {folder.name}, model {model.info.name}",
        settings={"volumes": len(said), "weights_sha256": model.info.weights_sha256},
        figures={} if share is None else {SAID: share},
        sections=(Section("Real CT", (SAID,), (("share of volumes", "{row}"),)),),
        missing={} if share else {SAID: "No volume could be read."},
        notes=tuple(f"Left out: {line}" for line in skipped),
    )
