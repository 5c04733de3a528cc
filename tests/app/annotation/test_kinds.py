"""The table of kinds: everything follows from its rows, and files of the version before stay."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.viewmodels.annotation import exports, kinds, values
from app.viewmodels.annotation.codec import decode, encode
from app.viewmodels.annotation.model import Annotation, Document
from app.viewmodels.annotation.quantities import Reading
from med2e3.resources import resource_path
from med2e3.volume import Volume
from tests.app.bodies import phantom
from tests.conftest import ROOT

#: What the recorded files say of their series.
KEY = "0123456789abcdef"
ABOUT = {
    "series_uid": "1.2.3.4",
    "study_uid": "1.2.3",
    "frame_of_reference_uid": "1.2.9",
    "description": "Phantom",
}


@pytest.fixture
def recorded(fixtures: Path) -> Path:
    """Annotations of every kind, as the program before this table wrote and exported them."""
    return fixtures / "annotations"


@pytest.fixture
def body() -> Volume:
    """The volume that they were drawn on."""
    body = phantom()
    info = replace(
        body.info, series_uid="1.2.3.4", study_uid="1.2.3", frame_of_reference_uid="1.2.9"
    )
    return replace(body, info=info, slice_uids=tuple(f"1.2.5.{k}" for k in range(24)))


#: The kinds of the version that wrote the fixtures.
RECORDED = {
    "length", "angle", "cobb", "bidirectional", "ellipse", "rectangle", "freehand", "probe",
    "arrow", "note",
}  # fmt: skip


@pytest.fixture
def document(recorded: Path) -> Document:
    return decode((recorded / "document.json").read_bytes().decode(), KEY)


def test_a_document_of_every_kind_is_read_and_written_unchanged(
    document: Document, recorded: Path
) -> None:
    assert {annotation.kind.name for annotation in document.annotations} == RECORDED
    assert encode(document, KEY, ABOUT).encode() == (recorded / "document.json").read_bytes()


def columns_of(table: str, before: str) -> str:
    """A table with the columns of an earlier one alone: kinds that came since have more."""
    wanted = next(csv.reader(io.StringIO(before)))
    rows = csv.DictReader(io.StringIO(table))
    text = io.StringIO()
    writer = csv.DictWriter(text, wanted, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_exports_of_every_kind_are_those_of_the_version_before(
    document: Document, recorded: Path, body: Volume
) -> None:
    def read(annotation: Annotation) -> Reading:
        return values.read(annotation, body, "HU")

    table = exports.table(document, body, read, "HU")
    before = (recorded / "measurements.csv").read_bytes().decode()
    assert columns_of(table, before) == before
    record = exports.record(document, body, read).encode()
    assert record == (recorded / "measurements.json").read_bytes()
    said = "".join(f"{exports.sentence(a, body, read)}\n" for a in document.annotations)
    assert said.encode() == (recorded / "sentences.txt").read_bytes()


def test_rows_keep_their_word(document: Document, body: Volume) -> None:
    for annotation in document.annotations:
        kind = annotation.kind
        measured = {q.measure for q in values.read(annotation, body, "HU").quantities}
        assert measured == set(kind.quantities), kind
    for name in ("name", "key"):
        own = [getattr(tool, name) for tool in kinds.tools()]
        assert len(set(own)) == len(own)
    for tool in kinds.tools():
        assert (resource_path("icons") / f"{tool.icon}.svg").is_file(), tool
    columns = exports.columns()
    assert len(set(columns)) == len(columns)


@pytest.mark.slow
def test_another_kind_is_one_row() -> None:
    """In a process of its own: the row is there before anything of the app reads the table."""
    folder = Path("tests/app/annotation")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "-p", "tests.app.annotation.polyline", str(folder / "draw_polyline.py")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "4 passed" in run.stdout
