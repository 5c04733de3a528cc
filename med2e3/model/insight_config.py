"""Every size and every choice of Med3DInsight, as a Hugging Face config class.

Sources: arXiv 2403.05141 (2024) and 2509.09064 (2025), and what of the code is public. Knows
nothing of weights.
"""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

#: 3D encoders by name; `med2e3.model.encoders3d` has the class of each.
ENCODER_NAMES = ("vit3d", "windowed", "swin_unetr")

#: What each choice may be, by exact name; see the docstring of `InsightConfig`.
INSIGHT_CHOICES: dict[str, tuple[str, ...]] = {
    "encoder": ENCODER_NAMES,
    "readout": ("mean", "first"),
    "slice_index": ("relative", "halved"),
}

#: What the public code does and our defaults do not: its feed-forward width is the number of heads,
#: which stands in the place of the width, and of its 300 queries only the first is read.
PUBLISHED_QUIRKS: dict[str, Any] = {
    "feedforward": 8,
    "queries": 300,
    "readout": "first",
    "slice_index": "halved",
}


@strict
class InsightConfig(PreTrainedConfig):  # type: ignore[misc]
    """A 3D encoder and the plane-slice-aware transformer (PSAT) that pretrains it.

    - `encoder`, `encoder_config`: which 3D encoder, and its own sizes.
    - `image_size`: (slices, rows, columns) of the axial volumes that it reads.
    - `embedding_size`: width of the frozen 2D and text embeddings.
    - `queries`, `layers`, `heads`, `feedforward`, `dropout`: the PSAT's decoder layers.
    - `readout`: the volume's embedding is read from the mean of all queries, or from the first.
    - `slice_bins`: columns of the table of plane × slice vectors. `slice_index` says which column a
      slice takes: by its share of the plane's slices, or half of its index, as published.
    - `default_window`: (centre, width) in HU that the encoder saw; None scales min to max.

    `PUBLISHED_QUIRKS` are the values of the public code that differ from the defaults.
    """

    model_type = "med3d-insight"

    encoder: str = "vit3d"
    encoder_config: dict[str, Any] | None = None
    image_size: list[int] | tuple[int, ...] = (128, 128, 128)
    embedding_size: int = 512
    queries: int = 300
    layers: int = 6
    heads: int = 8
    feedforward: int = 2048
    dropout: float = 0.1
    readout: str = "mean"
    slice_bins: int = 128
    slice_index: str = "relative"
    default_window: list[float] | tuple[float, ...] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        for name, allowed in INSIGHT_CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
        if len(self.image_size) != 3 or min(self.image_size) < 1:
            raise ValueError(f"image_size={self.image_size!r} is not three sizes of at least 1")
        for name in ("embedding_size", "queries", "layers", "heads", "feedforward", "slice_bins"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) that the encoder reads."""
        s, r, c = self.image_size
        return s, r, c
