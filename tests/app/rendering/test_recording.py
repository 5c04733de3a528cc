"""What lies over an image is put as it was drawn, and differences are found where they are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter

from app.rendering import axes, markings
from app.rendering.markings import TOP_LEFT, TOP_RIGHT, Cross
from app.rendering.recording import Recording

ROOM = QRectF(20, 20, 260, 220)
COLOUR = QColor(70, 170, 255)


def sheet(colour: QColor | None = None) -> QImage:
    image = QImage(300, 260, QImage.Format.Format_RGB32)
    image.fill(colour or QColor(90, 120, 60))
    return image


def recorded(
    device: QImage, at: tuple[float, float], text: str = "12/400", cross: Cross | None = None
) -> Recording:
    recording = Recording(QFont(), device)
    corners = {TOP_LEFT: text, TOP_RIGHT: "Axial"}
    markings.draw_corners(recording, QRectF(device.rect()), corners, "A")
    markings.record_crosshair(recording, ROOM, QPointF(*at), COLOUR, cross or Cross())
    axes.draw_handles(recording, [QPointF(at[0], 30), QPointF(40, at[1])], COLOUR)
    return recording


def pixels_of(image: QImage) -> np.ndarray:
    return np.array(image.constBits()).reshape(image.height(), image.width(), 4)[..., :3]


def put(recording: Recording, image: QImage) -> np.ndarray:
    with QPainter(image) as painter:
        recording.put(painter)
    return pixels_of(image)


def test_a_recording_looks_as_what_a_painter_draws(qapp: object) -> None:
    plain = sheet()
    with QPainter(plain) as painter:
        markings.draw_corners(painter, QRectF(plain.rect()), {TOP_LEFT: "12/400\nS 10 mm"}, "A")
        markings.draw_letters(painter, QRectF(plain.rect()), "RLAP", 20.0)
        markings.draw_scale_bar(painter, QRectF(plain.rect()), 1.37)
    again = sheet()
    recording = Recording(QFont(), again)
    markings.draw_corners(recording, QRectF(again.rect()), {TOP_LEFT: "12/400\nS 10 mm"}, "A")
    markings.draw_letters(recording, QRectF(again.rect()), "RLAP", 20.0)
    markings.draw_scale_bar(recording, QRectF(again.rect()), 1.37)
    assert np.array_equal(put(recording, again), pixels_of(plain))
    assert not np.array_equal(pixels_of(plain), pixels_of(sheet()))


@pytest.mark.parametrize("style", ["open", "full", "short"])
def test_all_that_differs_lies_in_the_rectangle_that_is_painted_again(
    style: str, qapp: object
) -> None:
    rng = np.random.default_rng(4)
    places = [(150.0, 120.0), (150.0, 120.6), (150.4, 120.0), (151.0, 121.0), (150.0, 131.0)]
    places += [tuple(rng.uniform(25, 240, 2)) for _ in range(4)]
    for (one, text), (other, said) in itertools.product(
        zip(places, ["1/9", "22/400"] * 5, strict=False), repeat=2
    ):
        before, after = sheet(), sheet()
        first = recorded(before, one, text, Cross(style))
        second = recorded(after, other, said, Cross(style))
        changed = second.changed(first)
        differs = (put(first, before) != put(second, after)).any(axis=-1)
        if changed is None:
            continue
        rows, columns = np.nonzero(differs)
        assert all(changed.contains(int(x), int(y)) for x, y in zip(columns, rows, strict=True)), (
            one,
            other,
        )


def test_a_line_that_moved_is_a_strip_and_nothing_that_moved_is_empty(qapp: object) -> None:
    device = sheet()
    here = recorded(device, (150, 120))
    assert here.changed(recorded(device, (150, 120))).isEmpty()
    across = here.changed(recorded(device, (150, 122)))
    assert across.height() < 40
    assert across.width() > ROOM.width() - 20
    down = here.changed(recorded(device, (153, 120)))
    assert down.width() < 40
    assert down.height() > ROOM.height() - 20
    assert here.changed(recorded(device, (150, 120), cross=Cross("short"))) is not None


def test_recordings_of_other_lengths_are_painted_whole(qapp: object) -> None:
    device = sheet()
    less = Recording(QFont(), device)
    markings.draw_text(less, QRectF(device.rect()), Qt.AlignmentFlag.AlignLeft, "12/400")
    assert less.changed(recorded(device, (150, 120))) is None
