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


#: Colours of labels, masks and boxes, in the order in which they are given out: after the palette
#: of Okabe and Ito (Color Universal Design, 2008), told apart with any colour vision.
LABEL_COLOURS = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#cc79a7",
    "#d55e00",
    "#0072b2",
    "#b8b8b8",
)


def label_colour(k: int) -> str:
    """The colour of the k-th label, as #rrggbb; they repeat after the last."""
    return LABEL_COLOURS[k % len(LABEL_COLOURS)]
