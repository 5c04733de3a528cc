"""The published M3D-CLIP: its own folder, or `pretrained_ViT.bin`, its vision encoder alone.

Layout and keys are as published (M3D, 63e7200). The folder lacks the sizes of BERT; they are read
from BERT's own folder among the hub files on this computer. Knows nothing of devices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import BertConfig, BertTokenizer

from med2e3.checkpoints.checkpoint import Checkpoint, Layout, renamed
from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.m3d_vit import guessed_heads, native_vit_key, vit_config
from med2e3.checkpoints.names import find_release
from med2e3.checkpoints.native import NativeKind, native_layout
from med2e3.checkpoints.reading import (
    Weights,
    read_json,
    read_pickle,
    read_safetensors,
    read_weights,
    weight_files,
)  # fmt: skip
from med2e3.checkpoints.release_config import known_settings
from med2e3.errors import CheckpointError
from med2e3.model.config import Vision3DConfig
from med2e3.model.inert import check_inert
from med2e3.model.m3d_clip import M3DClipConfig, M3DClipModel, M3DClipVisionModel

#: The `model_type` of the published config.
PUBLISHED_TYPE = "m3d_clip"

#: Published prefix → ours.
PREFIXES: tuple[tuple[str, str], ...] = (
    ("vision_encoder.", "vision3d."),
    ("language_encoder.", "text_encoder."),
    ("mm_vision_proj.", "vision_projection."),
    ("mm_language_proj.", "text_projection."),
    ("logit_scale", "logit_scale"),
)

#: The vision encoder's own file, beside or instead of the folder's weights.
VIT_FILE = "pretrained_ViT.bin"

#: Grid and patch of the released encoder; the file holds tensors only, and these follow from it
#: where their numbers agree.
VIT_IMAGE_SIZE, VIT_PATCH_SIZE = (32, 256, 256), (4, 16, 16)


def native_key(key: str) -> str | None:
    """Our name of a published weight; None for a name that no published weight has."""
    for theirs, ours in PREFIXES:
        if key.startswith(theirs):
            rest = key.removeprefix(theirs)
            return ours + (native_vit_key(rest) if ours == "vision3d." else rest)
    return None


def fits(folder: Path) -> bool:
    """Whether the config of a folder is that of the published M3D-CLIP."""
    path = folder / "config.json"
    return path.is_file() and read_json(path).get("model_type") == PUBLISHED_TYPE


def read(folder: Path, hub: Hub) -> Checkpoint:
    """Read weights under our names, config and tokenizer."""
    check_inert(folder, config_is_data=True)
    path = folder / "config.json"
    settings = read_json(path)
    weights = renamed(read_weights(folder), native_key, folder, "M3D-CLIP")
    notes: list[str] = []
    try:
        config = _config(settings, weights, _bert_config(settings, weights, hub, notes))
    except KeyError as error:
        raise CheckpointError(
            f"{folder} lacks {error} in its config or its weights; it is incomplete. Copy it again."
        ) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} describes no model that can be built: {error}. Copy it again from its source."
        ) from error
    return Checkpoint(
        kind="m3d-clip",
        folder=folder,
        model_class=M3DClipModel,
        config=config,
        processor=_tokenizer(folder, settings, hub),
        weights=weights,
        files=weight_files(folder),
        licence=find_release("m3d-clip").licence,
        notes=tuple(notes),
    )


def _config(settings: dict[str, Any], weights: Weights, bert: BertConfig) -> M3DClipConfig:
    vision = Vision3DConfig(
        image_size=settings["img_size"],
        patch_size=settings["patch_size"],
        num_channels=settings["in_channels"],
        hidden_size=settings["hidden_size"],
        intermediate_size=settings["mlp_dim"],
        num_hidden_layers=settings["num_layers"],
        num_attention_heads=settings["num_heads"],
    )
    if weights["logit_scale"].ndim:
        raise ValueError(f"logit_scale has shape {tuple(weights['logit_scale'].shape)}, not ()")
    return M3DClipConfig(vision_config=vision, text_config=bert)


def _bert_config(
    settings: dict[str, Any], weights: Weights, hub: Hub, notes: list[str]
) -> BertConfig:
    """The sizes of BERT, from its config among the hub files, else from its tensors."""
    repos = _bert_repos(settings)
    path = hub.find(repos, "config.json")
    if path is not None:
        return BertConfig(**known_settings(BertConfig, read_json(path)))
    words = weights["text_encoder.embeddings.word_embeddings.weight"]
    layer = "text_encoder.encoder.layer."
    layers = {key.removeprefix(layer).split(".")[0] for key in weights if key.startswith(layer)}
    notes.append(
        f"The config of {repos[-1]} was not found; the text encoder's sizes were read off its "
        "tensors, and the number of its attention heads is a guess from its width."
    )
    return BertConfig(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        num_hidden_layers=len(layers),
        num_attention_heads=guessed_heads(words.shape[1]),
        intermediate_size=weights[f"{layer}0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=weights["text_encoder.embeddings.position_embeddings.weight"].shape[
            0
        ],
    )


def _bert_repos(settings: dict[str, Any]) -> list[str]:
    bert = str(settings.get("language_model_name_or_path") or "bert-base-uncased")
    return [bert] if "/" in bert else [f"google-bert/{bert}", bert]


def _tokenizer(folder: Path, settings: dict[str, Any], hub: Hub) -> Any:
    """The uncased WordPiece tokenizer of the folder, else that of BERT among the hub files."""
    path = folder / "vocab.txt"
    if not path.is_file():
        path = hub.need(_bert_repos(settings), "vocab.txt", "the text encoder's vocabulary")
    return BertTokenizer(str(path), do_lower_case=True, model_max_length=512)


def vit_fits(path: Path) -> bool:
    """Whether a path is the vision encoder's file, or a folder that holds no other weights."""
    return _vit_file(path) is not None


def _vit_file(path: Path) -> Path | None:
    if path.is_file() and path.suffix in (".bin", ".pt", ".pth", ".safetensors"):
        return path
    file = path / VIT_FILE
    return file if file.is_file() and not (path / "config.json").is_file() else None


def read_vit(path: Path, _: Hub) -> Checkpoint:
    """Read the vision encoder alone, whose features cannot be compared with those of texts."""
    file = _vit_file(path)
    if file is None:
        raise CheckpointError(f"{path} is no file with a vision encoder's weights.")
    read_one = read_safetensors if file.suffix == ".safetensors" else read_pickle
    tensors = {f"vision3d.{native_vit_key(k)}": tensor for k, tensor in read_one(file).items()}
    try:
        config = _vit_config(tensors)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{file} does not hold M3D-CLIP's vision encoder ({error}). Point to the folder of the "
            f"model, or to its {VIT_FILE}."
        ) from error
    return Checkpoint(
        kind="m3d-clip-vision",
        folder=file.parent,
        model_class=M3DClipVisionModel,
        config=config,
        processor=None,
        weights=tensors,
        files=(file,),
        licence=find_release("m3d-clip").licence,
    )


def _vit_config(weights: Weights) -> Vision3DConfig:
    """The sizes of the encoder; raises ValueError when the tensors are of another grid."""
    patches = weights["vision3d.positions"].shape[1]
    voxels = weights["vision3d.patch_embedding.projection.weight"].shape[1]
    slices, rows, columns = VIT_PATCH_SIZE
    if voxels != slices * rows * columns:
        raise ValueError(f"a patch has {voxels} voxels, not {slices} × {rows} × {columns}")
    depth = VIT_IMAGE_SIZE[0] // slices
    side = round((patches / depth) ** 0.5)
    if depth * side * side != patches:
        raise ValueError(f"{patches} patches do not make {depth} layers of a square")
    image = (VIT_IMAGE_SIZE[0], side * rows, side * columns)
    return vit_config(weights, "vision3d.", image, VIT_PATCH_SIZE)


M3D_CLIP_RELEASE = Layout("m3d-clip-release", "the published M3D-CLIP folder", fits, read)
M3D_CLIP_VIT = Layout("m3d-vit", f"M3D-CLIP's vision encoder ({VIT_FILE})", vit_fits, read_vit)
M3D_VIT_NATIVE = native_layout(
    Vision3DConfig.model_type,
    "M3D-CLIP's vision encoder in our own format",
    NativeKind("m3d-clip-vision", Vision3DConfig, M3DClipVisionModel, None),
)
M3D_CLIP_NATIVE = native_layout(
    M3DClipConfig.model_type,
    "M3D-CLIP in our own format",
    NativeKind("m3d-clip", M3DClipConfig, M3DClipModel, BertTokenizer),
)
