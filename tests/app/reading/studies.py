"""Folders that a reading session opens: one as a scanner leaves it, with more than one series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from med2e3.io import load_volume, write_dicom_series
from med2e3.resources import resources_root
from med2e3.volume import Volume
from tests.med2e3.io import single_images as made

#: The frame of reference that both kernels and the scout share, and their study.
FRAME, STUDY = "1.2.826.0.1.3680043.8.498.77", "1.2.826.0.1.3680043.8.498.78"

#: SD in HU of the noise that the sharp kernel has more, and the width in pixels of the soft one.
NOISE_HU, SOFT_PIXELS = 30.0, 0.8

#: Kernel, series number and description of both reconstructions.
SOFT, SHARP = ("Br40f", "3", "Chest soft"), ("Br64f", "4", "Chest lung")


def mixed(folder: Path) -> Path:
    """A scout, two kernels of one scan, a dose page, a dose report, and single images."""
    plain = load_volume(resources_root() / "demo-study")
    soft = ndimage.gaussian_filter(plain.voxels.astype(np.float32), (0, SOFT_PIXELS, SOFT_PIXELS))
    noise = np.random.default_rng(7).normal(0.0, NOISE_HU, plain.shape)
    for values, (kernel, number, words) in ((soft, SOFT), (plain.voxels + noise, SHARP)):
        info = replace(
            plain.info, frame_of_reference_uid=FRAME, study_uid=STUDY, kernel=kernel,
            series_number=number, series_description=words,
        )  # fmt: skip
        voxels = np.clip(np.rint(values), -1024, 3071).astype(np.int16)
        volume = Volume(voxels, plain.geometry, info)
        write_dicom_series(volume, folder / kernel, seed=kernel)
    made.everything(folder / "others")
    low, high = plain.geometry.to_patient_mm(np.array([[0, 0, 0], np.subtract(plain.shape, 1)]))
    top = float(max(low[2], high[2]))
    made.scout_of(folder / "scout", FRAME, (float(min(low[0], high[0])), 0.0, top))
    return folder
