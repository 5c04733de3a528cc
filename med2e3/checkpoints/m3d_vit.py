"""Names of the 3D ViT's weights in published checkpoints, and ours. Knows nothing of files."""

from __future__ import annotations

#: Published part of a key → ours; each key holds at most one of them (FACTS §A1).
_PARTS = (
    ("cls_token", "class_token"),
    ("patch_embedding.position_embeddings", "positions"),
    ("patch_embedding.patch_embeddings.1.", "patch_embedding.projection."),
    (".mlp.linear", ".linear"),
)


def native_vit_key(key: str) -> str:
    """The name in `Vision3DModel` of a published key, both without the encoder's prefix."""
    for theirs, ours in _PARTS:
        if theirs in key:
            return key.replace(theirs, ours)
    return key
