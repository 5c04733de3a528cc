"""The folder of a study: what it was begun with, its units, parts, table and report.

    study.json      the plan, and the models and versions that began it
    units/          a file a unit: its lease, then its result
    parts/          the rows of each unit, named by the hash of everything that changes them
    ray/            rows that Ray has done, where it was used
    table.parquet   all rows, in the plan's order
    report.html     figures and answers

Knows nothing of how rows are computed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.fields import difference
from med2e3.files import locked, private_folder, write_whole
from med2e3.study.columns import join_parts, writing
from med2e3.study.identity import model_identity, place_signature, versions
from med2e3.study.leases import LEASE_SECONDS, LOCK, LOCK_PATIENCE, Leases, Result
from med2e3.study.plan import Plan, PlannedModel, PlannedVolume

RECORD = "study.json"

#: Of the record's form; another one is not read.
FORM = 1


def unit_name(model: int, volume: int) -> str:
    """The name of a unit by the numbers of its model and its volume in the plan, from 0."""
    return f"m{model:02d}-v{volume:06d}"


class StudyFolder:
    """A folder, and the plan whose study it holds."""

    def __init__(self, path: Path, plan: Plan, record: dict[str, Any]) -> None:
        self.path, self.plan = path, plan
        self.identities: dict[str, dict[str, str]] = record["models"]
        self.versions: dict[str, str] = record["versions"]
        self.parts, self.units = path / "parts", path / "units"
        self.ray = path / "ray"
        self.table, self.report = path / "table.parquet", path / "report.html"

    @classmethod
    def begin(cls, path: Path, plan: Plan) -> StudyFolder:
        """Begin a study in a folder that is new, empty, or was begun by an equal plan.

        Raises `InputError` where the folder holds something else or was begun by another plan,
        with other models or versions, and `CheckpointError` for a model that is not there.
        """
        own = {
            "form": FORM,
            "plan": plan.as_json(),
            "models": {model.name: model_identity(model) for model in plan.models},
            "versions": versions(),
        }
        with writing(path):
            if not path.exists():
                private_folder(path)
            _keep_to(path, json.loads(json.dumps(own)))
            folder = cls(path, plan, own)
            for inner in (folder.parts, folder.units):
                inner.mkdir(exist_ok=True)
        return folder

    @classmethod
    def open(cls, path: Path) -> StudyFolder:
        """The study that was begun in a folder."""
        said = _read(path / RECORD)
        return cls(path, Plan.from_json(said["plan"]), said)

    def all_units(self) -> Iterator[tuple[str, PlannedModel, PlannedVolume]]:
        """Every unit with its model and volume, model by model, so that each is loaded once."""
        for m, model in enumerate(self.plan.models):
            for v, volume in enumerate(self.plan.volumes):
                yield unit_name(m, v), model, volume

    def leases(self, seconds: float = LEASE_SECONDS) -> Leases:
        """The leases of all units, as this process sees them."""
        return Leases(self.units, [unit for unit, _, _ in self.all_units()], seconds=seconds)

    def part(self, name: str) -> Path:
        """Where the part of this name lies."""
        return self.parts / f"{name}.parquet"

    def is_whole(self, result: Result | None, volume: PlannedVolume) -> bool:
        """Whether a unit's part is there, and what it was read from has not changed since."""
        return (
            result is not None
            and self.part(result.part).is_file()
            and result.signature == place_signature(volume.path)
        )

    def reopen_changed(self, leases: Leases, *, failed: bool = False) -> None:
        """Forget results without a part or of volumes that changed; with `failed`, of all failed.

        Finished units are then no longer among the open ones.
        """
        for unit, _, volume in self.all_units():
            result = leases.result(unit)
            if result is None:
                continue
            if self.is_whole(result, volume) and not (failed and result.failed):
                leases.open.remove(unit)
                continue
            leases.reopen(unit)
            shutil.rmtree(self.ray, ignore_errors=True)  # it holds the unit for done
            if failed and result.failed:
                self.part(result.part).unlink(missing_ok=True)

    def join(self) -> Any:
        """Write the table of all parts, by volume, then model, then question, and return it."""
        leases, paths = self.leases(), []
        for v in range(len(self.plan.volumes)):
            for m in range(len(self.plan.models)):
                result = leases.result(unit_name(m, v))
                if result is None:
                    raise InputError(f"{self.path} is not finished. Run the same command again.")
                paths.append(self.part(result.part))
        return join_parts(paths, self.table)


def _keep_to(path: Path, own: dict[str, Any]) -> None:
    """Write into a folder what its study is begun with, or compare with what was written."""
    record = path / RECORD
    with locked(path / LOCK, LOCK_PATIENCE):
        if not record.exists():
            others = sorted(p.name for p in path.iterdir() if p.name != LOCK)
            if others:
                raise InputError(
                    f"{path} holds no study but other files ({others[0]}). Name a new folder."
                )
            write_whole(record, json.dumps(own, indent=1, ensure_ascii=False), durable=True)
            return
    if found := difference(_read(record), own):
        where, before, now = found
        raise InputError(
            f"{path} was begun by another study: {where} was {_shown(before)}, and is "
            f"{_shown(now)} now. Run the plan, models and versions that {RECORD} in it states, or "
            "name another folder with --out."
        )


def _shown(value: Any) -> str:
    """A value as its file writes it; what is long by its beginning."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= 80 else f"{said[:80]}…"


def _read(record: Path) -> dict[str, Any]:
    try:
        said = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{record} is damaged ({error}). Name another folder.") from error
    if not isinstance(said, dict) or said.get("form") != FORM:
        raise InputError(f"{record} is of another version of this program. Name another folder.")
    return said
