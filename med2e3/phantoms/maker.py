"""Whether a volume's file says that it is a phantom, and what is said where it is none.

Knows no models.
"""

from __future__ import annotations

from med2e3.volume import Volume

#: Who made a phantom, as its file says.
PHANTOM_MAKER = "med2e3 phantoms"

#: Belongs to every answer of a model of phantoms about another volume.
NO_PHANTOM = "This model knows synthetic phantoms only; this answer means nothing."


def made_as_phantom(volume: Volume) -> bool | None:
    """Whether the file says that it is a phantom; None where it says nothing of its maker."""
    maker = volume.info.manufacturer.strip()
    return maker == PHANTOM_MAKER if maker else None
