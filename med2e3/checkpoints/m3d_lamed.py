"""The published M3D-LaMed folders, with Phi-3 or Llama-2 as language model.

Layout and keys are as published (M3D, 63e7200). The published config lacks the sizes of the vision
tower and the mask head; they are read off the tensors. Knows nothing of devices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from med2e3.checkpoints.checkpoint import Checkpoint, Layout, renamed
from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.m3d_vit import native_vit_key, vit_config
from med2e3.checkpoints.names import find_release
from med2e3.checkpoints.native import NativeKind, native_layout
from med2e3.checkpoints.reading import Weights, read_json, read_weights, weight_files
from med2e3.checkpoints.release_config import known_settings
from med2e3.errors import CheckpointError
from med2e3.model.config import TEXT_CONFIGS
from med2e3.model.inert import check_inert, open_tokenizer
from med2e3.model.m3d_lamed import M3DLaMedForConditionalGeneration
from med2e3.model.m3d_lamed_config import LAMED_CHOICES, M3DLaMedConfig, SegVolConfig
from med2e3.model.m3d_lamed_processor import (
    BOX_END,
    BOX_START,
    IMAGE_PATCH,
    SEGMENT,
    M3DLaMedProcessor,
)  # fmt: skip
from med2e3.model.segvol import UNUSED_KEYS

#: The published `model_type` → the language model inside, and the release whose licence applies.
FORMS: dict[str, tuple[str, str]] = {
    "lamed_phi3": ("phi3", "m3d-lamed-phi3"),
    "lamed_llama": ("llama", "m3d-lamed-llama2"),
}

#: Published prefix → ours. "" marks what the model holds but never uses.
PREFIXES: tuple[tuple[str, str], ...] = (
    ("model.vision_tower.vision_tower.", "vision3d."),
    ("model.mm_projector.", "connector3d."),
    ("model.seg_projector.", "seg_projector."),
    *((f"model.seg_module.{unused}", "") for unused in UNUSED_KEYS),
    ("model.seg_module.", "segvol."),
    ("", "language_model."),
)

#: What a published config must say; the code that was published with it knows nothing else.
REQUIRED: dict[str, Any] = {
    "vision_tower": "vit3d",
    "vision_select_layer": -1,
    "vision_select_feature": "patch",
}


#: Rows of a published training sample (512), and the tokens that the published benchmark lets an
#: answer have (256): what is longer the model never learnt.
CONTEXT_LENGTH = 512 + 256


def native_key(key: str) -> str:
    """Our name of a published weight; "" for a weight that the model never uses."""
    for theirs, ours in PREFIXES:
        if key.startswith(theirs):
            rest = key.removeprefix(theirs)
            if ours == "vision3d.":
                rest = native_vit_key(rest)
            if rest.startswith("image_encoder."):
                rest = f"image_encoder.{native_vit_key(rest.removeprefix('image_encoder.'))}"
            return ours and ours + rest
    raise AssertionError("the last prefix is empty")


def fits(folder: Path) -> bool:
    """Whether the config of a folder is that of a published M3D-LaMed."""
    path = folder / "config.json"
    return path.is_file() and read_json(path).get("model_type") in FORMS


def read(folder: Path, _: Hub) -> Checkpoint:
    """Read weights under our names, config and processor."""
    check_inert(folder, config_is_data=True)
    path = folder / "config.json"
    settings = read_json(path)
    _check_choices(settings, path)
    weights = renamed(read_weights(folder), native_key, folder, "M3D-LaMed")
    tokenizer = _tokenizer(folder, settings)
    config = _config(settings, weights, tokenizer, path)
    return Checkpoint(
        kind="m3d-lamed",
        folder=folder,
        model_class=M3DLaMedForConditionalGeneration,
        config=config,
        processor=M3DLaMedProcessor.for_model(config, tokenizer),
        weights=weights,
        files=weight_files(folder),
        licence=find_release(FORMS[settings["model_type"]][1]).licence,
    )


def _check_choices(settings: dict[str, Any], path: Path) -> None:
    """Raise `CheckpointError` for a setting that the published code does not know."""
    for name, expected in REQUIRED.items():
        if settings.get(name, expected) != expected:
            raise CheckpointError(
                f"{path} says {name} = {settings[name]!r}; published models have {expected!r}, "
                "and only that can be loaded."
            )
    choices = {
        "mm_projector_type": LAMED_CHOICES["projector"],
        "proj_layer_type": LAMED_CHOICES["projector_layer"],
        "proj_pooling_type": LAMED_CHOICES["pooling"],
        "segmentation_module": (*LAMED_CHOICES["segmentation"], None),
    }
    for name, allowed in choices.items():
        if name in settings and settings[name] not in allowed:
            raise CheckpointError(
                f"{path} says {name} = {settings[name]!r}; known are "
                f"{', '.join(repr(choice) for choice in allowed if choice)}."
            )


def _config(
    settings: dict[str, Any], weights: Weights, tokenizer: Any, path: Path
) -> M3DLaMedConfig:
    """Translate the config; raises `CheckpointError` when a setting, token or tensor is missing."""
    model_type = FORMS[settings["model_type"]][0]
    try:
        sizes = (settings["image_size"], settings["patch_size"])
        heads = int(settings.get("vision_num_heads", 0))
        segvol = None
        if settings.get("segmentation_module"):
            segvol = _segvol_config(weights, sizes, heads)
        return M3DLaMedConfig(
            vision_config=vit_config(weights, "vision3d.", *sizes, heads),
            segvol_config=segvol,
            segmentation="segvol" if segvol else "",
            text_config={
                "model_type": model_type,
                **known_settings(TEXT_CONFIGS[model_type], settings),
            },
            projector=settings["mm_projector_type"],
            projector_layer=settings.get("proj_layer_type", "mlp"),
            projector_layers=int(settings.get("proj_layer_num", 2)),
            pooling=settings.get("proj_pooling_type", "spatial"),
            pool=int(settings.get("proj_pooling_size", 2)),
            context_length=CONTEXT_LENGTH,
            image_token_id=_token_id(tokenizer, IMAGE_PATCH, path.parent),
            box_start_id=_token_id(tokenizer, BOX_START, path.parent),
            box_end_id=_token_id(tokenizer, BOX_END, path.parent),
            seg_token_id=_token_id(tokenizer, SEGMENT, path.parent),
        )
    except KeyError as error:
        raise CheckpointError(
            f"{path.parent} lacks {error} in its config or its weights; it is incomplete, or not "
            "M3D-LaMed. Copy it again."
        ) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} describes no model that can be built: {error}. Copy it again from its source."
        ) from error


def _segvol_config(
    weights: Weights, sizes: tuple[list[int], list[int]], heads: int
) -> SegVolConfig:
    decoder = "segvol.mask_decoder."
    layers = {
        key.removeprefix(f"{decoder}transformer.layers.").split(".")[0]
        for key in weights
        if key.startswith(f"{decoder}transformer.layers.")
    }
    return SegVolConfig(
        vision_config=vit_config(weights, "segvol.image_encoder.", *sizes, heads),
        decoder_layers=len(layers),
        decoder_mlp_size=int(weights[f"{decoder}transformer.layers.0.mlp.lin1.weight"].shape[0]),
        mask_tokens=int(weights[f"{decoder}mask_tokens.weight"].shape[0]),
    )


def _token_id(tokenizer: Any, token: str, folder: Path) -> int:
    """The id of a special token; raises `CheckpointError` when the tokenizer splits it."""
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise CheckpointError(
            f"The tokenizer in {folder} has no token {token}, so it is not M3D-LaMed's. Copy "
            "added_tokens.json and the other tokenizer files from the model's folder."
        )
    return int(found)


def _tokenizer(folder: Path, settings: dict[str, Any]) -> Any:
    """Read the tokenizer of the language model.

    The config is passed because that of the folder names code (`auto_map`), which must not run.
    """
    return open_tokenizer(folder, TEXT_CONFIGS[FORMS[settings["model_type"]][0]]())


M3D_LAMED_RELEASE = Layout("m3d-lamed-release", "a published M3D-LaMed folder", fits, read)
M3D_LAMED_NATIVE = native_layout(
    M3DLaMedConfig.model_type,
    "M3D-LaMed in our own format",
    NativeKind("m3d-lamed", M3DLaMedConfig, M3DLaMedForConditionalGeneration, M3DLaMedProcessor),
)
