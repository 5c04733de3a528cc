"""Every size and every choice of the model, as Hugging Face config classes.

Knows nothing of weights. `Med2E3Config` holds one config a part (3D encoder, 2D encoder, language
model, and where one is used a text encoder) and the named choices of the paper's ablations; each
choice must be one of the names in `CHOICES`.
"""

from __future__ import annotations

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import (
    AutoConfig,
    BertConfig,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    SiglipVisionConfig,
    SmolLM3Config,
)
from transformers.configuration_utils import SubConfigSpec

#: What each choice may be, by exact name; see the docstring of `Med2E3Config`.
CHOICES: dict[str, tuple[str, ...]] = {
    "encoders": ("3d+2d", "3d", "2d"),
    "aggregation": ("tgis", "mean", "max", "random"),
    "local_features": ("3d+2d", "3d", "2d"),
    "text_source": ("llm_embedding", "text_encoder", "none"),
    "text_projection": ("none", "linear"),
    "score_norm": ("none", "layer_norm"),
    "position_embeddings": ("none", "tokens", "tokens+slices"),
    "vision3d_feature": ("last_block", "normed"),
    "vision2d_feature": ("last_block", "normed"),
    "default_plane": ("axial", "coronal", "sagittal", ""),
}

#: Language models that may stand inside, by the `model_type` of their config.
TEXT_CONFIGS: dict[str, type] = {
    "phi3": Phi3Config,
    "llama": LlamaConfig,
    "gemma2": Gemma2Config,
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "smollm3": SmolLM3Config,
}

#: Stands for one visual token in `input_ids`; the published prompts use it. It is no row of the
#: vocabulary, so that no model can ever emit it.
IMAGE_TOKEN_ID = -201


@strict
class Vision3DConfig(PreTrainedConfig):  # type: ignore[misc]
    """The 3D ViT of M3D-CLIP: defaults are its published sizes.

    `image_size` and `patch_size` are (slice, row, column). `stem` is empty for the linear patch
    embedding, else the stages of a convolutional stem (see `med2e3.model.stem`).
    """

    model_type = "m3d_vit"

    image_size: list[int] | tuple[int, ...] = (32, 256, 256)
    patch_size: list[int] | tuple[int, ...] = (4, 16, 16)
    num_channels: int = 1
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    layer_norm_eps: float = 1e-5
    class_token: bool = True
    final_norm: bool = True
    stem: list[dict[str, Any]] | tuple[dict[str, Any], ...] = ()

    @property
    def patch_grid(self) -> tuple[int, int, int]:
        """Number of patches along slice, row and column axis."""
        d, h, w = (n // p for n, p in zip(self.image_size, self.patch_size, strict=True))
        return d, h, w


@strict
class Med2E3Config(PreTrainedConfig):  # type: ignore[misc]
    """The whole model; every field that names a choice takes one of `CHOICES`.

    - `encoders`: which image tokens reach the language model (paper, table 3).
    - `aggregation`: how the slices' 2D tokens become one set (table 4): text-guided scores, their
      mean, their maximum, or random scores.
    - `local_features`: what a slice's key is averaged from (table 5).
    - `text_source`: the question as the mean of the language model's embeddings (paper, v1), or as
      the pooled output of a text encoder (published weights). `text_projection` "linear" maps it to
      the key's width, which a text encoder of another width needs. "none" is table 5's scoring
      without text: one learned vector for all questions, a linear layer on the keys.
    - `score_norm` "layer_norm" normalises key and text and divides their product by √D: needed by
      small models, where the raw product stays uniform. `score_temperature` divides the product (1
      in the paper, 5 in the published weights); `learnable_temperature` makes it a parameter.
    - `score_dropout` acts on the scores in training, without renormalising, as published.
    - `pool3d`: edge of the cube of 3D tokens that is averaged into one.
    - `position_embeddings`: learned positions added to the visual tokens, and to the slices.
    - `vision3d_feature`, `vision2d_feature`: the last block's output before or after the encoder's
      final layer norm; the published weights use it before.
    - `vision2d_stem`: empty for SigLIP's patch embedding, else stages of a convolutional stem.
    - `context_length`: rows that prompt and answer may take together; 0 is the language model's own
      limit.
    - `demo` marks a model whose answers about real scans mean nothing; `ready_questions` are labels
      and wordings of questions that it was trained to answer.
    - `history_turns`: how many earlier turns it was trained to read before a question; 0 for none.
    - `default_plane` "" means the plane in which a series is stored; `default_window` is (centre,
      width) in HU, or None to scale from minimum to maximum.
    """

    model_type = "med2e3"
    sub_configs_defaults = {  # noqa: RUF012 - transformers declares it so
        "vision3d_config": Vision3DConfig,
        "vision2d_config": SiglipVisionConfig,
        "text_encoder_config": SubConfigSpec(BertConfig, optional=True),
        "text_config": SubConfigSpec(AutoConfig, model_type="phi3"),
    }

    vision3d_config: Any = None
    vision2d_config: Any = None
    text_encoder_config: Any = None
    text_config: Any = None

    encoders: str = "3d+2d"
    aggregation: str = "tgis"
    local_features: str = "3d+2d"
    text_source: str = "llm_embedding"
    text_projection: str = "none"
    score_norm: str = "none"
    score_temperature: float = 1.0
    learnable_temperature: bool = False
    score_dropout: float = 0.0
    pool3d: int = 2
    position_embeddings: str = "none"
    vision3d_feature: str = "last_block"
    vision2d_feature: str = "last_block"
    vision2d_stem: list[dict[str, Any]] | tuple[dict[str, Any], ...] = ()
    image_token_id: int = IMAGE_TOKEN_ID
    context_length: int = 0
    default_plane: str = ""
    default_window: list[float] | tuple[float, ...] | None = None
    demo: bool = False
    ready_questions: dict[str, str] | None = None
    history_turns: int = 0
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
        self.tie_word_embeddings = bool(self.text_config.tie_word_embeddings)
        self.vision2d_config.vision_use_head = False
        self.vision3d_config.final_norm = self.vision3d_feature == "normed"
        self._check_fit()

    def _check_fit(self) -> None:
        """Raises ValueError where parts cannot work together."""
        v3, v2, text = self.vision3d_config, self.vision2d_config, self.text_config
        if text.model_type not in TEXT_CONFIGS:
            raise ValueError(
                f"language model {text.model_type!r} is not one of "
                f"{', '.join(map(repr, TEXT_CONFIGS))}"
            )
        slices, rows, columns = v3.image_size
        if rows != columns or rows != v2.image_size:
            raise ValueError(
                f"the 3D encoder takes slices of {rows} × {columns}, "
                f"the 2D encoder of {v2.image_size} squared"
            )
        cells = v3.patch_grid
        if any(n % p for n, p in zip(v3.image_size, v3.patch_size, strict=True)):
            raise ValueError(
                f"the grid {v3.image_size} is no multiple of the patch {v3.patch_size}"
            )
        if any(n % self.pool3d for n in cells) or slices % (cells[0] // self.pool3d):
            raise ValueError(f"the 3D patch grid {cells} is no multiple of pool3d={self.pool3d}")
        if self.text_source == "none" and self.text_projection != "none":
            raise ValueError("text_source='none' leaves text_projection='none' as the only choice")
        if self.text_source == "text_encoder" and self.text_encoder_config is None:
            raise ValueError("text_source='text_encoder' needs a text_encoder_config")
        if "3d" in self.local_features and self.encoders == "2d":
            raise ValueError("encoders='2d' leaves local_features='2d' as the only choice")

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) that the model reads."""
        s, r, c = self.vision3d_config.image_size
        return s, r, c

    @property
    def grid3d(self) -> tuple[int, int, int]:
        """3D tokens along slice, row and column axis, after pooling."""
        d, h, w = (n // self.pool3d for n in self.vision3d_config.patch_grid)
        return d, h, w

    @property
    def tokens_per_slice(self) -> int:
        """2D tokens of one slice."""
        return int((self.vision2d_config.image_size // self.vision2d_config.patch_size) ** 2)

    @property
    def num_tokens3d(self) -> int:
        """3D tokens in the prompt."""
        return math.prod(self.grid3d) if "3d" in self.encoders else 0

    @property
    def num_tokens2d(self) -> int:
        """2D tokens in the prompt, after the slices are mixed."""
        return self.tokens_per_slice if "2d" in self.encoders else 0

    @property
    def num_visual_tokens(self) -> int:
        """Rows of the prompt that stand for the volume: 3D tokens first, then 2D tokens."""
        return self.num_tokens3d + self.num_tokens2d

    @property
    def uses_scores(self) -> bool:
        """Whether the slices are weighed by learned, text-guided scores."""
        return self.aggregation == "tgis" and "2d" in self.encoders

    @property
    def max_context(self) -> int:
        """Rows that prompt and answer may take together."""
        return self.context_length or int(self.text_config.max_position_embeddings)
