"""Overlays of the images: masks, label maps, a second volume, boxes and masks of an answer.

Each overlay is placed by its own geometry in LPS mm and may have any grid. Knows no pixels on the
screen, no widgets, and not who answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.notices import Notices, Remedy
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.undo import Step
from app.viewmodels.core.work import Done, Failed, Job, Listener, Message
from app.viewmodels.images.layers import (
    BoxMark,
    Label,
    Layer,
    Overlaid,
    WordMap,
    answer_layer,
    label_at,
    layer_of,
    overlap,
    short,
    word_layer,
)
from app.viewmodels.images.viewer import Viewer
from med2e3.label_colours import LABEL_COLOURS, label_colour
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.engine.grounding import Box, Mask

#: What the change of an attribute of a layer is called, as a step that can be undone.
CHANGES = {
    "opacity": "opacity of {}",
    "low": "threshold of {}",
    "high": "threshold of {}",
    "visible": "show or hide: {}",
    "hidden": "show or hide a label: {}",
    "colours": "colours: {}",
    "labels": "names and colours of the labels: {}",
}

#: Attributes that a slider moves: many changes in a row are one step.
SLID = ("opacity", "low", "high")


class OverlayLoader(Protocol):
    """Reads overlays."""

    def overlay(self, path: Path, listener: Listener) -> Job[Overlaid]:
        """Read a volume; events: `Progress`."""
        ...

    def names(self, path: Path) -> Job[dict[int, str]]:
        """The names of labels in a text file."""
        ...


class Overlays:
    """The overlays of the open volume, the latest on top."""

    def __init__(
        self,
        viewer: Viewer,
        loader: OverlayLoader,
        notices: Notices,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._viewer = viewer
        self._loader = loader
        self._notices = notices
        self._tasks = tasks
        self._explain = explain
        self._about: Volume | None = None
        self._reading: LatestJob[Overlaid] = LatestJob()
        self.layers: tuple[Layer, ...] = ()
        self.boxes: tuple[BoxMark, ...] = ()
        self.loading = ""
        #: Segmentations of the study, by their files, which can be laid over.
        self.offered: tuple[Path, ...] = ()
        self._laid: set[Path] = set()
        self._live: Layer | None = None
        self.changed: Signal[[]] = Signal()
        viewer.volume_changed.connect(self._volume_changed)

    @property
    def empty(self) -> bool:
        """Whether nothing lies over the images."""
        return not (self.layers or self.boxes)

    def offer(self, files: Sequence[Path]) -> None:
        """Say which segmentations the study has; those that lie over the images are left out."""
        offered = tuple(file for file in files if file not in self._laid)
        if offered != self.offered:
            self.offered = offered
            self.changed.emit()

    # --- files -----------------------------------------------------------------------------

    def start(self, path: Path) -> None:
        """Lay a file or folder over the open volume, without waiting for it."""
        self._tasks.start(self.open(path))

    async def open(self, path: Path) -> bool:
        """Lay a file or folder over the open volume; whether it lies there now."""
        about = self._viewer.volume
        if about is None:
            return False
        job = self._reading.start(self._loader.overlay, path, lambda _: None)
        self.loading = path.name
        self.changed.emit()
        outcome = await self._reading.result(job)
        if outcome is not None:
            self.loading = ""
        if isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))
        fits = isinstance(outcome, Done) and about is self._viewer.volume
        if isinstance(outcome, Done) and fits:
            fits = self._admit(outcome.value, about)
        if fits:
            self._laid.add(path)
            self.offered = tuple(file for file in self.offered if file != path)
        self.changed.emit()
        return fits

    def _admit(self, overlaid: Overlaid, about: Volume) -> bool:
        """Refuse what belongs to another frame of reference, unless the user insists."""
        ours = about.info.frame_of_reference_uid
        theirs = overlaid.volume.info.frame_of_reference_uid
        if ours and theirs and ours != theirs:
            self._notices.show(
                Message(
                    f"“{overlaid.volume.name}” was not laid over “{about.name}”: it has another "
                    "frame of reference, so its millimetres are not the same places of the "
                    "patient. Register the two first, or lay it over by its own numbers.",
                    f"{theirs}\n{ours}",
                ),
                Remedy("Overlay anyway", lambda: self._insist(overlaid, about)),
            )
            return False
        self._add(overlaid, about, "" if ours and theirs else NO_FRAME)
        return True

    def _insist(self, overlaid: Overlaid, about: Volume) -> None:
        if about is self._viewer.volume:
            self._notices.dismiss()
            self._add(overlaid, about, OTHER_FRAME)
            self.changed.emit()

    def _add(self, overlaid: Overlaid, about: Volume, note: str) -> None:
        if not overlap(overlaid.volume.geometry, about.geometry):
            note = APART
        layers = tuple(layer_of(one, note) for one in (overlaid, *overlaid.others))
        self._take(f"overlay {layers[0].name}", layers=(*self.layers, *layers))

    # --- what the user does ----------------------------------------------------------------

    def change(self, layer: Layer, **changes: Any) -> None:
        """Another opacity, colour map, threshold or visibility of a layer."""
        changed = next(iter(changes))
        name = CHANGES[changed].format(layer.name)
        key = (name, id(layer.voxels)) if changed in SLID else None
        if layer in self.layers and any(getattr(layer, k) != v for k, v in changes.items()):
            layers = tuple(replace(x, **changes) if x is layer else x for x in self.layers)
            self._take(name, layers=layers, key=key)
        self.changed.emit()

    def show_live(self, layer: Layer | None) -> None:
        """Lay what is still being set over the images, in place of what was; no step of its own."""
        kept = tuple(x for x in self.layers if x is not self._live)
        self._live = layer
        self.layers = kept if layer is None else (*kept, layer)
        self.changed.emit()

    def lay(self, layer: Layer) -> None:
        """Lay something made here over the images, as a step that can be undone."""
        self._take(f"overlay {layer.name}", layers=(*self.layers, layer))
        self.changed.emit()

    @property
    def fresh_colour(self) -> str:
        """A colour for something new: the first that no label or box over the images has."""
        used = {one.colour for layer in self.layers if layer is not self._live
                for one in layer.labels} | {box.colour for box in self.boxes}  # fmt: skip
        free = (colour for colour in LABEL_COLOURS if colour not in used)
        return next(free, label_colour(len(used)))

    def of_voxels(self, voxels: NDArray[Any] | None) -> Layer | None:
        """The layer that shows an array, which is the same one however its labels change."""
        return next((layer for layer in self.layers if layer.voxels is voxels), None)

    def replace(self, layer: Layer, other: Layer, name: str) -> None:
        """Show another layer in place of one, as a step that can be undone."""
        self._take(name, layers=tuple(other if x is layer else x for x in self.layers))
        self.changed.emit()

    def repaint(self, layer: Layer, labels: tuple[Label, ...]) -> None:
        """Show a layer whose voxels have changed, with labels of other sizes; no step of its own.

        What was resampled of a layer is kept by the layer itself, so it becomes another one.
        """
        changed = replace(layer, labels=labels)
        self.layers = tuple(changed if x is layer else x for x in self.layers)
        self.changed.emit()

    def toggle_label(self, layer: Layer, value: int) -> None:
        """Show or hide one structure."""
        self.change(layer, hidden=layer.hidden ^ {value})

    def show_only(self, layer: Layer, value: int) -> None:
        """Show one structure alone; where it is alone, all of them."""
        others = frozenset(label.value for label in layer.labels) - {value}
        self.change(layer, hidden=frozenset() if layer.hidden == others else others)

    def show_labels(self, layer: Layer, *, shown: bool) -> None:
        """Show all structures, or none."""
        every = frozenset(label.value for label in layer.labels)
        self.change(layer, hidden=frozenset() if shown else every)

    def name(self, layer: Layer, names: Mapping[int, str]) -> None:
        """Give structures names, by their values; those that are not named keep theirs."""
        labels = tuple(
            replace(label, name=names.get(label.value, "").strip() or label.name)
            for label in layer.labels
        )
        self.change(layer, labels=labels)

    def recolour(self, layer: Layer, value: int, colour: str) -> None:
        """Give a structure another colour, as #rrggbb."""
        labels = tuple(
            replace(label, colour=colour) if label.value == value else label
            for label in layer.labels
        )
        self.change(layer, labels=labels)

    def start_naming(self, layer: Layer, path: Path) -> None:
        """Take over the names of a text file, without waiting for it."""
        self._tasks.start(self._name_from(layer, path))

    async def _name_from(self, layer: Layer, path: Path) -> None:
        outcome = await self._loader.names(path)
        if isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))
        elif isinstance(outcome, Done):
            same = (one for one in self.layers if one.voxels is layer.voxels)
            if (now := next(same, None)) is not None:
                self.name(now, outcome.value)

    def go_to_label(self, layer: Layer, value: int) -> None:
        """Move the crosshair into a structure: to its voxel nearest to the middle of all."""
        places = np.argwhere(layer.voxels == value)
        if len(places):
            apart = np.abs(places - places.mean(axis=0)).sum(axis=1)
            self.go_to(layer.geometry.to_patient_mm(places[int(apart.argmin())].astype(float)))

    def names_at(self, patient_mm: NDArray[np.float64] | Sequence[float]) -> tuple[str, ...]:
        """The structures that are shown at a point in LPS mm, the uppermost first."""
        if not self.belongs:
            return ()
        found = (label_at(layer, patient_mm) for layer in reversed(self.layers) if layer.visible)
        return tuple(label.name for label in found if label is not None)

    def toggle_box(self, box: BoxMark) -> None:
        """Show or hide a box."""
        boxes = tuple(replace(b, visible=not b.visible) if b is box else b for b in self.boxes)
        self._take("show or hide a box", boxes=boxes)
        self.changed.emit()

    def remove(self, layer: Layer) -> None:
        """Take a layer away."""
        kept = tuple(x for x in self.layers if x is not layer)
        self._take(f"remove overlay {layer.name}", layers=kept)
        self.changed.emit()

    def _take(
        self,
        name: str,
        *,
        layers: tuple[Layer, ...] | None = None,
        boxes: tuple[BoxMark, ...] | None = None,
        key: object = None,
    ) -> None:
        """Have other layers or boxes, as a step that can be undone; steps in a row of one `key`."""
        before = self.layers, self.boxes
        self.layers = self.layers if layers is None else layers
        self.boxes = self.boxes if boxes is None else boxes
        after = self.layers, self.boxes
        if after != before:
            undo, redo = (lambda: self.restore(*before)), (lambda: self.restore(*after))
            self._viewer.steps.push(Step(name, undo, redo, key))

    def restore(self, layers: tuple[Layer, ...], boxes: tuple[BoxMark, ...]) -> None:
        """Bring earlier overlays back; those of an answer only while that answer is shown."""
        mine = {id(x.voxels) for x in self.layers if x.of_answer}
        kept = tuple(x for x in layers if not x.of_answer or id(x.voxels) in mine)
        known = {id(x.voxels) for x in kept}
        newer = (x for x in self.layers if x.of_answer and id(x.voxels) not in known)
        self.layers = (*kept, *newer)
        was = {id(box.corners_mm): box for box in boxes}
        self.boxes = tuple(was.get(id(box.corners_mm), box) for box in self.boxes)
        self.changed.emit()

    def go_to(self, patient_mm: NDArray[np.float64]) -> None:
        """Move the crosshair to a point of an overlay, in LPS mm."""
        self._viewer.move_crosshair(patient_mm)

    @property
    def belongs(self) -> bool:
        """Whether the overlays are of the volume on the screen; a preview of another has none."""
        return self._viewer.volume is self._about

    # --- what follows ----------------------------------------------------------------------

    def _volume_changed(self) -> None:
        """Remove all overlays of the volume before, but not what an answer has drawn by now."""
        if self._viewer.open_volume is self._about:
            return
        self._about = self._viewer.open_volume
        self._reading.cancel()
        self.loading = ""
        self._laid.clear()
        self.layers = tuple(layer for layer in self.layers if layer.of_answer)
        self.changed.emit()

    def show_answer(self, question: str, boxes: tuple[Box, ...], masks: tuple[Mask, ...]) -> None:
        """Lay the boxes and masks of an answer over the images, in place of the last answer's.

        Those that are there already stay as the reader has set them.
        """
        mine = [
            *(x.voxels for x in self._drawn),
            *(b.corners_mm for b in self.boxes),
        ]
        theirs = [*(mask.voxels for mask in masks), *(box.corners_mm for box in boxes)]
        if len(mine) == len(theirs) and all(a is b for a, b in zip(mine, theirs, strict=True)):
            return
        name = short(question)
        self.layers = (
            *(x for x in self.layers if x not in self._drawn),
            *(answer_layer(name, mask, k) for k, mask in enumerate(masks)),
        )
        self.boxes = tuple(
            BoxMark(f"box {k + 1}: {name}", label_colour(k + len(masks)), box.corners_mm)
            for k, box in enumerate(boxes)
        )
        self.changed.emit()

    @property
    def _drawn(self) -> tuple[Layer, ...]:
        """The masks that the answer has drawn."""
        return tuple(x for x in self.layers if x.of_answer and not x.of_word)

    def show_word(self, word: WordMap | None, note: str) -> None:
        """Lay the map of a word over the images, in place of the last word's; None: none.

        Cells below an equal share of it are clear. Opacity and colours stay as they were set.
        """
        before = next((x for x in self.layers if x.of_word), None)
        if word is None and before is None:
            return
        rest = tuple(x for x in self.layers if not x.of_word)
        self.layers = rest if word is None else (*rest, word_layer(word, note, before))
        self.changed.emit()


NO_FRAME = "no frame of reference: placed by its own mm"
OTHER_FRAME = "another frame of reference: its place is not certain"
APART = "lies wholly outside of the open volume"
