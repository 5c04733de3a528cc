"""M3D-CLIP: volumes and texts in one space, so that one can be found by the other.

Source: arXiv 2404.00578, §3.1, and its published code. A 3D ViT and a BERT, each with a linear
projection of its class token. Knows nothing of files, windows or patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, PreTrainedConfig
from transformers.utils import ModelOutput

from med2e3.model.config import Vision3DConfig
from med2e3.model.modeling import Med2E3PreTrainedModel
from med2e3.model.vision3d import Vision3DModel

#: The published volumes were windowed 8-bit exports; raw HU need a window (centre, width in HU).
SOFT_TISSUE = (40.0, 400.0)

#: The temperature 0.07 of CLIP, as a factor in the logarithm; published training starts from it.
INITIAL_LOGIT_SCALE = math.log(1 / 0.07)


@strict
class M3DClipConfig(PreTrainedConfig):  # type: ignore[misc]
    """Both encoders, and how real CT is shown to them (see `Med2E3Config`).

    `max_text_length` counts tokens with the class and separator token; longer text is cut.
    """

    model_type = "m3d-clip"
    sub_configs_defaults = {  # noqa: RUF012 - transformers declares it so
        "vision_config": Vision3DConfig,
        "text_config": BertConfig,
    }

    vision_config: Any = None
    text_config: Any = None
    max_text_length: int = 512
    default_plane: str = ""
    default_window: list[float] | tuple[float, ...] | None = SOFT_TISSUE

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) that the model reads."""
        s, r, c = self.vision_config.image_size
        return s, r, c


@dataclass
class M3DClipOutput(ModelOutput):  # type: ignore[misc]
    """Features (B, C) of length 1; `logits` (B, B) as published: the mean of both directions."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None


class M3DClipVisionModel(Med2E3PreTrainedModel):
    """The vision encoder alone, as in the published `pretrained_ViT.bin`."""

    config_class = Vision3DConfig
    main_input_name = "pixel_values"

    def __init__(self, config: Vision3DConfig) -> None:
        super().__init__(config)
        self.vision3d = Vision3DModel(config)
        self.post_init()

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Volumes (B, 1, S, H, W) in 0..1 → normed class token (B, D)."""
        features = self.vision3d(pixel_values).class_normed
        if features is None:
            raise ValueError("A config without class token or final norm has no class feature.")
        return features  # type: ignore[no-any-return]


class M3DClipModel(Med2E3PreTrainedModel):
    """Image and text features, their similarity, and the contrastive loss."""

    config_class = M3DClipConfig
    main_input_name = "pixel_values"

    def __init__(self, config: M3DClipConfig) -> None:
        super().__init__(config)
        image, text = config.vision_config, config.text_config
        self.vision3d = Vision3DModel(image)
        self.text_encoder = BertModel._from_config(
            text
        )  # its pooler is not used here, but by Med-2E3
        # The published code takes one width for both encoders and for the shared space.
        self.vision_projection = nn.Linear(image.hidden_size, image.hidden_size)
        self.text_projection = nn.Linear(text.hidden_size, image.hidden_size)
        self.logit_scale = nn.Parameter(torch.tensor(INITIAL_LOGIT_SCALE))
        self.post_init()

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Volumes (B, 1, S, H, W) in 0..1 → (B, C) of length 1."""
        tokens = self.vision3d(pixel_values).class_normed
        return F.normalize(self.vision_projection(tokens), dim=-1)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Token ids (B, T) → (B, C) of length 1."""
        tokens = self.text_encoder(input_ids=input_ids, attention_mask=attention_mask)
        return F.normalize(self.text_projection(tokens.last_hidden_state[:, 0]), dim=-1)

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        return_loss: bool = False,
    ) -> M3DClipOutput:
        """Pairs of text and volume; row k of both belong together in the loss.

        The published model multiplies by `logit_scale` as it is, without CLIP's exponential.
        """
        images = self.get_image_features(pixel_values)
        texts = self.get_text_features(input_ids, attention_mask)
        per_image = self.logit_scale * images @ texts.T  # (B, B)
        per_text = self.logit_scale * texts @ images.T
        loss = None
        if return_loss:
            own = torch.arange(len(images), device=images.device)
            loss = (F.cross_entropy(per_image, own) + F.cross_entropy(per_text, own)) / 2
        return M3DClipOutput(
            loss=loss,
            logits=(per_image + per_text) / 2,
            logits_per_image=per_image,
            logits_per_text=per_text,
            image_embeds=images,
            text_embeds=texts,
        )
