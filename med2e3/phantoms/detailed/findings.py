"""Which painter paints which kind of finding in a detailed body."""

from __future__ import annotations

from collections.abc import Callable

from med2e3.phantoms.canvas import Shape
from med2e3.phantoms.detailed import belly_findings as belly
from med2e3.phantoms.detailed import chest_findings as chest
from med2e3.phantoms.detailed.body import DrawnBody
from med2e3.phantoms.detailed.person import Rng

#: A finding of fewer voxels cannot be told from noise: it is taken back.
FEWEST_VOXELS = 6

Painter = Callable[[DrawnBody, str, Rng], Shape | None]

PAINTERS: dict[str, Painter] = {
    "lung nodule": chest.nodule,
    "consolidation": chest.consolidation,
    "pleural effusion": chest.pleural_effusion,
    "pneumothorax": chest.pneumothorax,
    "pericardial effusion": chest.pericardial_effusion,
    "aortic aneurysm": belly.aneurysm,
    "aortic calcification": belly.calcification,
    "bone lesion": belly.bone_lesion,
    "liver mass": belly.liver_mass,
    "liver cyst": belly.liver_cyst,
    "kidney cyst": belly.kidney_cyst,
    "kidney stone": belly.kidney_stone,
    "gallstone": belly.gallstone,
    "enlarged spleen": belly.large_spleen,
    "free fluid": belly.free_fluid,
}


def paint_finding(body: DrawnBody, kind: str, place: str, rng: Rng) -> Shape | None:
    """Paints a finding of this kind at this place; None, and nothing painted, without room."""
    space = body.space
    before = space.hu.copy(), space.labels.copy()
    shape = PAINTERS[kind](body, place, rng)
    if shape is None or int((shape.alpha > 0.5).sum()) < FEWEST_VOXELS:
        space.hu[:], space.labels[:] = before
        return None
    body.taken[shape.box] |= shape.alpha > 0.5
    return shape
