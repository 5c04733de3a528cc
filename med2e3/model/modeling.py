"""Med-2E3: two image encoders, text-guided slice scores, and a language model (arXiv 2411.12783).

    z_I = [z_3D ; Σ_j s^j z_2D^j]        answer = LLM([z_I ; question])

The forward pass is made of pieces that are called separately by whoever wants to keep results:
image features depend on the volume alone, a question's vector on the question alone. Knows nothing
of files, prompts or tokenizers. Parts may be on different devices, each whole (accelerate's hooks
move what enters a part); where results of two parts meet, they are brought together here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import transformers.initialization as init
from torch import Tensor, nn
from transformers import (
    BertModel,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.utils.generic import ModelOutput

from med2e3.model.config import Med2E3Config
from med2e3.model.connector import Connector, pool_tokens
from med2e3.model.language import LANGUAGE_MODELS, LAYERS
from med2e3.model.stem import Slice2DEmbeddings
from med2e3.model.tgis import (
    SliceScorer,
    max_slices,
    mix_slices,
    normalise_scores,
    slice_keys,
    slice_keys_3d,
)
from med2e3.model.vision2d import Vision2DModel
from med2e3.model.vision3d import Vision3DModel

#: What only the first step of a generation needs: later steps find it in the key/value cache.
PREFILL_INPUTS = (
    "pixel_values",
    "image_features",
    "volume_index",
    "question_ids",
    "question_mask",
    "slice_mask",
)


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What a volume gives, whatever the question: tokens at the language model's width.

    `tokens3d` (V, N, D); `tokens2d` (V, S, P, D); `keys` (V, S, D). None where an encoder is off.
    """

    tokens3d: Tensor | None
    tokens2d: Tensor | None
    keys: Tensor | None

    @property
    def volumes(self) -> int:
        """How many volumes these are."""
        held = self.tokens3d if self.tokens3d is not None else self.tokens2d
        return 0 if held is None else held.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take."""
        return sum(t.nbytes for t in (self.tokens3d, self.tokens2d, self.keys) if t is not None)


@dataclass
class Med2E3Output(ModelOutput):  # type: ignore[misc]
    """Loss (), logits (B, T, V), key/value cache, scores (B, S) after and before the softmax."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    scores: Tensor | None = None
    score_logits: Tensor | None = None


class VisualPositions(nn.Module):
    """Learned positions of the visual tokens, and where the config says so of the slices."""

    def __init__(self, config: Med2E3Config, width: int) -> None:
        super().__init__()
        slices = config.grid_shape[0] if config.position_embeddings == "tokens+slices" else 0
        self.tokens3d = _parameter(config.num_tokens3d, width)
        self.tokens2d = _parameter(config.num_tokens2d, width)
        self.slices = _parameter(slices if config.num_tokens2d else 0, width)

    def forward(
        self, tokens3d: Tensor | None, tokens2d: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """(V, N, D) and (V, S, P, D) with their positions added."""
        if tokens3d is not None and self.tokens3d is not None:
            tokens3d = tokens3d + self.tokens3d
        if tokens2d is not None and self.tokens2d is not None:
            tokens2d = tokens2d + self.tokens2d
            if self.slices is not None:
                tokens2d = tokens2d + self.slices[:, None, :]
        return tokens3d, tokens2d


class Med2E3PreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """What transformers needs to know to initialise, place and load the model."""

    config: Med2E3Config
    config_class = Med2E3Config
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _skip_keys_device_placement = "past_key_values"
    _no_split_modules = [  # noqa: RUF012 - transformers declares it so
        "Vision3DModel",
        "Vision2DModel",
        "BertModel",
        "VisualPositions",
        "SliceScorer",
        "SegVolHead",
        *LAYERS,
    ]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Vision3DModel):
            init.normal_(module.positions, std=0.02)
            if module.class_token is not None:
                init.normal_(module.class_token, std=0.02)
        elif isinstance(module, Slice2DEmbeddings):
            init.normal_(module.positions, std=0.02)
        elif isinstance(module, VisualPositions):
            for parameter in module.parameters(recurse=False):
                init.normal_(parameter, std=0.02)
        elif isinstance(module, SliceScorer):
            if module.log_temperature is not None:
                init.constant_(module.log_temperature, math.log(module.temperature))
            if module.learned_text is not None:
                init.normal_(module.learned_text, std=0.02)
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")


class Med2E3ForConditionalGeneration(Med2E3PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The whole model; `Med2E3Config` says which parts it has."""

    def __init__(self, config: Med2E3Config) -> None:
        super().__init__(config)
        text, v3, v2 = config.text_config, config.vision3d_config, config.vision2d_config
        width = text.hidden_size
        self.vision3d: Vision3DModel | None = None
        self.connector3d: Connector | None = None
        self.vision2d: Vision2DModel | None = None
        self.connector2d: Connector | None = None
        if "3d" in config.encoders:
            self.vision3d = Vision3DModel(v3)
            self.connector3d = Connector(v3.hidden_size, width)
        if "2d" in config.encoders:
            normed = config.vision2d_feature == "normed"
            self.vision2d = Vision2DModel(v2, config.vision2d_stem, normed=normed)
            self.connector2d = Connector(v2.hidden_size, width)
        self.positions = (
            None if config.position_embeddings == "none" else VisualPositions(config, width)
        )
        self.text_encoder: nn.Module | None = None
        self.text_projection: nn.Linear | None = None
        self.scorer: SliceScorer | None = None
        if config.uses_scores:
            self._build_scorer(width)
        self.language_model = LANGUAGE_MODELS[text.model_type]._from_config(text)
        self.post_init()

    def _build_scorer(self, width: int) -> None:
        source = width
        if self.config.text_source == "text_encoder":
            self.text_encoder = BertModel._from_config(self.config.text_encoder_config)
            source = self.config.text_encoder_config.hidden_size
        if self.config.text_projection == "linear":
            self.text_projection = nn.Linear(source, width)
        self.scorer = SliceScorer(self.config, width)

    def get_input_embeddings(self) -> nn.Module:
        """The language model's embedding layer."""
        return self.language_model.get_input_embeddings()  # type: ignore[no-any-return]

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put another embedding layer into the language model."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's output layer."""
        return self.language_model.get_output_embeddings()  # type: ignore[no-any-return]

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Put another output layer into the language model."""
        self.language_model.set_output_embeddings(value)

    def encode_images(self, pixel_values: Tensor) -> ImageFeatures:
        """(V, 1, S, H, W) in 0..1 → everything that does not depend on a question."""
        return self.connect_features(*self.vision_features(pixel_values))

    def vision_features(self, pixel_values: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """(V, 1, S, H, W) → the encoders' own features, before the connectors.

        Pooled 3D ones (V, N, D3) and 2D ones (V, S, P, D2): what training keeps of frozen encoders.
        """
        features3d = features2d = None
        if self.vision3d is not None:
            output = self.vision3d(pixel_values)
            features = output.tokens if output.normed is None else output.normed
            grid = self.config.vision3d_config.patch_grid
            features3d = pool_tokens(features, grid, self.config.pool3d)
        if self.vision2d is not None:
            volumes, _, slices, rows, columns = pixel_values.shape
            images = pixel_values.transpose(1, 2).reshape(volumes * slices, 1, rows, columns)
            features2d = self.vision2d(images).unflatten(0, (volumes, slices))
        return features3d, features2d

    def connect_features(
        self, features3d: Tensor | None, features2d: Tensor | None
    ) -> ImageFeatures:  # fmt: skip
        """What `vision_features` gave, at the language model's width, with positions and keys."""
        tokens3d = tokens2d = None
        if features3d is not None and self.connector3d is not None:
            tokens3d = self.connector3d(features3d)  # (V, N, D)
        if features2d is not None and self.connector2d is not None:
            tokens2d = self.connector2d(features2d)  # (V, S, P, D)
        if self.positions is not None:
            tokens3d, tokens2d = self.positions(tokens3d, tokens2d)
        return ImageFeatures(tokens3d, tokens2d, self._keys(tokens3d, tokens2d))

    def _keys(self, tokens3d: Tensor | None, tokens2d: Tensor | None) -> Tensor | None:
        """One vector a slice, of the local features that the config names."""
        if tokens2d is None or not self.config.uses_scores:
            return None
        depth = self.config.grid3d[0]
        if self.config.local_features == "3d" and tokens3d is not None:
            return slice_keys_3d(tokens3d, depth, tokens2d.shape[1])
        local3d = None if self.config.local_features == "2d" else _beside(tokens3d, tokens2d)
        return slice_keys(local3d, tokens2d, depth)

    def encode_question(self, question_ids: Tensor, question_mask: Tensor | None = None) -> Tensor:
        """Token ids and mask (B, T) of the bare questions → one vector each (B, D).

        The ids are the language model's, or the text encoder's where the config has one.
        """
        if question_mask is None:
            question_mask = torch.ones_like(question_ids)
        if self.scorer is not None and self.scorer.learned_text is not None:
            return self.scorer.learned_text.expand(len(question_ids), -1)
        if self.text_encoder is not None:
            output = self.text_encoder(input_ids=question_ids, attention_mask=question_mask)
            text = output.pooler_output
        else:
            embedded = self.get_input_embeddings()(question_ids)  # (B, T, D)
            mask = question_mask.unsqueeze(-1).to(embedded)
            text = (embedded * mask).sum(1) / mask.sum(1).clamp(min=1)
        return text if self.text_projection is None else self.text_projection(text)  # type: ignore[no-any-return]

    def score_logits(self, keys: Tensor, text: Tensor) -> Tensor:
        """Keys (B, S, D) and text (B, D) → (B, S), before the softmax."""
        if self.scorer is None:
            raise ValueError(
                f"aggregation {self.config.aggregation!r} has no slice scores to learn"
            )
        return self.scorer(keys, text.to(keys.device))  # type: ignore[no-any-return]

    def score(self, keys: Tensor, text: Tensor, keep: Tensor | None = None) -> Tensor:
        """Scores (B, S), summing to 1; slices where `keep` (B, S) is False get 0."""
        return normalise_scores(self.score_logits(keys, text), keep)

    def weigh_slices(
        self,
        features: ImageFeatures,
        text: Tensor | None,
        rows: int,
        keep: Tensor | None = None,
        volume_index: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Scores and their logits, (rows, S) each; None where slices are not weighed at all."""
        if features.tokens2d is None or self.config.aggregation == "max":
            return None, None
        shape = (rows, features.tokens2d.shape[1])
        device = features.tokens2d.device
        if self.config.aggregation == "mean":
            logits = torch.zeros(shape, device=device)
        elif self.config.aggregation == "random":
            logits = torch.randn(shape).to(device)  # drawn on the CPU: one seed, one result
        else:
            if text is None or features.keys is None:
                raise ValueError("text-guided scores need question_ids and question_mask")
            keys = features.keys if volume_index is None else features.keys[volume_index]
            logits = self.score_logits(keys, text)
        return normalise_scores(logits, _beside(keep, logits)), logits

    def visual_tokens(
        self,
        features: ImageFeatures,
        scores: Tensor | None,
        *,
        keep: Tensor | None = None,
        volume_index: Tensor | None = None,
    ) -> Tensor:
        """What stands in the prompt for the volume: (B, N, D), 3D tokens first."""
        parts = []
        if features.tokens3d is not None:
            tokens3d = features.tokens3d
            parts.append(tokens3d if volume_index is None else tokens3d[volume_index])
        if features.tokens2d is not None:
            parts.append(self.mixed_tokens(features, scores, keep=keep, volume_index=volume_index))
        return torch.cat([part.to(parts[0].device) for part in parts], dim=1)

    def mixed_tokens(
        self,
        features: ImageFeatures,
        scores: Tensor | None,
        *,
        keep: Tensor | None = None,
        volume_index: Tensor | None = None,
    ) -> Tensor:
        """The slices' 2D tokens made one set: (B, P, D)."""
        if features.tokens2d is None:
            raise ValueError("this model has no 2D encoder")
        if scores is None:
            return max_slices(features.tokens2d, _beside(keep, features.tokens2d), volume_index)
        scores = scores.to(features.tokens2d.device)
        weights = F.dropout(scores, self.config.score_dropout, self.training)
        return mix_slices(features.tokens2d, weights, volume_index)

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """(B, T) → (B, T, D); rows of visual tokens hold no meaning until they are replaced."""
        is_image = input_ids == self.config.image_token_id
        return self.get_input_embeddings()(input_ids.masked_fill(is_image, 0))  # type: ignore[no-any-return]

    def splice(self, input_ids: Tensor, visual: Tensor | None) -> Tensor:
        """Text embeddings (B, T, D) with the visual tokens (B, N, D) at their placeholders.

        Raises ValueError unless every row has exactly N placeholders (none without a volume).
        """
        is_image = input_ids == self.config.image_token_id
        expected = 0 if visual is None else visual.shape[1]
        if not bool((is_image.sum(dim=1) == expected).all()):
            raise ValueError(
                f"rows of input_ids hold {is_image.sum(dim=1).tolist()} placeholders for visual "
                f"tokens; each needs {expected}"
            )
        embedded = self.embed_text(input_ids)
        if visual is None:
            return embedded
        where = is_image.unsqueeze(-1).to(embedded.device)
        return embedded.masked_scatter(where, visual.to(embedded))

    def prepare_embeddings(
        self,
        input_ids: Tensor,
        features: ImageFeatures | None,
        question: tuple[Tensor, Tensor | None] | None = None,
        *,
        keep: Tensor | None = None,
        volume_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Input rows (B, T, D) of the language model, the scores (B, S), and their logits.

        Without `features` the rows are text alone.
        """
        if features is None:
            return self.splice(input_ids, None), None, None
        text = self.encode_question(*question) if question and self.scorer is not None else None
        scores, logits = self.weigh_slices(features, text, len(input_ids), keep, volume_index)
        visual = self.visual_tokens(features, scores, keep=keep, volume_index=volume_index)
        return self.splice(input_ids, visual), scores, logits

    def forward(  # noqa: PLR0913 - the arguments of a transformers model, each by name
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: ImageFeatures | None = None,
        volume_index: Tensor | None = None,
        question_ids: Tensor | None = None,
        question_mask: Tensor | None = None,
        slice_mask: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Med2E3Output:
        """One pass; text alone, or text with volumes.

        `pixel_values` (V, 1, S, H, W), or `image_features` made of them earlier, belong to the
        placeholders in `input_ids` (B, T); `volume_index` (B,) says which volume a row is about
        (None: row b is about volume b). `question_ids`, `question_mask` (B, Q) hold the bare
        questions; `slice_mask` (B, S) is False for slices to leave out.
        """
        scores = logits = None
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("either input_ids or inputs_embeds is needed")
            if pixel_values is not None and image_features is None:
                image_features = self.encode_images(pixel_values)
            question = None if question_ids is None else (question_ids, question_mask)
            inputs_embeds, scores, logits = self.prepare_embeddings(
                input_ids, image_features, question, keep=slice_mask, volume_index=volume_index
            )
        kwargs["return_dict"] = True
        output = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=output.logits, labels=labels, vocab_size=self.config.text_config.vocab_size
            )
        return Med2E3Output(
            loss=loss,
            logits=output.logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
            scores=scores,
            score_logits=logits,
        )

    def prepare_inputs_for_generation(
        self, *args: Any, is_first_iteration: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """The inputs of one step; later steps that have a cache see no image."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            for name in PREFILL_INPUTS:
                inputs.pop(name, None)
        return inputs


def _beside(tensor: Tensor | None, other: Tensor) -> Tensor | None:
    """The same on the device of `other`."""
    return None if tensor is None else tensor.to(other.device)


def _parameter(rows: int, width: int) -> nn.Parameter | None:
    return nn.Parameter(torch.zeros(rows, width)) if rows else None
