"""Segmenting by clicks with a server of the user's: points, boxes, scribbles and lassos.

Off until an address stands in the preferences. A volume that would leave this computer is sent only
after a yes. What comes back is an overlay, and each prompt a step that can be undone. Knows no
widgets and no network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Listener, Message, Progress
from app.viewmodels.images.brush import stamp
from app.viewmodels.images.layers import Label, Layer
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Float, Geometry
from med2e3.volume import Volume

#: The tool of the left mouse button that gives prompts.
CLICKS = "clicks"

#: Corners of a lasso at most; those between are left out.
MOST_CORNERS = 200

#: A scribble is a line of this many times the least spacing in its plane.
SCRIBBLE = 1.5


class Drawn(StrEnum):
    """How a prompt is given."""

    POINT = "point"
    BOX = "box"
    SCRIBBLE = "scribble"
    LASSO = "lasso"


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is pointed at, in voxels (slice, row, column) of a volume of `shape`.

    A point has one place, a box two corners, a scribble or lasso a mask of 0 and 1. `positive`:
    it belongs to the object; else it does not.
    """

    drawn: Drawn
    positive: bool
    shape: tuple[int, int, int]
    places: tuple[tuple[int, int, int], ...] = ()
    mask: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Uploaded:
    """A volume that a server has."""

    url: str
    volume: Volume


class Server(Protocol):
    """Segments by prompts."""

    def send(self, url: str, volume: Volume, listener: Listener) -> Job[Uploaded]:
        """Send a volume; events: `Progress`."""
        ...

    def ask(
        self, url: str, prompt: Prompt, start: NDArray[np.uint8] | None, listener: Listener
    ) -> Job[NDArray[np.bool_]]:
        """Answer a prompt, from the mask `start` on where the server has another."""
        ...


class Clicking:
    """What is prompted with, the object that is segmented, and what waits for a yes."""

    def __init__(
        self,
        viewer: Viewer,
        overlays: Overlays,
        server: Server,
        settings: Settings,
        tasks: Tasks,
        notices: Notices,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._viewer = viewer
        self._overlays = overlays
        self._server = server
        self._settings = settings
        self._tasks = tasks
        self._notices = notices
        self._explain = explain
        self._sending: LatestJob[Uploaded] = LatestJob()
        self._asking: LatestJob[NDArray[np.bool_]] = LatestJob()
        self._sent: Uploaded | None = None
        self._allowed: set[str] = set()
        self._mask: NDArray[np.int16] | None = None
        self._known: NDArray[np.int16] | None = None
        self._count = 0
        self.drawn = Drawn.POINT
        self.doing = ""
        #: The prompt that waits until the user allows the volume to leave this computer.
        self.waiting: Prompt | None = None
        self.changed: Signal[[]] = Signal()
        viewer.volume_changed.connect(self._volume_changed)

    @property
    def url(self) -> str:
        """The address of the server; empty: none, or one that cannot be an address."""
        text = str(self._settings.values.segmentation_server).strip()
        try:
            place = urlsplit(text)
            known = place.scheme in ("http", "https") and bool(place.hostname)
            _ = place.port  # raises where it is no number
        except ValueError:
            return ""
        return text if known else ""

    @property
    def in_hand(self) -> bool:
        """Whether the left mouse button gives prompts now."""
        return self._viewer.holds(CLICKS)

    @property
    def busy(self) -> bool:
        """Whether the server is sent to or waited for."""
        return self._sending.busy or self._asking.busy

    @property
    def leaves(self) -> str:
        """What is said before a volume leaves this computer; empty where it does not."""
        url, volume = self.url, self._viewer.volume
        if volume is None or is_loopback(url) or url in self._allowed:
            return ""
        return (
            f"To segment by clicks, the voxels of “{volume.name}” are sent to {url}: the images "
            "leave this computer. The names, dates and IDs of the patient are not sent. Send them "
            "only where you may."
        )

    @property
    def words(self) -> str:
        """What is going on, or the size of the object."""
        if self.doing:
            return self.doing
        layer = self.layer
        if layer is None:
            return "Click on the object. Ctrl + click: this does not belong to it."
        return f"{layer.name} · {layer.labels[0].millilitres:.2f} ml"

    @property
    def layer(self) -> Layer | None:
        """The object that is segmented; None: the next prompt begins one."""
        return self._overlays.of_voxels(self._mask)

    # --- what the user does ----------------------------------------------------------------

    def draw_with(self, drawn: Drawn) -> None:
        """Give prompts in another way."""
        self.drawn = drawn
        self.changed.emit()

    def begin_object(self) -> None:
        """Let the next prompt begin another object."""
        self._mask = None
        self.changed.emit()

    def prompt(self, path_mm: Float, normal: Float, *, positive: bool = True) -> None:
        """Give a prompt by the places (n, 3) in LPS mm that the mouse went through in a plane."""
        volume = self._viewer.volume
        if volume is None or not self.url or self.busy or self.waiting is not None:
            return
        made = prompt_of(self.drawn, volume.geometry, path_mm, normal, positive=positive)
        if made is None:
            return
        if self.leaves:
            self.waiting = made
            self.changed.emit()
            return
        self._tasks.start(self._run(made, volume))

    def answer(self, *, allowed: bool) -> None:
        """Send the volume that waits for a yes, or forget the prompt."""
        waiting, self.waiting = self.waiting, None
        volume = self._viewer.volume
        if allowed and waiting is not None and volume is not None:
            self._allowed.add(self.url)
            self._tasks.start(self._run(waiting, volume))
        self.changed.emit()

    def cancel(self) -> None:
        """Stop what is sent or waited for."""
        self._sending.cancel()
        self._asking.cancel()
        self.doing = ""
        self.changed.emit()

    async def _run(self, prompt: Prompt, volume: Volume) -> None:
        url = self.url
        sent = self._sent
        if sent is None or sent.volume is not volume or sent.url != url:
            job = self._sending.start(self._server.send, url, volume, self._heard)
            outcome = await self._sending.result(job)
            if not isinstance(outcome, Done):
                self._failed(outcome)
                return
            self._sent, self._known = outcome.value, None
        start = self._start(volume)
        asked = self._asking.start(self._server.ask, url, prompt, start, self._heard)
        answer = await self._asking.result(asked)
        self.doing = ""
        if isinstance(answer, Done):
            self._take(answer.value, volume)
        else:
            self._sent = None if isinstance(answer, Failed) else self._sent
            self._failed(answer)
        self.changed.emit()

    def _start(self, volume: Volume) -> NDArray[np.uint8] | None:
        """The mask to go on from, where it is another one than the server's last."""
        layer = self.layer
        now = None if layer is None else self._mask
        if now is self._known:
            return None
        return np.zeros(volume.shape, np.uint8) if now is None else (now > 0).astype(np.uint8)

    def _failed(self, outcome: object) -> None:
        self.doing = ""
        if isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))
        self.changed.emit()

    def _heard(self, event: object) -> None:
        if isinstance(event, Progress):
            share = f" {event.fraction:.0%}" if event.fraction >= 0 else ""
            self.doing = f"{event.doing}{share}…"
            self.changed.emit()

    def _take(self, mask: NDArray[np.bool_], volume: Volume) -> None:
        if volume is not self._viewer.volume:
            return
        before = self.layer
        voxels = mask.astype(np.int16)
        self._mask = self._known = voxels
        ml = int(mask.sum()) * volume.geometry.voxel_ml
        if before is not None:
            labels = (replace(before.labels[0], millilitres=ml),)
            after = replace(before, voxels=voxels, labels=labels)
            self._overlays.replace(before, after, f"prompt for {before.name}")
            return
        self._count += 1
        name = f"object {self._count}"
        label = Label(1, name, self._overlays.fresh_colour, ml)
        self._overlays.lay(Layer(name, voxels, volume.geometry, (label,)))

    def _volume_changed(self) -> None:
        if self._sent is not None and self._viewer.open_volume is not self._sent.volume:
            self._sent = self._mask = self._known = None
            self._count = 0
        self.waiting = None
        self.cancel()


def is_loopback(url: str) -> bool:
    """Whether an address is this computer: what is sent there stays here."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def prompt_of(
    drawn: Drawn, geometry: Geometry, path_mm: Float, normal: Float, *, positive: bool
) -> Prompt | None:
    """The prompt that a path (n, 3) in LPS mm means; None where it lies outside of the volume."""
    path = np.atleast_2d(np.asarray(path_mm, dtype=np.float64))
    shape = geometry.shape
    indices = np.floor(geometry.to_index(path) + 0.5).astype(int)
    inside = np.asarray(((indices >= 0) & (indices < shape)).all(axis=1))
    if drawn is Drawn.POINT:
        z, y, x = (int(k) for k in indices[-1])
        return Prompt(drawn, positive, shape, ((z, y, x),)) if inside[-1] else None
    if drawn is Drawn.BOX:
        ends = np.clip(indices[[0, -1]], 0, np.asarray(shape) - 1)
        (a, b, c), (d, e, f) = np.sort(ends, axis=0).tolist()
        return Prompt(drawn, positive, shape, ((a, b, c), (d, e, f)))
    mask = (
        lasso(geometry, path, normal) if drawn is Drawn.LASSO else scribble(geometry, path, normal)
    )
    return Prompt(drawn, positive, shape, mask=mask) if mask.any() else None


def scribble(geometry: Geometry, path: Float, normal: Float) -> NDArray[np.uint8]:
    """A line one or two voxels wide along a path in a plane."""
    mask = np.zeros(geometry.shape, np.uint8)
    radius = SCRIBBLE * min(geometry.spacing_mm) / 2
    for one, other in pairwise(path if len(path) > 1 else np.repeat(path, 2, axis=0)):
        count = max(int(np.ceil(np.linalg.norm(other - one) / radius)), 1)
        for k in range(count + 1):
            found = stamp(geometry, one + (other - one) * (k / count), radius, normal)
            if found is not None:
                mask[found[0]] |= found[1].astype(np.uint8)
    return mask


def lasso(geometry: Geometry, path: Float, normal: Float) -> NDArray[np.uint8]:
    """What a closed outline in a plane encloses, one layer of voxels deep."""
    mask = np.zeros(geometry.shape, np.uint8)
    corners = path[:: -(-len(path) // MOST_CORNERS)]
    if len(corners) < 3:
        return mask
    middle = corners.mean(axis=0)
    found = stamp(geometry, middle, float(np.linalg.norm(corners - middle, axis=1).max()), normal)
    if found is None:
        return mask
    box, near = found
    places = np.argwhere(near)
    low = np.array([one.start for one in box])
    at = geometry.to_patient_mm((places + low).astype(np.float64)) - middle
    right = corners[0] - middle
    right = right - (right @ normal) * normal
    right /= max(float(np.linalg.norm(right)), 1e-9)
    axes = np.array([right, np.cross(normal, right)])
    within = enclosed(at @ axes.T, (corners - middle) @ axes.T)
    mask[tuple((places[within] + low).T)] = 1
    return mask


def enclosed(points: Float, outline: Float) -> NDArray[np.bool_]:
    """Which points (n, 2) lie within a closed outline (m, 2), by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (points[:, 1] < y0) != (points[:, 1] < y1)
        at = x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0)
        inside ^= crosses & (points[:, 0] < at)
    return inside
