"""Makes frames of the 3D view on a worker of their own. Knows no VTK: it is handed what makes them.

A scene is kept for the volume that was shown last, since preparing one takes most of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job, Listener
from app.viewmodels.images.scene import FrameRequest, RenderedFrame
from med2e3.volume import Volume


class Drawing(Protocol):
    """A volume, ready to be drawn."""

    def draw(self, request: FrameRequest, watch: Context) -> RenderedFrame:
        """One frame. Raises `Cancelled` when it was stopped."""
        ...


class Frames:
    """The scene of the open volume; attributes with an underscore belong to the worker."""

    def __init__(self, jobs: Jobs, make: Callable[[Volume, Context], Drawing]) -> None:
        self._jobs = jobs
        self._make = make
        self._volume: Volume | None = None
        self._drawing: Drawing | None = None

    def render(
        self, volume: Volume, request: FrameRequest, listener: Listener
    ) -> Job[RenderedFrame]:
        """One frame; events: `Progress` while the volume is prepared."""
        return self._jobs.start(
            Lane.SCENE, lambda context: self._render(volume, request, context), listener
        )

    def release(self) -> None:
        """Let go of the volume of the last frame."""
        self._jobs.start(Lane.SCENE, lambda _: self._forget())

    def _render(self, volume: Volume, request: FrameRequest, context: Context) -> RenderedFrame:
        if self._drawing is None or volume is not self._volume:
            self._forget()
            self._drawing = self._make(volume, context)
            self._volume = volume
        return self._drawing.draw(request, context)

    def _forget(self) -> None:
        self._volume = self._drawing = None
