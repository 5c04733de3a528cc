"""3D encoders that Med3DInsight can pretrain, by name: the 3D ViT, a windowed one, SwinUNETR.

A new one is a class with the methods of `Encoder3D` and a row in `ENCODERS`. Knows nothing of what
is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from med2e3.errors import ResourceError
from med2e3.model.config import Vision3DConfig
from med2e3.model.encoder3d import Encoded, Shape
from med2e3.model.insight_config import InsightConfig
from med2e3.model.vision3d import Vision3DModel
from med2e3.model.windowed3d import WindowedEncoder, WindowedSizes


class ViT3DEncoder(nn.Module):
    """The 3D ViT of Med-2E3 and M3D-CLIP, and a small decoder that only pretraining needs.

    The decoder unfolds tokens to the finer grid by a transposed convolution and adds a strided
    convolution of the image, as a skip connection. `vision3d` alone is Med-2E3's encoder.
    """

    def __init__(self, vision: Vision3DConfig, decoded_width: int, stride: Shape) -> None:
        super().__init__()
        patch = tuple(vision.patch_size)
        if any(n % p for n, p in zip(vision.image_size, patch, strict=True)):
            raise ValueError(
                f"the grid {tuple(vision.image_size)} is no multiple of the patch {patch}"
            )
        if any(p % s for p, s in zip(patch, stride, strict=True)):
            raise ValueError(f"decoder strides {stride} do not divide the patch {patch}")
        self.width, self.decoded_width, self.stride = vision.hidden_size, decoded_width, stride
        self.cells = vision.patch_grid
        self.vision3d = Vision3DModel(vision)
        a, b, c = (p // s for p, s in zip(patch, stride, strict=True))
        self.unfold = nn.ConvTranspose3d(self.width, decoded_width, (a, b, c), (a, b, c))
        self.skip = nn.Conv3d(1, decoded_width, stride, stride)
        self.mix = nn.Conv3d(decoded_width, decoded_width, 3, padding=1)

    def encode(self, volumes: Tensor) -> Encoded:
        """As `Encoder3D.encode`."""
        output = self.vision3d(volumes)
        tokens = output.tokens if output.normed is None else output.normed
        grid = tokens.transpose(1, 2).unflatten(2, self.cells)
        return Encoded(grid, (self.skip(volumes),))

    def decode(self, encoded: Encoded) -> Tensor:
        """As `Encoder3D.decode`."""
        x = F.gelu(self.unfold(encoded.grid) + encoded.skips[0])
        return x + F.gelu(self.mix(x))


class SwinUnetrEncoder(nn.Module):
    """MONAI's SwinUNETR without its output layer; `decode` keeps the volume's own grid."""

    def __init__(self, sizes: dict[str, Any]) -> None:
        super().__init__()
        try:
            import einops  # noqa: F401 - MONAI's transformer cannot compute without it
            from monai.networks.nets import SwinUNETR
        except ImportError as error:
            raise ResourceError(
                "The encoder “swin_unetr” needs MONAI and einops, which are not installed. Install "
                "them (pip install 'med2e3[insight]'), or choose “vit3d” or “windowed”."
            ) from error
        self.net = SwinUNETR(in_channels=1, out_channels=1, **sizes)
        self.net.out = nn.Identity()
        feature = int(sizes.get("feature_size", 24))
        self.width, self.decoded_width, self.stride = 16 * feature, feature, (1, 1, 1)

    def encode(self, volumes: Tensor) -> Encoded:
        """As `Encoder3D.encode`; sizes of a volume must be multiples of 32."""
        net = self.net
        hidden = net.swinViT(volumes, net.normalize)
        skips = (
            net.encoder1(volumes), net.encoder2(hidden[0]), net.encoder3(hidden[1]),
            net.encoder4(hidden[2]), hidden[3],
        )  # fmt: skip
        return Encoded(net.encoder10(hidden[4]), skips)

    def decode(self, encoded: Encoded) -> Tensor:
        """As `Encoder3D.decode`."""
        net, skips = self.net, encoded.skips
        x = net.decoder5(encoded.grid, skips[4])
        for decoder, skip in zip(
            (net.decoder4, net.decoder3, net.decoder2, net.decoder1), skips[3::-1], strict=True
        ):
            x = decoder(x, skip)
        return torch.as_tensor(x)


def _vit3d(config: InsightConfig) -> nn.Module:
    sizes = dict(config.encoder_config or {})
    width = int(sizes.pop("decoded_width", 96))
    a, b, c = sizes.pop("decoded_stride", (4, 4, 4))
    if unknown := sorted(set(sizes) - {f.name for f in fields(Vision3DConfig)}):
        raise ValueError(f"encoder_config of “vit3d” has no {', '.join(unknown)}")
    vision = Vision3DConfig(**{"image_size": list(config.image_size), **sizes})
    if tuple(vision.image_size) != tuple(config.image_size):
        raise ValueError(
            f"the ViT reads {tuple(vision.image_size)}, the config {tuple(config.image_size)}"
        )
    return ViT3DEncoder(vision, width, (int(a), int(b), int(c)))


def _windowed(config: InsightConfig) -> nn.Module:
    return WindowedEncoder(WindowedSizes(**(config.encoder_config or {})), config.grid_shape)


def _swin_unetr(config: InsightConfig) -> nn.Module:
    if any(n % 32 for n in config.grid_shape):
        raise ValueError(f"SwinUNETR takes multiples of 32, not a grid of {config.grid_shape}")
    return SwinUnetrEncoder(dict(config.encoder_config or {}))


#: Name in a config → who makes it.
ENCODERS: dict[str, Callable[[InsightConfig], nn.Module]] = {
    "vit3d": _vit3d,
    "windowed": _windowed,
    "swin_unetr": _swin_unetr,
}


def make_encoder(config: InsightConfig) -> Any:
    """The encoder that a config names; raises ValueError where its sizes do not fit together."""
    try:
        return ENCODERS[config.encoder](config)
    except TypeError as error:
        raise ValueError(f"encoder_config of “{config.encoder}”: {error}") from error
