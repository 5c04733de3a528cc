"""The composition root: builds everything, wires it, and runs the one event loop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import qasync
from PySide6.QtCore import QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from app.paths import annotations_folder, reports_folder, settings_file
from app.services.annotation_store import AnnotationStore
from app.services.errors import explain
from app.services.files import TextFiles
from app.services.frames import Frames
from app.services.garbage import Garbage
from app.services.jobs import Context, Jobs
from app.services.model_host import LoadModel, ModelHost
from app.services.overlay_reader import Overlays
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
from app.viewmodels.images.overlays import Fusion
from app.viewmodels.images.refiner import Exact
from app.viewmodels.images.scene import Scene
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.autosave import Keeper
from app.viewmodels.report.report import Report
from app.viewmodels.study.study import Study, Target
from app.viewmodels.study.tags import Tags
from app.viewmodels.window.hanging_protocols import Hangings
from app.viewmodels.window.layouts import Layouts
from app.viewmodels.window.shortcuts import Shortcuts
from app.viewmodels.window.workspace import Workspace
from app.views.parts import theme
from app.views.window.main_window import MainWindow
from med2e3.resources import resources_root
from med2e3.volume import Volume

if TYPE_CHECKING:
    from app.rendering.scene.volume_scene import VolumeScene

#: Seconds that a thread may keep the interpreter before another one that wants it is let in. With
#: the default of 5 ms the window waits that long at each turn while the model runs beside it.
SWITCH_INTERVAL = 0.0001

#: What Qt's own log says that helps nobody: platforms without a window manager cannot do this.
QT_NOISE = ("propagateSizeHints",)


def _counted(count: int, what: str) -> str:
    return f"1 {what} was" if count == 1 else f"{count} {what}s were"


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
        said = f"{_counted(len(written), what)} written to {folder}."
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
        viewer = Viewer(crosshair_visible=values.crosshair, corner_text=values.corner_text)
        assistant = Assistant(viewer, ModelHost(self.jobs, load_model), tasks, explain)
        study = Study(Studies(self.jobs), (viewer, assistant), notices, settings, tasks, explain)
        report = Report()
        reports = ReportStore(self.jobs, reports_at)
        self.keeper = Keeper(report, reports, tasks, notices, explain)
        assistant.turn_changed.connect(report.follow)
        assistant.text_changed.connect(report.follow)
        assistant.volume_entered.connect(report.enter)
        annotations = Annotations(
            viewer, AnnotationStore(self.jobs, annotations_at), tasks, notices, explain
        )
        layouts = Layouts(settings)
        compare, planes, cine = Compare(viewer), Planes(self.jobs), Cine(viewer)
        compare.changed.connect(cine.stop)  # what it plays may be seen no more
        fusion = Fusion((viewer, assistant), Overlays(self.jobs), notices, tasks, explain)
        self.hangings = Hangings(viewer, layouts)
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
            fusion,
            cine,
            compare,
            Tags(study, viewer, tasks, explain),
            Exact(viewer, planes, tasks, notices, explain),
            Exact(compare.other, planes, tasks, notices, explain),
            Steps(viewer, annotations, fusion),
        )
        study.beside = self.workspace.compare.open
        self.window = MainWindow(self.workspace)
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
        await self.keeper.saved()
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the viewer; the exit code of the process."""
    options = _parser().parse_args(argv)
    sys.setswitchinterval(SWITCH_INTERVAL)
    if options.screenshot or options.benchmark:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    qt = qt_application()
    settings = Settings(None if options.screenshot or options.benchmark else settings_file())
    theme.apply(qt, options.theme or settings.values.theme, settings.values.text_size)
    with qasync.QEventLoop(qt) as loop:
        return int(loop.run_until_complete(_run(loop, settings, options)))


async def _run(
    loop: asyncio.AbstractEventLoop, settings: Settings, options: argparse.Namespace
) -> int:
    passing = options.screenshot or options.benchmark
    drawn, written = (None, None) if passing else (annotations_folder(), reports_folder())
    application = Application(loop, settings, annotations_at=drawn, reports_at=written)
    _report_unhandled(loop, application)
    try:
        if options.benchmark:
            from app.benchmark.run import run_benchmark

            return await run_benchmark(application, options)
        if options.screenshot:
            from app.demo import take_screenshot

            return await take_screenshot(application, options)
        return await _run_window(application, options)
    finally:
        await application.close()


async def _run_window(application: Application, options: argparse.Namespace) -> int:
    closed = asyncio.Event()
    application.window.closed.connect(closed.set)
    application.window.show()
    signal.signal(signal.SIGINT, lambda *_: application.window.close())
    workspace = application.workspace
    model = workspace.settings.values.model if options.model is None else options.model
    if model:
        workspace.tasks.start(workspace.assistant.load_model(model))
    if options.demo:
        from app.demo import run_demo

        workspace.tasks.start(run_demo(application.workspace))
    elif options.paths:
        workspace.study.start(Target(options.paths[0], options.series))
    elif last := workspace.settings.last_place():
        workspace.study.start(Target(last))
    await closed.wait()
    return 0


def _report_unhandled(loop: asyncio.AbstractEventLoop, application: Application) -> None:
    """What nobody caught, in a slot of Qt or a callback of the loop, still reaches the user."""
    notices = application.workspace.notices

    def from_slot(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        sys.__excepthook__(kind, error, trace)
        notices.show(explain(error))

    def from_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            notices.show(explain(error))
        loop.default_exception_handler(context)

    sys.excepthook = from_slot
    loop.set_exception_handler(from_loop)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="med2e3-viewer",
        description="A CT viewer with a 3D medical language model inside.",
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="what to open: a folder or a file"
    )
    parser.add_argument("--series", help="which series: UID, number, or place in the list")
    parser.add_argument("--model", help="name or folder of a model; empty: none")
    parser.add_argument("--theme", choices=sorted(theme.THEMES), help="colours of the window")
    parser.add_argument(
        "--demo", action="store_true", help="open the demo study and ask the ready questions"
    )
    parser.add_argument(
        "--screenshot",
        type=Path,
        metavar="FILE",
        help="run the demo, save the window as a PNG, print the answers, and quit",
    )
    parser.add_argument("--size", default="1280x800", help="size of the screenshot, e.g. 1280x800")
    parser.add_argument(
        "--benchmark", action="store_true", help="measure loading, slice changes and stalls"
    )
    parser.add_argument("--json", action="store_true", help="with --benchmark: print JSON")
    parser.add_argument("--groups", help="with --benchmark: which of its groups, with commas")
    return parser
