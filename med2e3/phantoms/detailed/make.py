"""Makes the volume and findings of a phantom with a detailed body."""

from __future__ import annotations

from collections.abc import Sequence

from med2e3.geometry import Geometry, Plane
from med2e3.phantoms.anatomy import Phase, Region
from med2e3.phantoms.canvas import Picture, Shape
from med2e3.phantoms.detailed.body import draw_body
from med2e3.phantoms.detailed.findings import paint_finding
from med2e3.phantoms.detailed.noise import add_noise
from med2e3.phantoms.detailed.person import Person, Rng, lay_grid

LARGE_SPLEEN = "enlarged spleen"


def draw_detailed(
    rng: Rng, scan: tuple[Plane, Phase, Region], shape: tuple[int, int, int],
    plan: Sequence[tuple[str, str]],
) -> tuple[Picture, Geometry, list[Shape | None]]:  # fmt: skip
    """The finished picture, its geometry, and the shape of each planned finding (kind, place).

    A finding that found no room is None and is not in the picture.
    """
    plane, phase, region = scan
    person = Person.draw(rng, phase, region, any(kind == LARGE_SPLEEN for kind, _ in plan))
    space, geometry = lay_grid(rng, person, region, plane, shape)
    body = draw_body(space, person, rng)
    shapes = [paint_finding(body, kind, place, rng) for kind, place in plan]
    add_noise(space, rng)
    return space, geometry, shapes
