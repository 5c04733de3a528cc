"""The composition root: builds services, view-models and the window, and wires them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from app.rendering.reslice import reslice
from app.services.annotation_store import AnnotationStore
from app.services.errors import explain
from app.services.files import TextFiles
from app.services.frames import Frames
from app.services.garbage import Garbage
from app.services.jobs import Context, Jobs
from app.services.model_host import LoadModel, ModelHost
from app.services.overlay_reader import OverlayReader
from app.services.planes import Planes
from app.services.report_store import ReportStore
from app.services.studies import Studies
from app.settings import Settings
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.drawing import Drawing
from app.viewmodels.assistant.assistant import Assistant, ModelState
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.undo import Steps
from app.viewmodels.core.work import Done, Failed, Message
from app.viewmodels.images.cine import Cine
from app.viewmodels.images.compare import Compare
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.refiner import Refiner
from app.viewmodels.images.scene import Scene
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.autosave import ReportAutosave
from app.viewmodels.report.report import Report
from app.viewmodels.study.study import Study
from app.viewmodels.study.tags import Tags
from app.viewmodels.window.hanging_protocols import HangingProtocols
from app.viewmodels.window.layouts import Layouts
from app.viewmodels.window.shortcuts import Shortcuts
from app.viewmodels.window.workspace import Workspace
from app.views.window.main_window import MainWindow
from med2e3.resources import resources_root
from med2e3.volume import Volume
from med2e3.words import counted

if TYPE_CHECKING:
    from app.rendering.scene.volume_scene import VolumeScene

#: What Qt's own log says that helps nobody: platforms without a window manager cannot do this.
QT_NOISE = ("propagateSizeHints",)


class Exporter:
    """Saves exported texts; a failure becomes a notice."""

    def __init__(self, files: TextFiles, tasks: Tasks, notices: Notices) -> None:
        self._files = files
        self._tasks = tasks
        self._notices = notices

    def start(self, path: Path, content: str | bytes) -> None:
        """Write a file without waiting for it."""
        self._tasks.start(self._save(path, content))

    async def _save(self, path: Path, content: str | bytes) -> None:
        outcome = await self._files.save(path, content)
        if isinstance(outcome, Failed):
            self._notices.show(explain(outcome.error))

    def start_all(self, folder: Path, files: Mapping[str, bytes], what: str) -> None:
        """Write files into a folder, replacing none; a notice says how many of `what` are there."""
        self._tasks.start(self._save_all(folder, files, what))

    async def _save_all(self, folder: Path, files: Mapping[str, bytes], what: str) -> None:
        jobs = [self._files.save_beside(folder / name, data) for name, data in files.items()]
        outcomes = [await job for job in jobs]
        written = [one.value for one in outcomes if isinstance(one, Done)]
        failed = next((one.error for one in outcomes if isinstance(one, Failed)), None)
        count = counted(len(written), f"{what} was", f"{what}s were")
        said = f"{count} written to {folder}."
        if failed is not None:
            cause = explain(failed)
            if written:
                said = f"Of {len(files)}, only {said} {cause.sentence}"
            self._notices.show(Message(said, cause.details) if written else cause)
        elif written:
            if {path.name for path in written} != set(files):
                said += " No file there was replaced: where a name was taken, a number was added."
            self._notices.show(Message(said, "\n".join(path.name for path in written)))


class Application:
    """The wired parts of one run; `close` ends all of them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        load_model: LoadModel | None = None,
        annotations_at: Path | None = None,
        reports_at: Path | None = None,
    ) -> None:
        self.jobs = Jobs(loop)
        self.garbage = Garbage(loop)
        notices = Notices()
        tasks = Tasks(lambda error: notices.show(explain(error)))
        values = settings.values
        viewer = Viewer(
            crosshair_visible=values.crosshair, corner_text=values.corner_text, reslice=reslice
        )
        assistant = Assistant(viewer, ModelHost(self.jobs, load_model), tasks, explain)
        study = Study(Studies(self.jobs), (viewer, assistant), notices, settings, tasks, explain)
        report = Report()
        reports = ReportStore(self.jobs, reports_at)
        self.autosave = ReportAutosave(report, reports, tasks, notices, explain)
        assistant.turn_changed.connect(report.follow)
        assistant.text_changed.connect(report.follow)
        assistant.volume_entered.connect(report.enter)
        annotations = Annotations(
            viewer, AnnotationStore(self.jobs, annotations_at), tasks, notices, explain
        )
        layouts = Layouts(settings)
        compare, planes, cine = Compare(viewer), Planes(self.jobs), Cine(viewer)
        compare.changed.connect(cine.stop)  # what it plays may be seen no more
        overlays = Overlays((viewer, assistant), OverlayReader(self.jobs), notices, tasks, explain)
        self.hanging_protocols = HangingProtocols(viewer, layouts)
        layouts.chosen.connect(lambda: viewer.maximise(None))
        self.workspace = Workspace(
            viewer,
            assistant,
            study,
            report,
            notices,
            settings,
            tasks,
            Exporter(TextFiles(self.jobs), tasks, notices),
            resources_root() / "demo-study",
            layouts,
            Shortcuts(settings),
            annotations,
            Drawing(annotations),
            Scene(viewer, Frames(self.jobs, _make_scene), tasks, explain),
            overlays,
            cine,
            compare,
            Tags(study, viewer, tasks, explain),
            Refiner(viewer, planes, tasks, notices, explain),
            Refiner(compare.other, planes, tasks, notices, explain),
            Steps(viewer, annotations, overlays),
        )
        study.beside = self.workspace.compare.open
        self.window = MainWindow(self.workspace)
        settings.listen(lambda sentence: notices.show(Message(sentence)))
        assistant.model_changed.connect(self._model_changed)

    def _model_changed(self) -> None:
        state = self.workspace.assistant.model_state
        if state is ModelState.READY:
            self.garbage.freeze()  # torch and transformers: half a million objects that stay
        self.garbage.pause(paused=state is ModelState.LOADING)

    async def close(self) -> bool:
        """Stop the answer and all work; whether every thread has ended."""
        self.workspace.assistant.stop()
        self.workspace.study.cancel()
        await self.workspace.annotations.saved()
        await self.autosave.saved()
        await self.workspace.tasks.close()
        self.window.close()
        self.window.deleteLater()
        ended = self.jobs.close()
        self.garbage.close()
        return ended


def _make_scene(volume: Volume, context: Context) -> VolumeScene:
    from app.rendering.scene.volume_scene import (
        VolumeScene,  # VTK stays out until somebody looks at 3D
    )

    return VolumeScene(volume, context)


def qt_application() -> QApplication:
    """The one application of Qt, named, its own log without what helps nobody."""
    qInstallMessageHandler(_qt_message)
    QApplication.setApplicationName("Med-2E3 viewer")
    existing = QApplication.instance()
    qt = existing if isinstance(existing, QApplication) else QApplication(sys.argv[:1])
    qt.setQuitOnLastWindowClosed(False)
    return qt


def _qt_message(kind: QtMsgType, context: object, message: str) -> None:
    if not any(noise in message for noise in QT_NOISE):
        print(f"Qt: {message}", file=sys.stderr)
