"""States of details, for pictures: smaller menus, texts being typed, large text, narrow windows.

Knows no files that last and no sizes but the smallest window's.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydicom import dcmread
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from app.screenshots.opening import opened
from app.screenshots.reading import axial, measured, use
from app.screenshots.stage import Act, Stage, State, after, as_it_is, click, drag
from app.viewmodels.annotation import kinds
from app.viewmodels.assistant.questions import ready_questions
from app.viewmodels.core.waiting import until
from app.viewmodels.core.work import Message
from app.viewmodels.study.browser import browse
from app.viewmodels.window.layouts import SCENE, Kind
from app.views.annotation.annotation_layer import TextEditor
from app.views.window.shortcut_editor import ShortcutEditor
from med2e3.geometry import Plane
from med2e3.io import write_dicom_series

#: The smallest window that is meant to be worked in, in logical pixels.
SMALL = (900, 600)

#: The largest text that the preferences offer, in percent.
LARGE = 150


async def small(then: Act, stage: Stage) -> QWidget | None:
    """A state in the smallest window."""
    stage.resized(*SMALL)
    return await then(stage)


async def large(then: Act, stage: Stage) -> QWidget | None:
    """A state with the largest text."""
    editor = stage.window.dialogs.editor
    stage.afterwards.append(partial(editor.set, "text_size", editor.value("text_size")))
    editor.set("text_size", LARGE)
    return await then(stage)


async def _tab(title: str, stage: Stage) -> QWidget:
    tabs = stage.window.assistant.tabs
    titles = [tabs.tabText(k) for k in range(tabs.count())]
    tabs.setCurrentIndex(titles.index(title))
    return stage.window


async def _measured_tab(stage: Stage) -> QWidget:
    await measured(stage)
    view = await axial(stage)
    use(stage, view, kinds.FREEHAND.name)
    stage.run("crosshair_tool")
    return await _tab("Measurements", stage)


async def _dialog(name: str, stage: Stage) -> QWidget | None:
    stage.run(name)
    return stage.window.dialogs.shown


# --- menus -------------------------------------------------------------------------------------


async def _menu(name: str, stage: Stage) -> QWidget | None:
    window = stage.window
    assistant = window.assistant
    menus = {
        "open": window.tools.open_button.menu(),
        "model": assistant.header.menu_button.menu(),
        "scores": assistant.scores.export.menu(),
        "measurements": window.measurements.export.menu(),
    }
    return stage.popped(menus[name])


async def _second_menu(stage: Stage) -> QWidget | None:
    """The views that can stand in a second window."""
    layout = stage.popped(stage.window.tools.views.layout.menu())
    inner = (action.menu() for action in layout.actions())
    return stage.popped(next(menu for menu in inner if isinstance(menu, QMenu)))


async def _more_menu(stage: Stage) -> QWidget:
    """What has left the toolbar of a narrow window."""
    stage.resized(*SMALL)
    return stage.popped(stage.window.tools.more.menu())


async def _series_menu(stage: Stage) -> QWidget | None:
    study = stage.workspace.study
    rows = [s for p in browse(study.series, study.chosen) for t in p.studies for s in t.series]
    return stage.popped(stage.window.series.menu_of(rows[0])) if rows else None


async def _file_dialog(stage: Stage) -> QWidget:
    """Qt's own, which is seen where the system has none."""
    settings = stage.workspace.settings
    before = settings.values.last_folder
    settings.set("last_folder", str(stage.target.path.parent))
    stage.run("open_files")
    settings.set("last_folder", before)
    dialog = stage.window.findChildren(QFileDialog)[-1]
    stage.afterwards.append(dialog.reject)
    stage.settling = 40
    return dialog


# --- in the middle of something ----------------------------------------------------------------


async def _typing(stage: Stage) -> QWidget:
    """A note whose text is being typed."""
    view = await axial(stage)
    stage.run("note_tool")
    click(view, (0.4, 0.35))
    for editor in view.findChildren(TextEditor):
        editor.setText("compare with")
        stage.afterwards.append(partial(editor.done, None))
    return stage.window


async def _drawing(stage: Stage) -> QWidget:
    """A length while it is drawn."""
    view = await axial(stage)
    stage.run("length_tool")
    drag(view, (0.3, 0.3), (0.6, 0.5), release=False)
    stage.afterwards.append(stage.workspace.drawing.cancel)
    return stage.window


async def _key_image(stage: Stage) -> QWidget:
    """The mark of a key image beside the patient's name."""
    stage.workspace.layouts.choose(Kind.SINGLE)
    await axial(stage)
    stage.workspace.viewer.activate(Plane.AXIAL)
    stage.run("key_image")
    return stage.window


async def _tag_search(stage: Stage) -> QWidget:
    browser = stage.window.show_tags()
    browser.search.setText("patient")
    stage.afterwards.append(browser.search.clear)
    stage.settling = 40
    return browser


async def _taken_key(stage: Stage) -> QWidget | None:
    """A key that was another command's."""
    stage.run("shortcuts")
    dialog = stage.window.dialogs.shown
    assert isinstance(dialog, ShortcutEditor)
    dialog.choose("zoom_tool")
    dialog.record("W")
    stage.afterwards.append(stage.workspace.shortcuts.reset_all)
    return dialog


async def _offered(stage: Stage) -> QWidget | None:
    """A new draft of the report beside an edited one."""
    assistant, report = stage.workspace.assistant, stage.workspace.report
    if assistant.model is None:
        return None
    report.edit("Corrected by hand.")
    question = next(q for q in ready_questions(assistant.model) if q.is_report)
    assistant.ask(question.text, is_report=True)
    await until(assistant.turns_changed, lambda: assistant.running is None)
    draft = report.draft(report.key)

    def forget() -> None:
        draft.edited = False  # so that no version of it is kept, nor offered to come back
        report.accept()

    stage.afterwards.append(forget)
    return stage.window


async def _split(stage: Stage) -> QWidget | None:
    """A folder whose images must not be mixed: why they are apart, and how to join them."""
    volume = stage.workspace.viewer.volume
    if volume is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        for k, plane in enumerate((Plane.AXIAL, Plane.CORONAL)):
            info = replace(volume.info, series_uid="1.2.3", series_description="Thorax")
            part = replace(volume.in_plane(plane), info=info, slice_uids=())
            for file in write_dicom_series(part, Path(folder) / str(k), seed=f"split {k}"):
                dataset = dcmread(file)
                dataset.SeriesInstanceUID = info.series_uid
                dataset.save_as(file)
        return await opened(stage, Path(folder))


async def _failed_scene(stage: Stage) -> QWidget:
    layouts, scene = stage.workspace.layouts, stage.workspace.scene
    layouts.choose_main(SCENE)
    layouts.choose(Kind.SINGLE)
    scene.message = Message("The 3D picture could not be made: not enough memory.", "")
    scene.changed.emit()
    stage.afterwards.append(scene.retry)
    return stage.window


def _both(name: str, then: Act) -> dict[str, State]:
    """A state in the smallest window, and with the largest text."""
    return {
        f"small-{name}": State(partial(small, then)),
        f"large-{name}": State(partial(large, then)),
    }


#: Every picture of a detail by its name.
DETAILS: dict[str, State] = {
    **{f"menu-{n}": State(partial(_menu, n)) for n in ("open", "model", "scores", "measurements")},
    "menu-second-window": State(_second_menu),
    "menu-more": State(_more_menu),
    "menu-series": State(_series_menu),
    "file-dialog": State(_file_dialog),
    "note-typed": State(_typing),
    "length-drawn": State(_drawing),
    "key-image": State(_key_image),
    "tags-search": State(_tag_search),
    "shortcuts-taken": State(_taken_key),
    "report-offered": State(_offered),
    "split": State(_split),
    "scene-failed": State(_failed_scene),
    "measurements-empty": State(partial(_tab, "Measurements")),
    **_both("measurements", _measured_tab),
    **_both("help", partial(after, ("help",))),
    **_both("palette", partial(after, ("palette",))),
    **_both("preferences", partial(_dialog, "preferences")),
    **_both("3d", partial(after, ("toggle_scene",))),
    "small-large-text": State(partial(small, partial(large, as_it_is))),
    "large-shortcuts": State(partial(large, partial(_dialog, "shortcuts"))),
}
