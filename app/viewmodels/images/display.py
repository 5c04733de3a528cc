"""How images are dressed and handled: the preferences that views ask for. Knows no widgets."""

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
        """What the preferences say."""
        return cls(**{f.name: getattr(values, f.name) for f in fields(cls)})
