"""Names of findings that no phantom has: real, place and pathology combined, and invented ones.

There are far more than training can draw, so that a name never heard is refused like them.
"""

from __future__ import annotations

from med2e3.phantoms.language.lexicon import trained, without_article
from med2e3.phantoms.language.voice import Voice, is_reserved

#: How often a name is a real one, and how often a combination; the rest is invented.
REAL, COMBINED = 0.4, 0.4


def strange_name(voice: Voice) -> str:
    """A name without article, in the letters in which it is written within a sentence."""
    if voice.strange is not trained():
        return without_article(voice.pick(voice.strange.tables["unknown"]["findings"]))
    while True:
        name = _drawn(voice)
        if not is_reserved(name):
            return name


def _drawn(voice: Voice) -> str:
    tables, draw = trained().tables["unknown"], voice.rng.random()
    if draw < REAL:
        return without_article(voice.pick(tables["findings"]))
    if draw < REAL + COMBINED:
        if voice.chance(0.6):
            return f"{voice.pick(tables['places'])} {voice.pick(tables['pathologies'])}"
        return f"{voice.pick(tables['known_places'])} {voice.pick(tables['unknown_pathologies'])}"
    word = voice.pick(tables["prefixes"]) + voice.pick(tables["roots"]) + _ending(voice)
    return f"{voice.pick(tables['places'])} {word}" if voice.chance(0.3) else word


def _ending(voice: Voice) -> str:
    tables = trained().tables["unknown"]
    second = voice.pick(tables["roots"]) if voice.chance(0.25) else ""
    joined = f"o{second}" if second else ""
    return joined + voice.pick(tables["suffixes"])
