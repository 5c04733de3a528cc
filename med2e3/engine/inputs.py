"""Brings a volume or an array into a model's plane, window and grid. Knows no networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from med2e3.engine.info import ModelInfo
from med2e3.errors import PreprocessingError
from med2e3.geometry import Geometry, Plane
from med2e3.preprocessing import ModelInput, prepare, resolve_window
from med2e3.volume import Volume, Window

#: Keeps values of 0..1 as they are.
UNIT_WINDOW = Window(0.5, 1.0)

#: Largest value of 8-bit exports.
EIGHT_BIT = 255


def prepare_input(
    info: ModelInfo,
    volume: Volume | NDArray[np.generic],
    plane: Plane | str | None,
    window: Window | str | None,
    *,
    crop: bool,
) -> tuple[Volume, ModelInput]:
    """A volume, also of an array, and the model's input of it. Raises `PreprocessingError`."""
    if not isinstance(volume, Volume):
        volume = array_volume(volume)
        window = UNIT_WINDOW if window is None else window
        crop = crop and bool((volume.voxels > 0).any())  # an empty grid is shown as it is
    chosen = resolve_window(window, volume, default_window(info, volume))
    prepared = prepare(
        volume, info.grid_shape, plane=resolve_plane(plane, info), window=chosen, crop=crop
    )
    return volume, prepared


def array_volume(array: NDArray[np.generic]) -> Volume:
    """An array (S, H, W) or (1, S, H, W) in 0..1 or 8-bit as a volume of 1 mm voxels.

    Raises `PreprocessingError` for other shapes and values.
    """
    values = np.asarray(array)
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 3:
        raise PreprocessingError(
            f"An array of shape {tuple(values.shape)} is no volume; pass (slices, rows, columns), "
            "or the same with a leading axis of 1."
        )
    scale = np.float32(EIGHT_BIT if values.dtype == np.uint8 else 1)
    grey = values.astype(np.float32) / scale
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0 and high <= 1):
        raise PreprocessingError(
            f"The array's values run from {low:g} to {high:g}; an array must be prepared for the "
            "model, with values from 0 to 1. For HU, pass a Volume (med2e3.load_volume)."
        )
    return Volume(grey, Geometry.from_spacing(grey.shape, (1.0, 1.0, 1.0)), source="array")


def default_window(info: ModelInfo, volume: Volume) -> Window | None:
    """The window for a volume where the caller names none.

    A model's HU window fits HU. Volumes already in 0..1 stay as they are, and 8-bit exports are
    scaled from minimum to maximum, as the published pipeline does.
    """
    if info.default_window is None or volume.info.is_ct:
        return info.default_window
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    if low >= 0 and high <= 1:
        return UNIT_WINDOW
    return None if low >= 0 and high <= EIGHT_BIT else info.default_window


def resolve_plane(plane: Plane | str | None, info: ModelInfo) -> Plane | None:
    """A plane by name; None takes the model's own, which may be the stored one."""
    if plane is None:
        return info.default_plane
    try:
        return Plane(str(plane).lower())
    except ValueError as error:
        raise PreprocessingError(
            f"There is no plane {plane!r}. Choose one of: {', '.join(Plane)}."
        ) from error
