"""The model's slices side by side: each in its place, scaled as torch scales, in its own frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from app.rendering import colours
from app.rendering.contact_sheet import Cell, ContactSheet, scaled
from app.views.assistant.model_sheet import FRAME


@pytest.mark.parametrize("size", [(24, 40), (7, 5), (16, 12), (1, 1)])
def test_slices_are_scaled_linearly_between_pixel_centres(size: tuple[int, int]) -> None:
    slices = np.random.default_rng(1).integers(0, 256, (3, 16, 12), dtype=np.uint8)
    told = torch.nn.functional.interpolate(
        torch.from_numpy(slices).float()[None], size, mode="bilinear", align_corners=False
    )[0].numpy()
    assert np.abs(scaled(slices, *size).astype(float) - told).max() <= 0.51


def test_each_slice_stands_in_its_own_frame() -> None:
    slices = np.stack([np.full((4, 4), grey, np.uint8) for grey in (10, 200)])
    cells = [Cell(0, 0, 8, 8), Cell(8, 1, 8, 8)]
    sheet = ContactSheet(slices)
    frames = [0xFFAA0000, 0xFF00BB00]
    pixels = sheet.compose((10, 17), cells, frames, 0xFF010203, (1, 3))
    for cell, grey, frame in zip(cells, (10, 200), frames, strict=True):
        part = pixels[cell.top : cell.top + 8, cell.left : cell.left + 8]
        expected = np.full((8, 8), 0xFF010203, np.uint32)
        expected[1:7, 1:7] = frame
        expected[3:5, 3:5] = 0xFF000000 | grey * 0x010101
        assert np.array_equal(part, expected)
    assert (pixels[:, 16] == 0xFF010203).all()


def test_a_sheet_too_small_for_slices_is_empty() -> None:
    sheet = ContactSheet(np.zeros((1, 4, 4), np.uint8))
    assert (sheet.compose((5, 5), [Cell(0, 0, 5, 5)], [7], 9, (1, 3)) == 9).all()


def test_the_window_shows_every_slice_and_its_score(open_gui: Any) -> None:
    turn = open_gui.ask()
    tiles = open_gui.window.centre.sheet.tiles
    shown = tiles.grab().toImage()
    ratio = tiles.devicePixelRatioF()
    assert turn.seen.slices.std(axis=(1, 2)).max() > 0, "nothing to tell apart"
    for rect, pixels, cell in zip(
        tiles.tile_rects(), turn.seen.slices, tiles._strip.cells, strict=True
    ):
        inside = rect.adjusted(FRAME + 2, FRAME + 2, -FRAME - 2, -FRAME - 2)
        greys = [
            shown.pixelColor(int(x * ratio), int(y * ratio)).red()
            for x in np.linspace(inside.left(), inside.right(), 24)
            for y in np.linspace(inside.top(), inside.bottom(), 24)
        ]
        assert np.mean(greys) == pytest.approx(pixels.mean(), abs=6)
        frame = shown.pixelColor(
            round((rect.left() + FRAME / 2) * ratio), int(rect.center().y() * ratio)
        )
        assert frame.rgb() == colours.score_colour(cell.times_uniform).rgb()
