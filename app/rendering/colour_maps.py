"""Colour maps as tables of 256 colours. Knows no voxels and no widgets.

Sources: viridis, S. van der Walt and N. Smith 2015 (CC0); cividis, J. Nuñez, C. Anderton and
R. Renslow 2018, doi 10.1371/journal.pone.0199239; hot iron, the well-known palette of DICOM PS3.6
B.1.1. Each published table is kept as 33 of its colours and interpolated between them: within 2
(viridis) and 5 (cividis) of 255 of the published values. The PET map is our own: black over violet
and orange to white, as nuclear medicine expects it, but with steadily rising lightness.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from app.imaging.colour_names import ColourMap

#: Evenly spaced colours, as hex digits.
_POINTS: dict[ColourMap, str] = {
    ColourMap.GREY: "000000 ffffff",
    ColourMap.INVERTED_GREY: "ffffff 000000",
    ColourMap.VIRIDIS: (
        "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e"
        " 297a8e 26828e 23898e 21918c 1f988b 1fa088 22a785 28ae80 32b67a 3fbc73 4ec36b 5ec962"
        " 70cf57 84d44b 98d83e addc30 c2df23 d8e219 ece51b fde725"
    ),
    ColourMap.CIVIDIS: (
        "00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d 5a5f6e 61656f"
        " 686a71 6f7073 767676 7d7c78 848279 8c8878 938e78 9b9476 a39a74 aba072 b4a76f bcae6c"
        " c4b468 cdbb63 d5c25e dec958 e7d150 f0d846 f9e03a fee838"
    ),
    # Red rises over the first half, green over the second, blue over the last quarter.
    ColourMap.HOT_IRON: "000000 800000 ff0000 ff8000 ffffff",
    ColourMap.PET: "000000 1b1046 4a1a78 86277c c33f60 ee6a3a fb9f2f fbd463 ffffff",
}

OPAQUE = np.uint32(0xFF000000)


@cache
def table(name: ColourMap) -> NDArray[np.uint32]:
    """(256,) opaque 0xAARRGGBB colours, from the lowest value to the highest; not to be changed."""
    colours = np.array([[int(h[k : k + 2], 16) for k in (0, 2, 4)] for h in _POINTS[name].split()])
    # Published tables are sampled at 0, 8, 16, … 248, 255: the last step is one shorter.
    places = np.minimum(np.arange(len(colours)) * (256 / (len(colours) - 1)), 255)
    red, green, blue = (
        np.rint(np.interp(np.arange(256), places, colours[:, k])).astype(np.uint32)
        for k in range(3)
    )
    result: NDArray[np.uint32] = OPAQUE | red << 16 | green << 8 | blue
    result.setflags(write=False)
    return result


def swatch(name: ColourMap, width: int, height: int) -> QImage:
    """A strip that shows a map, the lowest value at the left."""
    row = np.ascontiguousarray(table(name)[None, :])
    image = QImage(row.data, 256, 1, row.strides[0], QImage.Format.Format_RGB32)
    mode = Qt.AspectRatioMode.IgnoreAspectRatio
    return image.scaled(width, height, mode).copy()
