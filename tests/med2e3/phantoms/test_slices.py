"""Slices of phantoms: what they show is what the phantom knows of itself."""

from __future__ import annotations

import numpy as np
import pytest

from med2e3.geometry import Plane
from med2e3.phantoms import KINDS, Region, Wish, make_phantom
from med2e3.phantoms.slices import (
    CLASSES,
    KIND_NAMES,
    NAMED_ORGANS,
    PLANE_AXES,
    draw_sliced,
    voxel_classes,
)
from med2e3.volume import Window

SHAPE, WINDOW = (32, 64, 64), Window(0, 2000)


@pytest.fixture(scope="module")
def sliced():  # type: ignore[no-untyped-def]
    """The first phantom with a finding."""
    return next(p for p in (draw_sliced(s, SHAPE, WINDOW) for s in range(20)) if p.facts.findings)


def test_grey_values_are_the_window_in_8_bits(sliced) -> None:  # type: ignore[no-untyped-def]
    again = make_phantom(sliced.seed, Wish(plane=Plane.AXIAL, shape=SHAPE)).volume
    wanted = np.clip((again.voxels + 1000) / 2000, 0, 1) * 255
    assert np.abs(sliced.grid - wanted).max() <= 0.5 + 1e-3
    assert sliced.spacing_mm == again.geometry.spacing_mm


def test_a_finding_is_in_the_captions_of_its_slices_and_of_no_others(sliced) -> None:  # type: ignore[no-untyped-def]
    phantom = make_phantom(sliced.seed, Wish(plane=Plane.AXIAL, shape=SHAPE))
    for finding in phantom.findings:
        for plane, axis in PLANE_AXES.items():
            others = tuple(a for a in range(3) if a != axis)
            held = finding.mask.any(axis=others)
            for index in range(SHAPE[axis]):
                said = sliced.caption(plane, index)
                assert (finding.name in said) == held[index], (said, index)
                assert said.startswith(f"{plane.value.capitalize()} CT slice of the ")


def test_planes_are_cut_along_their_axes(sliced) -> None:  # type: ignore[no-untyped-def]
    assert sliced.image(Plane.AXIAL, 3).shape == (64, 64)
    assert (sliced.image(Plane.CORONAL, 5) == sliced.grid[:, 5]).all()
    assert (sliced.image(Plane.SAGITTAL, 7) == sliced.grid[:, :, 7]).all()


def test_a_slice_without_findings_says_so(sliced) -> None:  # type: ignore[no-untyped-def]
    empty = next(
        k for k in range(SHAPE[0]) if not sliced.findings[Plane.AXIAL][k].any()
    )  # fmt: skip
    assert sliced.caption(Plane.AXIAL, empty).endswith("No abnormality is seen.")


def test_lesions_and_effusions_lie_over_organs() -> None:
    wish = Wish(
        plane=Plane.AXIAL, region=Region.ABDOMEN, shape=SHAPE,
        findings=[("liver mass", "right lobe of the liver")],
    )  # fmt: skip
    phantom = make_phantom(3, wish)
    classes, mass = voxel_classes(phantom), phantom.finding("liver mass")
    assert mass is not None
    assert (classes[mass.mask] == CLASSES.index("lesion")).all()
    assert (classes == CLASSES.index("liver")).any()


def test_what_is_present_is_what_the_facts_say(sliced) -> None:  # type: ignore[no-untyped-def]
    assert len(sliced.present) == len(KINDS)
    assert {KIND_NAMES[k] for k in np.flatnonzero(sliced.present)} == sliced.facts.names


def test_organs_are_named_where_their_labels_are(sliced) -> None:  # type: ignore[no-untyped-def]
    seen = sliced.organs[Plane.AXIAL]
    assert seen.shape == (SHAPE[0], len(NAMED_ORGANS))
    assert seen[:, NAMED_ORGANS.index("spine")].any()
