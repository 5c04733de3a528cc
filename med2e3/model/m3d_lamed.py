"""M3D-LaMed: a 3D encoder, a projector, a language model, and a head that draws masks.

Source: arXiv 2404.00578 and its published code. Image features and the mask head's features
depend on the volume alone, so whoever wants to keep them can. Knows nothing of prompts, tokenizers
or patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers.initialization as init
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.utils.generic import ModelOutput

from med2e3.model.connector import pool_tokens
from med2e3.model.language import LANGUAGE_MODELS
from med2e3.model.m3d_lamed_config import M3DLaMedConfig
from med2e3.model.modeling import Med2E3PreTrainedModel
from med2e3.model.segvol import FourierPositions, SegVolHead, mask_loss
from med2e3.model.vision3d import Vision3DModel


@dataclass
class M3DLaMedOutput(ModelOutput):  # type: ignore[misc]
    """Loss (), logits (B, T, V), key/value cache; `mask_logits` (B, 1, D, H, W) in training."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    mask_logits: Tensor | None = None


class PoolingProjector(nn.Module):
    """Neighbouring tokens averaged, then linear maps to the language model's width ("spp")."""

    def __init__(self, config: M3DLaMedConfig) -> None:
        super().__init__()
        vision, text = config.vision_config, config.text_config
        self.grid = vision.patch_grid
        self.pool, self.pooling = config.pool, config.pooling
        layers: list[nn.Module] = [nn.Linear(vision.hidden_size, text.hidden_size)]
        for _ in range(1, config.projector_layers):
            if config.projector_layer == "mlp":
                layers.append(nn.GELU())
            layers.append(nn.Linear(text.hidden_size, text.hidden_size))
        self.projector = nn.Sequential(*layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """(V, N, D) → (V, N / pool³, C)."""
        if self.pooling == "spatial":
            pooled = pool_tokens(tokens, self.grid, self.pool)
        else:  # runs of neighbours along the sequence; what does not fill a run is left out
            run = self.pool**3
            whole = tokens.shape[1] // run * run
            pooled = tokens[:, :whole].reshape(len(tokens), -1, run, tokens.shape[2]).mean(dim=2)
        return self.projector(pooled)  # type: ignore[no-any-return]


def _linear(config: M3DLaMedConfig) -> nn.Module:
    return nn.Linear(config.vision_config.hidden_size, config.text_config.hidden_size)


#: The projectors, by the exact names of the published configs.
PROJECTORS: dict[str, Any] = {
    "spp": PoolingProjector,
    "linear": _linear,
    "identity": lambda config: nn.Identity(),
}


class M3DLaMedForConditionalGeneration(Med2E3PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The whole model; `M3DLaMedConfig` says which parts it has."""

    config_class = M3DLaMedConfig
    # The positions' random frequencies lose their meaning in half precision.
    _keep_in_fp32_modules_strict = ("pe_layer",)

    def __init__(self, config: M3DLaMedConfig) -> None:
        super().__init__(config)
        text = config.text_config
        self.vision3d = Vision3DModel(config.vision_config)
        self.connector3d = PROJECTORS[config.projector](config)
        self.seg_projector: nn.Sequential | None = None
        self.segvol: SegVolHead | None = None
        if config.segmentation == "segvol":
            self._build_segvol(config.segvol_config, text.hidden_size)
        self.language_model = LANGUAGE_MODELS[text.model_type]._from_config(text)
        self.post_init()

    def _build_segvol(self, config: Any, text_width: int) -> None:
        vision = config.vision_config
        self.seg_projector = nn.Sequential(
            nn.Linear(text_width, text_width),
            nn.ReLU(),
            nn.Linear(text_width, vision.hidden_size),
            nn.Dropout(config.prompt_dropout),
        )
        self.segvol = SegVolHead(
            Vision3DModel(vision),
            vision.hidden_size,
            vision.patch_grid,
            heads=config.decoder_heads,
            mlp_size=config.decoder_mlp_size,
            depth=config.decoder_layers,
            mask_tokens=config.mask_tokens,
        )

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, FourierPositions):
            init.normal_(module.positional_encoding_gaussian_matrix)
        elif isinstance(module, nn.ConvTranspose3d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")

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

    def encode_images(self, pixel_values: Tensor) -> Tensor:
        """Volumes (V, 1, S, H, W) in 0..1 → rows of the prompt (V, N, C)."""
        return self.connector3d(self.vision3d(pixel_values).normed)  # type: ignore[no-any-return]

    def splice(self, input_ids: Tensor, visual: Tensor) -> Tensor:
        """Text embeddings (B, T, C) with the visual rows (B, N, C) at their placeholders.

        The published code overwrites rows 1 to N whatever stands there, and so loses a text token
        where the tokenizer puts no start token first; here each placeholder is replaced.
        Raises ValueError unless every row has exactly N placeholders.
        """
        is_image = input_ids == self.config.image_token_id
        if not bool((is_image.sum(dim=1) == visual.shape[1]).all()):
            raise ValueError(
                f"rows of input_ids hold {is_image.sum(dim=1).tolist()} placeholders for visual "
                f"tokens; each needs {visual.shape[1]}"
            )
        embedded = self.get_input_embeddings()(input_ids)
        where = is_image.unsqueeze(-1).to(embedded.device)
        return embedded.masked_scatter(where, visual.to(embedded))  # type: ignore[no-any-return]

    def mask_prompts(self, tokens: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Answer tokens (B, T) and the states that predicted them (B, T, C) → prompts (B, C').

        Also says which rows (B,) hold `[SEG]`; several in a row are averaged, as in training. The
        prompt of a row without is zero, as published training has it.
        """
        if self.seg_projector is None:
            raise ValueError("this model was built without a mask head (segmentation='')")
        is_seg = (tokens == self.config.seg_token_id).to(hidden.device)
        weights = is_seg.to(hidden.dtype)
        mean = (weights.unsqueeze(-1) * hidden).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
        found = is_seg.any(dim=1)
        prompts = self.seg_projector(mean)
        return prompts * found.unsqueeze(-1).to(prompts.device), found

    def segment(self, features: Tensor, tokens: Tensor, hidden: Tensor) -> list[Tensor | None]:
        """One mask a row, as logits (1, D, H, W) on the model's grid; None where none was asked.

        `features` (B, C', d, h, w) are `segvol.encode(pixel_values)`; `tokens` (B, T) and `hidden`
        (B, T, C) as in `mask_prompts`.
        """
        prompts, found = self.mask_prompts(tokens, hidden)
        masks: list[Tensor | None] = [None] * len(tokens)
        rows = found.nonzero().flatten().tolist()
        if rows and self.segvol is not None:
            logits = self.segvol.decode(
                features[rows], prompts[rows].to(features.device), self.config.grid_shape
            )
            for row, mask in zip(rows, logits, strict=True):
                masks[row] = mask
        return masks

    def _train_masks(
        self, pixel_values: Tensor, labels: Tensor, hidden: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mask logits (B, 1, D, H, W), and the loss of the rows whose target is not empty."""
        if self.segvol is None:
            raise ValueError("mask_labels were given to a model without a mask head")
        prompts, _ = self.mask_prompts(labels[:, 1:], hidden[:, :-1])
        logits = self.segvol(pixel_values, prompts)
        drawn = target.flatten(1).any(dim=1)
        loss = mask_loss(logits[drawn], target[drawn]) if bool(drawn.any()) else logits.sum() * 0
        return logits, loss

    def forward(  # noqa: PLR0913 - the arguments of a transformers model, each by name
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_features: Tensor | None = None,
        mask_labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> M3DLaMedOutput:
        """One pass; text alone, or text (B, T) with one volume a row.

        `pixel_values` (B, 1, S, H, W), or `image_features` (B, N, C) made of them by
        `encode_images`. `mask_labels` (B, 1, S, H, W), with `labels` and `pixel_values`, adds the
        loss of the masks.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("either input_ids or inputs_embeds is needed")
            if image_features is None and pixel_values is not None:
                image_features = self.encode_images(pixel_values)
            inputs_embeds = (
                self.get_input_embeddings()(input_ids)
                if image_features is None
                else self.splice(input_ids, image_features)
            )
        kwargs["return_dict"] = True
        if mask_labels is not None:
            kwargs["output_hidden_states"] = True
        output = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        loss = masks = None
        if labels is not None:
            loss = self.loss_function(
                logits=output.logits, labels=labels, vocab_size=self.config.text_config.vocab_size
            )
            if mask_labels is not None and pixel_values is not None:
                masks, mask_term = self._train_masks(
                    pixel_values, labels, output.hidden_states[-1], mask_labels
                )
                loss = loss + mask_term
        return M3DLaMedOutput(
            loss=loss,
            logits=output.logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
            mask_logits=masks,
        )

    def prepare_inputs_for_generation(
        self, *args: Any, is_first_iteration: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """The inputs of one step; later steps that have a cache see no image."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            for name in ("pixel_values", "image_features"):
                inputs.pop(name, None)
        return inputs


def answer_states(hidden_states: tuple[tuple[Tensor, ...], ...]) -> Tensor:
    """What predicted each new token, (B, T, C), from `generate(output_hidden_states=True)`.

    The first step is the whole prompt, whose last row predicts the first token.
    """
    return torch.cat([step[-1][:, -1:] for step in hidden_states], dim=1)
