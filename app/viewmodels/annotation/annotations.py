"""Annotations and key images of the open volume: selection, steps, saving. Knows no screens.

Each series has a document of its own; its steps outlive the closing of the series. A document is
loaded when its series opens and saved after each step; what was drawn on part of a series goes
along when the rest of it is found. Nothing can be drawn while a volume is still filling, nor before
its saved document was read: it could not be told what to keep.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from app.imaging.slab import Slab
from app.viewmodels.annotation import location, shapes, values
from app.viewmodels.annotation.model import LONGEST_TEXT, Annotation, Document, KeyImage
from app.viewmodels.annotation.quantities import Reading
from app.viewmodels.core.identity import Stack
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.undo import Step, UndoStack
from app.viewmodels.core.work import Done, Failed, Job, Message
from app.viewmodels.images.look import Greys
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from med2e3.measures import Point, SlicePlane
from med2e3.volume import Volume

#: Measured values remembered: more than stand on the screen and in the list together.
REMEMBERED = 512

#: A slice is a marked one if its plane is this much of a slice away from it at most.
SAME_SLICE = 0.01


@dataclass(frozen=True)
class Stored:
    """The stored document of a series.

    `damage` says why a file could not be read, `kept_aside` where it was put.
    """

    key: str
    document: Document
    damage: str = ""
    kept_aside: Path | None = None


class AnnotationStorage(Protocol):
    """A store of one document a series."""

    def load(self, volume: Volume) -> Job[Stored]:
        """Read the document of a volume's series; a damaged file is put aside, never lost."""
        ...

    def save(self, volume: Volume, key: str, document: Document) -> Job[Path]:
        """Replace the document of a series, whole or not at all."""
        ...


@dataclass
class Sheet:
    """The document of a series, kept while the program runs."""

    key: str
    document: Document


class Sheets:
    """The documents of all series that were open, by their keys; `changed` names one.

    A series that stands on both sides of a comparison has one document, not two.
    """

    def __init__(self) -> None:
        self.by_key: dict[str, Sheet] = {}
        self.changed: Signal[[Sheet]] = Signal()


@dataclass(frozen=True)
class Unkept:
    """What was drawn on a series and could not be saved, and why."""

    volume: Volume
    document: Document
    cause: str


@dataclass(frozen=True)
class _Previous:
    """The series that was open before, and what was drawn on it."""

    stack: Stack = field(default_factory=Stack)
    document: Document = field(default_factory=Document)


class Annotations:
    """The annotations and key images of the open volume."""

    def __init__(
        self,
        viewer: Viewer,
        store: AnnotationStorage,
        tasks: Tasks,
        notices: Notices,
        explain: Callable[[BaseException], Message],
        beside: Annotations | None = None,
    ) -> None:
        """`beside`: those of the open volume, where `viewer` shows another one beside it.

        Both have one list of documents and one order of steps.
        """
        self.viewer = viewer
        self._beside = beside
        self.steps: UndoStack = viewer.steps if beside is None else beside.steps
        self._store = store
        self._tasks = tasks
        self._notices = notices
        self._explain = explain
        self._sheets = Sheets() if beside is None else beside.sheets
        self._keys: WeakKeyDictionary[Volume, str] = WeakKeyDictionary()
        self._sheet: Sheet | None = None
        self._volume: Volume | None = None
        self._previous = _Previous()
        self._saving: set[asyncio.Task[object]] = set()
        self._readings: OrderedDict[tuple[Annotation, bool], Reading] = OrderedDict()
        self._failed: dict[str, Unkept] = {}
        #: Whether what is drawn is away from the images; what is being drawn is seen.
        self.hidden = False
        self.live: Annotation | None = None
        self.selected: str | None = None
        self.changed: Signal[[]] = Signal()
        self.live_changed: Signal[[]] = Signal()
        self.selection_changed: Signal[[]] = Signal()
        viewer.volume_changed.connect(self._enter)
        self._sheets.changed.connect(self._sheet_changed)

    # --- what there is ---------------------------------------------------------------------

    @property
    def sheet(self) -> Sheet | None:
        """The document of the open series with its key; None before it was read."""
        return self._sheet

    @property
    def sheets(self) -> Sheets:
        """The documents of the series that were open."""
        return self._sheets

    @property
    def volume(self) -> Volume | None:
        """The volume that can be drawn on; None: none yet."""
        return self._volume if self._sheet is not None else None

    @property
    def document(self) -> Document:
        """The kept annotations and key images."""
        return Document() if self._sheet is None else self._sheet.document

    @property
    def shown(self) -> tuple[Annotation, ...]:
        """The kept annotations, with the live one in its place."""
        if self.hidden:
            return () if self.live is None else (self.live,)
        if self.live is None:
            return self.document.annotations
        return self.document.with_annotation(self.live).annotations

    @property
    def selected_annotation(self) -> Annotation | None:
        """The selected annotation as it is shown."""
        return next((a for a in self.shown if a.uid == self.selected), None)

    def reading(self, annotation: Annotation) -> Reading:
        """What an annotation measures on the open volume."""
        # Its end may leave an outline as it was traced, and is measured in full all the same.
        wanted = annotation, self.is_traced(annotation)
        known = self._readings.get(wanted)
        if known is None:
            if self._volume is None:
                return Reading()
            known = values.read(annotation, self._volume, self.viewer.unit, traced=wanted[1])
            self._readings[wanted] = known
            if len(self._readings) > REMEMBERED:
                self._readings.popitem(last=False)
        return known

    def is_traced(self, annotation: Annotation | None) -> bool:
        """Whether the mouse is tracing this outline now: slow measurements must wait."""
        if annotation is None or not annotation.kind.traced:
            return False
        return annotation is self.live and self.document.annotation(annotation.uid) is None

    def key_image_at(self, plane: SlicePlane) -> KeyImage | None:
        """The key image of a slice in the slab that is shown; another slab is another picture."""
        for key_image in self.document.key_images:
            away = abs(float(plane.distance_mm(key_image.plane.origin_mm)))
            near = away <= SAME_SLICE * plane.thickness_mm
            if near and plane.is_parallel(key_image.plane) and self._as_thick(key_image.slab):
                return key_image
        return None

    def _as_thick(self, slab: Slab) -> bool:
        shown = self.viewer.slab
        return slab == shown or slab.thickness_mm == shown.thickness_mm == 0

    # --- steps that can be undone ----------------------------------------------------------

    def add(self, annotation: Annotation) -> None:
        """Keep what was drawn, and select it."""
        annotation = replace(annotation, text=self._fitting(annotation.text))
        self.hidden = False  # nobody draws what is not to be seen
        self.selected = annotation.uid
        self._commit(f"draw {_name(annotation)}", self.document.with_annotation(annotation))
        self.selection_changed.emit()

    def change(self, annotation: Annotation, doing: str = "move") -> None:
        """Keep a changed annotation as a step called `doing`; an equal one is no step."""
        if self.document.annotation(annotation.uid) not in (None, annotation):
            self._commit(f"{doing} {_name(annotation)}", self.document.with_annotation(annotation))

    def rename(self, uid: str, name: str) -> None:
        """Change the name of an annotation, or the note of a key image."""
        annotation, key_image = self.document.annotation(uid), self.document.key_image(uid)
        words = self._fitting(name)
        if annotation is not None:
            # The kind's own title is what stands there without a name.
            own = "" if words == annotation.kind.title else words
            self.change(replace(annotation, name=own), "rename")
        elif key_image is not None and words not in (key_image.note, key_image.note or "Key image"):
            changed = replace(key_image, note=words)
            self._commit("note on key image", self.document.with_key_image(changed))

    def set_text(self, uid: str, text: str) -> None:
        """Change the text at an arrow or a note."""
        annotation = self.document.annotation(uid)
        if annotation is not None:
            self.change(replace(annotation, text=self._fitting(text)), "edit")

    def _fitting(self, text: str) -> str:
        """A typed text without spaces around it, cut to what a saved one may have; says so."""
        words = text.strip()
        if len(words) > LONGEST_TEXT:
            self._notices.show(
                Message(
                    f"A text at the images may have {LONGEST_TEXT:,} letters: the first of them "
                    "are kept, the rest is left out. Write longer texts into the report."
                )
            )
        return words[:LONGEST_TEXT]

    def remove(self, uid: str) -> None:
        """Delete an annotation or a key image."""
        annotation, key_image = self.document.annotation(uid), self.document.key_image(uid)
        if annotation is not None:
            self._commit(f"delete {_name(annotation)}", self.document.without(uid))
        elif key_image is not None:
            self._commit("unmark key image", self.document.without(uid))

    def remove_selected(self) -> None:
        """Delete what is selected."""
        if self.selected is not None:
            self.remove(self.selected)

    def toggle_key_image(self, plane: SlicePlane) -> None:
        """Mark the slice or slab that is shown as a key image, or unmark it."""
        marked = self.key_image_at(plane)
        if marked is not None:
            self.remove(marked.uid)
        elif self._sheet is not None:
            viewer = self.viewer
            key_image = KeyImage(plane, viewer.window, viewer.inverted, viewer.slab, viewer.colours)
            self._commit("mark key image", self.document.with_key_image(key_image))

    def hide(self, *, hidden: bool) -> None:
        """Take everything off the images, or bring it back; the documents stay as they are."""
        self.hidden = hidden
        self.select(None)
        self.changed.emit()

    # --- on the screen ---------------------------------------------------------------------

    def show_live(self, annotation: Annotation | None) -> None:
        """Show an annotation as it is being drawn or moved, without keeping it."""
        self.live = annotation
        self.live_changed.emit()

    def select(self, uid: str | None) -> None:
        """Select an annotation or a key image, or nothing."""
        if uid != self.selected:
            self.selected = uid
            self.selection_changed.emit()

    def go_to(self, uid: str) -> None:
        """Select an annotation or key image and bring all planes to it."""
        annotation, key_image = self.document.annotation(uid), self.document.key_image(uid)
        if annotation is not None:
            self._show(annotation.plane, shapes.centre_mm(annotation))
        elif key_image is not None:
            self._show(key_image.plane, None)
            self.viewer.set_slab(key_image.slab)
            self.viewer.show_greys(Greys(key_image.window, key_image.inverted, key_image.colours))
        self.select(uid)

    def _show(self, plane: SlicePlane, patient_mm: Point | None) -> None:
        assert self._volume is not None
        where = location.locate(self._volume, plane)
        if where.plane is None:
            shown = self._show_oblique(plane, patient_mm)
        else:
            shown = self._show_stored(where.plane, where.slice_index, patient_mm)
        if shown is not None:
            self.viewer.send_to(shown)
            if self.viewer.maximised not in (None, shown):
                self.viewer.maximise(shown)

    def _show_stored(self, plane: Plane, slice_index: int, patient_mm: Point | None) -> Plane:
        """Go to a stored slice, which turned planes would not show."""
        self.viewer.straighten()
        if patient_mm is not None:
            self.viewer.move_crosshair(np.asarray(patient_mm))
        else:
            self.viewer.go_to_slice(plane, slice_index)
        return plane

    def _show_oblique(self, plane: SlicePlane, patient_mm: Point | None) -> Plane | None:
        """Go to an oblique plane: in the view that shows it already, else turn one onto it."""
        assert self._volume is not None
        middle = self._volume.geometry.centre_mm
        on_plane = middle - float(plane.distance_mm(middle)) * plane.normal
        at = on_plane if patient_mm is None else np.asarray(patient_mm)
        for name, state in self.viewer.shown.items():
            if SlicePlane.of_slice(state.geometry, state.slice_index).is_parallel(plane):
                self.viewer.move_crosshair(at)
                return name
        return self.viewer.turn_onto(plane, at)

    # --- keeping ---------------------------------------------------------------------------

    async def saved(self) -> None:
        """Wait until every change is saved or its failure is reported; try again what failed."""
        await asyncio.gather(*self._saving)
        for key, unkept in tuple(self._failed.items()):  # there may be room again
            await self._start_saving(unkept.volume, key, unkept.document)

    @property
    def saving(self) -> bool:
        """Whether something drawn is not on the disk yet."""
        return bool(self._saving or self._failed)

    @property
    def unkept(self) -> tuple[Unkept, ...]:
        """What could not be saved when that was tried last, a series each."""
        return tuple(self._failed.values())

    def _commit(self, name: str, document: Document) -> None:
        if self._sheet is None:
            return
        sheet, before = self._sheet, self._sheet.document
        self._replace(sheet, document)
        undo = partial(self._replace, sheet, before)
        redo = partial(self._replace, sheet, document)
        self.steps.push(Step(name, undo, redo, lasts_with=sheet.key))

    def _replace(self, sheet: Sheet, document: Document) -> None:
        """Show and save another document of the open series."""
        sheet.document = document
        self._sheets.changed.emit(sheet)

    def _sheet_changed(self, sheet: Sheet) -> None:
        """The document of a series is another one, here or on the other side of a comparison."""
        if sheet is not self._sheet:
            return
        self.live = None
        if self.selected is not None and not self._exists(self.selected):
            self.selected = None
            self.selection_changed.emit()
        self.changed.emit()
        if self._beside is None or self._beside.sheet is not sheet:  # it saves the same one
            self._save()

    def _save(self) -> None:
        assert self._sheet is not None
        assert self._volume is not None
        self._start_saving(self._volume, self._sheet.key, self.document)

    def _start_saving(self, volume: Volume, key: str, document: Document) -> asyncio.Task[object]:
        job = self._store.save(volume, key, document)
        task = self._tasks.start(self._watch(job, volume, key, document))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)
        return task

    def _exists(self, uid: str) -> bool:
        return bool(self.document.annotation(uid) or self.document.key_image(uid))

    async def _watch(self, job: Job[Path], volume: Volume, key: str, document: Document) -> None:
        outcome = await job
        self._failed.pop(key, None)
        if isinstance(outcome, Failed):
            cause = self._explain(outcome.error)
            self._failed[key] = Unkept(volume, document, cause.sentence)
            self._notices.show(
                Message(
                    "The measurements of this series could not be saved; they are kept while the "
                    "program runs. Free some space or check the folder, then change any of them.",
                    f"{cause.sentence}\n{cause.details}".strip(),
                )
            )

    def _enter(self) -> None:
        volume = None if self.viewer.previewing else self.viewer.volume
        if volume is not None and volume is self._volume:
            return
        if self._volume is not None and self._sheet is not None:
            self._previous = _Previous(Stack.of(self._volume), self.document)
            if self.steps is not self.viewer.steps:
                self.steps.lay_aside(self._sheet.key)
        self._volume, self._sheet, self.live, self.selected = volume, None, None, None
        self._readings.clear()
        if volume is not None:
            key = self._keys.get(volume)
            self._sheet = self._sheets.by_key.get(key) if key is not None else None
            if self._sheet is None:
                self._tasks.start(self._load(volume))
            else:
                self.steps.resume(self._sheet.key)
        self.changed.emit()
        self.selection_changed.emit()

    async def _load(self, volume: Volume) -> None:
        outcome = await self._store.load(volume)
        if volume is not self._volume:
            return
        if isinstance(outcome, Failed):
            cause = self._explain(outcome.error)
            self._notices.show(
                Message(
                    "The saved measurements of this series could not be read, so none can be drawn "
                    f"on it now: they would replace the saved ones. {cause.sentence}",
                    cause.details,
                )
            )
        elif isinstance(outcome, Done):
            self._take(volume, outcome.value)

    def _take(self, volume: Volume, stored: Stored) -> None:
        self._keys[volume] = stored.key
        document = stored.document
        if stored.key not in self._sheets.by_key and self._previous.stack.grown_into(volume):
            document = document.with_all_of(self._previous.document)
        self._sheet = self._sheets.by_key.setdefault(stored.key, Sheet(stored.key, document))
        self.steps.resume(stored.key)
        if document != stored.document:
            self._save()
        if stored.kept_aside is not None:
            self._notices.show(
                Message(
                    "The saved measurements of this series could not be read; the file was kept as "
                    f"“{stored.kept_aside.name}”, and new ones start from nothing. {stored.damage}",
                    str(stored.kept_aside),
                )
            )
        self.changed.emit()


def _name(annotation: Annotation) -> str:
    return annotation.kind.title.lower()
