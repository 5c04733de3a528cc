"""The rows of a unit that no worker survived: nothing but names and the reason."""

from __future__ import annotations

from med2e3.study.columns import Row, write_rows
from med2e3.study.folder import StudyFolder
from med2e3.study.identity import hash_of, place_signature
from med2e3.study.leases import Result


def give_up(folder: StudyFolder, unit: str, reason: str) -> Result:
    """Write the part of a unit with `reason` in place of every answer."""
    model, volume = next((m, v) for name, m, v in folder.all_units() if name == unit)
    identity, signature = folder.identities[model.name], place_signature(volume.path)
    part = hash_of([unit, volume.name, identity, folder.versions, signature, reason])
    rows: list[Row] = [
        {
            "volume": volume.name, "model": model.name, "question_name": question.name,
            "question": question.question, "error": reason, "path": str(volume.path),
            "weights_sha256": identity["weights_sha256"], "kind": identity["kind"],
            "threads": folder.plan.threads, "part": part, **folder.versions,
        }
        for question in folder.plan.questions
    ]  # fmt: skip
    write_rows(rows, folder.part(part))
    return Result(part, signature, failed=True)
