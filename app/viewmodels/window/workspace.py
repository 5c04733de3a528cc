"""All view-models of one window, so that views are handed one thing. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.books import Books
from app.viewmodels.annotation.drawing import Drawing
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.attention import WordMaps
from app.viewmodels.assistant.evidence import Evidence
from app.viewmodels.core.exporting import Content
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.undo import UndoStack
from app.viewmodels.images.brush import Brush
from app.viewmodels.images.cine import Cine
from app.viewmodels.images.clicking import Clicking
from app.viewmodels.images.compare import Compare
from app.viewmodels.images.growing import Growing
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.refiner import Refiner
from app.viewmodels.images.scene import Scene
from app.viewmodels.images.side_by_side import SideBySide
from app.viewmodels.images.solids import LabelSolids
from app.viewmodels.images.viewed import Viewed
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.autosave import ReportAutosave
from app.viewmodels.report.report import Report
from app.viewmodels.study.pictures import SinglePictures
from app.viewmodels.study.study import Study
from app.viewmodels.study.tags import Tags
from app.viewmodels.window.closing import Closing
from app.viewmodels.window.layouts import Layouts
from app.viewmodels.window.shortcuts import Shortcuts


class Exporter(Protocol):
    """Writes exported texts and pictures to files."""

    def start(self, path: Path, content: Content) -> None:
        """Write or make a file; a failure shows as a notice."""
        ...

    def start_all(self, folder: Path, files: Mapping[str, bytes], what: str) -> None:
        """Write files into a folder, replacing none; a notice says how many of `what` are there."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Workspace:
    """The view-models behind one window, by name."""

    viewer: Viewer
    assistant: Assistant
    evidence: Evidence
    #: The attention of a word over the images.
    word_maps: WordMaps
    study: Study
    report: Report
    autosave: ReportAutosave
    notices: Notices
    settings: Settings
    tasks: Tasks
    exporter: Exporter
    demo_study: Path
    layouts: Layouts
    shortcuts: Shortcuts
    #: What is drawn on the open series, and on the one that is compared with it.
    books: Books
    scene: Scene
    overlays: Overlays
    #: A region by its values, while it is being set.
    growing: Growing
    #: Paints labels.
    brush: Brush
    #: Labels as they are seen in 3D.
    solids: LabelSolids
    #: Segments by clicks, with a server of the user's.
    clicking: Clicking
    cine: Cine
    compare: Compare
    #: All series that stand side by side, of which `compare` links the first two.
    side_by_side: SideBySide
    tags: Tags
    #: The image or report that is seen by itself.
    pictures: SinglePictures
    #: The same for each cell of `side_by_side`.
    cell_pictures: tuple[SinglePictures, ...]
    #: Makes the pictures of `viewer` exact once nothing moves.
    refiner: Refiner
    #: The same for the series beside it, in the order of `side_by_side.pairs`.
    refiners_beside: tuple[Refiner, ...]
    steps: UndoStack
    #: Which slices the reader has had on the screen.
    viewed: Viewed
    closing: Closing

    @property
    def annotations(self) -> Annotations:
        """What is drawn on the open series."""
        return self.books.first

    @property
    def drawing(self) -> Drawing:
        """Drawing with the mouse on the open series."""
        return self.books.drawing[self.books.first]
