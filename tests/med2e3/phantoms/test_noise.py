"""Noise of detailed bodies beside noise that filtered back-projection of counted photons leaves."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from skimage.transform import iradon, radon

from med2e3.geometry import Plane
from med2e3.phantoms import Phase, Region
from med2e3.phantoms.detailed.body import draw_body
from med2e3.phantoms.detailed.noise import WATER, add_noise
from med2e3.phantoms.detailed.person import Person, lay_grid
from med2e3.phantoms.detailed.space import Space

SIDE, PHOTONS, TRIES = 80, 2e5, 6

#: A slice with a long way through bone, and one without, by region: name and height.
LEVELS = {Region.CHEST: (("shoulders", 170), ("heart", 50)),
          Region.ABDOMEN: (("hips", -315), ("belly", -150))}  # fmt: skip


@lru_cache
def body(region: Region) -> Space:
    rng = np.random.default_rng(3)
    person = Person.draw(rng, Phase.PORTAL_VENOUS, region, False)
    space, _ = lay_grid(rng, person, region, Plane.AXIAL, (16, SIDE, SIDE))
    draw_body(space, person, rng)
    return space


def simulated(space: Space, k: int) -> np.ndarray:
    """(TRIES, y, x): what counting photons adds to a slice, in HU."""
    rng = np.random.default_rng(5)
    angles = np.linspace(0, 180, 72, endpoint=False)
    mu = np.clip(space.hu[k] + 1000, 0, None) * WATER / 1000
    pixel = float(space.slab_mm[1])
    true = radon(mu, angles, circle=False) * pixel
    made = []
    for _ in range(TRIES):
        counted = np.maximum(rng.poisson(PHOTONS * np.exp(-true)), 1)
        off = (-np.log(counted / PHOTONS) - true) / pixel
        made.append(iradon(off, angles, filter_name="hann", circle=False, output_size=SIDE))
    return np.array(made) / WATER * 1000


def modelled(space: Space, k: int) -> np.ndarray:
    """(TRIES, y, x): what the model adds, less what it adds each time."""
    rng, clean, made = np.random.default_rng(6), space.hu.copy(), []
    for _ in range(TRIES):
        add_noise(space, rng)
        made.append((space.hu - clean)[k])
        space.hu[:] = clean
    return np.array(made) - np.mean(made, axis=0)


def power(noise: np.ndarray, inside: np.ndarray) -> np.ndarray:
    return np.asarray((np.abs(np.fft.fft2(noise * inside)) ** 2).mean(axis=0))


FY, FX = np.abs(np.fft.fftfreq(SIDE))[:, None], np.abs(np.fft.fftfreq(SIDE))[None]


def streaks(spectrum: np.ndarray) -> float:
    """Power of what is smooth along x against what is smooth along y."""
    return float(spectrum[FY > 2 * FX].sum() / spectrum[FX > 2 * FY].sum())


@pytest.mark.parametrize("region", list(Region))
def test_long_ways_through_bone_leave_streaks_as_back_projection_does(region: Region) -> None:
    space = body(region)
    found = {}
    for name, z in LEVELS[region]:
        k = int(np.argmin(np.abs(space.z - z)))
        inside = space.labels[k] > 0
        true, own = (streaks(power(f(space, k), inside)) for f in (simulated, modelled))
        found[name] = own
        assert 0.4 < own / true < 2.5, (name, own, true)
    (bony, _), (soft, _) = LEVELS[region]
    assert found[bony] > 1.7 * found[soft]


def test_noise_is_a_band_of_frequencies_as_the_ramp_and_kernel_leave_it() -> None:
    space = body(Region.ABDOMEN)
    k = int(np.argmin(np.abs(space.z + 150)))
    inside = space.labels[k] > 0
    f = np.hypot(FY, FX)
    shares = []
    for noise in (simulated(space, k), modelled(space, k)):
        spectrum = power(noise, inside)
        shares.append([spectrum[(f > a) & (f <= a + 0.1)].sum() / spectrum.sum()
                       for a in (0.0, 0.1, 0.2, 0.3)])  # fmt: skip
    assert np.abs(np.subtract(*shares)).max() < 0.15, shares


def test_air_has_less_noise_than_the_body() -> None:
    space = body(Region.CHEST)
    k = int(np.argmin(np.abs(space.z - 50)))
    spread = modelled(space, k).std(axis=0)
    inside = space.labels[k] > 0
    assert spread[~inside].mean() < 0.7 * spread[inside].mean()
    assert 4 < spread[inside].mean() < 24
