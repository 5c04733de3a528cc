"""Figures of earlier weights beside those of today, out of what an evaluation printed as JSON.

Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.evaluation.figures import Results, Section, figure_table
from med2e3.evaluation.intervals import Estimate
from med2e3.io.texts import read_json

_TODAY, _EARLIER = "{row}", "earlier {row}"


def with_earlier(results: Results, file: Path) -> Results:
    """The same with a table of every figure that both have.

    `file` is what `med2e3 evaluate … --json` wrote. Raises `InputError` for any other file.
    """
    try:
        said: dict[str, Any] = read_json(file)
        earlier = {name: _estimate(one) for name, one in said["figures"].items()}
        what, digest = str(said["what"]), str(said["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} holds no figures of an evaluation ({type(error).__name__}: {error}). Give "
            "what med2e3 evaluate MODEL --json printed."
        ) from error
    shared = tuple(name for name in results.figures if name in earlier)
    if not shared:
        raise InputError(f"{file} has no figure that this evaluation has; it was another one.")
    figures = {name: replace(results.figures[name], chance=None) for name in shared}
    table = figure_table(
        {**figures, **{_EARLIER.format(row=name): earlier[name] for name in shared}},
        Section("", shared, (("these weights", _TODAY), ("earlier weights", _EARLIER))),
    )
    title = f"**Earlier weights beside these** (SHA-256 {digest[:12]}…; {what})"
    return replace(
        results,
        settings={**results.settings, "beside_weights_sha256": digest},
        appendix=(*results.appendix, title, table),
    )


def _estimate(one: dict[str, Any]) -> Estimate:
    """A figure as `Estimate.as_dict` wrote it."""
    return Estimate(float(one["value"]), float(one["low"]), float(one["high"]), int(one["count"]))
