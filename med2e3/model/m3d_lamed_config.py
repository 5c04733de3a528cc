"""Every size and choice of M3D-LaMed, as a Hugging Face config class. Knows nothing of weights."""

from __future__ import annotations

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from med2e3.model.config import TEXT_CONFIGS, Vision3DConfig
from med2e3.model.m3d_clip import SOFT_TISSUE

#: What each choice may be, by the exact names of the published configs; "" in `segmentation` is a
#: model without masks.
LAMED_CHOICES: dict[str, tuple[str, ...]] = {
    "projector": ("spp", "linear", "identity"),
    "projector_layer": ("mlp", "linear"),
    "pooling": ("spatial", "sequence"),
    "segmentation": ("segvol", ""),
}


@strict
class SegVolConfig(PreTrainedConfig):  # type: ignore[misc]
    """The mask head beside its own 3D ViT, whose config is `vision_config`."""

    model_type = "segvol-head"
    sub_configs_defaults = {"vision_config": Vision3DConfig}  # noqa: RUF012

    vision_config: Any = None
    decoder_layers: int = 2
    decoder_heads: int = 8
    decoder_mlp_size: int = 2048
    mask_tokens: int = 4
    prompt_dropout: float = 0.1


@strict
class M3DLaMedConfig(PreTrainedConfig):  # type: ignore[misc]
    """Vision tower, projector, language model and mask head; choices are named in `LAMED_CHOICES`.

    - `projector` "spp" averages neighbouring tokens (`pooling`: cubes of `pool`³ in space, or runs
      of `pool`³ along the sequence) before `projector_layers` linear maps, with GELU between them
      where `projector_layer` is "mlp"; "linear" is one map of all tokens; "identity" none.
    - `context_length`: rows that prompt and answer may take together; 0 is the language model's own
      limit.
    - `image_token_id` stands for one visual token; `box_start_id` and `box_end_id` enclose a box,
      `seg_token_id` asks for a mask. They are rows of the vocabulary.
    - `default_plane`, `default_window`: how real CT is shown, as in `Med2E3Config`.
    """

    model_type = "m3d-lamed"
    sub_configs_defaults = {  # noqa: RUF012 - transformers declares it so
        "vision_config": Vision3DConfig,
        "segvol_config": SubConfigSpec(SegVolConfig, optional=True),
        "text_config": SubConfigSpec(AutoConfig, model_type="phi3"),
    }

    vision_config: Any = None
    segvol_config: Any = None
    text_config: Any = None
    projector: str = "spp"
    projector_layer: str = "mlp"
    projector_layers: int = 2
    pooling: str = "spatial"
    pool: int = 2
    segmentation: str = "segvol"
    context_length: int = 0
    image_token_id: int = 32011
    box_start_id: int = 32012
    box_end_id: int = 32013
    seg_token_id: int = 32014
    default_plane: str = ""
    default_window: list[float] | tuple[float, ...] | None = SOFT_TISSUE
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        for name, allowed in LAMED_CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
        if self.segmentation == "segvol" and self.segvol_config is None:
            self.segvol_config = SegVolConfig(vision_config=self._tower_without_class_token())
        self.tie_word_embeddings = bool(self.text_config.tie_word_embeddings)
        self._check_fit()

    def _tower_without_class_token(self) -> Vision3DConfig:
        """The published mask head's image encoder has the tower's sizes, but no class token."""
        sizes = self.vision_config.to_dict()
        return Vision3DConfig(**{**sizes, "class_token": False, "final_norm": True})

    def _check_fit(self) -> None:
        """Raises ValueError where parts cannot work together."""
        vision, text = self.vision_config, self.text_config
        if text.model_type not in TEXT_CONFIGS:
            raise ValueError(
                f"language model {text.model_type!r} is not one of "
                f"{', '.join(map(repr, TEXT_CONFIGS))}"
            )
        if not vision.final_norm:
            raise ValueError("M3D-LaMed reads the vision tower after its final norm; it has none")
        if self.projector == "identity" and vision.hidden_size != text.hidden_size:
            raise ValueError(
                f"projector='identity' needs one width; the tower has {vision.hidden_size}, "
                f"the language model {text.hidden_size}"
            )
        cells = vision.patch_grid
        if self.projector == "spp" and any(n % self.pool for n in cells):
            raise ValueError(f"the patch grid {cells} is no multiple of pool={self.pool}")
        if not 0 <= self.seg_token_id < text.vocab_size:
            raise ValueError(
                f"seg_token_id={self.seg_token_id} is outside of the vocabulary "
                f"of {text.vocab_size}"
            )

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) that the model reads."""
        s, r, c = self.vision_config.image_size
        return s, r, c

    @property
    def num_visual_tokens(self) -> int:
        """Rows of the prompt that stand for the volume."""
        patches: int = math.prod(self.vision_config.patch_grid)
        averaged: int = self.pool**3 if self.projector == "spp" else 1
        return patches // averaged

    @property
    def cells3d(self) -> tuple[int, int, int] | None:
        """Visual tokens along slice, row and column axis; None where runs of them are averaged."""
        if self.projector == "spp" and self.pooling == "sequence" and self.pool > 1:
            return None
        pool = self.pool if self.projector == "spp" else 1
        d, h, w = (n // pool for n in self.vision_config.patch_grid)
        return d, h, w

    @property
    def max_context(self) -> int:
        """Rows that prompt and answer may take together."""
        limit: int = self.text_config.max_position_embeddings
        return min(limit, self.context_length) if self.context_length else limit
