"""Every template of training filled in for each finding and organ: what questions may be like."""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import lru_cache

from med2e3.geometry import Plane
from med2e3.phantoms.anatomy import PHASES, Region
from med2e3.phantoms.findings import KINDS
from med2e3.phantoms.language.lexicon import trained
from med2e3.phantoms.language.voice import own_term


@lru_cache(maxsize=1)
def trained_questions() -> tuple[str, ...]:
    """Questions of all templates, findings by their own names, and all small talk."""
    tables = trained().tables
    said = [text for row in trained().templates.values() for text in row]
    said += tables["unknown"]["beyond_of"]
    found = [text for template in said for text in _filled(template)]
    found += [*tables["unknown"]["beyond"], *tables["smalltalk"]["about"]]
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=1)
def trained_words() -> str:
    """Everything that training may say, in one text: terms, names, small talk, frames."""
    return " ".join(trained().entries())


@lru_cache(maxsize=1)
def finding_words() -> tuple[str, ...]:
    """Every name of every finding that training says, in all its forms."""
    said = [own_term(name) for name in KINDS]
    said += [term for terms in trained().terms.values() for term in terms]
    return tuple(form for term in said for form in (term.with_article, term.plural))


def _filled(template: str) -> Iterator[str]:
    """The template with every finding, organ, plane, phase or region that fits its slots."""
    slots = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    if "v" in slots:
        values = [*map(str, Plane), *map(str, PHASES), *map(str, Region)]
        yield from (template.format(v=value, a="a") for value in values)
    elif "o" in slots:
        for rows in trained().organs.values():
            verb, phrase = rows[0]
            do = "do" if verb == "are" else "does"
            if "the {o}" in template:
                phrase = phrase.removeprefix("the ")
            yield template.format(o=phrase, be=verb, do=do, s="left", p=phrase)
    elif slots:
        for name in KINDS:
            term = own_term(name)
            yield template.format(
                a=term.with_article, n=term.bare, p=term.plural, w="on the left", s="left",
                c="enlarged", x=term.with_article, y=term.with_article, t=term.bare,
            )  # fmt: skip
    else:
        yield template
