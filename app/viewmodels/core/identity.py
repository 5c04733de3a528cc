"""Which series a volume is, so that what was drawn on one scan never appears on another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from med2e3.volume import Volume

#: Voxels along each axis that tell apart volumes without UIDs: 32³ values of CT noise are shared
#: by no two scans, and are read in a millisecond.
SAMPLED = 32


@dataclass(frozen=True)
class Stack:
    """The images of a volume by name, without their pixels; none of a file that names none."""

    series_uid: str = ""
    instances: frozenset[str] = frozenset()

    @classmethod
    def of(cls, volume: Volume) -> Stack:
        """The images that a volume was made of."""
        return cls(volume.info.series_uid, frozenset(volume.slice_uids))

    def grown_into(self, volume: Volume) -> bool:
        """Whether all of these images are in a larger stack of the same series: a series that is
        opened while its folder is still scanned is another stack when it has grown.
        """
        same = bool(self.series_uid) and self.series_uid == volume.info.series_uid
        return same and bool(self.instances) and self.instances < set(volume.slice_uids)


def series_key(volume: Volume) -> str:
    """A name for a volume's series, of 32 hexadecimal digits; the same at each opening.

    DICOM: the Series Instance UID and the instances in this stack, for one series may hold several
    phases in one place. Else, and where instances hold many slices each: grid and sampled voxels.
    """
    digest = hashlib.blake2b(digest_size=16)
    instances = sorted(set(volume.slice_uids))
    digest.update(volume.info.series_uid.encode())
    if volume.info.series_uid and 2 * len(instances) > volume.shape[0]:
        digest.update("\n".join(instances).encode())
        return digest.hexdigest()
    # Rounded: the same file must give the same name where the last digit of a product differs.
    affine = np.round(volume.geometry.affine_lps, 4) + 0.0
    steps = tuple(slice(None, None, max(1, n // SAMPLED)) for n in volume.shape)
    digest.update(repr(volume.shape).encode())
    digest.update(affine.astype("<f8").tobytes())
    digest.update(np.ascontiguousarray(volume.voxels[steps]).astype("<f4").tobytes())
    return digest.hexdigest()


def place_key(volume: Volume) -> str:
    """A series, wherever it was opened from; without a name of its own, what lies in this place.

    Several files opened together share their place, and stacks of one series its UID.
    """
    place = "" if volume.info.series_uid else volume.source
    return f"{series_key(volume)} {place}"
