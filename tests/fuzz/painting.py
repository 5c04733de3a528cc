"""Paints drawings as a view and a key image do, without a window."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QRectF
from PySide6.QtGui import QGuiApplication, QImage, QPainter

from app.imaging.viewport import Viewport
from app.rendering import annotations as forms
from app.rendering.annotations import Item
from app.rendering.key_image import picture
from app.viewmodels.annotation import values
from app.viewmodels.annotation.model import Document
from app.viewmodels.annotation.view_frame import ViewFrame
from med2e3.volume import Volume

#: Of a view, in pixels.
SIZE = (400, 300)

_QT: list[Any] = []


def paint(document: Document, volume: Volume) -> None:
    """Measure all annotations, paint them on the middle slice, and make every key image."""
    if not _QT:
        _QT.append(
            QGuiApplication.instance() or QGuiApplication(["fuzz", "-platform", "offscreen"])
        )
    readings = {a.uid: values.read(a, volume, "HU") for a in document.annotations}
    slices, rows, columns = volume.shape
    spacing = tuple(float(x) for x in volume.geometry.spacing_mm[1:])
    frame = ViewFrame(volume.geometry, slices // 2, Viewport(SIZE, (rows, columns), spacing))
    image = QImage(*SIZE, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    try:
        items = [Item(a, tuple(readings[a.uid].lines)) for a in document.annotations]
        forms.draw(painter, QRectF(image.rect()), frame, items)
    finally:
        painter.end()
    for key_image in document.key_images:
        picture(key_image, document, volume, lambda annotation: readings[annotation.uid])
