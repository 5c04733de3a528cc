"""Transfer functions of the 3D presets: which HU are opaque, and in which colour. Knows no VTK.

Values are in HU for CT. A volume in other units is shown by the same curves, stretched over its own
range, since its numbers name no tissue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.viewmodels.images.scene import RANGE_HU, Preset

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Transfer:
    """`opacity` (value, 0..1 a mm) and `colour` (value, red, green, blue 0..1), both rising.

    `mip`: the brightest voxel along each ray, without light; else light falls on what is opaque.
    `smooth`: of voxels averaged with their neighbours, without which light draws rings on skin.
    """

    opacity: tuple[tuple[float, float], ...]
    colour: tuple[tuple[float, Colour], ...]
    mip: bool = False
    smooth: bool = False

    def moved(self, shift: float, scale: float = 1.0, origin: float = 0.0) -> Transfer:
        """The same curves at `(value + shift) * scale + origin`."""
        opacity = tuple(((v + shift) * scale + origin, a) for v, a in self.opacity)
        colour = tuple(((v + shift) * scale + origin, c) for v, c in self.colour)
        return replace(self, opacity=opacity, colour=colour)


_BLOOD, _DARK_BLOOD = (0.86, 0.24, 0.17), (0.50, 0.10, 0.09)
_IVORY, _WHITE = (0.93, 0.86, 0.72), (1.0, 0.98, 0.94)

TRANSFERS: dict[Preset, Transfer] = {
    # Cancellous bone begins near 150 HU, where contrast medium in large vessels ends or overlaps.
    Preset.BONE: Transfer(
        opacity=((150, 0.0), (260, 0.30), (500, 0.75), (1200, 0.95)),
        colour=((150, (0.62, 0.42, 0.30)), (300, _IVORY), (800, _WHITE)),
    ),
    # Vessels with contrast lie between 150 and 500 HU; denser is bone or calcium, left paler.
    Preset.VESSELS: Transfer(
        opacity=((110, 0.0), (170, 0.10), (260, 0.55), (600, 0.70)),
        colour=((110, _DARK_BLOOD), (230, _BLOOD), (420, (0.95, 0.62, 0.42)), (700, _IVORY)),
    ),
    # Aerated lung with its vessels; pure air and everything denser than vessels stay clear.
    Preset.LUNG: Transfer(
        opacity=((-960, 0.0), (-860, 0.008), (-700, 0.05), (-520, 0.16), (-380, 0.10), (-250, 0.0)),
        colour=((-900, (0.30, 0.44, 0.62)), (-650, (0.72, 0.80, 0.88)), (-350, (0.95, 0.66, 0.58))),
    ),
    # The surface between air and skin, at half the step from −1000 to 0 HU and beyond.
    Preset.SKIN: Transfer(
        opacity=((-550, 0.0), (-350, 0.55), (-150, 0.95)),
        colour=((-550, (0.72, 0.50, 0.40)), (-200, (0.93, 0.72, 0.60)), (200, (0.98, 0.86, 0.77))),
        smooth=True,
    ),
    # Fat clear, muscle and organs translucent by their density, contrast and bone solid.
    Preset.SOFT_TISSUE: Transfer(
        opacity=((-20, 0.0), (30, 0.02), (70, 0.10), (130, 0.30), (250, 0.70), (800, 0.95)),
        colour=(
            (-20, (0.55, 0.28, 0.22)),
            (50, (0.74, 0.36, 0.28)),
            (110, (0.90, 0.52, 0.38)),
            (260, _IVORY),
            (700, _WHITE),
        ),
    ),
    # From fat to dense bone, as grey.
    Preset.MIP: Transfer(
        opacity=((-150, 0.0), (-100, 0.4), (0, 1.0)),
        colour=((-150, (0.0, 0.0, 0.0)), (900, (1.0, 1.0, 1.0))),
        mip=True,
    ),
}


def transfer_of(
    preset: Preset, shift_hu: float = 0.0, value_range: tuple[float, float] | None = None
) -> Transfer:
    """The curves of a preset; `value_range` of a volume whose values are not HU."""
    transfer = TRANSFERS[preset]
    if value_range is None:
        return transfer.moved(shift_hu)
    low, high = value_range
    scale = max(high - low, 1e-6) / (RANGE_HU[1] - RANGE_HU[0])
    return transfer.moved(shift_hu - RANGE_HU[0], scale, low)
