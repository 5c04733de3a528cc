"""What to know before a recipe is run on lists of one's own.

Knows nothing of models or losses.
"""

from __future__ import annotations

from med2e3.errors import Med2E3Error
from med2e3.training.data.augment import Augmentation, names_sides
from med2e3.training.data.dataset import first_samples
from med2e3.training.data.formats import MASK_FORMATS, SampleFile, open_samples
from med2e3.words import counted


def cautions(data: tuple[SampleFile, ...], augment: Augmentation, seed: int) -> tuple[str, ...]:
    """Sentences about lists and augmentation; none for lists that cannot be read, which is told
    when they are trained on.
    """
    if augment.keep_sides or not augment.moves:
        return ()
    looked = said = 0
    for source in data:
        if source.format in MASK_FORMATS:
            continue
        try:
            listed = open_samples(source, seed)
        except Med2E3Error:
            continue
        for sample in first_samples(listed):
            if sample is not None:
                looked += 1
                said += names_sides(text for turn in sample.turns for text in turn)
    if not said:
        return ()
    return (
        f"Of {counted(looked, 'row')} that were looked at, {said} {'say' if said > 1 else 'says'} "
        "left or right, and [augment] flips and turns volumes: what lies left is then taught as "
        "right. Published training does so. keep_sides = true (--keep-sides) leaves these volumes "
        "as they lie.",
    )
