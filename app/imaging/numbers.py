"""How numbers are written in the interface: a true minus, mm with one decimal, slices from 1."""

from __future__ import annotations

from collections.abc import Sequence

from med2e3.geometry import AXIS_LETTERS, DISPLAY_AXES, Plane

#: Most letters of a part without line breaks: longer parts are names and may be wider than a view.
SHORT_PART = 20


def signed(value: float, digits: int = 1) -> str:
    """A number with a true minus sign and never "−0"."""
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def millimetres(patient_mm: Sequence[float]) -> str:
    """A point, e.g. "(12.0, −31.5, 214.0) mm"."""
    return f"({', '.join(signed(v) for v in patient_mm)}) mm"


def side(axis: int, mm: float, digits: int = 0) -> str:
    """An LPS coordinate by the side of the patient that it lies on, e.g. "R 98" for x −98 mm."""
    letter = AXIS_LETTERS[axis][int(mm >= 0)]
    return f"{letter} {signed(abs(mm), digits)}"


def sides(patient_mm: Sequence[float], digits: int = 0) -> str:
    """A point (3,) in LPS mm by its sides, e.g. "R 98 · A 188 · S 262"."""
    return " · ".join(side(axis, float(v), digits) for axis, v in enumerate(patient_mm))


def time(dicom: str) -> str:
    """A DICOM time (HHMMSS.FFFFFF) in hours and minutes; anything else is left out."""
    return f"{dicom[:2]}:{dicom[2:4]}" if len(dicom) >= 4 and dicom[:4].isdecimal() else ""


def mm_range(low_mm: float, high_mm: float, digits: int = 1) -> str:
    """A range along one axis, e.g. "−12.0 to 3.5 mm"."""
    return f"{signed(low_mm, digits)} to {signed(high_mm, digits)} mm"


def slice_range(first: int, last: int) -> str:
    """0-based first and last slice, counted from 1, e.g. "slices 30–34" or "slice 30"."""
    return f"slice {first + 1}" if first == last else f"slices {first + 1}–{last + 1}"


def value(number: float) -> str:
    """A voxel value: whole numbers without decimals, others with up to two."""
    return signed(number, 0) if number == round(number) else signed(number, 2)


def times(multiple: float) -> str:
    """A multiple of uniform, e.g. "×5.2"; one decimal, two below ×1."""
    return f"×{multiple:.1f}" if multiple >= 1 else f"×{multiple:.2f}"


def unbroken(text: str) -> str:
    """Parts joined by " · ", with no line break inside a part of at most `SHORT_PART` letters."""
    parts = text.split(" · ")
    kept = (p if len(p) > SHORT_PART else p.replace(" ", "\u00a0") for p in parts)
    return "\u00a0· ".join(kept)  # a dot ends a line rather than beginning one


def axis_of(plane: Plane) -> str:
    """The name of the patient axis that a plane's slices run along: x, y or z."""
    return "xyz"[DISPLAY_AXES[plane][0][0]]
