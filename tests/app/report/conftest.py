"""Runs of the program that keep their reports in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.viewmodels.core.settings import Settings
from tests.app.conftest import Gui


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "reports"


@pytest.fixture
def start(loop: Any, engine: Any, folder: Path) -> Iterator[Any]:
    """Begins a run of the program; the one before is closed first."""
    running: list[Gui] = []

    def end() -> None:
        if running:
            gui = running.pop()
            gui.do(gui.window.close)
            assert gui.run(gui.application.close())

    def begin() -> Gui:
        end()
        running.append(Gui(loop, engine, Settings(None), reports_at=folder))
        return running[0]

    yield begin
    end()
