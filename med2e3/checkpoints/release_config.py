"""The published Med-2E3 config, translated into ours. Knows nothing of weights.

Only the choices of the release are known (experiment 4, connector "score15"). The published code
has others, but no weights were published for them; they are refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import BertConfig, SiglipVisionConfig

from med2e3.errors import CheckpointError
from med2e3.model.config import TEXT_CONFIGS, Med2E3Config

#: What a config must say, and where in it; anything else is another architecture.
REQUIRED: dict[str, Any] = {
    "exp_id": 4,
    "vision3d_connector_type": "spatial_pooling_score15_mlp2x_gelu",
    "vision2d_connector_type": "mlp2x_gelu",
    "vision3d_model_type": "m3d",
    "vision2d_model_type": "siglip",
    "vision3d_model_select_layer": -1,
    "vision2d_model_select_layer": -1,
    "vision3d_model_select_feature": "patch",
    "vision2d_model_select_feature": "cls_patch",
}

#: Written into the published code (Med-2E3, 0b4c6c4): edge of the pooling cube, divisor of the
#: scores' logits, and dropout on the scores.
POOL, TEMPERATURE, SCORE_DROPOUT = 2, 5.0, 0.1

#: The published volumes were windowed 8-bit exports; raw HU need a window that shows soft tissue.
DEFAULT_WINDOW = (40.0, 400.0)

#: What old dumps call the position encoding's settings, besides the fields of today's classes.
_LEGACY = ("rope_theta", "rope_scaling", "partial_rotary_factor")


def check_choices(settings: dict[str, Any], path: Path) -> None:
    """Raise `CheckpointError` that names the first choice for which no weights were published."""
    for name, expected in REQUIRED.items():
        found = settings.get(name)
        if found != expected:
            raise CheckpointError(
                f"{path} says {name} = {found!r}; only {expected!r}, the released architecture, "
                "can be loaded. It is a checkpoint of another experiment."
            )
    if settings.get("llm_type") not in TEXT_CONFIGS:
        raise CheckpointError(
            f"{path} says llm_type = {settings.get('llm_type')!r}; known are "
            f"{', '.join(TEXT_CONFIGS)}."
        )


def translate(settings: dict[str, Any], bert: BertConfig, path: Path) -> Med2E3Config:
    """Translate a published config into ours; `bert` has the sizes of the text encoder.

    Raises `CheckpointError` when a part is missing or the parts do not fit together.
    """
    check_choices(settings, path)
    try:
        vit = settings["vision3d_model_config"]
        language = dict(known_settings(TEXT_CONFIGS[settings["llm_type"]], settings["llm_config"]))
        return Med2E3Config(
            vision3d_config={
                "image_size": vit["img_size"],
                "patch_size": vit["patch_size"],
                "num_channels": vit["in_channels"],
                "hidden_size": vit["hidden_size"],
                "intermediate_size": vit["mlp_dim"],
                "num_hidden_layers": vit["num_layers"],
                "num_attention_heads": vit["num_heads"],
            },
            vision2d_config=known_settings(SiglipVisionConfig, settings["vision2d_model_config"]),
            text_encoder_config=bert.to_dict(),
            text_config={"model_type": settings["llm_type"], **language},
            text_source="text_encoder",
            text_projection="linear",
            score_temperature=TEMPERATURE,
            score_dropout=SCORE_DROPOUT,
            pool3d=POOL,
            context_length=int(settings["llm_max_length"]),
            default_window=DEFAULT_WINDOW,
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}; it is incomplete. Copy it again.") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} describes no model that can be built: {error}. Copy it again from its source."
        ) from error


def known_settings(config_class: type, dump: dict[str, Any]) -> dict[str, Any]:
    """Drop the settings of a dumped config that today's class no longer has."""
    fields = set(config_class().to_dict()) | set(_LEGACY)
    dead = {"transformers_version", "architectures", "model_type", "torch_dtype", "dtype"}
    return {k: v for k, v in dump.items() if k in fields - dead and v is not None}
