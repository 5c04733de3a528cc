"""A scripted session for a process that will be killed: draws, types, changes preferences.

Run as `python -m tests.app.killed`; each line on stdin, a JSON list of home, study and seed, starts
a session in a process of its own, forked from one that has all modules loaded. After each step that
the program has shown as saved, one line on stdout says what must be found at the next start.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import qasync
from PySide6.QtTest import QTest

from app.application import Application
from app.viewmodels.annotation import kinds
from app.viewmodels.annotation.model import Annotation
from app.viewmodels.core.settings import Settings
from app.viewmodels.study.study import Target
from app.views.parts import theme
from app.views.parts.qt import qt_application
from med2e3.geometry import Plane
from med2e3.io import load_volume
from med2e3.measures import SlicePlane


class Script:
    """The steps of one session, in an order that its seed chooses."""

    def __init__(self, application: Application, settings: Settings, seed: int) -> None:
        self.workspace = application.workspace
        self.window = application.window
        self.settings = settings
        self.choose = random.Random(seed)
        self.said: set[str] = set()

    async def run(self, study: Path) -> None:
        """Steps for ever: whoever started this process ends it."""
        assert await self.workspace.study.open(Target(study))
        while self.workspace.annotations.volume is None:
            await asyncio.sleep(0.001)
        for first in (self.draw, self.type, self.prefer):
            await first()
        say(ready=True)
        while True:
            await self.choose.choice((self.draw, self.draw, self.remove, self.type, self.prefer))()
            await asyncio.sleep(self.choose.random() * 0.01)

    async def draw(self) -> None:
        book, state = self.workspace.annotations, self.workspace.viewer.planes[Plane.AXIAL]
        plane = SlicePlane.of_slice(state.geometry, self.choose.randrange(10))
        start = plane.origin_mm
        end = (start[0] + self.choose.random() * 40, start[1], start[2])
        book.add(Annotation(kinds.LENGTH, plane, (start, end)))
        await book.saved()
        say(drawn=sorted(a.uid for a in book.document.annotations))

    async def remove(self) -> None:
        book = self.workspace.annotations
        if book.document.annotations:
            book.remove(self.choose.choice(book.document.annotations).uid)
            await book.saved()
            say(drawn=sorted(a.uid for a in book.document.annotations))

    async def type(self) -> None:
        editor = self.window.assistant.report.editor
        QTest.keyClicks(editor, f"{self.choose.randrange(10**6)} ")
        if "typed" not in self.said or self.choose.random() < 0.5:
            await self.workspace.autosave.saved()
            self.said.add("typed")
            say(typed=self.workspace.report.text)

    async def prefer(self) -> None:
        wanted = [self.choose.randrange(2, 80), self.choose.choice(("open", "full", "short"))]
        say(preferring=wanted)
        self.settings.update(dict(zip(("crosshair_gap", "crosshair_style"), wanted, strict=True)))
        self.settings.save()
        say(preferred=wanted)


def say(**saved: Any) -> None:
    """Tell what is saved now."""
    print(json.dumps(saved), flush=True)


def session(home: Path, study: Path, seed: int) -> None:
    """Run one session until the process ends."""
    qt = qt_application()
    settings = Settings(home / "config" / "settings.json")
    theme.apply(qt, "dark")
    with qasync.QEventLoop(qt) as loop:
        application = Application(
            loop, settings, annotations_at=home / "annotations", reports_at=home / "reports"
        )
        application.window.show()
        loop.run_until_complete(Script(application, settings, seed).run(study))


def main() -> int:
    """Start a session for each line, and tell its process."""
    for line in sys.stdin:
        home, study, seed = json.loads(line)
        load_volume(study)  # imports all readers once, for every session that is forked
        process = os.fork()
        if not process:
            session(Path(home), Path(study), seed)
        say(process=process)
        os.waitpid(process, 0)
        print(flush=True)  # it may have been killed within a line
        say(ended=process)
    return 0


if __name__ == "__main__":
    sys.exit(main())
