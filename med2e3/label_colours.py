"""The colours of labels, masks and boxes, in the order in which they are given out."""

from __future__ import annotations

#: After the palette of Okabe and Ito (Color Universal Design, 2008), told apart with any colour
#: vision.
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
