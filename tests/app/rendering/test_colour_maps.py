"""The colour maps keep their order for any eye, and are what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from app.imaging.colour_names import ColourMap
from app.rendering.colour_maps import swatch, table
from app.rendering.grey import GreyMap
from med2e3.label_colours import LABEL_COLOURS
from med2e3.volume import Window

#: Linear RGB as seen without one kind of cone (Machado, Oliveira, Fernandes 2009, full severity).
PROTAN = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)  # fmt: skip
DEUTAN = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)  # fmt: skip
EYES = {"usual": np.eye(3), "protan": PROTAN, "deutan": DEUTAN}


def linear(colours: np.ndarray) -> np.ndarray:
    """(N,) 0xRRGGBB → (N, 3) linear light (sRGB, IEC 61966-2-1)."""
    rgb = np.stack([colours >> shift & 255 for shift in (16, 8, 0)], axis=-1) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lightness(light: np.ndarray) -> np.ndarray:
    """CIE L* of linear RGB."""
    y = np.clip(light @ (0.2126, 0.7152, 0.0722), 0, 1)
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


@pytest.mark.parametrize("name", ColourMap)
@pytest.mark.parametrize("eye", EYES)
def test_lightness_rises_steadily_for_every_eye(name: ColourMap, eye: str) -> None:
    colours = table(name)[::-1] if name is ColourMap.INVERTED_GREY else table(name)
    seen = lightness(linear(colours) @ EYES[eye].T)
    assert (np.diff(seen) > -0.35).all()  # rounding to 8 bits may hold it for a step
    assert (np.diff(seen[::16]) > 0.5).all()
    assert seen[-1] - seen[0] > 60


def test_published_maps_begin_and_end_as_published() -> None:
    ends = {
        ColourMap.VIRIDIS: ("440154", "fde725"),
        ColourMap.CIVIDIS: ("00224e", "fee838"),
        ColourMap.HOT_IRON: ("000000", "ffffff"),
    }
    for name, (first, last) in ends.items():
        assert f"{table(name)[0] & 0xFFFFFF:06x}" == first
        assert f"{table(name)[-1] & 0xFFFFFF:06x}" == last
    assert f"{table(ColourMap.VIRIDIS)[128] & 0xFFFFFF:06x}" == "21918c"
    assert f"{table(ColourMap.HOT_IRON)[128] & 0xFFFFFF:06x}" == "ff0000"


def test_grey_is_grey_in_every_value_and_inverted_grey_is_its_mirror() -> None:
    grey = table(ColourMap.GREY)
    assert grey.tolist() == [0xFF000000 + k * 0x010101 for k in range(256)]
    assert table(ColourMap.INVERTED_GREY).tolist() == grey[::-1].tolist()


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_an_image_in_a_colour_map_has_the_maps_colours(dtype: type) -> None:
    values = np.array([[-500, -160, 40, 240, 900]], dtype)
    window = Window(40, 400)
    shown = GreyMap(window, colours=ColourMap.VIRIDIS).pixels(values)[0]
    colours = table(ColourMap.VIRIDIS)
    assert shown.tolist() == [int(colours[k]) for k in (0, 0, 127, 255, 255)]
    turned = GreyMap(window, inverted=True, colours=ColourMap.VIRIDIS).pixels(values)[0]
    assert turned.tolist() == [int(colours[255 - k]) for k in (0, 0, 127, 255, 255)]


def test_label_colours_are_told_apart_by_every_eye() -> None:
    colours = np.array([int(c[1:], 16) for c in LABEL_COLOURS])
    for eye, matrix in EYES.items():
        seen = np.clip(linear(colours) @ matrix.T, 0, 1)
        seen = np.cbrt(seen)  # roughly even steps for the eye
        away = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(colours))
        assert away.min() > 0.1, eye


def test_a_swatch_runs_from_the_lowest_to_the_highest_value() -> None:
    strip = swatch(ColourMap.CIVIDIS, 64, 8)
    assert (strip.width(), strip.height()) == (64, 8)
    for x, expected in ((0, (0x00, 0x22, 0x4E)), (63, (0xFE, 0xE8, 0x38))):
        assert strip.pixelColor(x, 4).getRgb()[:3] == pytest.approx(expected, abs=8)
