"""The colour maps that images and overlays can be shown in, by name. Knows no colours."""

from __future__ import annotations

from enum import StrEnum


class ColourMap(StrEnum):
    """All of them rise steadily in lightness, so that their order is seen by any eye."""

    GREY = "grey"
    INVERTED_GREY = "inverted grey"
    VIRIDIS = "viridis"
    CIVIDIS = "cividis"
    HOT_IRON = "hot iron"
    PET = "PET"
