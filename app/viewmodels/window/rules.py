"""Rules between features: what one of them does when another one changes.

A feature that needs another one is given it; a rule stands here where neither needs the other. Each
rule is one function, named as "when A then B", and `connect_all` connects all of them. A new rule
is a function here, a line there, and a test.
"""

from __future__ import annotations

from typing import Protocol

from app.settings import group_of
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.assistant.assistant import Assistant, ModelState
from app.viewmodels.assistant.attention import NOTE, WordMaps
from app.viewmodels.assistant.evidence import Evidence
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.work import Message
from app.viewmodels.images.cine import Cine
from app.viewmodels.images.compare import Compare
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.side_by_side import SideBySide
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.report import Report
from app.viewmodels.study.pictures import scout_of
from app.viewmodels.study.study import Study
from app.viewmodels.window.layouts import Layouts
from app.viewmodels.window.workspace import Workspace

#: What the scan calls a DICOM Segmentation.
SEGMENTATION = "segmentation"


class GarbageCollector(Protocol):
    """Python's cyclic garbage collection, as far as it follows the model."""

    def pause(self, *, paused: bool) -> None:
        """Collect nothing for a while, or again."""
        ...

    def freeze(self) -> None:
        """Leave out of every later collection what exists now."""
        ...


def connect_all(workspace: Workspace, garbage: GarbageCollector) -> None:
    """Connect every rule of this module."""
    report_follows_answers(workspace.assistant, workspace.report)
    report_enters_the_volume_of_the_assistant(workspace.assistant, workspace.report)
    what_answers_draw_lies_over_the_images(workspace.assistant, workspace.overlays)
    attention_of_a_word_lies_over_the_images(workspace.word_maps, workspace.overlays)
    marking_a_slice_counts_as_evidence(workspace.annotations, workspace.evidence)
    pictures_are_brought_into_view(workspace)
    scouts_stand_in_the_fourth_cell(workspace)
    segmentations_of_the_study_are_offered(workspace.study, workspace.viewer, workspace.overlays)
    comparing_stops_cine(workspace.compare, workspace.cine)
    choosing_a_layout_shows_all_of_it(workspace.layouts, workspace.viewer)
    series_loaded_beside_is_compared(workspace.study, workspace.side_by_side)
    another_study_ends_series_side_by_side(workspace.study, workspace.side_by_side)
    preferences_dress_images(workspace.settings, workspace.viewer)
    damaged_preferences_are_said(workspace.settings, workspace.notices)
    hiding_lines_or_text_is_a_preference(workspace.viewer, workspace.settings)
    loading_a_model_pauses_garbage(workspace.assistant, garbage)
    ready_model_is_frozen(workspace.assistant, garbage)


def report_follows_answers(assistant: Assistant, report: Report) -> None:
    """When an answer that drafts the report goes on, the report takes over its text."""
    assistant.turn_changed.connect(report.follow)
    assistant.text_changed.connect(report.follow)


def report_enters_the_volume_of_the_assistant(assistant: Assistant, report: Report) -> None:
    """When the assistant is about another volume, so is the report."""
    assistant.volume_entered.connect(report.enter)


def what_answers_draw_lies_over_the_images(assistant: Assistant, overlays: Overlays) -> None:
    """When another answer is shown, its boxes and masks lie over the images."""
    assistant.drawn.connect(overlays.show_answer)


def attention_of_a_word_lies_over_the_images(word_maps: WordMaps, overlays: Overlays) -> None:
    """When a word of an answer is chosen, the map of its attention lies over the images."""
    word_maps.shown.connect(lambda word: overlays.show_word(word, NOTE))


def marking_a_slice_counts_as_evidence(annotations: Annotations, evidence: Evidence) -> None:
    """When a slice is marked or unmarked, the hit rate of the slice scores is another one."""
    annotations.changed.connect(evidence.changed.emit)


def pictures_are_brought_into_view(workspace: Workspace) -> None:
    """When an image is asked for that is seen by itself, a cell shows it; so where nothing else is.

    A comparison, which fills the centre, ends.
    """
    study, pictures = workspace.study, workspace.pictures

    def bring() -> None:
        workspace.side_by_side.close()
        if workspace.viewer.volume is not None:
            workspace.viewer.maximise(None)
            workspace.layouts.show_picture()

    def show_first() -> None:
        first = next((one for one in study.series if one.seen), None)
        if first is not None:
            pictures.show(first)

    pictures.asked.connect(bring)
    study.only_pictures.connect(show_first)


def scouts_stand_in_the_fourth_cell(workspace: Workspace) -> None:
    """When a study opens that has a scout of the open series, it is shown where there is room."""
    study, pictures = workspace.study, workspace.pictures

    def follow() -> None:
        if study.chosen is None or study.source is not study.listed:
            return
        scout = scout_of(study.series, workspace.viewer.volume)
        if scout is not None and not pictures.active:
            pictures.offer(scout)
        workspace.layouts.offer_scout(there=scout is not None)

    study.changed.connect(follow)


def segmentations_of_the_study_are_offered(
    study: Study, viewer: Viewer, overlays: Overlays
) -> None:
    """When a study has DICOM Segmentations, they can be laid over its open series."""

    def follow() -> None:
        there = viewer.open_volume is not None
        files = [one.path for one in study.skipped if one.kind == SEGMENTATION] if there else []
        overlays.offer(files)

    study.changed.connect(follow)
    viewer.volume_changed.connect(follow)


def comparing_stops_cine(compare: Compare, cine: Cine) -> None:
    """When a comparison begins, changes or ends, cine stops: its plane may be hidden now."""
    compare.changed.connect(cine.stop)


def choosing_a_layout_shows_all_of_it(layouts: Layouts, viewer: Viewer) -> None:
    """When a layout is chosen, no plane fills the centre alone any more: it would hide it."""

    def show_all() -> None:
        viewer.maximise(None)

    layouts.chosen.connect(show_all)


def series_loaded_beside_is_compared(study: Study, side_by_side: SideBySide) -> None:
    """When a series was loaded to be seen beside the open one, the two are compared."""
    study.loaded_beside.connect(side_by_side.put)


def another_study_ends_series_side_by_side(study: Study, side_by_side: SideBySide) -> None:
    """When another place is opened, its first series stands alone: what was beside is not of it."""
    places = study.places

    def follow() -> None:
        nonlocal places
        if study.places != places:
            places, before = study.places, places
            if not set(before) & set(places):
                side_by_side.close()

    study.changed.connect(follow)


def preferences_dress_images(settings: Settings, viewer: Viewer) -> None:
    """When a preference of the images changes, they follow; they are dressed here at first."""

    def dress() -> None:
        values = settings.values
        viewer.dress(values.corners, values.display, values.mouse)

    def follow(name: str) -> None:
        if group_of(name) in ("corners", "display", "mouse"):
            dress()

    settings.changed.connect(follow)
    dress()


def damaged_preferences_are_said(settings: Settings, notices: Notices) -> None:
    """When the file of preferences was damaged, a notice says what was done about it."""
    settings.listen(lambda sentence: notices.show(Message(sentence)))


def hiding_lines_or_text_is_a_preference(viewer: Viewer, settings: Settings) -> None:
    """When keys hide or show the crosshair or the corner texts, the preferences say so, too."""

    def follow() -> None:
        kept = settings.values.display.crosshair, settings.values.corners.corner_text
        seen = viewer.crosshair_visible, viewer.corner_text
        if seen != kept:
            settings.update(dict(zip(("crosshair", "corner_text"), seen, strict=True)))

    viewer.display_changed.connect(follow)


def loading_a_model_pauses_garbage(assistant: Assistant, garbage: GarbageCollector) -> None:
    """While a model loads, no garbage is collected: a look at so many new modules takes long."""

    def follow() -> None:
        garbage.pause(paused=assistant.model_state is ModelState.LOADING)

    assistant.model_changed.connect(follow)


def ready_model_is_frozen(assistant: Assistant, garbage: GarbageCollector) -> None:
    """When a model is ready, collections skip what was imported: half a million objects stay."""

    def freeze() -> None:
        if assistant.model_state is ModelState.READY:
            garbage.freeze()

    assistant.model_changed.connect(freeze)
