"""Whatever a file of drawings or of a report holds: it is put aside, byte for byte, and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.services.annotation_store import AnnotationStore
from app.services.jobs import Jobs
from app.services.report_store import ReportStore
from app.viewmodels.annotation import kinds
from app.viewmodels.annotation.codec import encode
from app.viewmodels.annotation.model import Annotation, Document, KeyImage
from app.viewmodels.core.identity import series_key
from med2e3.measures import SlicePlane
from med2e3.volume import Window
from tests.app.bodies import phantom

PLANE = SlicePlane((1.5, -2.25, 1 / 3), (1, 0, 0), (0, 1, 0), 2.5)
LENGTH = Annotation(kinds.LENGTH, PLANE, ((0.1, 0.2, 1 / 3), (9, 8, 1 / 3)), name="A")
OUTLINE = tuple((float(k % 300), float(k // 300), 0.0) for k in range(50_000))


def drawn(annotation: Annotation) -> str:
    return encode(Document((annotation,)), "KEY", {})


FAR = drawn(LENGTH.with_points(((1e308, 0, 0), (0, 0, 0))))
WIDE = encode(Document((), (KeyImage(PLANE, Window(1e300, 1)),)), "KEY", {})

#: What no program reads as a file of ours, whichever it should be.
NO_FILE = {
    "empty": b"",
    "cut": b"{",
    "no object": b"[]",
    "no fields": b'{"format": 1}',
    "a later format": b'{"format": 99, "key": "KEY"}',
    "zeros": b"\x00\x01",
    "no text": b"\xff\xfe\x80",
    "nested": b"[" * 100_000,
}

#: What could be read, and would stop the painting or fill the memory.
NO_DRAWING = {
    "far away": FAR,
    "50,000 points": drawn(replace(LENGTH, kind=kinds.FREEHAND, points_mm=OUTLINE)),
    "400 digits": FAR.replace("1e+308", "9" * 400),
    "5,000 digits": FAR.replace("1e+308", "9" * 5000),
    "a long text": drawn(replace(LENGTH, text="x" * 200_000)),
    "a wide window": WIDE,
}


@pytest.fixture
def jobs(loop: Any) -> Any:
    made = Jobs(loop)
    yield made
    assert made.close()


@pytest.mark.parametrize("damage", [*NO_FILE, *NO_DRAWING])
def test_drawings_are_put_aside(jobs: Jobs, tmp_path: Path, damage: str) -> None:
    store, volume = AnnotationStore(jobs, tmp_path), phantom()
    key = series_key(volume)
    content = NO_FILE.get(damage) or NO_DRAWING.get(damage, "").encode()
    content = content.replace(b"KEY", key.encode())
    (tmp_path / f"{key}.json").write_bytes(content)
    stored = store._load(volume)
    assert stored.document == Document()
    assert stored.damage
    assert stored.kept_aside == tmp_path / f"{key}.damaged-1.json"
    assert stored.kept_aside.read_bytes() == content
    assert not (tmp_path / f"{key}.json").exists()


@pytest.mark.parametrize("damage", NO_FILE)
def test_a_report_is_put_aside(jobs: Jobs, tmp_path: Path, damage: str) -> None:
    key = "0" * 32
    content = NO_FILE[damage].replace(b"KEY", key.encode())
    (tmp_path / f"{key}.json").write_bytes(content)
    found = ReportStore(jobs, tmp_path)._load(key)
    assert found.draft is None
    assert found.kept_aside == tmp_path / f"{key}.damaged-1.json"
    assert found.kept_aside.read_bytes() == content
