"""The places that were opened last, as an opening page shows them: whose, what, when, a picture.

Knows no files and no widgets; what is remembered is a preference, in a file for its user alone.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.imaging import windows
from app.viewmodels.core.patients import date, patient_name
from med2e3.geometry import Plane
from med2e3.volume import Volume

#: Edge of a remembered picture at most, in pixels: a picture takes about a kilobyte.
EDGE = 56


@dataclass(frozen=True, eq=False)
class Recent:
    """A place that was opened: its path, the patient, the study with its date, a grey picture."""

    place: str
    patient: str = ""
    study: str = ""
    picture: NDArray[np.uint8] | None = None

    @property
    def name(self) -> str:
        """The end of the path, which tells places apart."""
        parts = Path(self.place).parts
        return str(Path(*parts[-2:])) if len(parts) > 3 else self.place


def facts_of(volume: Volume) -> list[str]:
    """What is remembered of an opened volume: patient, study, and the picture as text."""
    info = volume.info
    named = patient_name(info) if info.patient_name or info.patient_id else ""
    what = info.study_description or volume.name
    study = " · ".join(filter(None, (date(info.study_date), what)))
    return [named, study, _packed(_middle(volume))]


def recent_of(place: str, facts: Sequence[str]) -> Recent:
    """A place with what is remembered of it; what is damaged is left away."""
    if len(facts) != 3:
        return Recent(place)
    return Recent(place, facts[0], facts[1], _unpacked(facts[2]))


def _middle(volume: Volume) -> NDArray[np.uint8]:
    """(row, column) the middle axial slice in its first window, as small as it is shown."""
    turned = volume.in_plane(Plane.AXIAL)
    step = max(1, -(-max(turned.shape[1:]) // EDGE))
    values = np.asarray(turned.voxels[turned.shape[0] // 2, ::step, ::step], np.float32)
    window = windows.initial(volume)
    grey = np.clip((values - window.low) / window.width, 0, 1) * 255
    return np.asarray(grey, np.uint8)


def _packed(picture: NDArray[np.uint8]) -> str:
    rows, columns = picture.shape
    packed = base64.b64encode(zlib.compress(picture.tobytes(), 9)).decode()
    return f"{rows}x{columns}:{packed}"


def _unpacked(text: str) -> NDArray[np.uint8] | None:
    size, _, packed = text.partition(":")
    rows, _, columns = size.partition("x")
    try:
        shape = int(rows), int(columns)
        if not (min(shape) > 0 and max(shape) <= EDGE):
            return None
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(packed, validate=True), EDGE * EDGE)
        return np.frombuffer(content, np.uint8).reshape(shape)
    except (ValueError, binascii.Error, zlib.error):
        return None
