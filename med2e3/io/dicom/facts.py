"""Facts of a stack from its headers: plane, thickness, kernel, contrast phase, lossy compression.

The contrast phase is a guess, and named so. Knows nothing of grouping or of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from med2e3.io.dicom.attributes import Attributes, text, transfer_syntax
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.phase import phase_in, phase_of_agent
from med2e3.io.series import SeriesFacts

#: Patient axes (x, y, z) and the plane whose normal each is.
PLANES = ("sagittal", "coronal", "axial")

#: A normal with a smaller cosine to its patient axis is called oblique: about 10 degrees, which a
#: radiologist hardly notices. (A gantry tilt is no obliquity: `Geometry.is_tilted`.)
OBLIQUE_COSINE = 0.985

#: Names of the transfer syntaxes that are always lossy.
LOSSY_SYNTAXES: dict[UID, str] = {
    JPEGBaseline8Bit: "JPEG",
    JPEGExtended12Bit: "JPEG",
    JPEGLSNearLossless: "JPEG-LS",
}

#: Names of the transfer syntaxes that may be lossy: LossyImageCompression decides.
MAYBE_LOSSY: dict[UID, str] = {JPEG2000: "JPEG 2000", JPEG2000MC: "JPEG 2000", HTJ2K: "HTJ2K"}


def facts_of(frames: Sequence[Frame], along: Sequence[float] = ()) -> SeriesFacts:
    """The facts of one stack; `along` are its sorted positions on the normal in mm, or none."""
    first = frames[0]
    phase, words = _phase(first.header)
    steps = np.diff(along) if len(along) > 1 else np.zeros(0)
    return SeriesFacts(
        plane=plane_of(first),
        thickness_mm=_number(first.thickness),
        step_mm=float(np.median(steps)) if len(steps) else None,
        pixel_mm=first.spacing[0] if len(first.spacing) == 2 else None,
        kernel=first.kernel.replace("\\", " "),
        phase=phase,
        phase_from=words,
        lossy=next(filter(None, (lossy_word(f.header) for f in frames)), ""),
        study_time=text(first.header, "StudyTime"),
    )


def plane_of(frame: Frame) -> str:
    """The patient plane of the image, or "oblique" and the nearest; empty without a position."""
    if not frame.has_position:
        return ""
    normal = np.abs(np.cross(frame.orientation[:3], frame.orientation[3:]))
    axis = int(normal.argmax())
    return PLANES[axis] if normal[axis] > OBLIQUE_COSINE else f"oblique {PLANES[axis]}"


def lossy_word(header: Attributes) -> str:
    """The lossy compression of the image ("JPEG 12:1"); empty for a lossless one."""
    syntax = transfer_syntax(header)
    declared = text(header, "LossyImageCompression") == "01"
    if not declared and syntax not in LOSSY_SYNTAXES:
        return ""
    method = LOSSY_SYNTAXES.get(syntax) or MAYBE_LOSSY.get(syntax) or "before it was stored"
    ratio = header.get("LossyImageCompressionRatio")
    last = ratio[-1] if isinstance(ratio, Sequence) and not isinstance(ratio, str) else ratio
    factor = None if last in (None, "") else _number(str(last))
    return method if factor is None else f"{method} {factor:.3g}:1"


def may_be_lossy(header: Attributes) -> bool:
    """Whether the values may not be those that were measured, as far as the header tells."""
    return bool(lossy_word(header)) or transfer_syntax(header) in MAYBE_LOSSY


def _phase(header: Attributes) -> tuple[str, str]:
    """The contrast phase that the descriptions suggest, and the words that suggest it."""
    for keyword in ("SeriesDescription", "ProtocolName"):
        words = text(header, keyword)
        if phase := phase_in(words):
            return phase, words
    agent = text(header, "ContrastBolusAgent")
    phase = phase_of_agent(agent)
    return phase, agent if phase else ""


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
