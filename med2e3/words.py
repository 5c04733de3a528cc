"""Counts, sizes and names in words, as sentences for people write them."""

from __future__ import annotations

from collections.abc import Sequence

#: Bytes of a gigabyte: powers of ten, as disks are sold.
GIGABYTE = 1e9

#: How many names a sentence lists before it says only how many more there are.
NAMES_IN_A_SENTENCE = 5


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun, e.g. "1 file", "3 files"; `many` where it takes more than an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def some_names(names: Sequence[str], most: int = NAMES_IN_A_SENTENCE) -> str:
    """The first `most` names, and how many more there are, e.g. "a.dcm, b.dcm and 3 more"."""
    shown = ", ".join(names[:most])
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown


def shown(text: str) -> str:
    """A text of somebody else in one line, without what would command a terminal or turn a line."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


def person_name(dicom: str) -> str:
    """A DICOM person name (PS3.5 6.2.1, "FAMILY^GIVEN") as people write it."""
    return " ".join(dicom.replace("^", " ").split())


def percent_text(share: float) -> str:
    """A probability or a share in percent, with no more digits than it has: never 100 % or 0 %."""
    if share > 0.995:
        return "over 99 %"
    if share < 0.005:
        return "under 1 %"
    return f"{100 * share:.0f} %"


def size_text(count: float) -> str:
    """Bytes to judge what fits, e.g. "8.7 GB"; below a tenth of a gigabyte in MB."""
    return f"{count / GIGABYTE:.1f} GB" if count >= GIGABYTE / 10 else f"{count / 1e6:.1f} MB"


def fine_size_text(count: float, decimals: int = 1) -> str:
    """Bytes to compare with others, in the largest of kB, MB and GB; a little is never nothing.

    `decimals` are those of kB and MB; GB always have one.
    """
    if count >= GIGABYTE:
        return f"{count / GIGABYTE:.1f} GB"
    if count >= 1e6:
        return f"{count / 1e6:.{decimals}f} MB"
    least = 10**-decimals if count else 0
    return f"{max(count / 1e3, least):.{decimals}f} kB"
