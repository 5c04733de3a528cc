"""What is cleared around an image is exactly what the image does not cover."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QRect

from app.rendering.markings import margins


@pytest.mark.parametrize(
    "inner",
    [
        QRect(3, 2, 5, 6),
        QRect(0, 0, 12, 10),
        QRect(-4, -3, 30, 30),
        QRect(-4, 3, 8, 20),
        QRect(5, -5, 20, 8),
        QRect(40, 40, 5, 5),
    ],
)
def test_image_and_margins_cover_every_pixel_once(inner: QRect) -> None:
    covered = np.zeros((40, 50), int)
    outer = QRect(0, 0, 12, 10)
    for part in [outer & inner, *margins(outer, inner)]:
        covered[
            part.top() : part.top() + part.height(), part.left() : part.left() + part.width()
        ] += 1
    assert (covered[:10, :12] == 1).all()
    assert covered.sum() == 120
