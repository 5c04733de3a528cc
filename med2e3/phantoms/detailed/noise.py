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

#: How the variance of rays of one direction grows with their attenuation: exp(RAYS × attenuation),
#: 1 by photon counts, and more here because fans overlap; how a place's own variance does, which
#: all directions share; and the width of the kernel in cycles a pixel.
RAYS, PLACE, KERNEL = 1.35, 0.45, 0.21

#: Darkening by beam hardening, in HU for each mm of bone more than its surroundings have.
HARDENING = 0.55

#: Standard deviation in soft tissue, in HU: low and high.
SIGMA = (7.0, 20.0)


def add_noise(space: Space, rng: Rng) -> None:
    """Adds noise, streaks and darkening to a finished body."""
    wide, high = (side.astype(np.float32) for side in _attenuation(space))
    hardened = _hardening(space)
    across, along = wide[:, :, None], high[:, None, :]
    place = np.exp(PLACE * across) + np.exp(PLACE * along)
    inside = space.labels > 0
    mean = float(place[inside].mean()) if inside.any() else float(place.mean())
    sigma = np.sqrt(place / np.float32(mean)) * np.float32(rng.uniform(*SIGMA))
    # Shares of the variance: of rays along y, along both diagonals, and along x.
    tilt = np.clip(RAYS * (across - along), -8, 8)
    shares = (np.exp(-tilt / 2), 1.0, np.exp(tilt / 2), 1.0)
    sigma /= np.sqrt(shares[0] + shares[2] + 2)
    total = np.zeros(space.hu.shape, np.float32)
    for fan, share in zip(_cut(space.hu.shape, rng), shares, strict=True):
        total += fan * np.sqrt(share)
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
    ramp = f * np.exp(-((f / KERNEL) ** 2))  # the ramp filter, and a soft kernel
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
    flips = tuple(k for k in range(3) if rng.random() < 0.5)
    sign = np.float32(rng.choice((-1.0, 1.0)))
    return [np.asarray(np.flip(fan[cut], flips) * sign, np.float32) for fan in fans]
