"""How the volume of a question is read: as its file says, or as a list beside it says.

Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io import load_volume
from med2e3.io.bounds import Claim, check_claim
from med2e3.io.texts import check_regular
from med2e3.volume import Volume, Window, compact


@dataclass(frozen=True)
class Reading:
    """`slope` and `intercept` make HU of stored numbers, `spacing_mm` (slice, row, column) is the
    true one: where a list states them, a NIfTI file's own are not used.

    `window` shows the values in place of the model's. `crop` cuts to what is brighter than black;
    boxes and masks are stated of the whole grid, and need it off.
    """

    slope: float | None = None
    intercept: float = 0.0
    spacing_mm: tuple[float, float, float] | None = None
    window: tuple[float, float] | None = None
    crop: bool = True

    def load(self, path: Path) -> Volume | NDArray[np.generic]:
        """A prepared array (.npy), or a volume. Raises `InputError`."""
        if path.suffix.lower() == ".npy":
            return load_array(path)
        volume = load_volume(path)
        if self.slope is None:
            return volume
        return self._restated(volume, path)

    def grey(self) -> Window | None:
        """The window as the engine takes it."""
        return None if self.window is None else Window(*self.window)

    def _restated(self, volume: Volume, path: Path) -> Volume:
        """The volume with HU and spacing of the list. Raises `ImageReadError` where both speak."""
        import nibabel

        proxy = nibabel.load(path).dataobj
        own = (float(proxy.slope), float(proxy.inter))
        if own not in ((1.0, 0.0), (self.slope, self.intercept)):
            raise ImageReadError(
                f"{path} states slope and intercept {own}, the list beside it "
                f"{(self.slope, self.intercept)}: which holds cannot be told. Use the corrected "
                "files (“_fixed”), which need no list."
            )
        voxels = volume.voxels
        if own == (1.0, 0.0):
            voxels = voxels.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)
        geometry = volume.geometry
        if self.spacing_mm is not None:
            affine = geometry.affine_lps.copy()
            for axis, size in enumerate(self.spacing_mm):
                affine[:3, axis] *= size / np.linalg.norm(affine[:3, axis])
            geometry = Geometry(geometry.shape, affine)
        return Volume(compact(voxels), geometry, volume.info, volume.slice_uids, volume.source)


def load_array(path: Path) -> NDArray[np.generic]:
    """A .npy file; raises `ImageReadError`, and `ResourceError` for more than memory can hold."""
    try:
        check_regular(path)
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(mapped, np.ndarray):
            raise ValueError("it is an archive of arrays")
        holds = f"an array of {' × '.join(map(str, mapped.shape))}"
        check_claim(Claim(path, holds, 0, memory=mapped.nbytes))
        array: NDArray[np.generic] = np.array(mapped)
    except (OSError, ValueError, EOFError) as error:
        raise ImageReadError(f"{path} cannot be read as a NumPy array: {error}.") from error
    return array
