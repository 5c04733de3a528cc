"""The SegVol head: one prompt vector and a volume in, one mask out.

Source: SegVol, arXiv 2311.13385, and the published M3D code (63e7200).
A second 3D ViT encodes the volume, a two-way transformer lets the prompt look at it, and a small
network made from the prompt reads each voxel. Module names follow the published checkpoints. What
they carry for points, boxes, several masks and quality scores is not built: no published caller
uses it. Knows nothing of words or patients.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from med2e3.model.placing import device_of
from med2e3.model.two_way import TwoWayTransformer

#: Keys of published checkpoints, below `seg_module.`, that belong to the parts that are not built.
UNUSED_KEYS = (
    "prompt_encoder.point_embeddings.",
    "prompt_encoder.not_a_point_embed.",
    "prompt_encoder.mask_downscaling.",
    "mask_decoder.iou_prediction_head.",
    "mask_decoder.output_hypernetworks_mlps.1.",
    "mask_decoder.output_hypernetworks_mlps.2.",
    "mask_decoder.output_hypernetworks_mlps.3.",
)

#: The upscaling halves the stride twice, and narrows the width by these factors.
UPSCALED_WIDTHS = (4, 8)


class FourierPositions(nn.Module):
    """Random Fourier features of the cell centres of a grid; the matrix is part of the weights."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, width // 2))

    def forward(self, grid: tuple[int, int, int]) -> Tensor:
        """The positions (C, D, H, W) of a grid of that shape."""
        matrix = self.positional_encoding_gaussian_matrix.float()  # half precision blurs angles
        centres = [
            (torch.arange(n, device=matrix.device, dtype=torch.float32) + 0.5) / n for n in grid
        ]
        depth, row, column = torch.meshgrid(*centres, indexing="ij")
        # The 2D original has (x, y); carried to 3D, the first two axes stayed swapped.
        points = torch.stack((row, depth, column), dim=-1) * 2 - 1  # (D, H, W, 3)
        angles = 2 * math.pi * (points @ matrix)
        return torch.cat((angles.sin(), angles.cos()), dim=-1).permute(3, 0, 1, 2)


class PromptEncoder(nn.Module):
    """Positions of the image's cells, and the vector that says "no mask was drawn"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pe_layer = FourierPositions(width)
        self.no_mask_embed = nn.Embedding(1, width)


class HyperMLP(nn.Module):
    """Linear layers with ReLU between them: a mask token → the weights that read a voxel."""

    def __init__(self, width: int, out: int, depth: int = 3) -> None:
        super().__init__()
        widths = [width] * depth + [out]
        self.layers = nn.ModuleList(nn.Linear(widths[k], widths[k + 1]) for k in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) → (B, out)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class MaskDecoder(nn.Module):
    """Image features and a prompt → mask logits at four times the grid of the features."""

    def __init__(
        self, width: int, grid: tuple[int, int, int], heads: int, mlp_size: int, depth: int,
        mask_tokens: int,
    ) -> None:  # fmt: skip
        super().__init__()
        middle, narrow = (width // factor for factor in UPSCALED_WIDTHS)
        self.transformer = TwoWayTransformer(width, heads, mlp_size, depth)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(mask_tokens, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose3d(width, middle, kernel_size=2, stride=2),
            nn.LayerNorm((middle, *(2 * n for n in grid))),  # over the channels and the whole grid
            nn.GELU(),
            nn.ConvTranspose3d(middle, narrow, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList([HyperMLP(width, narrow)])
        self.txt_align_upscaled_embedding = nn.Linear(width, narrow)

    def forward(self, image: Tensor, image_pe: Tensor, prompt: Tensor) -> Tensor:
        """Image (B, C, D, H, W), its positions (C, D, H, W), prompt (B, C) → (B, 1, 4D, 4H, 4W)."""
        own = torch.cat((_rows(self.iou_token), _rows(self.mask_tokens)))
        tokens = torch.cat((own.expand(len(prompt), -1, -1), prompt[:, None]), dim=1)
        flat_pe = image_pe.flatten(1).T.expand(len(image), -1, -1)  # (B, DHW, C)
        tokens, cells = self.transformer(tokens, image.flatten(2).transpose(1, 2), flat_pe)
        features = self.output_upscaling(cells.transpose(1, 2).reshape(image.shape))
        reader = self.output_hypernetworks_mlps[0](tokens[:, 1])  # the first mask token
        reader = reader + self.txt_align_upscaled_embedding(prompt)
        return torch.einsum("bc,bcdhw->bdhw", reader, features)[:, None]


class SegVolHead(nn.Module):
    """Volume and prompt vector → mask logits on the volume's grid.

    `image_encoder` is a `Vision3DModel` without class token whose patches form `grid`.
    """

    def __init__(
        self, image_encoder: nn.Module, width: int, grid: tuple[int, int, int], *,
        heads: int = 8, mlp_size: int = 2048, depth: int = 2, mask_tokens: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        self.grid = grid
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(width)
        self.mask_decoder = MaskDecoder(width, grid, heads, mlp_size, depth, mask_tokens)

    def encode(self, volumes: Tensor) -> Tensor:
        """Volumes (B, 1, D, H, W) → features (B, C, *grid); they do not depend on the prompt."""
        tokens: Tensor = self.image_encoder(volumes).normed
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)

    def decode(self, features: Tensor, prompt: Tensor, size: tuple[int, int, int]) -> Tensor:
        """Features (B, C, *grid) and prompts (B, C) → logits (B, 1, *size), float32."""
        dense = _rows(self.prompt_encoder.no_mask_embed)[0, :, None, None, None]
        positions = self.prompt_encoder.pe_layer(self.grid).to(features.dtype)
        logits = self.mask_decoder(features + dense, positions, prompt).float()
        return F.interpolate(logits, size=size, mode="trilinear", align_corners=False)

    def forward(self, volumes: Tensor, prompt: Tensor) -> Tensor:
        """Volumes (B, 1, D, H, W) and prompts (B, C) → logits (B, 1, D, H, W)."""
        depth, height, width = volumes.shape[2:]
        return self.decode(self.encode(volumes), prompt, (depth, height, width))


def _rows(table: nn.Embedding) -> Tensor:
    """All rows, by a forward pass: streamed weights are there during one only."""
    numbers = torch.arange(table.num_embeddings, device=device_of(table))
    return table(numbers)  # type: ignore[no-any-return]


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice plus binary cross-entropy, as M3D-LaMed's masks were trained (published M3D code).

    Logits and target (B, 1, D, H, W). Dice is 2Σpt / (Σp + Σt + 1) a sample.
    """
    target = target.to(logits.dtype)
    p = logits.sigmoid().flatten(1)
    t = target.flatten(1)
    dice = 2 * (p * t).sum(1) / (p.sum(1) + t.sum(1) + 1)
    return (1 - dice).mean() + F.binary_cross_entropy_with_logits(logits, target)
