"""All view-models of one window, so that views are handed one thing. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.settings import Settings
from app.viewmodels.annotation.book import Annotations
from app.viewmodels.annotation.drawing import Drawing
from app.viewmodels.assistant import Assistant
from app.viewmodels.cine import Cine
from app.viewmodels.compare import Compare
from app.viewmodels.exact import Exact
from app.viewmodels.fusion import Fusion
from app.viewmodels.layouts import Layouts
from app.viewmodels.notices import Notices
from app.viewmodels.report import Report
from app.viewmodels.scene import Scene
from app.viewmodels.shortcuts import Shortcuts
from app.viewmodels.steps import Steps
from app.viewmodels.study import Study
from app.viewmodels.tags import Tags
from app.viewmodels.tasks import Tasks
from app.viewmodels.viewer import Viewer


class Exporter(Protocol):
    """Where exported texts and pictures go."""

    def start(self, path: Path, content: str | bytes) -> None:
        """Write a file; a failure shows as a notice."""
        ...

    def start_all(self, folder: Path, files: Mapping[str, bytes], what: str) -> None:
        """Write files into a folder, replacing none; a notice says how many of `what` are there."""
        ...


@dataclass(frozen=True, eq=False)
class Workspace:
    """The state behind the window."""

    viewer: Viewer
    assistant: Assistant
    study: Study
    report: Report
    notices: Notices
    settings: Settings
    tasks: Tasks
    exporter: Exporter
    demo_study: Path
    layouts: Layouts
    shortcuts: Shortcuts
    annotations: Annotations
    drawing: Drawing
    scene: Scene
    fusion: Fusion
    cine: Cine
    compare: Compare
    tags: Tags
    exact: Exact
    exact_beside: Exact
    steps: Steps
