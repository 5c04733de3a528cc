"""The study that ships with the product: one phantom, finer than the model's grid, as DICOM.

It was drawn from seeds that no training uses. Knows nothing of the model.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from med2e3.geometry import Plane
from med2e3.io.write import write_dicom_series
from med2e3.phantoms import Phantom, Phase, Region, Wish, make_phantom
from med2e3.phantoms.maker import PHANTOM_MAKER
from med2e3.volume import WINDOWS

#: Chosen out of forty because the demo model tells its findings, at different levels of the chest.
SEED = 19_000_020
WISH = Wish(
    plane=Plane.AXIAL,
    phase=Phase.ARTERIAL,
    region=Region.CHEST,
    findings=(
        ("lung nodule", "right upper lobe"),
        ("pleural effusion", "right side"),
        ("pericardial effusion", "around the heart"),
    ),
    shape=(64, 256, 256),
)


def demo_phantom(seed: int = SEED) -> Phantom:
    """The phantom itself, with its truth."""
    phantom = make_phantom(seed, WISH)
    info = replace(
        phantom.volume.info,
        patient_name="PHANTOM^DEMO",
        patient_id="PHANTOM-DEMO",
        study_description="Synthetic phantom",
        series_description="Synthetic chest CT, arterial phase",
        series_number="1",
        manufacturer=PHANTOM_MAKER,
        windows=(WINDOWS["soft tissue"], WINDOWS["lung"]),
    )
    return replace(phantom, volume=replace(phantom.volume, info=info))


def write_demo_study(folder: Path) -> tuple[Path, ...]:
    """Writes the series; the same files every time."""
    return write_dicom_series(demo_phantom().volume, folder, synthetic=True, seed="demo-study")
