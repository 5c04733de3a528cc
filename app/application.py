"""The composition root: builds services, view-models and the window, and decides nothing.

What one feature does when another changes stands in `app.viewmodels.window.rules`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from app.rendering.reslice import reslice
from app.services.annotation_store import AnnotationStore
from app.services.click_server import ClickServer
from app.services.errors import explain
from app.services.exports import Exporter
from app.services.files import TextFiles
from app.services.frames import Frames
from app.services.garbage import Garbage
from app.services.jobs import Context, Jobs
from app.services.model_host import LoadModel, ModelHost
from app.services.overlay_reader import OverlayReader
from app.services.planes import Planes
from app.services.regions import Regions
from app.services.report_store import ReportStore
from app.services.solids import SolidMaker
from app.services.studies import Studies
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.books import Books
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.attention import WordMaps
from app.viewmodels.assistant.evidence import Evidence
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.images.brush import Brush
from app.viewmodels.images.cine import Cine
from app.viewmodels.images.clicking import Clicking
from app.viewmodels.images.compare import Compare
from app.viewmodels.images.growing import Growing
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.refiner import Refiner
from app.viewmodels.images.scene import Scene
from app.viewmodels.images.side_by_side import MOST, SideBySide
from app.viewmodels.images.solids import LabelSolids
from app.viewmodels.images.viewed import Viewed
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.autosave import ReportAutosave
from app.viewmodels.report.report import Report
from app.viewmodels.study.pictures import SinglePictures
from app.viewmodels.study.study import Study
from app.viewmodels.study.tags import Tags
from app.viewmodels.window import rules
from app.viewmodels.window.closing import Closing
from app.viewmodels.window.hanging_protocols import HangingProtocols
from app.viewmodels.window.layouts import Layouts
from app.viewmodels.window.shortcuts import Shortcuts
from app.viewmodels.window.slice_marks import SliceMarks
from app.viewmodels.window.workspace import Workspace
from app.views.window.main_window import MainWindow
from med2e3.resources import resources_root
from med2e3.volume import Volume

if TYPE_CHECKING:
    from app.rendering.scene.volume_scene import VolumeScene


class Application:
    """The wired parts of one run; `close` ends all of them.

    `annotations_at`, `reports_at` and `kept_at` are the folders that drawings, reports and what the
    model read of volumes are kept in; None: they are not kept.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        load_model: LoadModel | None = None,
        annotations_at: Path | None = None,
        reports_at: Path | None = None,
        kept_at: Path | None = None,
    ) -> None:
        self.jobs = Jobs(loop)
        self.garbage = Garbage(loop)
        host = ModelHost(self.jobs, load_model, kept_at, lambda: settings.values.keep_volumes)
        drawn = AnnotationStore(self.jobs, annotations_at)
        written = ReportStore(self.jobs, reports_at)
        self.workspace = workspace = _workspace(self.jobs, settings, host, drawn, written)
        self.hanging_protocols = HangingProtocols(workspace.viewer, workspace.layouts)
        rules.connect_all(workspace, self.garbage)
        self.window = MainWindow(workspace)

    async def close(self) -> bool:
        """Stop the answer and all work; returns whether every thread has ended."""
        self.workspace.assistant.stop()
        self.workspace.study.cancel()
        await self.workspace.books.saved()
        await self.workspace.autosave.saved()
        await self.workspace.tasks.close()
        self.window.close()
        self.window.deleteLater()
        ended = self.jobs.close()
        self.garbage.close()
        return ended


def _workspace(
    jobs: Jobs,
    settings: Settings,
    host: ModelHost,
    drawn: AnnotationStore,
    written: ReportStore,
) -> Workspace:
    notices = Notices()
    tasks = Tasks(lambda error: notices.show(explain(error)))
    viewer = Viewer(reslice=reslice)
    assistant = Assistant(viewer, host, tasks, explain)
    study = Study(
        Studies(jobs),
        viewer=viewer,
        assistant=assistant,
        notices=notices,
        settings=settings,
        tasks=tasks,
        explain=explain,
    )
    annotations = Annotations(viewer, drawn, tasks, notices, explain)
    report = Report()
    autosave = ReportAutosave(report, written, tasks, notices, explain)
    overlays = Overlays(viewer, OverlayReader(jobs), notices, tasks, explain)
    compare, planes = Compare(viewer), Planes(jobs)
    side_by_side, regions = SideBySide(compare), Regions(jobs)
    others = side_by_side.viewers[1:]
    books = Books(
        annotations,
        *(Annotations(other, drawn, tasks, notices, explain, annotations) for other in others),
    )
    pictures = [SinglePictures(study, viewer, tasks, explain) for _ in range(MOST + 1)]
    return Workspace(
        viewer=viewer,
        assistant=assistant,
        evidence=Evidence(
            assistant,
            host,
            tasks,
            explain,
            other_volume=lambda: compare.other.volume,
            marks=SliceMarks(viewer, annotations),
        ),
        word_maps=WordMaps(assistant, host, tasks, explain),
        study=study,
        report=report,
        autosave=autosave,
        notices=notices,
        settings=settings,
        tasks=tasks,
        exporter=Exporter(TextFiles(jobs), tasks, notices),
        demo_study=resources_root() / "demo-study",
        layouts=Layouts(settings),
        shortcuts=Shortcuts(settings),
        books=books,
        scene=Scene(viewer, Frames(jobs, _make_scene), tasks, explain),
        overlays=overlays,
        growing=Growing(viewer, overlays, regions, tasks, notices, explain),
        clicking=Clicking(viewer, overlays, ClickServer(jobs), settings, tasks, notices, explain),
        solids=LabelSolids(overlays, SolidMaker(jobs), tasks),
        brush=Brush(viewer, overlays, regions, tasks, notices, explain),
        cine=Cine(viewer),
        compare=compare,
        side_by_side=side_by_side,
        tags=Tags(study, viewer, tasks, explain),
        pictures=pictures[0],
        cell_pictures=tuple(pictures[1:]),
        refiner=Refiner(viewer, planes, tasks, notices, explain),
        refiners_beside=tuple(Refiner(v, planes, tasks, notices, explain) for v in others),
        steps=viewer.steps,
        viewed=Viewed(viewer),
        closing=Closing(books, autosave, settings),
    )


def _make_scene(volume: Volume, context: Context) -> VolumeScene:
    # VTK stays out until somebody looks at 3D.
    from app.rendering.scene.volume_scene import VolumeScene

    return VolumeScene(volume, context)
