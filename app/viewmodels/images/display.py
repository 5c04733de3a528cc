"""The preferences of images: what is drawn over them and what the mouse does. Knows no widgets."""

from __future__ import annotations

from dataclasses import dataclass, fields

from app.settings import Preferences


@dataclass(frozen=True)
class Display:
    """The preferences of the images by the names that `Preferences` has for them."""

    patient_name: bool = True
    corner_series: bool = False
    corner_slice: bool = True
    corner_position: bool = True
    corner_thickness: bool = False
    corner_window: bool = True
    corner_zoom: bool = True
    letters: bool = True
    scale_bar: bool = True
    crosshair_style: str = "open"
    crosshair_gap: int = 9
    interpolation: bool = True
    mouse_left: str = "tool"
    mouse_middle: str = "pan"
    mouse_right: str = "zoom"
    wheel: str = "slices"
    wheel_reversed: bool = False

    @classmethod
    def of(cls, values: Preferences) -> Display:
        """Take the preferences that concern images."""
        return cls(**{f.name: getattr(values, f.name) for f in fields(cls)})


def shown_name(dicom_name: str) -> str:
    """A DICOM person name (PS3.5 6.2.1) as people write it."""
    return " ".join(dicom_name.replace("^", " ").split())
