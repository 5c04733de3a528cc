"""Phantoms with bodies of organ shapes: the truth is in the voxels, and in no others."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from med2e3.errors import InputError
from med2e3.geometry import Plane
from med2e3.phantoms import (
    BODIES,
    KINDS,
    ORGANS,
    PHASES,
    Phantom,
    Phase,
    Region,
    Wish,
    body_of,
    make_phantom,
)
from med2e3.phantoms.detailed.extent import longest_mm
from med2e3.phantoms.facts import findings_in

LABEL = {name: number for number, name in enumerate(ORGANS)}

#: Every place of every kind, with the region that it lies in.
PLACES = [
    (kind.name, place, region)
    for kind in KINDS.values()
    for region, places in kind.places.items()
    for place in places
]

#: The organ (by label) that a finding lies in or against.
BESIDE = {
    "lung nodule": "lung", "consolidation": "lung", "pleural effusion": "lung",
    "pneumothorax": "lung", "pericardial effusion": "heart", "aortic aneurysm": "aorta",
    "aortic calcification": "aorta", "liver mass": "liver", "liver cyst": "liver",
    "kidney cyst": "kidney", "kidney stone": "kidney", "gallstone": "gallbladder",
    "enlarged spleen": "spleen",
}  # fmt: skip


#: Coarse enough to be quick, fine enough that every kind is seen.
SHAPE = {Plane.AXIAL: (24, 80, 80), Plane.CORONAL: (24, 80, 80), Plane.SAGITTAL: (28, 80, 80)}


@lru_cache(maxsize=128)
def phantom_of(
    seed: int, region: Region, findings: tuple[tuple[str, str | None], ...] | None,
    plane: Plane = Plane.AXIAL, phase: Phase = Phase.PORTAL_VENOUS,
) -> Phantom:  # fmt: skip
    named = None if findings is None else list(findings)
    wish = Wish(plane, phase, region, named, SHAPE[plane])
    return make_phantom(seed, wish, body="detailed")


def check_place(phantom: Phantom, name: str, place: str) -> None:
    """The mask is on its side, in its lobe, against its organ."""
    finding = phantom.finding(name)
    assert finding is not None, (phantom.seed, name, place)
    geometry = phantom.volume.geometry
    middle = geometry.to_patient_mm(np.argwhere(finding.mask).mean(axis=0))
    if place.split()[0] in ("right", "left") and name != "liver mass" and name != "liver cyst":
        assert (middle[0] < 0) == place.startswith("right"), (phantom.seed, place, middle)
    if place == "left lobe of the liver":
        assert middle[0] > -20, (phantom.seed, middle)
    if place == "right lobe of the liver":
        assert middle[0] < -10, (phantom.seed, middle)
    organ = BESIDE.get(name)
    if organ:
        near = binary_dilation(finding.mask, np.ones((3, 3, 3)), iterations=2)
        assert (phantom.labels[near] == LABEL[organ]).any(), (phantom.seed, name, place)


def test_a_body_that_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="“cubist” is no kind of body"):
        make_phantom(1, body="cubist")


def test_the_simple_body_is_still_the_default() -> None:
    small = Wish(shape=(16, 64, 64))
    plain, named = make_phantom(4, small), make_phantom(4, small, body="simple")
    assert np.array_equal(plain.volume.voxels, named.volume.voxels)
    assert plain.body == "simple"
    assert BODIES[0] == "simple"


def test_the_same_seed_gives_the_same_detailed_phantom() -> None:
    small = Wish(shape=(16, 64, 64))
    first, second = (make_phantom(11, small, body="detailed") for _ in range(2))
    assert np.array_equal(first.volume.voxels, second.volume.voxels)
    assert np.array_equal(first.labels, second.labels)
    assert first.facts == second.facts
    assert not np.array_equal(first.volume.voxels, make_phantom(11, small).volume.voxels)


@pytest.mark.parametrize("region", list(Region))
def test_a_body_shows_the_organs_of_its_region_and_no_organ_of_the_other(region: Region) -> None:
    phantom = phantom_of(7, region, ())
    seen = {ORGANS[k] for k in np.unique(phantom.labels)}
    chest, belly = {"heart", "trachea", "sternum"}, {"kidney", "bladder", "gallbladder", "pancreas",
                                                   "bowel"}  # fmt: skip
    shown, hidden = (chest, belly) if region is Region.CHEST else (belly, chest)
    assert shown <= seen
    assert not hidden & seen


@pytest.mark.parametrize("name", list(KINDS))
def test_a_finding_lies_where_it_is_said_to_lie(name: str) -> None:
    for k, (_, place, region) in enumerate(row for row in PLACES if row[0] == name):
        plane = tuple(Plane)[k % 3]
        phantom = phantom_of(40 + k, region, ((name, place),), plane, Phase.ARTERIAL)
        check_place(phantom, name, place)


def test_a_size_is_the_longest_extent_of_the_mask() -> None:
    for name, place, region in PLACES[::6]:
        phantom = phantom_of(3, region, ((name, place),))
        finding = phantom.finding(name)
        assert finding is not None
        spacing = np.array(phantom.volume.geometry.spacing_mm)
        points = np.argwhere(finding.mask) * spacing
        # By hand: each point against all others.
        longest = max(float(np.linalg.norm(points - p, axis=1).max()) for p in points[::1])
        assert abs(finding.size_mm - (longest + spacing.min())) <= 2.5 + 1e-6, (name, place)


def test_the_longest_extent_of_simple_masks() -> None:
    mask = np.zeros((5, 9, 9), bool)
    assert longest_mm(mask, (5, 1, 1)) == 0
    mask[2, 3, 3] = True
    assert longest_mm(mask, (5, 1, 1)) == 1  # one pixel
    mask[2, 3, 3:7] = True
    assert longest_mm(mask, (5, 1, 1)) == 4  # a line
    mask[1:4, 3, 3:7] = True
    assert longest_mm(mask, (5, 1, 1)) == pytest.approx(np.hypot(10, 3) + 1)  # a plate


def test_a_body_without_findings_has_none_said_and_a_finding_is_all_that_differs() -> None:
    clear = phantom_of(5, Region.CHEST, ())
    assert clear.findings == ()
    assert findings_in(clear.report) == frozenset()


def test_contrast_follows_the_phases_in_aorta_kidney_and_liver() -> None:
    means: dict[str, dict[Phase, float]] = {}
    for phase in PHASES:
        phantom = phantom_of(9, Region.ABDOMEN, (), Plane.AXIAL, phase)
        for organ in ("aorta", "kidney", "liver", "spleen"):
            values = phantom.volume.voxels[phantom.labels == LABEL[organ]]
            means.setdefault(organ, {})[phase] = float(np.median(values))
    plain, arterial, portal, late = PHASES
    aorta, kidney = means["aorta"], means["kidney"]
    assert aorta[arterial] > 1.5 * aorta[portal] > 1.5 * aorta[late] > 1.5 * (aorta[plain] + 20)
    # The cortex fills first, the whole kidney a minute later.
    assert kidney[portal] > kidney[late] > kidney[plain] + 60
    assert kidney[arterial] > kidney[plain] + 80
    assert means["liver"][portal] > max(means["liver"][p] for p in (plain, arterial, late))


def test_both_effusions_share_no_voxel() -> None:
    wished = (("pleural effusion", "left side"), ("pericardial effusion", "around the heart"))
    phantom = phantom_of(6, Region.CHEST, wished)
    pleural, pericardial = (phantom.finding(name) for name, _ in wished)
    assert pleural is not None
    assert pericardial is not None
    assert not (pleural.mask & pericardial.mask).any()


def test_shares_of_bodies_are_kept_and_belong_to_the_seed() -> None:
    drawn = [body_of(seed, {"simple": 1, "detailed": 3}) for seed in range(400)]
    assert 0.68 < np.mean([body == "detailed" for body in drawn]) < 0.82
    assert drawn[:50] == [body_of(seed, {"simple": 1, "detailed": 3}) for seed in range(50)]
    assert {body_of(seed, {"detailed": 1.0}) for seed in range(20)} == {"detailed"}


@pytest.mark.slow
def test_over_three_hundred_seeds_every_finding_lies_in_its_place() -> None:
    lost = 0
    for seed in range(300):
        phantom = make_phantom(seed, body="detailed")
        planned = make_phantom(seed, Wish(shape=(8, 32, 32)))
        lost += len(planned.findings) - len(phantom.findings)
        union = np.zeros(phantom.labels.shape, int)
        for finding in phantom.findings:
            check_place(phantom, finding.name, finding.place)
            assert finding.mask.sum() >= 6
            union += finding.mask
        assert union.max() <= 1, seed
        assert findings_in(phantom.report) == {f.name for f in phantom.findings}
    assert lost < 30
