"""Guess the contrast phase from the words of a description; none where they contradict.

Whole words count, in English, German and French; a phase that is denied does not. Knows words,
nothing of headers.
"""

from __future__ import annotations

import re
import unicodedata

NON_CONTRAST = "non-contrast"

#: Words that deny what follows, and words for contrast medium or its injection.
_NO = r"no|non|not|without|wo|w o|ohne|sans|kein\w*|pas de|aucun\w*"
_CONTRAST = (
    r"(?:(?:iv|i v|intravenous|intravenos\w*|any|injection de|produit de) )*"
    r"(?:con|cont|contr|contrast\w*|kontrast\w*|km|ce|enh|enhanced|enhancement|inj|injection|"
    r"injected|injecte\w*|iv|i v)(?! oral\w*| po\b| p o\b)"
)

#: What a scan can be without beside contrast medium given into a vein.
_OTHER = (
    r"oral\w*|po|p o|rectal\w*|arms?|arme|bras|tilt|gantry|kippung|table|tisch|mar|metal\w*|"
    r"motion|artifacts?|artefa\w*|gating|ecg|ekg|sedation|filter|mask|cast|gips|implant\w*|collar"
)

#: The words of each phase, looked through in this order: "portal venous" is also "venous".
_PHASES: tuple[tuple[str, str], ...] = (
    (r"nephrogra\w+", "nephrographic"),
    (r"art|arterial|arteriel\w*|(?:fruh|spat)arteriell\w*|arterios[oa]", "arterial"),
    (
        r"portal\w*|porto ?venos\w*|venos\w*|vein(?:eux|euse)s?|veneux|pv|ven|pvp|"
        r"(?<!pulmonary )(?<!pulm )venous(?! sinus)",
        "portal venous",
    ),
    (
        r"delay(?:s|ed)?|late|excret\w+|equilib\w+|"
        r"spat(?:e|er|phase|aufnahmen?|scan|serie)?|spaet\w*|tardi(?:f|fs|ve|ves|vo|va)",
        "delayed",
    ),
)

#: Kinds of examination, and the phase that they are for; asked where no phase is named.
_EXAMINATIONS: tuple[tuple[str, str], ...] = (
    (r"cta|angio|angiogra\w+", "arterial"),
    (r"urogra\w+", "delayed"),
    (r"perfusion|ctp|dynamic", "perfusion"),
)

_ANY_PHASE = "|".join(words for words, _ in (*_PHASES, *_EXAMINATIONS))

#: "Native" is said of organs too, beside transplants and prostheses.
_WITHOUT_CONTRAST = (
    r"nativ(?:e|er|es|phase|serie|scan|aufnahmen?)?"
    r"(?! (?:kidneys?|renal|liver|aort\w*|valves?|coronar\w*|vessels?|hips?))|"
    r"plain|nc|ncct|nect|un ?enhanced|unenh|noncon|noncont|noncontrast\w*|nonenhanced|"
    r"precon|precontrast|"
    rf"(?:{_NO}|pre|before|avant|vor) {_CONTRAST}|"
    rf"(?:without|wo|w o|ohne|sans)(?! (?:{_OTHER}|{_CONTRAST}|{_ANY_PHASE})(?!\S))"
)

#: Both are there, as names of whole protocols say: no one phase.
_WITH_AND_WITHOUT = (
    r"(?:with|w|mit|avec) (?:(?:and|und|et) )?(?:without|w o|wo|ohne|sans)|"
    r"(?:without|w o|wo|ohne|sans) (?:(?:and|und|et) )?(?:with|w|mit|avec)"
)

#: A text that is nothing but this, where the contrast medium is named, says that none was given.
_NONE = rf"(?:{_NO}|none|nil|n a|na)"


def _whole(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{words})(?!\S)")


_DENIED = _whole(rf"(?:{_NO}) (?:{_ANY_PHASE})")
_PATTERNS = tuple((_whole(words), phase) for words, phase in _PHASES)
_LAST_PATTERNS = tuple((_whole(words), phase) for words, phase in _EXAMINATIONS)
_NON_CONTRAST_PATTERN, _BOTH_PATTERN = _whole(_WITHOUT_CONTRAST), _whole(_WITH_AND_WITHOUT)
_NONE_PATTERN = re.compile(_NONE)


def phase_in(text: str) -> str:
    """The phase that a description names; empty if it names none, or one with and one without."""
    words = _words(text)
    if _BOTH_PATTERN.search(words):
        return ""
    plain = bool(_NON_CONTRAST_PATTERN.search(words))
    words = _DENIED.sub(" ", words)
    named = next((phase for pattern, phase in _PATTERNS if pattern.search(words)), "")
    if plain:
        return "" if named else NON_CONTRAST
    return named or next((p for pattern, p in _LAST_PATTERNS if pattern.search(words)), "")


def phase_of_agent(text: str) -> str:
    """The phase that the name of the contrast medium (PS3.3 C.7.6.4) suggests: mostly no more than
    that some was given; empty if it is empty.
    """
    words = _words(text)
    if not words:
        return ""
    if _NONE_PATTERN.fullmatch(words):
        return NON_CONTRAST
    return phase_in(text) or "contrast given"


def _words(text: str) -> str:
    """Its words in small letters without accents, one space between: "ThxNativ_5mm" has three."""
    apart = re.sub(r"([a-zà-öø-ÿ])([A-ZÀ-ÖØ-Þ])", r"\1 \2", text)
    plain = unicodedata.normalize("NFKD", apart.lower())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W\d_]+", letters))
