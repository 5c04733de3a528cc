"""What is true of a phantom, in words: the structured report, and how reports are read back.

Facts need no voxels, so that texts can be made by the thousand. Knows nothing of questions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from med2e3.errors import InputError
from med2e3.geometry import Plane
from med2e3.phantoms.anatomy import PHASES, Phase, Region
from med2e3.phantoms.findings import KINDS, Kind, possible

#: How many findings a phantom has, and how often.
FINDING_COUNTS = (0.12, 0.24, 0.30, 0.22, 0.12)

#: The shortest and the longest that findings of either body were in mm, on 1,696 phantoms. Facts
#: that are never painted take theirs from here: no text names a nodule of 200 mm, and every number
#: that a scan may ask for was read before.
SIZES_MM: dict[str, tuple[int, int]] = {
    "lung nodule": (10, 35), "consolidation": (45, 90), "pleural effusion": (45, 295),
    "pneumothorax": (35, 275), "pericardial effusion": (10, 175), "aortic aneurysm": (50, 115),
    "aortic calcification": (15, 80), "bone lesion": (15, 40), "liver mass": (10, 55),
    "liver cyst": (10, 50), "kidney cyst": (15, 50), "kidney stone": (10, 20),
    "gallstone": (10, 20), "enlarged spleen": (115, 175), "free fluid": (10, 245),
}  # fmt: skip

#: Sections of the report, in order, by region: heading → organ.
SECTIONS: dict[Region, dict[str, str]] = {
    Region.CHEST: {
        "Lungs": "lung", "Pleura": "pleura", "Pericardium": "pericardium", "Aorta": "aorta",
        "Bones": "bone",
    },
    Region.ABDOMEN: {
        "Liver": "liver", "Gallbladder": "gallbladder", "Spleen": "spleen", "Kidneys": "kidney",
        "Aorta": "aorta", "Peritoneum": "peritoneum", "Bones": "bone",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """One finding in words; `size_mm` is rounded to 5 mm."""

    name: str
    place: str
    size_mm: int

    @property
    def kind(self) -> Kind:
        """The kind of finding."""
        return KINDS[self.name]


@dataclass(frozen=True)
class Facts:
    """Everything that may be asked about a phantom."""

    plane: Plane
    phase: Phase
    region: Region
    findings: tuple[Fact, ...]

    def named(self, name: str) -> Fact | None:
        """The finding of that kind, if there is one."""
        return next((fact for fact in self.findings if fact.name == name), None)

    @property
    def names(self) -> frozenset[str]:
        """Names of what is there."""
        return frozenset(fact.name for fact in self.findings)

    def of_organ(self, organ: str) -> tuple[Fact, ...]:
        """Findings of one organ."""
        return tuple(fact for fact in self.findings if fact.kind.organ == organ)


def where(place: str) -> str:
    """A place as it stands in a sentence."""
    if place.startswith("around"):
        return place
    if place.endswith("sides"):
        return f"on {place}"
    return f"on the {place}" if place.endswith("side") else f"in the {place}"


def report(facts: Facts, *, brief: bool = False) -> str:
    """The report: what the scan is, then a sentence for every section, normal or not.

    A `brief` one leaves the normal sections out.
    """
    lines = [
        f"{facts.plane.value.capitalize()} {facts.region.value} CT, {facts.phase.value} phase."
    ]
    for heading, organ in SECTIONS[facts.region].items():
        found = facts.of_organ(organ)
        said = "; ".join(f"{f.name} {where(f.place)}, {f.size_mm} mm" for f in found)
        if said or not brief:
            lines.append(f"{heading}: {said or 'normal'}.")
    return " ".join(lines)


def findings_in(text: str) -> frozenset[str]:
    """Kinds that a report (of this form or free) claims; a sentence with "no" claims nothing."""
    found = set()
    for sentence in re.split(r"[.;]", text.lower()):
        if re.search(r"\b(no|not|without)\b", sentence):
            continue
        found |= {name for name in KINDS if name in sentence}
    return frozenset(found)


def plan_findings(
    rng: np.random.Generator, region: Region, phase: Phase
) -> list[tuple[Kind, str | None]]:  # fmt: skip
    """Which kinds a phantom gets: at most one of each; places are left open."""
    count = int(rng.choice(len(FINDING_COUNTS), p=FINDING_COUNTS))
    kinds = [kind for kind in KINDS.values() if possible(kind, region, phase)]
    order = rng.permutation(len(kinds))[:count]
    return [(kinds[int(k)], None) for k in sorted(order)]


def choose_places(
    rng: np.random.Generator, region: Region, plan: list[tuple[Kind, str | None]]
) -> list[tuple[Kind, str]]:
    """Fills open places; two findings of one organ lie apart where there is room.

    Raises `InputError` for a kind that does not occur in the region.
    """
    placed: list[tuple[Kind, str]] = []
    for kind, place in plan:
        if region not in kind.places:
            raise InputError(
                f"A {region.value} phantom cannot have “{kind.name}”; that kind occurs in the "
                f"{' or '.join(r.value for r in kind.regions)}. Choose another region or finding."
            )
        taken = {p for k, p in placed if k.organ == kind.organ}
        free = [p for p in kind.places[region] if p not in taken] or list(kind.places[region])
        placed.append((kind, place or free[int(rng.integers(len(free)))]))
    return placed


def draw_facts(rng: np.random.Generator) -> Facts:
    """Facts of a phantom that is never painted: for training on text alone."""
    plane = tuple(Plane)[int(rng.integers(3))]
    phase = PHASES[int(rng.integers(4))]
    region = tuple(Region)[int(rng.integers(2))]
    plan = choose_places(rng, region, plan_findings(rng, region, phase))
    findings = tuple(Fact(k.name, p, _draw_size(k.name, rng)) for k, p in plan)
    return Facts(plane, phase, region, findings)


def _draw_size(name: str, rng: np.random.Generator) -> int:
    """A size that this kind has, in steps of 5 mm, each as often."""
    low, high = SIZES_MM[name]
    return 5 * int(rng.integers(low // 5, high // 5 + 1))
