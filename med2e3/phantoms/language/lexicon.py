"""The words of the grammar: terms, templates and names, trained ones and those held out.

Two files say them, and neither has an entry of the other. Knows nothing of facts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from med2e3.phantoms.findings import KINDS

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Term:
    """A noun for a finding: `with_article` as after "there is", `bare` without it, `plural`.

    What cannot be counted ("ascites") is the same in all three.
    """

    with_article: str
    bare: str
    plural: str

    @property
    def definite(self) -> str:
        """As it stands after "the"."""
        return self.bare


def term(text: str) -> Term:
    """A term from its entry: "a cyst|cysts", or "|ascites"."""
    left, _, right = text.partition("|")
    if not left:
        return Term(right, right, right)
    return Term(left, without_article(left), right)


def without_article(name: str) -> str:
    """The name without "a" or "an" before it."""
    first, _, rest = name.partition(" ")
    return rest if first in ("a", "an") and rest else name


@dataclass(frozen=True)
class Lexicon:
    """One file's entries. `clauses` are (subject, complement): "the spleen", "enlarged".

    `sided` are terms that name a finding only beside a place. `organs` has for each organ its
    (verb, phrase). Both are empty in what is held out. `tables` are lists by section and name.
    """

    terms: Mapping[str, tuple[Term, ...]]
    sided: Mapping[str, tuple[Term, ...]]
    clauses: Mapping[str, tuple[tuple[str, str], ...]]
    organs: Mapping[str, tuple[tuple[str, str], ...]]
    templates: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, Mapping[str, tuple[str, ...]]]

    def entries(self) -> list[str]:
        """Everything that it says, in no particular order, as the file has it."""
        said = [t for table in self.tables.values() for row in table.values() for t in row]
        said += [t for row in self.templates.values() for t in row]
        for terms in self.terms.values():
            said += [t.with_article for t in terms]
        return said


@lru_cache(maxsize=1)
def trained() -> Lexicon:
    """What training may say."""
    return _read("trained.toml")


@lru_cache(maxsize=1)
def held_out() -> Lexicon:
    """What no training says."""
    return _read("held_out.toml")


@lru_cache(maxsize=1)
def free_questions() -> tuple[Mapping[str, Any], ...]:
    """The questions written freely: `ask`, `refusal`, and where there is one `right`, `after`."""
    said = tomllib.loads((_FOLDER / "free_questions.toml").read_text(encoding="utf-8"))
    return tuple(said["question"])


def _read(name: str) -> Lexicon:
    said = tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))
    findings = said["findings"]
    return Lexicon(
        terms={kind: tuple(term(t) for t in findings[kind]["terms"]) for kind in KINDS},
        sided={kind: tuple(map(term, row)) for kind, row in said.get("sided", {}).items()},
        clauses={kind: _pairs(findings[kind].get("clauses", ())) for kind in KINDS},
        organs={organ: _pairs(rows) for organ, rows in said.get("organs", {}).items()},
        templates=_tuples(said["templates"]),
        tables={name: _tuples(said[name]) for name in ("unknown", "smalltalk", "frames")},
    )


def _pairs(rows: Any) -> tuple[tuple[str, str], ...]:
    split = (row.partition("|") for row in rows)
    return tuple((left, right) for left, _, right in split)


def _tuples(table: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(rows) for name, rows in table.items()}
