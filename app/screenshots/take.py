"""Pictures of every state of the window: `python -m app.screenshots FOLDER [PATH]`.

Offscreen, dark and light, at 1280 × 800 and at 3840 × 2160 with everything twice as large. `STATES`
is the table: to add a picture, name it there with a coroutine that brings the open window into that
state and returns what to photograph. The window is brought back to its first state before each.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from app.screenshots.stage import Stage, back_to_first
from app.screenshots.states import STATES
from app.viewmodels.study.study import Target

if TYPE_CHECKING:
    from app.application import Application

#: Qt's "quality" of a PNG is how little it is compressed; a middle one is small enough, and quick.
PNG_QUALITY = 60

#: Seconds in which the window's loop turns at least once.
TURN = 0.01


@dataclass(frozen=True)
class Screen:
    """A size of the window in pixels of the picture, and how many of them a logical pixel has."""

    name: str
    size: tuple[int, int]
    scale: int


SCREENS = (Screen("1280x800", (1280, 800), 1), Screen("4k", (3840, 2160), 2))
THEMES = ("dark", "light")


def main() -> int:
    """Start one process a screen: the scale of Qt is fixed at its start."""
    parser = _parser()
    options = parser.parse_args()
    if unknown := [name for name in _wanted(options) if name not in STATES]:
        parser.error(f"there is no state {', '.join(unknown)}; --help lists them all")
    if options.here:
        return _photograph(options)
    for screen in SCREENS:
        if options.screen not in (None, screen.name):
            continue
        environment = {
            **os.environ,
            "QT_QPA_PLATFORM": "offscreen",
            "QT_SCALE_FACTOR": str(screen.scale),
        }
        arguments = [*sys.argv[1:], "--screen", screen.name, "--here"]
        command = [sys.executable, "-m", "app.screenshots", *arguments]
        if code := subprocess.run(command, env=environment, check=False).returncode:
            return code
    return 0


def _photograph(options: argparse.Namespace) -> int:
    import qasync

    from app.application import Application
    from app.viewmodels.core.settings import Settings
    from app.views.parts import theme
    from app.views.parts.qt import qt_application

    qt = qt_application()
    theme.apply(qt, THEMES[0])
    with qasync.QEventLoop(qt) as loop:
        application = Application(loop, Settings())
        try:
            loop.run_until_complete(take(application, options))
        finally:
            loop.run_until_complete(application.close())
    return 0


def _wanted(options: argparse.Namespace) -> list[str]:
    return options.states.split(",") if options.states else list(STATES)


async def take(application: Application, options: argparse.Namespace) -> list[Path]:
    """The pictures of one screen in all themes; their files."""
    screen = next(s for s in SCREENS if s.name == options.screen)
    window, workspace = application.window, application.workspace
    size = tuple(n // screen.scale for n in screen.size)
    window.resize(*size)
    window.show()
    if options.model:
        await workspace.assistant.load_model(options.model)
    options.folder.mkdir(parents=True, exist_ok=True)
    target = Target(options.path or workspace.demo_study, options.series)
    files = []
    for name in _wanted(options):
        await back_to_first(stage := Stage(window, target), STATES[name])
        for colours in options.theme or THEMES:
            window.dialogs.editor.set("theme", colours)
            await asyncio.sleep(TURN)
            window.resize(*size)  # large text may have made it higher
            seen = await _seen(STATES[name].act, stage)
            if seen is None:
                print(f"{name}: not in this study", file=sys.stderr)
                break
            file = options.folder / f"{name}-{screen.name}-{colours}.png"
            seen.grab().save(str(file), "PNG", PNG_QUALITY)
            files.append(file)
            await back_to_first(stage, STATES[name])
    return files


async def _seen(act: Callable[[Stage], Awaitable[QWidget | None]], stage: Stage) -> QWidget | None:
    seen = await act(stage)
    for _ in range(stage.settling):
        await asyncio.sleep(TURN)
    return seen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.screenshots", description="Pictures of every state of the window."
    )
    parser.add_argument("folder", type=Path, help="where the PNG files go")
    parser.add_argument("path", type=Path, nargs="?", help="a study in place of the demo study")
    parser.add_argument("--series", help="which series of it: UID, number, or place in the list")
    parser.add_argument("--model", default="demo", help="model that answers; empty: none")
    parser.add_argument("--states", help=f"which of them, with commas: {', '.join(STATES)}")
    parser.add_argument("--theme", action="append", choices=THEMES, help="only this theme")
    parser.add_argument("--screen", choices=[s.name for s in SCREENS], help="only this screen")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser
