"""All figures of one evaluation, and how they are shown: JSON, or Markdown tables with intervals.

A figure has a name; a section says which names stand in which column of its table. Whatever shows
figures (terminal, model card) calls `Results.table`, so that no number is ever typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from med2e3.evaluation.calibration import Bin
from med2e3.evaluation.intervals import Estimate
from med2e3.evaluation.records import Examined


@dataclass(frozen=True)
class Section:
    """One table. `columns` are (heading, pattern): the figure of a row is `pattern` with {row}."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = (("value", "{row}"),)
    note: str = ""


@dataclass(frozen=True)
class Results:
    """Figures by name, the tables that they make, and what was not computed and why.

    `what` says in a line what was asked of whom. `settings` are needed to repeat it. `examined` is
    what phantoms' figures were counted from. `appendix` is Markdown that ends the tables.
    """

    model: str
    what: str
    settings: dict[str, Any]
    figures: dict[str, Estimate]
    sections: tuple[Section, ...]
    missing: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    bins: dict[str, tuple[Bin, ...]] = field(default_factory=dict)
    examined: tuple[Examined, ...] = ()
    appendix: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            "what": self.what,
            **self.settings,
            "figures": {name: figure.as_dict() for name, figure in self.figures.items()},
            "reliability": {name: [b.as_dict() for b in bins] for name, bins in self.bins.items()},
            "not_computed": dict(self.missing),
            "notes": list(self.notes),
        }

    def table(self) -> str:
        """Markdown: a table a section, then what was not computed, then notes."""
        parts = [self.what]
        for section in self.sections:
            shown = figure_table(self.figures, section)
            if shown:
                note = [section.note] if section.note else []
                parts += [f"**{section.title}**", shown, *note]
        for name, bins in self.bins.items():
            if bins:
                parts += [f"**Reliability, {name}**", _reliability_table(bins)]
        parts += [f"{name}: not computed. {why}" for name, why in self.missing.items()]
        return "\n\n".join([*parts, *self.notes, *self.appendix])


def figure_table(figures: Mapping[str, Estimate], section: Section) -> str:
    """A Markdown table of the figures that are there; empty where none is.

    Cells are "value (low–high)". Chance stands once a row where all columns share it, else in
    the cells.
    """
    cells = {
        (row, heading): figures.get(pattern.format(row=row))
        for row in section.rows
        for heading, pattern in section.columns
    }
    headings = [h for h, _ in section.columns if any(cells[row, h] for row in section.rows)]
    rows = [row for row in section.rows if any(cells[row, h] for h in headings)]
    if not rows:
        return ""
    lines = [
        f"| | {' | '.join(headings)} | chance | n |",
        "|---" * (len(headings) + 3) + "|",
    ]
    for row in rows:
        found = [cells[row, h] for h in headings]
        known = [f for f in found if f is not None]
        chances = {None if f.chance is None else round(f.chance, 3) for f in known}
        shared = len(chances) == 1
        texts = [_cell(f, with_chance=not shared) for f in found]
        chance = _number(known[0].chance) if shared else "in the cells"
        sizes = sorted({f.count for f in known})
        counts = "–".join(str(n) for n in dict.fromkeys((sizes[0], sizes[-1])))
        lines.append(f"| {row} | {' | '.join(texts)} | {chance} | {counts} |")
    return "\n".join(lines)


def _cell(figure: Estimate | None, *, with_chance: bool) -> str:
    if figure is None:
        return ""
    text = f"{_number(figure.value)} ({_number(figure.low)}–{_number(figure.high)})"
    if with_chance and figure.chance is not None:
        text += f"; chance {_number(figure.chance)}"
    return text


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _reliability_table(bins: Sequence[Bin]) -> str:
    lines = ["| probability | mean | right | n |", "|---|---|---|---|"]
    for b in bins:
        lines.append(
            f"| {b.low:.1f}–{b.high:.1f} | {b.confidence:.3f} | {b.accuracy:.3f} | {b.count} |"
        )
    return "\n".join(lines)
