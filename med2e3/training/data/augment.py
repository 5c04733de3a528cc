"""The published augmentations of volumes (and of masks with them), drawn from a given generator.

Source: the training transforms of M3D and Med-2E3. Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from med2e3.errors import InputError, RecipeError

#: Left and right as people write them in English, German, French and Spanish.
_SIDES = re.compile(
    r"\b(left|right|links|rechts|link(e|er|en|es|em)|recht(e|er|en|es|em)|gauche|droite?|"
    r"izquierd[ao]|derech[ao])(-?sided?)?s?\b",
    re.IGNORECASE,
)


def names_sides(texts: Iterable[str]) -> bool:
    """Whether one of the texts says left or right."""
    return any(_SIDES.search(text) for text in texts)


@dataclass(frozen=True)
class Augmentation:
    """Probabilities and sizes; the defaults are the published ones, applied in the order given.

    A turn by 90, 180 or 270 degrees in the plane of rows and columns; a flip of slices, of rows, of
    columns; a factor from 1 − `scale` to 1 + `scale`; an offset from −`shift` to `shift`, after
    which values may leave 0..1, as published. `keep_sides` neither turns nor flips volumes whose
    texts say left or right (`of`): published training does, and what lies left is then right.
    """

    rotate_probability: float = 0.5
    flip_probability: float = 0.1
    scale: float = 0.1
    scale_probability: float = 0.5
    shift: float = 0.1
    shift_probability: float = 0.5
    keep_sides: bool = False

    def __post_init__(self) -> None:
        for name in ("rotate_probability", "flip_probability", "scale_probability",
                     "shift_probability"):  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise RecipeError(f"{name} = {value} is no probability (0 to 1).", (name,))

    @classmethod
    def none(cls) -> Augmentation:
        """Leaves volumes as they are."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    @property
    def moves(self) -> bool:
        """Whether volumes are turned or flipped at all."""
        return self.rotate_probability > 0 or self.flip_probability > 0

    def of(self, texts: Iterable[str] | None) -> Augmentation:
        """What is done to a volume with these texts; None: with texts that nobody can read."""
        if self.keep_sides and (texts is None or names_sides(texts)):
            return replace(self, rotate_probability=0.0, flip_probability=0.0)
        return self

    def __call__(
        self, volume: Tensor, rng: np.random.Generator, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """A volume (C, S, H, W) and, moved with it, a mask (M, S, H, W); new tensors.

        Raises `InputError` for a turn of a grid whose rows and columns differ.
        """
        held = [volume] if mask is None else [volume, mask]
        if rng.random() < self.rotate_probability:
            turns = int(rng.integers(1, 4))
            if volume.shape[-1] != volume.shape[-2]:
                raise InputError(
                    f"Slices of {volume.shape[-2]} × {volume.shape[-1]} do not fit when turned; "
                    "set rotate_probability = 0."
                )
            held = [torch.rot90(tensor, turns, (-2, -1)) for tensor in held]
        for axis in (-3, -2, -1):
            if rng.random() < self.flip_probability:
                held = [tensor.flip(axis) for tensor in held]
        image = held[0]
        if rng.random() < self.scale_probability:
            image = image * (1 + float(rng.uniform(-self.scale, self.scale)))
        if rng.random() < self.shift_probability:
            image = image + float(rng.uniform(-self.shift, self.shift))
        return image.contiguous(), None if mask is None else held[1].contiguous()
