"""The keys of the 3D ViT in published checkpoints, and its sizes by the shapes of its tensors.

Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from med2e3.model.config import Vision3DConfig

#: Published part of a key → ours; each key holds at most one of them (M3D, 63e7200).
_PARTS = (
    ("cls_token", "class_token"),
    ("patch_embedding.position_embeddings", "positions"),
    ("patch_embedding.patch_embeddings.1.", "patch_embedding.projection."),
    (".mlp.linear", ".linear"),
)

#: Width of an attention head in the released encoders (768 / 12), which no tensor shows, and the
#: number of heads of encoders too narrow for even one such head.
HEAD_WIDTH, FEWEST_HEADS = 64, 4


def native_vit_key(key: str) -> str:
    """The key in `Vision3DModel` of a published key; both lack the prefix of the encoder."""
    for theirs, ours in _PARTS:
        if theirs in key:
            return key.replace(theirs, ours)
    return key


def guessed_heads(width: int) -> int:
    """The number of attention heads of an encoder whose config does not state it."""
    return width // HEAD_WIDTH or FEWEST_HEADS


def vit_config(
    weights: Mapping[str, Tensor], prefix: str, image_size: Sequence[int],
    patch_size: Sequence[int], heads: int = 0,
) -> Vision3DConfig:  # fmt: skip
    """Read the sizes of an encoder off its tensors, which have our names below `prefix`.

    Raises KeyError when a tensor that shows a size is missing.
    """
    width = int(weights[f"{prefix}norm.weight"].shape[0])
    layers = {key.removeprefix(prefix).split(".")[1] for key in _blocks(weights, prefix)}
    return Vision3DConfig(
        image_size=list(image_size),
        patch_size=list(patch_size),
        hidden_size=width,
        intermediate_size=int(weights[f"{prefix}blocks.0.linear1.weight"].shape[0]),
        num_hidden_layers=len(layers),
        num_attention_heads=heads or guessed_heads(width),
        class_token=f"{prefix}class_token" in weights,
    )


def _blocks(weights: Mapping[str, Any], prefix: str) -> list[str]:
    return [key for key in weights if key.startswith(f"{prefix}blocks.")]
