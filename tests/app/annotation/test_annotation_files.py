"""What is drawn is saved as it is drawn, comes back, and never appears on another scan."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.imaging.slab import Mode, Slab
from app.viewmodels.annotation import kinds
from app.viewmodels.annotation.codec import DamagedDocumentError, decode, encode
from app.viewmodels.annotation.model import Annotation, Document, KeyImage
from app.viewmodels.core.identity import series_key
from app.viewmodels.core.settings import Settings
from app.viewmodels.study.study import Target
from med2e3.geometry import Geometry, Plane
from med2e3.io import load_volume, write_dicom_series
from med2e3.measures import SlicePlane
from med2e3.volume import SeriesInfo, Volume, Window
from tests.app.annotating import Pen
from tests.app.bodies import phantom
from tests.app.conftest import Gui

PLANE = SlicePlane((1.5, -2.25, 1 / 3), (1, 0, 0), (0, 1, 0), 2.5)
LENGTH = Annotation(kinds.LENGTH, PLANE, ((0.1, 0.2, 1 / 3), (9, 8, 1 / 3)), name="Läsion “A”")
KEY = KeyImage(PLANE, Window(-600, 1500), True, Slab(12.5, Mode.MINIMUM), note="größte")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "annotations"


class Session:
    """A run of the program with a data folder; another one can follow it."""

    def __init__(self, loop: Any, engine: Any, folder: Path) -> None:
        self.gui = Gui(loop, engine, Settings(None), annotations_at=folder)

    def end(self) -> None:
        assert self.gui.run(self.gui.application.close())


@pytest.fixture
def start(loop: Any, engine: Any, folder: Path) -> Iterator[Any]:
    running: list[Session] = []

    def begin() -> Gui:
        if running:
            running.pop().end()
        running.append(Session(loop, engine, folder))
        return running[-1].gui

    yield begin
    if running:
        running.pop().end()


def draw(gui: Gui) -> Annotation:
    pen = Pen(gui)
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    return pen.last


def test_what_was_drawn_is_there_again_in_the_next_run(start: Any, dicom: Path) -> None:
    first = start()
    first.open(dicom)
    drawn = draw(first)
    first.key(Qt.Key.Key_K)
    again = start()
    again.open(dicom)
    pen = Pen(again)
    assert pen.drawn == (drawn,)
    assert len(pen.book.document.key_images) == 1
    assert pen.gui.workspace.steps.undo_name == ""


def test_key_images_that_were_saved_without_slab_and_colours_open_as_grey_slices(
    start: Any, dicom: Path, folder: Path
) -> None:
    first = start()
    first.open(dicom)
    Pen(first)
    first.do(lambda: first.viewer.set_slab(Slab(20.0)))
    first.key(Qt.Key.Key_K)
    marked = first.workspace.annotations.document.key_images
    again = start()
    (path,) = folder.iterdir()
    content = json.loads(path.read_text("utf-8"))
    assert content["key_images"][0].pop("slab") == {"thickness_mm": 20.0, "mode": "maximum"}
    assert content["key_images"][0].pop("colours") == "grey"
    path.write_text(json.dumps(content), "utf-8")
    again.open(dicom)
    book = Pen(again).book
    assert again.workspace.notices.message is None
    assert book.document.key_images == tuple(replace(k, slab=Slab()) for k in marked)
    again.do(lambda: book.go_to(marked[0].uid))
    assert again.viewer.slab == Slab()


def test_each_step_is_in_the_file_and_undo_is_too(start: Any, dicom: Path, folder: Path) -> None:
    gui = start()
    gui.open(dicom)
    drawn = draw(gui)
    book = gui.workspace.annotations
    gui.run(book.saved())
    (path,) = folder.iterdir()
    content = json.loads(path.read_text("utf-8"))
    assert content["annotations"][0]["uid"] == drawn.uid
    assert content["series"]["series_uid"] == load_volume(dicom).info.series_uid
    gui.do(gui.workspace.steps.undo)
    gui.run(book.saved())
    assert json.loads(path.read_text("utf-8"))["annotations"] == []
    assert [p.name for p in folder.iterdir()] == [path.name]


def test_another_series_shows_nothing_and_the_first_keeps_its_undo(
    start: Any, dicom: Path, tmp_path: Path
) -> None:
    gui = start()
    other = tmp_path / "other"
    write_dicom_series(phantom("Other", value=700), other, seed="other")
    gui.open(dicom)
    drawn = draw(gui)
    gui.open(other)
    pen = Pen(gui)
    assert pen.drawn == ()
    pen.tool("ellipse")
    pen.drag((10, 10), (20, 30))
    gui.open(dicom)
    pen = Pen(gui)
    assert pen.drawn == (drawn,)
    assert pen.gui.workspace.steps.undo_name == "draw length"


def test_what_is_drawn_on_part_of_a_series_is_kept_with_the_whole_of_it(
    start: Any, dicom: Path, tmp_path: Path
) -> None:
    """As where the rest of its files is found later; a part of other images gets none of it."""
    gui, aside = start(), tmp_path / "aside"
    aside.mkdir()
    files = sorted(dicom.iterdir())
    gui.open(dicom)
    before = draw(gui)
    gui = start()
    for file in files[:6]:
        file.rename(aside / file.name)
    gui.open(dicom)
    drawn = draw(gui)
    for file in files[:6]:
        (aside / file.name).rename(file)
    gui.open(dicom)
    assert Pen(gui).drawn == (before, drawn)
    again = start()
    again.open(dicom)
    assert Pen(again).drawn == (before, drawn)
    for file in files[6:]:
        file.rename(aside / file.name)
    again.open(dicom)
    assert Pen(again).drawn == ()


@pytest.mark.parametrize("damage", ["", '{"format": 99, "key": "x"}'])
def test_a_damaged_file_is_reported_and_kept(
    start: Any, dicom: Path, folder: Path, damage: str
) -> None:
    gui = start()
    gui.open(dicom)
    draw(gui)
    gui.run(gui.workspace.annotations.saved())
    (path,) = folder.iterdir()
    again = start()
    path.write_text(damage, "utf-8")
    again.open(dicom)
    pen = Pen(again)
    assert pen.drawn == ()
    message = again.workspace.notices.message
    assert "could not be read" in message.sentence
    assert f"{path.stem}.damaged-1.json" in message.sentence
    assert (folder / f"{path.stem}.damaged-1.json").read_text("utf-8") == damage
    draw(again)
    again.run(again.workspace.annotations.saved())
    assert decode(path.read_text("utf-8"), path.stem).annotations
    assert (folder / f"{path.stem}.damaged-1.json").read_text("utf-8") == damage


def far_away() -> str:
    odd = LENGTH.with_points(((1e308, 0, 0), (0, 0, 0)))
    return encode(Document((odd,)), "KEY", {})


@pytest.mark.parametrize(
    "content",
    [far_away(), encode(Document((), (replace(KEY, window=Window(1e300, 1)),)), "KEY", {})],
    ids=["far away", "window"],
)
def test_what_would_stop_the_painting_is_put_aside_and_said(
    start: Any, dicom: Path, folder: Path, content: str
) -> None:
    gui, key = start(), series_key(load_volume(dicom))
    folder.mkdir(parents=True)
    (folder / f"{key}.json").write_text(content.replace("KEY", key), "utf-8")
    gui.open(dicom)
    assert Pen(gui).drawn == ()
    assert f"{key}.damaged-1.json" in gui.workspace.notices.message.sentence
    draw(gui)
    gui.run(gui.workspace.annotations.saved())
    assert len(decode((folder / f"{key}.json").read_text("utf-8"), key).annotations) == 1


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_lost(
    start: Any, dicom: Path, folder: Path
) -> None:
    gui = start()
    gui.open(dicom)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder should be")
    drawn = draw(gui)
    gui.until(lambda: gui.workspace.notices.message is not None)
    assert "could not be saved" in gui.workspace.notices.message.sentence
    assert gui.workspace.annotations.document.annotations == (drawn,)
    folder.unlink()


def test_what_was_drawn_while_nothing_could_be_saved_is_saved_at_the_end(
    start: Any, dicom: Path, nifti: Path, folder: Path
) -> None:
    gui = start()
    gui.open(dicom)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("no room")
    drawn = draw(gui)
    gui.open(nifti)
    other = draw(gui)
    gui.until(lambda: gui.workspace.annotations.unkept)
    folder.unlink()
    again = start()
    again.open(dicom)
    assert Pen(again).drawn == (drawn,)
    again.open(nifti)
    assert Pen(again).drawn == (other,)
    assert not again.workspace.annotations.unkept


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_what_is_drawn_on_a_file_whose_name_is_no_text_is_saved(
    start: Any, nifti: Path, folder: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(nifti.parent) + b"/caf\xe9 \xff.nii.gz"))
    nifti.rename(odd)
    gui = start()
    gui.open(odd)
    drawn = draw(gui)
    gui.run(gui.workspace.annotations.saved())
    assert gui.workspace.notices.message is None
    again = start()
    again.open(odd)
    assert Pen(again).drawn == (drawn,)


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX's")
def test_what_was_drawn_is_its_readers_alone(start: Any, dicom: Path, folder: Path) -> None:
    gui = start()
    folder.mkdir(parents=True, mode=0o755)
    gui.open(dicom)
    draw(gui)
    gui.run(gui.workspace.annotations.saved())
    (path,) = folder.iterdir()
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_that_cannot_be_opened_is_never_replaced(
    start: Any, dicom: Path, folder: Path
) -> None:
    gui = start()
    key = series_key(load_volume(dicom))
    (folder / f"{key}.json").mkdir(parents=True)  # reading it is an error of the system
    gui.open(dicom)
    gui.until(lambda: gui.workspace.notices.message is not None)
    assert "none can be drawn" in gui.workspace.notices.message.sentence
    assert gui.workspace.annotations.volume is None
    gui.key(Qt.Key.Key_L)
    gui.drag(gui.view(Plane.AXIAL), (100, 100), (150, 100))
    assert (folder / f"{key}.json").is_dir()


def test_nothing_is_drawn_on_a_preview(gui: Any, nifti: Path) -> None:
    gui.open(nifti)
    Pen(gui)
    gui.do(lambda: gui.viewer.preview(phantom("On its way")))
    assert gui.workspace.annotations.volume is None
    gui.key(Qt.Key.Key_L)
    gui.drag(gui.view(Plane.AXIAL), (100, 100), (150, 100))
    gui.do(gui.viewer.drop_preview)
    assert gui.workspace.annotations.volume is gui.viewer.volume
    assert gui.workspace.annotations.document.annotations == ()


def test_opening_again_while_the_file_is_read_takes_the_last_one(
    start: Any, dicom: Path, nifti: Path
) -> None:
    gui = start()
    gui.open(dicom)
    drawn = draw(gui)

    async def both() -> None:
        await gui.study.open(Target(nifti))
        await gui.study.open(Target(dicom))

    gui.run(both())
    assert Pen(gui).drawn == (drawn,)


class TestCodec:
    def test_every_field_comes_back_exactly(self) -> None:
        document = Document((LENGTH, replace(LENGTH, uid="b", text="=“x”")), (KEY,))
        assert decode(encode(document, "k", {}), "k") == document

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"length"', '"circle"'),
            ('"format": 1', '"format": 2'),
            ('"key": "k"', '"key": "j"'),
            ('"thickness_mm": 2.5', '"thickness_mm": "2.5"'),
            ('"thickness_mm": 2.5', '"thickness_mm": -1'),
            ('"name"', '"nom"'),
            ("-600", "NaN"),
            ("1500", "0"),
            ('"thickness_mm": 12.5', '"thickness_mm": -12.5'),
            ('"minimum"', '"sum"'),
            ('"mode"', '"way"'),
        ],
    )
    def test_what_is_not_a_document_is_refused_whole(self, old: str, new: str) -> None:
        text = encode(Document((LENGTH,), (KEY,)), "k", {})
        assert old in text
        with pytest.raises(DamagedDocumentError):
            decode(text.replace(old, new), "k")

    def test_a_length_of_three_points_is_refused(self) -> None:
        odd = LENGTH.with_points((*LENGTH.points_mm, (0, 0, 0)))
        with pytest.raises(DamagedDocumentError, match="a length with 3 points"):
            decode(encode(Document((odd,)), "k", {}), "k")

    def test_two_of_one_identifier_are_refused(self) -> None:
        with pytest.raises(DamagedDocumentError, match="same identifier"):
            decode(encode(Document((LENGTH, LENGTH)), "k", {}), "k")


class TestIdentity:
    def test_it_is_the_same_at_each_opening(self, dicom: Path, nifti: Path) -> None:
        for path in (dicom, nifti):
            assert series_key(load_volume(path)) == series_key(load_volume(path))

    def test_volumes_without_uids_differ_by_grid_and_by_values(self) -> None:
        one = replace(phantom(), info=SeriesInfo())
        brighter = replace(phantom(value=901), info=SeriesInfo())
        moved = Geometry.from_spacing(one.shape, one.geometry.spacing_mm)
        keys = {series_key(v) for v in (one, brighter, Volume(one.voxels, moved))}
        assert len(keys) == 3

    def test_two_phases_of_one_series_differ(self) -> None:
        info = SeriesInfo(series_uid="1.2.3")
        uids = tuple(f"1.2.3.{k}" for k in range(phantom().shape[0]))
        early = replace(phantom(), info=info, slice_uids=uids)
        late = replace(early, slice_uids=tuple(f"{uid}.9" for uid in uids))
        assert series_key(early) != series_key(late)
        turned = replace(
            early, voxels=np.ascontiguousarray(early.voxels[::-1]), slice_uids=uids[::-1]
        )
        assert series_key(turned) == series_key(early)

    def test_two_stacks_of_one_multi_frame_file_differ_by_their_values(self) -> None:
        info = SeriesInfo(series_uid="1.2.3")
        uids = ("1.2.3.1",) * phantom().shape[0]
        keys = {
            series_key(replace(phantom(value=v), info=info, slice_uids=uids)) for v in (800, 900)
        }
        assert len(keys) == 2
