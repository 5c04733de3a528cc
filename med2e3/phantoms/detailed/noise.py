"""Noise and streaks of a scan, as filtered back-projection leaves them.

Each ray's noise grows with what it passes. Rays of one direction leave noise that varies across
them and is smooth along them, so that long ways through shoulders or hips show as streaks. Four
fans of directions stand for all; how they weigh was fitted to simulated projections (see
`tests/med2e3/phantoms/test_noise.py`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from med2e3.phantoms.canvas import Float
from med2e3.phantoms.detailed.person import Rng
from med2e3.phantoms.detailed.space import Space

#: Attenuation of water at 70 keV, per mm.
WATER = 0.0193

#: How a ray's noise grows with the attenuation along it: exp(GROWTH × attenuation). Photon counts
#: alone give 0.5; tube current and bowtie even it out.
GROWTH = 0.30

#: Darkening by beam hardening, in HU for each mm of bone more than its surroundings have.
HARDENING = 0.55

#: Standard deviation in soft tissue, in HU: low and high.
SIGMA = (7.0, 20.0)


def add_noise(space: Space, rng: Rng) -> None:
    """Adds noise, streaks and darkening to a finished body."""
    wide, high = _attenuation(space)
    hardened = _hardening(space)
    across, along = np.exp(GROWTH * wide)[:, :, None], np.exp(GROWTH * high)[:, None, :]
    inside = space.labels > 0
    mean = np.sqrt(0.5 * (float((across**2).mean()) + float((along**2).mean())))
    if inside.any():
        rays = 0.5 * (across**2 + along**2)
        mean = float(np.sqrt(np.broadcast_to(rays, inside.shape)[inside].mean()))
    sigma = np.float32(rng.uniform(*SIGMA) / mean / 2)
    both = np.sqrt(0.5 * (across**2 + along**2))
    total = np.zeros(space.hu.shape, np.float32)
    for fan, weight in zip(_cut(space.hu.shape, rng), (along, both, across, both), strict=True):
        total += fan * weight.astype(np.float32)
    # Few photons are missing where there is only air.
    local = np.clip((space.hu + 1000) / 800, 0, 1) * np.float32(0.65) + np.float32(0.35)
    space.hu += total * local * sigma
    space.hu -= hardened * np.clip((space.hu + 900) / 500, 0, 1)


def _attenuation(space: Space) -> tuple[Float, Float]:
    """Line integrals of attenuation along x (Z, Y), and along y (Z, X)."""
    mu = np.clip(space.hu + 1000, 0, 3000) * np.float32(WATER / 1000)
    return mu.sum(axis=2) * np.float32(space.slab_mm[2]), mu.sum(axis=1) * np.float32(
        space.slab_mm[1]
    )


def _hardening(space: Space) -> Float:
    """How much darker (HU) each row is for the bone along it: (Z, Y, 1)."""
    bone = np.clip(space.hu - 250, 0, 800) * np.float32(1 / 1000)
    path = bone.sum(axis=2) * np.float32(space.slab_mm[2])
    smooth = gaussian_filter1d(path, 40 / space.slab_mm[1], axis=1)
    return np.asarray(HARDENING * np.clip(path - smooth, -20, 60), np.float32)[:, :, None]


@lru_cache(maxsize=4)
def _fans(shape: tuple[int, int, int]) -> tuple[Float, ...]:
    """Noise of four fans of rays, each of unit spread: along y, along both diagonals, along x."""
    rng = np.random.default_rng(20261130)
    size = [int(n * 1.2) + 6 for n in shape]
    white = rng.standard_normal(size, dtype=np.float32)
    white = gaussian_filter1d(white, 0.35, axis=0, mode="wrap")
    fy, fx = np.fft.fftfreq(size[1])[:, None], np.fft.rfftfreq(size[2])[None, :]
    f = np.hypot(fy, fx)
    ramp = f * np.exp(-((f / 0.30) ** 2))  # the ramp filter, and a soft kernel
    angle = np.arctan2(fy, fx)
    spectrum = np.fft.rfft2(white)
    made = []
    for middle in (0.0, np.pi / 4, np.pi / 2, -np.pi / 4):
        off = (angle - middle + np.pi / 2) % np.pi - np.pi / 2
        fan = np.clip(np.cos(2 * off), 0, 1)
        field = np.fft.irfft2(spectrum * (ramp * fan), s=size[1:]).astype(np.float32)
        made.append(np.asarray(field / field.std(), np.float32))
    return tuple(made)


def _cut(shape: tuple[int, ...], rng: Rng) -> list[Float]:
    """One random window of every fan, mirrored alike."""
    fans = _fans((shape[0], shape[1], shape[2]))
    start = [int(rng.integers(0, n - m + 1)) for n, m in zip(fans[0].shape, shape, strict=True)]
    cut = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
    flips = [k for k in range(3) if rng.random() < 0.5]
    sign = np.float32(rng.choice((-1.0, 1.0)))
    return [np.flip(fan[cut], flips) * sign for fan in fans]
