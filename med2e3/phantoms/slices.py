"""What one slice of a phantom shows: its image, its organs and findings, and a caption of them.

Also what a phantom is to a model that segments or classifies: grey values in one window, classes of
voxels, and which findings it has. Slices of all three planes are cut from one axial grid. Knows
nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Plane
from med2e3.phantoms.anatomy import ORGANS
from med2e3.phantoms.facts import Facts, where
from med2e3.phantoms.findings import KINDS
from med2e3.phantoms.phantom import Phantom, Wish, make_phantom
from med2e3.volume import Window

#: Along which axis of an axial grid the slices of each plane lie.
PLANE_AXES: dict[Plane, int] = {Plane.AXIAL: 0, Plane.CORONAL: 1, Plane.SAGITTAL: 2}

#: Organs that a caption names; soft tissue and bowel are nearly everywhere.
NAMED_ORGANS = (
    "lung", "heart", "aorta", "liver", "spleen", "kidney", "stomach", "gallbladder", "bladder",
    "spine", "trachea", "pancreas", "sternum", "pelvis",
)  # fmt: skip

#: What is seen on a slice fills at least this share of it: less is a speck at the organ's edge.
SEEN_SHARE = 0.002

#: Kinds whose voxels are the class "lesion".
LESIONS = ("lung nodule", "liver mass", "liver cyst", "kidney cyst", "bone lesion")

#: Classes to segment; the index is the voxel's value.
CLASSES = ("background", "liver", "kidneys", "lung", "effusion", "lesion")

KIND_NAMES = tuple(KINDS)


@dataclass(frozen=True, eq=False)
class SlicedPhantom:
    """A phantom on an axial grid, in 8 bits.

    `grid` (S, H, W) grey values, `classes` of the same shape holds indices into `CLASSES`;
    `spacing_mm` is the size of a voxel along slices, rows and columns. `organs`
    and `findings` say for each plane which are seen on which slice: (slices, names) bool.
    """

    seed: int
    facts: Facts
    grid: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    organs: dict[Plane, NDArray[np.bool_]]
    findings: dict[Plane, NDArray[np.bool_]]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(K,): which kinds of finding it has."""
        return np.array([self.facts.named(name) is not None for name in KIND_NAMES])

    def image(self, plane: Plane, index: int) -> NDArray[np.uint8]:
        """The slice as an image."""
        return np.asarray(np.take(self.grid, index, axis=PLANE_AXES[plane]))

    def caption(self, plane: Plane, index: int) -> str:
        """What is known of the slice, in words."""
        organs = [n for n, s in zip(NAMED_ORGANS, self.organs[plane][index], strict=True) if s]
        seen = [n for n, s in zip(KIND_NAMES, self.findings[plane][index], strict=True) if s]
        return caption(self.facts, plane, organs, seen)


def caption(facts: Facts, plane: Plane, organs: Sequence[str], findings: Sequence[str]) -> str:
    """Two sentences: what the slice shows, and what is wrong on it."""
    shown = f", showing {_listed(organs)}" if organs else ""
    region, phase = facts.region.value, facts.phase.value
    scan = f"{plane.value.capitalize()} CT slice of the {region}, {phase} phase"
    said = []
    for name in findings:
        fact = facts.named(name)
        if fact is not None:
            said.append(f"{KINDS[name].with_article()} {where(fact.place)}")
    found = f"There is {_listed(said)}." if said else "No abnormality is seen."
    return f"{scan}{shown}. {found}"


def _listed(words: Sequence[str]) -> str:
    """One word, two with "and", more with commas before."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))


def draw_sliced(seed: int, shape: tuple[int, int, int], window: Window) -> SlicedPhantom:
    """The axial phantom of this seed on this grid; its own grid, so that nothing is resampled."""
    phantom = make_phantom(seed, Wish(plane=Plane.AXIAL, shape=shape))
    voxels = phantom.volume.voxels.astype(np.float32)
    grey = np.clip((voxels - window.low) / window.width, 0, 1)
    organs = [phantom.labels == ORGANS.index(name) for name in NAMED_ORGANS]
    nothing = np.zeros(shape, bool)
    found = [f.mask if (f := phantom.finding(name)) else nothing for name in KIND_NAMES]
    return SlicedPhantom(
        seed,
        phantom.facts,
        np.rint(grey * 255).astype(np.uint8),
        voxel_classes(phantom),
        phantom.volume.geometry.spacing_mm,
        {plane: _seen(organs, plane, SEEN_SHARE) for plane in PLANE_AXES},
        {plane: _seen(found, plane, 0.0) for plane in PLANE_AXES},
    )


def voxel_classes(phantom: Phantom) -> NDArray[np.uint8]:
    """(S, H, W): the class of every voxel; effusion and lesions lie over organs."""
    classes = np.zeros(phantom.labels.shape, np.uint8)
    for name, organ in (("liver", "liver"), ("kidneys", "kidney"), ("lung", "lung")):
        classes[phantom.labels == ORGANS.index(organ)] = CLASSES.index(name)
    for finding in phantom.findings:
        if finding.name == "pleural effusion":
            classes[finding.mask] = CLASSES.index("effusion")
        elif finding.name in LESIONS:
            classes[finding.mask] = CLASSES.index("lesion")
    return classes


def _seen(masks: Sequence[NDArray[np.bool_]], plane: Plane, share: float) -> NDArray[np.bool_]:
    """(slices, masks): which mask fills more than this share of which slice."""
    axis = PLANE_AXES[plane]
    others = tuple(a for a in range(3) if a != axis)
    return np.stack([mask.mean(axis=others) > share for mask in masks], axis=-1)
