"""Med3DInsight: a 3D encoder, what it shows on one slice, and the volume drawn again from it.

Sources: arXiv 2403.05141 and 2509.09064, and what of the code is public. The embedding of a slice
is to meet frozen embeddings of the slice's image and of a text about it; the losses are in
`med2e3.training.insight`. Knows nothing of windows or texts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from med2e3.errors import CheckpointError
from med2e3.model.encoder3d import Encoded
from med2e3.model.encoders3d import ViT3DEncoder, make_encoder
from med2e3.model.inert import CONFIG_FILE, cause_of, check_opened_by_library
from med2e3.model.insight_config import InsightConfig
from med2e3.model.psat import PlaneSliceTransformer
from med2e3.model.vision3d import Vision3DModel


@dataclass
class InsightOutput(ModelOutput):  # type: ignore[misc]
    """`embeds` (P, E), one a slice, not normalised; `volumes` (B, 1, S, H, W), drawn again."""

    embeds: Tensor | None = None
    volumes: Tensor | None = None


class InsightModel(PreTrainedModel):  # type: ignore[misc]
    """Volumes (B, 1, S, H, W) in 0..1, and slices of them → embeddings and the volumes again."""

    config: InsightConfig
    config_class = InsightConfig
    base_model_prefix = "model"
    main_input_name = "pixel_values"

    def __init__(self, config: InsightConfig) -> None:
        super().__init__(config)
        self.encoder: Any = make_encoder(config)
        self.psat = PlaneSliceTransformer(config, self.encoder.width)
        stride = self.encoder.stride
        self.reconstruction = nn.ConvTranspose3d(self.encoder.decoded_width, 1, stride, stride)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: every part keeps the initialisation of its own class."""

    def encode(self, volumes: Tensor) -> Encoded:
        """Volumes → features of the encoder."""
        return self.encoder.encode(volumes)  # type: ignore[no-any-return]

    def embed(
        self, encoded: Encoded, volume: Tensor, plane: Tensor, index: Tensor, count: Tensor
    ) -> Tensor:
        """Embeddings (P, E) of P slices; all arguments but the features are (P,).

        `volume` says which volume a slice is of, `plane` 0 axial, 1 coronal, 2 sagittal, `index`
        which of the plane's `count` slices.
        """
        column = self.psat.column(index, count)
        return self.psat(encoded.tokens[volume], plane, column)  # type: ignore[no-any-return]

    def reconstruct(self, encoded: Encoded) -> Tensor:
        """Features → volumes (B, 1, S, H, W)."""
        return self.reconstruction(self.encoder.decode(encoded))  # type: ignore[no-any-return]

    def forward(
        self, pixel_values: Tensor, volume: Tensor, plane: Tensor, index: Tensor, count: Tensor
    ) -> InsightOutput:
        """Both at once; see `embed` and `reconstruct`."""
        encoded = self.encode(pixel_values)
        return InsightOutput(
            self.embed(encoded, volume, plane, index, count), self.reconstruct(encoded)
        )


class SegmentationModel(nn.Module):
    """An encoder with a segmentation head: a transposed convolution of the decoder's map.

    The map's channels are normalised in each volume first: a linear head on the small numbers of a
    decoder that draws grey values learned nothing in a hundred steps.
    """

    def __init__(self, encoder: Any, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        stride = encoder.stride
        self.norm = nn.InstanceNorm3d(encoder.decoded_width)
        self.head = nn.ConvTranspose3d(encoder.decoded_width, classes, stride, stride)

    def features(self, volumes: Tensor) -> Tensor:
        """Volumes (B, 1, S, H, W) → the decoder's map, normalised."""
        return self.norm(self.encoder.decode(self.encoder.encode(volumes)))  # type: ignore[no-any-return]

    def forward(self, volumes: Tensor) -> Tensor:
        """Volumes → logits (B, classes, S, H, W)."""
        return self.head(self.features(volumes))  # type: ignore[no-any-return]


class ClassificationModel(nn.Module):
    """An encoder with a linear head on mean and maximum of its features.

    The mean alone drowns what is small: a nodule fills one cell of hundreds.
    """

    def __init__(self, encoder: Any, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.LayerNorm(2 * encoder.width, elementwise_affine=False)
        self.head = nn.Linear(2 * encoder.width, classes)

    def features(self, volumes: Tensor) -> Tensor:
        """Volumes (B, 1, S, H, W) → (B, 2 C)."""
        grid = self.encoder.encode(volumes).grid.flatten(2)
        return self.norm(torch.cat([grid.mean(-1), grid.amax(-1)], dim=1))  # type: ignore[no-any-return]

    def forward(self, volumes: Tensor) -> Tensor:
        """Volumes → logits (B, classes)."""
        return self.head(self.features(volumes))  # type: ignore[no-any-return]


def open_insight(folder: Path) -> InsightModel:
    """A pretrained model of this folder, in float32; raises `CheckpointError` where it is none."""
    check_opened_by_library(folder)
    path = folder / CONFIG_FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{folder} has no {CONFIG_FILE}. Give the folder of a model that med2e3 train insight "
            "made."
        ) from error
    if said.get("model_type") != InsightConfig.model_type:
        raise CheckpointError(
            f"{folder} holds a model of kind “{said.get('model_type', 'unknown')}”, not a "
            "pretrained 3D encoder. Give the folder of a model that med2e3 train insight made."
        )
    try:
        model, found = InsightModel.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"The pretrained encoder in {folder} cannot be read: {cause_of(error)}. Copy its files "
            "again."
        ) from error
    if found["missing_keys"] or found["unexpected_keys"] or found["mismatched_keys"]:
        raise CheckpointError(
            f"The weights in {folder} are not those of its {CONFIG_FILE}. Copy both again."
        )
    return model  # type: ignore[no-any-return]


def pretrained_vision3d(folder: Path) -> Vision3DModel:
    """The 3D ViT of a pretrained model; raises `CheckpointError` where its encoder is another."""
    model = open_insight(folder)
    if not isinstance(model.encoder, ViT3DEncoder):
        raise CheckpointError(
            f"The encoder in {folder} is of kind “{model.config.encoder}”; Med-2E3 takes “vit3d”. "
            "Pretrain one of that kind."
        )
    return model.encoder.vision3d


def put_vision3d(vision: Vision3DModel, model: Any) -> None:
    """Gives a Med-2E3 the weights of a 3D ViT; its own final norm stays out where it has none.

    Raises `CheckpointError` where its 3D encoder has other sizes, or there is none.
    """
    own = getattr(model, "vision3d", None)
    if own is None:
        raise CheckpointError(
            "The model has no 3D encoder to put a pretrained one into. Name encoders with “3d”."
        )
    wanted = {name: tuple(value.shape) for name, value in own.state_dict().items()}
    state = {
        n: v for n, v in vision.state_dict().items() if n in wanted or not n.startswith("norm.")
    }
    given = {name: tuple(value.shape) for name, value in state.items()}
    if differs := sorted(n for n in {*wanted, *given} if wanted.get(n) != given.get(n)):
        name = differs[0]
        raise CheckpointError(
            f"The pretrained 3D encoder does not fit: {name} is {given.get(name, 'absent')} there "
            f"and {wanted.get(name, 'absent')} in the model. Give it the same sizes."
        )
    own.load_state_dict(state)
