"""Pictures drawn in bands, kept or anew, are the pictures that Qt draws at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QWidget

from app.rendering import bands
from app.rendering.cached_layer import CachedLayer
from app.rendering.grey import GreyMap, as_picture
from med2e3.volume import Window

SIZE = (300, 400)


def canvas(draw: Callable[[QPainter], None], ratio: float = 1.0) -> NDArray[np.uint8]:
    """What `draw` paints on white, as (rows, columns, 4)."""
    image = QImage(*SIZE, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(ratio)
    image.fill(Qt.GlobalColor.white)
    painter = QPainter(image)
    draw(painter)
    painter.end()
    return np.array(image.constBits()).reshape(SIZE[1], SIZE[0], 4)


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("place", [(10.0, 12.0, 250.0, 300.0), (-40.3, -100.7, 500.2, 777.7)])
def test_a_picture_in_bands_is_the_whole_picture(
    qapp: object, place: tuple[float, float, float, float], ratio: float
) -> None:
    rng = np.random.default_rng(0)
    picture = as_picture(GreyMap(Window(0, 200)).pixels(rng.integers(-99, 99, (70, 50), np.int16)))

    def smooth(painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)

    def at_once(painter: QPainter) -> None:
        smooth(painter)
        painter.drawImage(QRectF(*place), picture.image)

    def banded(painter: QPainter) -> None:
        smooth(painter)
        bands.draw_image(painter, QRectF(*place), picture.image, QRect(0, 0, *SIZE))

    assert np.array_equal(canvas(at_once, ratio), canvas(banded, ratio))


def test_a_tall_fill_covers_each_row_once(qapp: object) -> None:
    rect, ink = QRectF(5, 3, 4, 390), QColor(0, 0, 0, 120)
    at_once = canvas(lambda painter: painter.fillRect(rect, ink))
    assert np.array_equal(canvas(lambda painter: bands.fill(painter, rect, ink)), at_once)


def test_rows_looked_up_in_bands_are_all_looked_up(qapp: object) -> None:
    values = np.arange(-500, 500, dtype=np.int16).reshape(200, 5)
    grey = GreyMap(Window(40, 400))
    one_by_one = np.concatenate([grey.pixels(row[None]) for row in values])
    assert np.array_equal(grey.pixels(values), one_by_one)
    assert np.array_equal(grey.pixels(values[:, ::2]), one_by_one[:, ::2])


def test_a_picture_is_kept_from_the_second_look_on(qapp: object) -> None:
    painted: list[str] = []

    def paint(painter: QPainter) -> None:
        painted.append("")
        painter.fillRect(QRectF(0, 0, 8, 8), Qt.GlobalColor.red)

    widget, still = QWidget(), CachedLayer(paint)
    widget.resize(20, 20)
    looks = [canvas(lambda painter: still.draw(painter, widget, ("same",))) for _ in range(4)]
    assert len(painted) == 2
    assert all(np.array_equal(look[:8, :8], looks[0][:8, :8]) for look in looks)
    canvas(lambda painter: still.draw(painter, widget, ("other",)))
    assert len(painted) == 3
    assert still.shows(widget, ("other",))
    assert not still.shows(widget, ("same",))
    still.forget()
    assert not still.shows(widget, ("other",))
    widget.deleteLater()
