"""Places a model's boxes and masks in the patient. Knows nothing of models or tokenizers.

Boxes come as text in fractions of the model's grid, masks as logits on that grid. `ModelInput` says
where the grid lies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from med2e3.geometry import Float, Geometry
from med2e3.model.m3d_lamed_processor import BOX_END, BOX_START
from med2e3.preprocessing import ModelInput
from med2e3.volume import Volume

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOX = re.compile(
    rf"{re.escape(BOX_START)}\s*\[\s*({_NUMBER}(?:\s*,\s*{_NUMBER}){{5}})\s*\]\s*"
    rf"{re.escape(BOX_END)}"
)


@dataclass(frozen=True, eq=False)
class Box:
    """A box that an answer names.

    `fractions` are (first, last) index along slice, row and column of the model's grid, each
    divided by its size, as written (M3D: both ends inclusive). `first` and `last` are the
    outer edges in fractional index of the model's grid: half a cell beyond the centres of the end
    voxels. `corners_mm` (8, 3) are LPS; the box is oblique where the grid is.
    """

    fractions: tuple[tuple[float, float, float], tuple[float, float, float]]
    first: tuple[float, float, float]
    last: tuple[float, float, float]
    corners_mm: Float

    @property
    def centre_mm(self) -> Float:
        """LPS position of the middle of the box."""
        return np.asarray(self.corners_mm.mean(axis=0))

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Edge lengths along slice, row and column of the model's grid."""
        origin = self.corners_mm[0]
        edges = [float(np.linalg.norm(self.corners_mm[k] - origin)) for k in (4, 2, 1)]
        return edges[0], edges[1], edges[2]


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask that a model draws, on the volume's own grid: `voxels` has the volume's shape."""

    voxels: NDArray[np.bool_]
    geometry: Geometry

    @cached_property
    def millilitres(self) -> float:
        """Volume of the mask."""
        return int(np.count_nonzero(self.voxels)) * self.geometry.voxel_ml

    @cached_property
    def centre_mm(self) -> Float | None:
        """LPS position of the centre of mass; None for an empty mask."""
        counts = [np.count_nonzero(self.voxels, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
        total = int(counts[0].sum())
        if not total:
            return None
        centre = [float((np.arange(len(n)) * n).sum()) / total for n in counts]
        return self.geometry.to_patient_mm(centre)


@dataclass(frozen=True, eq=False)
class Grounding:
    """What an answer names in the image: boxes in its text, and masks drawn for it."""

    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()


def parse_boxes(text: str, model_input: ModelInput) -> tuple[Box, ...]:
    """The boxes in `text`, which still holds the marks of boxes, in their order.

    A box is skipped unless it has six numbers of 0..1 with its ends in order; the answer's text
    still shows it.
    """
    boxes = []
    for match in _BOX.finditer(text):
        numbers = [float(number) for number in match[1].split(",")]
        low, high = numbers[:3], numbers[3:]
        if all(0 <= a <= b <= 1 for a, b in zip(low, high, strict=True)):
            boxes.append(_box(low, high, model_input.geometry))
    return tuple(boxes)


def _box(low: list[float], high: list[float], grid: Geometry) -> Box:
    """A box from the fractions of its first and last voxel on `grid`."""
    # Written numbers are rounded to three digits; the ends are whole indices on published grids of
    # up to 500 cells, so the nearest whole index is the one that was meant.
    first = [min(round(a * n), n - 1) - 0.5 for a, n in zip(low, grid.shape, strict=True)]
    last = [min(round(b * n), n - 1) + 0.5 for b, n in zip(high, grid.shape, strict=True)]
    ends = (first, last)
    corners = np.asarray(
        [(ends[i][0], ends[j][1], ends[k][2]) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    return Box(
        fractions=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
        first=(first[0], first[1], first[2]),
        last=(last[0], last[1], last[2]),
        corners_mm=grid.to_patient_mm(corners),
    )


def place_mask(logits: torch.Tensor, model_input: ModelInput, volume: Volume) -> Mask:
    """Mask logits (1, D, H, W) on the model's grid → the mask on the voxels of `volume`.

    The crop is filled by the same trilinear rule that shrank it, and a voxel belongs to the mask
    where the logit is above 0 (probability one half). Voxels outside of the crop were not shown to
    the model and are never in it.
    """
    cropped = functional.interpolate(
        logits[None].to(torch.float32), size=model_input.crop_shape, mode="trilinear",
        align_corners=False,
    )[0, 0]  # fmt: skip
    turn = volume.geometry.orientation(model_input.plane)
    turned = np.zeros(volume.geometry.oriented(model_input.plane).shape, dtype=np.bool_)
    box = tuple(
        slice(a, a + n) for a, n in zip(model_input.crop_start, model_input.crop_shape, strict=True)
    )
    turned[box] = (cropped > 0).cpu().numpy()
    voxels = np.ascontiguousarray(turn.undo(turned)).astype(np.bool_, copy=False)
    return Mask(voxels=voxels, geometry=volume.geometry)
