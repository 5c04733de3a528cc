"""A key image as a picture: its slice or slab with annotations, letters, scale bar and facts.

No name of a patient is written into it. Knows no widgets and no files.
"""

from __future__ import annotations

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRectF, Qt
from PySide6.QtGui import QFont, QImage, QPainter

from app.imaging.slab import Slab
from app.imaging.viewport import Viewport
from app.rendering import annotations as forms
from app.rendering import markings
from app.rendering.annotations import Item
from app.rendering.grey import GreyMap, as_picture
from app.rendering.reslice import reslice
from app.viewmodels.annotation import exports, location
from app.viewmodels.annotation.model import Document, KeyImage
from app.viewmodels.annotation.slices import slice_of
from app.viewmodels.annotation.values import lines_over
from app.viewmodels.annotation.view_frame import FULL, ViewFrame
from med2e3.volume import Volume

#: Longer side of the picture in pixels: twice a 512² slice, and enough for a page.
SIDE = 1024

#: Size of text in it, in pixels.
TEXT = 18


def picture(key_image: KeyImage, document: Document, volume: Volume, read: exports.Read) -> QImage:
    """A picture of the slice or slab as it was marked, with all that is drawn on it now."""
    shown = slice_of(volume, key_image.plane, key_image.slab, reslice)
    _, rows, columns = shown.geometry.shape
    _, row_mm, column_mm = shown.geometry.spacing_mm
    height_mm, width_mm = rows * row_mm, columns * column_mm
    scale = SIDE / max(height_mm, width_mm)
    width, height = round(width_mm * scale), max(round(height_mm * scale), SIDE // 4)
    viewport = Viewport((width, height), (rows, columns), (row_mm, column_mm))
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.black)
    with QPainter(image) as painter:  # ended before its picture goes, also by an exception
        font = QFont(painter.font())
        font.setPixelSize(TEXT)
        painter.setFont(font)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        colours = key_image.colours
        grey = GreyMap(key_image.window, inverted=key_image.inverted, colours=colours)
        pixels = as_picture(grey.pixels(shown.pixels))
        painter.drawImage(QRectF(*viewport.image_rect()), pixels.image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        size = QRectF(image.rect())
        bar = markings.scale_bar_height(painter)
        markings.draw_scale_bar(painter, size, viewport.pixels_per_mm)
        markings.draw_letters(painter, size, shown.geometry.edge_letters(), bar)
        markings.draw_corners(painter, size, _corners(key_image, volume))
        frame = ViewFrame(shown.geometry, shown.slice_index, viewport)
        forms.draw(painter, size, frame, _items(frame, document, key_image.slab, read))
    return image


def as_png(image: QImage) -> bytes:
    """The picture as the bytes of a PNG file."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]  # PySide's stub wants bytes, Qt takes str
    return bytes(data.data())


def _items(frame: ViewFrame, document: Document, slab: Slab, read: exports.Read) -> list[Item]:
    """The annotations of the slice itself, without the faint ones of its neighbours."""
    return [
        Item(annotation, lines_over(annotation, read(annotation), slab))
        for annotation in document.annotations
        if frame.strength(annotation) == FULL
    ]


def _corners(key_image: KeyImage, volume: Volume) -> dict[Qt.AlignmentFlag, str]:
    align = Qt.AlignmentFlag
    where = location.locate(volume, key_image.plane).text
    lines = (volume.name, key_image.note, exports.slab_text(key_image, volume))
    title = "\n".join(line for line in lines if line)
    return {
        align.AlignLeft | align.AlignTop: title,
        align.AlignLeft | align.AlignBottom: where,
        align.AlignRight | align.AlignBottom: exports.window_text(key_image),
    }
