"""Two windows on one series: whatever the order of their saves, the work of both is kept."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.services.annotation_store import AnnotationStore
from app.services.jobs import Jobs
from app.services.report_store import ReportStore
from app.viewmodels.annotation import kinds
from app.viewmodels.annotation.codec import decode
from app.viewmodels.annotation.merging import merged
from app.viewmodels.annotation.model import Annotation, Document, KeyImage
from app.viewmodels.core.identity import series_key
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.work import Done
from app.viewmodels.report.draft import Draft
from med2e3.measures import SlicePlane
from med2e3.volume import Window
from tests.app.bodies import phantom
from tests.app.conftest import Gui

PLANE = SlicePlane((0.0, 0.0, 0.0), (1, 0, 0), (0, 1, 0), 2.5)


def length(name: str) -> Annotation:
    return Annotation(kinds.LENGTH, PLANE, ((0, 0, 0), (1, 0, 0)), name=name, uid=name)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Any]:
    """Makes two windows' stores on one folder; `run` awaits a job and gives its value."""
    loop = asyncio.new_event_loop()
    jobs = [Jobs(loop), Jobs(loop)]

    async def value(job: Any) -> Any:
        outcome = await job
        assert isinstance(outcome, Done), outcome
        return outcome.value

    def make(store: Any, folder: Path) -> tuple[Any, Any, Any]:
        one, other = (store(each, folder) for each in jobs)
        return one, other, lambda job: loop.run_until_complete(value(job))

    yield make
    assert all(each.close() for each in jobs)
    loop.close()


def test_200_interleaved_edits_of_two_windows_are_all_kept(two: Any, tmp_path: Path) -> None:
    volume, folder, choose = phantom(), tmp_path / "annotations", random.Random(7)
    key = series_key(volume)
    *stores, run = two(AnnotationStore, folder)
    drawn = [run(store.load(volume)).document for store in stores]
    wanted: dict[str, Annotation] = {}
    for number in range(200):
        window = choose.randrange(2)
        own = [a for a in drawn[window].annotations if a.uid.startswith(f"{window}-")]
        doing = choose.choice(["add", "add", "change", "delete"]) if own else "add"
        if doing == "add":
            entry = length(f"{window}-{number}")
        else:
            entry = replace(choose.choice(own), text=str(number))
        if doing == "delete":
            drawn[window] = drawn[window].without(entry.uid)
            del wanted[entry.uid]
        else:
            drawn[window] = drawn[window].with_annotation(entry)
            wanted[entry.uid] = entry
        path = run(stores[window].save(volume, key, drawn[window]))
    kept = {a.uid: a for a in decode(path.read_text("utf-8"), key).annotations}
    assert kept == wanted
    assert [p.name for p in folder.iterdir()] == [path.name]


CHILD = """
import asyncio, sys
from pathlib import Path
from app.services.annotation_store import AnnotationStore
from app.services.jobs import Jobs
from app.viewmodels.core.identity import series_key
from app.viewmodels.core.work import Done
from tests.app.bodies import phantom
from tests.app.services.test_two_windows import length

async def draw():
    store, volume = AnnotationStore(jobs, Path(sys.argv[1])), phantom()
    document = (await store.load(volume)).value.document
    for number in range(30):
        document = document.with_annotation(length(f"{sys.argv[2]}-{number}"))
        assert isinstance(await store.save(volume, series_key(volume), document), Done)

loop = asyncio.new_event_loop()
jobs = Jobs(loop)
loop.run_until_complete(draw())
jobs.close()
"""


def test_two_processes_that_draw_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(folder), who]) for who in ("a", "b")
    ]
    assert [child.wait(120) for child in children] == [0, 0]
    (path,) = folder.iterdir()
    kept = {a.uid for a in decode(path.read_text("utf-8"), path.stem).annotations}
    assert kept == {f"{who}-{number}" for who in "ab" for number in range(30)}


class TestMerging:
    before = Document((length("a"), length("b")))

    def test_what_one_deletes_and_the_other_changes_stays(self) -> None:
        changed = replace(length("a"), text="changed")
        theirs = self.before.with_annotation(changed)
        assert merged(theirs, self.before, self.before.without("a"), {}) == theirs
        ours = self.before.with_annotation(changed)
        both = merged(self.before.without("a"), self.before, ours, {})
        assert set(both.annotations) == {length("b"), changed}

    def test_what_both_change_stays_twice_and_goes_on_being_one_of_each(self) -> None:
        twins: dict[str, str] = {}
        theirs = self.before.with_annotation(replace(length("a"), text="theirs"))
        ours = self.before.with_annotation(replace(length("a"), text="ours"))
        both = merged(theirs, self.before, ours, twins)
        assert sorted(a.text for a in both.annotations) == ["", "ours", "theirs"]
        later = ours.with_annotation(replace(length("a"), text="ours again"))
        both = merged(both, ours, later, twins)
        assert sorted(a.text for a in both.annotations) == ["", "ours again", "theirs"]
        both = merged(both, later, later.without("a"), twins)
        assert sorted(a.text for a in both.annotations) == ["", "theirs"]

    def test_key_images_are_merged_too(self) -> None:
        marks = [KeyImage(PLANE, Window(40, 400), note=name, uid=name) for name in "ab"]
        theirs, ours = (Document((), (mark,)) for mark in marks)
        assert merged(theirs, Document(), ours, {}).key_images == tuple(marks)


def test_a_file_that_was_removed_or_damaged_meanwhile_is_written_whole(
    two: Any, tmp_path: Path
) -> None:
    volume, folder = phantom(), tmp_path / "annotations"
    key = series_key(volume)
    store, _, run = two(AnnotationStore, folder)
    document = Document((length("a"), length("b")))
    path = run(store.save(volume, key, document))
    path.unlink()
    document = document.with_annotation(length("c"))
    run(store.save(volume, key, document))
    assert decode(path.read_text("utf-8"), key) == document
    path.write_text("damaged")
    document = document.with_annotation(length("d"))
    run(store.save(volume, key, document))
    assert decode(path.read_text("utf-8"), key) == document
    assert path.with_name(f"{key}.damaged-1.json").read_text() == "damaged"


def test_the_second_report_on_a_series_is_kept_beside_the_first(two: Any, tmp_path: Path) -> None:
    folder, key = tmp_path / "reports", "0" * 32
    *stores, run = two(ReportStore, folder)
    for store in stores:
        assert run(store.load(key)).draft is None
    for number in range(100):
        for name, store in zip(("one", "other"), stores, strict=True):
            path = run(store.save(key, {}, Draft(f"{name} {number}", "", True)))
    assert path.name == f"{key}.beside-1.json"
    texts = {p.name: json.loads(p.read_text())["text"] for p in folder.iterdir()}
    assert texts == {f"{key}.json": "one 99", path.name: "other 99"}
    again, _, run = two(ReportStore, folder)
    found = run(again.load(key))
    assert (found.draft.text, found.beside) == ("one 99", (path,))
    run(stores[1].save(key, {}, None))
    assert [p.name for p in folder.iterdir()] == [f"{key}.json"]


def test_a_report_that_another_window_wrote_is_not_removed(two: Any, tmp_path: Path) -> None:
    folder, key = tmp_path / "reports", "0" * 32
    one, other, run = two(ReportStore, folder)
    run(one.save(key, {}, Draft("one", "", True)))
    path = run(other.save(key, {}, None))
    assert json.loads(path.read_text())["text"] == "one"
    run(one.save(key, {}, None))
    assert not path.exists()


def test_the_window_says_that_another_one_has_changed_the_report(
    loop: Any, engine: Any, dicom: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    gui = Gui(loop, engine, Settings(None), reports_at=folder)
    assert gui.open(dicom)
    gui.do(lambda: gui.window.assistant.report.editor.insertPlainText("Mine."))
    gui.until(lambda: folder.exists() and list(folder.glob("*.json")))
    (path,) = folder.glob("*.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "text": "Theirs."}))
    gui.do(lambda: gui.window.assistant.report.editor.insertPlainText(" More."))
    gui.until(lambda: gui.workspace.notices.message is not None)
    assert ".beside-1.json" in gui.workspace.notices.message.sentence
    assert gui.run(gui.application.close())
    assert json.loads(path.read_text())["text"] == "Theirs."
    beside = path.with_name(f"{path.stem}.beside-1.json")
    assert json.loads(beside.read_text())["text"] == "Mine. More."
