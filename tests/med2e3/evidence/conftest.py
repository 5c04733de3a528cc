"""The demo model and one phantom with its answers; and a tiny random model that reads a block."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.geometry import Geometry, Plane
from med2e3.phantoms import Phantom, Wish, make_phantom
from med2e3.volume import SeriesInfo, Volume


@pytest.fixture(scope="session")
def demo() -> med2e3.Model:
    """The model that ships."""
    return med2e3.load("demo", device="cpu")


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """An abdomen with a cyst in the right kidney."""
    wish = Wish(plane=Plane.AXIAL, findings=[("kidney cyst", "right kidney")])
    return make_phantom(20_000_001, wish)


@pytest.fixture(scope="session")
def seen(demo: med2e3.Model, phantom: Phantom) -> med2e3.Session:
    """The phantom, read by the demo model."""
    return demo.read(phantom.volume, plane=phantom.plane)


@pytest.fixture(scope="session")
def tiny(tiny_folder: Callable[..., Path]) -> med2e3.Model:
    """A random model whose answers change easily: learned positions tell its slices far apart."""
    choices = {"score_norm": "layer_norm", "position_embeddings": "tokens+slices"}
    model = med2e3.load(tiny_folder(**choices), device="cpu")
    network = model.backend.network
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        network.positions.slices.copy_(torch.randn(8, 32, generator=draws))
        for name, parameter in network.language_model.named_parameters():
            if parameter.ndim == 2 and "embed" not in name:
                fan = parameter.shape[1] ** -0.5
                parameter.copy_(2 * fan * torch.randn(parameter.shape, generator=draws))
    return model


@pytest.fixture(scope="session")
def block() -> Volume:
    """CT of 20 slices of 5 mm, each brighter than the one before."""
    voxels = np.full((20, 40, 40), -1000, dtype=np.int16)
    voxels[2:18, 5:35, 5:35] = 40 + 15 * np.arange(16, dtype=np.int16)[:, None, None]
    voxels[9:11, 12:20, 12:20] = 300
    uids = tuple(f"1.2.826.3.{k}" for k in range(20))
    info = SeriesInfo(modality="CT", series_uid="1.2.826.3", study_uid="1.2.826")
    geometry = Geometry.from_spacing(voxels.shape, (5.0, 1.0, 1.0), origin_mm=(-20.0, -20.0, 50.0))
    return Volume(voxels, geometry, info, uids, source="made by the test")


@pytest.fixture(scope="session")
def tiny_session(tiny: med2e3.Model, block: Volume) -> med2e3.Session:
    """The block, read by the tiny model."""
    return tiny.read(block)


@pytest.fixture(scope="session")
def released(golden_folder: Path) -> med2e3.Model:
    """The published layout at tiny sizes, with its trained text projection."""
    return med2e3.load(golden_folder / "checkpoint", hub=golden_folder / "hub", device="cpu")


@pytest.fixture(scope="session")
def golden_volumes(golden_folder: Path) -> Any:
    """The recorded inputs by name, 0..1 float32 (1, S, H, W)."""
    arrays = np.load(golden_folder / "inputs" / "volumes_u8.npz")
    return {name: arrays[name].astype(np.float32) / 255 for name in arrays.files}
