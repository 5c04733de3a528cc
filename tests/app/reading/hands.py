"""Hands for a real window: a virtual screen with mouse and keyboard of its own.

`Xvfb` is the screen and `xdotool` the hands: events reach Qt as those of any mouse and keyboard do.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import QPoint, QPointF
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

#: Why no session can be held here; empty: one can.
LACKING = " and ".join(name for name in ("Xvfb", "xdotool") if shutil.which(name) is None)

LEFT, MIDDLE, RIGHT, AWAY, TOWARDS = 1, 2, 3, 4, 5

#: Seconds between two movements of the hand, and after an act until the window has answered it.
TICK, ANSWER = 0.01, 0.12


@contextmanager
def screen(width: int, height: int) -> Iterator[str]:
    """A virtual screen of so many pixels; its name for `DISPLAY`."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24"]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        [*command, "-nolisten", "tcp"], pass_fds=(writing,), stdout=quiet, stderr=quiet
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


class Hands:
    """One mouse and one keyboard. Places are in logical pixels of a widget."""

    def __init__(self) -> None:
        self._scale = QGuiApplication.primaryScreen().devicePixelRatio()

    def _do(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], check=True, timeout=20)

    def _at(self, widget: QWidget, share: tuple[float, float]) -> tuple[str, str]:
        """A place in shares of a widget's width and height, in pixels of the screen."""
        inside = QPointF(share[0] * widget.width(), share[1] * widget.height())
        at = widget.mapToGlobal(inside) * self._scale
        return str(round(at.x())), str(round(at.y()))

    async def rest(self, seconds: float = ANSWER) -> None:
        """Let the window answer."""
        await asyncio.sleep(seconds)

    async def move(self, widget: QWidget, share: tuple[float, float] = (0.5, 0.5)) -> None:
        """Move the mouse there."""
        self._do("mousemove", *self._at(widget, share))
        await self.rest()

    async def click(
        self,
        widget: QWidget,
        share: tuple[float, float] = (0.5, 0.5),
        button: int = LEFT,
        times: int = 1,
    ) -> None:
        """Move there and click."""
        await self.move(widget, share)
        for _ in range(times):
            self._do("click", str(button))
        await self.rest()

    async def click_at(self, widget: QWidget, at: QPoint) -> None:
        """Click at a place in logical pixels of a widget."""
        await self.click(widget, (at.x() / widget.width(), at.y() / widget.height()))

    async def drag(
        self,
        widget: QWidget,
        places: tuple[tuple[float, float], ...],
        button: int = LEFT,
        held: str = "",
    ) -> None:
        """Press at the first place, go through the others, let go; `held` is a key."""
        await self.move(widget, places[0])
        if held:
            self._do("keydown", held)
        self._do("mousedown", str(button))
        for one, other in pairwise(places):
            for k in range(1, 7):
                part = k / 6
                share = tuple(a + (b - a) * part for a, b in zip(one, other, strict=True))
                self._do("mousemove", *self._at(widget, (share[0], share[1])))
                await asyncio.sleep(TICK)
        self._do("mouseup", str(button))
        if held:
            self._do("keyup", held)
        await self.rest()

    async def wheel(self, widget: QWidget, notches: int, held: str = "") -> None:
        """Turn the wheel over the middle of a widget; positive is away from the hand."""
        await self.move(widget)
        if held:
            self._do("keydown", held)
        for _ in range(abs(notches)):
            self._do("click", str(AWAY if notches > 0 else TOWARDS))
            await asyncio.sleep(TICK)
        if held:
            self._do("keyup", held)
        await self.rest()

    async def key(self, *names: str) -> None:
        """Press keys, as "ctrl+k"."""
        for name in names:
            self._do("key", name)
            await self.rest()

    async def write(self, text: str) -> None:
        """Type a text."""
        self._do("type", "--delay", "4", text)
        await self.rest()

    async def turn_to(self, window: QWidget) -> None:
        """Give a window the keys, as a window manager does for the one in front."""
        window.activateWindow()
        await self.rest()


def photograph(file: Path) -> None:
    """The whole screen, with everything that lies over the window."""
    QGuiApplication.primaryScreen().grabWindow(0).save(str(file))
