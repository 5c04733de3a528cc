"""Patient → study → series as a list shows them: what each is, the priors, what a search finds.

Knows no widgets and no files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.viewmodels.core.patients import (
    PatientKey,
    date,
    details,
    is_named,
    patient_key,
    patient_name,
    same_patients,
)

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary


@dataclass(frozen=True)
class SeriesRow:
    """One series: a title, its size, and what tells it apart or a reader must know of it."""

    summary: SeriesSummary
    title: str
    facts: str
    marks: str
    tip: str
    is_open: bool

    @property
    def opens(self) -> bool:
        """Whether a click shows something: a volume, or images and reports one by one."""
        return self.summary.is_volume or self.summary.seen > 0

    @property
    def lines(self) -> tuple[str, ...]:
        """What is written in the row."""
        return tuple(filter(None, (self.title, self.facts, self.marks)))


@dataclass(frozen=True)
class StudyRow:
    """One study; `mark` says "prior" or "later" where another study of the patient is open, and
    "same day" where the times that would tell are not given.
    """

    title: str
    mark: str
    series: tuple[SeriesRow, ...]


@dataclass(frozen=True)
class PatientRow:
    """One patient, the studies newest first."""

    title: str
    details: str
    studies: tuple[StudyRow, ...]


class _Marks(NamedTuple):
    """What is said of a series beside its own words: kinds of files, and what is shown alone."""

    kinds: Mapping[Path, str]
    pictured: SeriesSummary | None


def browse(
    series: Sequence[SeriesSummary],
    chosen: SeriesSummary | None = None,
    words: str = "",
    kinds: Mapping[Path, str] | None = None,
    pictured: SeriesSummary | None = None,
) -> tuple[PatientRow, ...]:
    """The list, with only what holds all of `words`; patients and series in the order given.

    `kinds` says what a file is that no volume shows ("dose report (SR)"); `pictured` is the series
    of which an image is shown by itself.
    """
    wanted = words.lower().split()
    # Another place is listed before any of it is open: what is open may not be of it.
    known = series if chosen is None else (*series, chosen)
    moments, meant = _moments(known), same_patients({_who(one) for one in known})
    patients: dict[PatientKey, list[SeriesSummary]] = defaultdict(list)
    for one in series:
        if all(word in _searched(one) for word in wanted):
            patients[meant[_who(one)]].append(one)
    mine = None if chosen is None else meant[_who(chosen)]
    marks_of = _Marks(kinds or {}, pictured)
    return tuple(
        _patient(own, chosen if key == mine else None, marks_of, moments)
        for key, own in patients.items()
    )


def _who(one: SeriesSummary) -> PatientKey:
    """The patient of a series; one that names nobody is the patient of its own study alone."""
    if is_named(one.info):
        return patient_key(one.info)
    info = one.info
    place = info.study_uid or info.frame_of_reference_uid or info.series_uid or _file(one)
    return "", "", f"{info.patient_birth_date} in {place}"


def _which(one: SeriesSummary) -> str:
    """The study of a series: its UID, else what is said of it, and nothing said is no other's."""
    info = one.info
    said = " ".join(filter(None, (info.study_date, info.accession_number, info.study_description)))
    return info.study_uid or (f"study of {said}" if said else _file(one))


def _file(one: SeriesSummary) -> str:
    return str(one.files[0]) if one.files else str(id(one))


def _searched(one: SeriesSummary) -> str:
    info, facts = one.info, one.facts
    words = (
        patient_name(info), info.patient_id, info.study_description, info.study_date,
        date(info.study_date), info.accession_number, info.series_description, info.series_number,
        info.modality, info.body_part, one.part, one.reason, facts.kernel, facts.phase, facts.plane,
    )  # fmt: skip
    return " ".join(words).lower()


#: Date and time of each study, by what tells it apart.
Moments = Mapping[str, tuple[str, str]]


def _moments(series: Sequence[SeriesSummary]) -> Moments:
    """By all series of a study, for a report, whose header is hardly read, gives no time."""
    found: dict[str, tuple[str, str]] = {}
    for one in series:
        uid = _which(one)
        moment = one.info.study_date, one.facts.study_time
        found[uid] = max(found.get(uid, moment), moment)
    return found


def _patient(
    own: Sequence[SeriesSummary],
    chosen: SeriesSummary | None,
    marks_of: _Marks,
    moments: Moments,
) -> PatientRow:
    studies: dict[str, list[SeriesSummary]] = defaultdict(list)
    for one in own:
        studies[_which(one)].append(one)
    uids = sorted(studies, key=lambda uid: moments[uid], reverse=True)
    reference = _which(chosen) if chosen is not None else uids[0]
    info = max((one.info for one in own), key=lambda info: sum(map(bool, patient_key(info))))
    return PatientRow(
        patient_name(info),
        details(info),
        tuple(
            _study(studies[uid], _order(uid, reference, moments), chosen, marks_of) for uid in uids
        ),
    )


def _order(uid: str, reference: str, moments: Moments) -> str:
    """When a study was made beside the reference: "prior", "later", "same day" or "" for itself."""
    if uid == reference:
        return ""
    (day, time), (other_day, other_time) = moments[uid], moments[reference]
    if day == other_day and (time == other_time or not (time and other_time)):
        return "same day" if day else ""
    return "later" if (day, time) > (other_day, other_time) else "prior"


def _study(
    members: Sequence[SeriesSummary],
    mark: str,
    chosen: SeriesSummary | None,
    marks_of: _Marks,
) -> StudyRow:
    info = members[0].info
    title = "  ".join(filter(None, (date(info.study_date), info.study_description))) or "Study"
    return StudyRow(title, mark, tuple(_series(one, one is chosen, marks_of) for one in members))


def _series(one: SeriesSummary, is_open: bool, marks_of: _Marks) -> SeriesRow:
    info, facts = one.info, one.facts
    name = info.series_description or one.part or "Series"
    title = f"{info.series_number}  {name}" if info.series_number else name
    if not one.is_volume:
        kind = one.kind or (marks_of.kinds.get(one.files[0], "") if one.files else "")
        many = f"{one.seen} images" if one.seen > 1 else ""
        modality = "" if kind.startswith(info.modality) else info.modality  # "MR image" says it
        words = _joined(modality, kind or one.reason, many)
        return SeriesRow(one, title, words, "", _tip(one), one is marks_of.pictured)
    marks = (
        "positions uneven or missing" if facts.trouble else "",
        f"lossy: {facts.lossy}" if facts.lossy else "",
        one.part if one.part not in (name, facts.plane) else "",
        facts.kernel if facts.kernel not in one.part else "",
        f"{facts.phase}?" if facts.phase else "",
    )
    return SeriesRow(one, title, _size(one), _joined(*marks), _tip(one), is_open)


def _size(one: SeriesSummary) -> str:
    """Slices, thickness or else the step from slice to slice, plane."""
    facts = one.facts
    thickness = "" if facts.thickness_mm is None else f"{facts.thickness_mm:.3g} mm"
    if not thickness and facts.step_mm is not None:
        thickness = f"every {facts.step_mm:.3g} mm"
    return _joined(f"{one.shape[0]} slices", thickness, facts.plane)


def _joined(*words: str) -> str:
    return " · ".join(filter(None, words))


def _tip(one: SeriesSummary) -> str:
    facts = one.facts
    if not one.is_volume:
        seen = ". A click shows it by itself; the model is not given it" if one.seen else ""
        return f"{one.label}: not a volume: {one.reason}{seen}"
    step = "" if facts.step_mm is None else f"a slice every {facts.step_mm:.3g} mm"
    pixel = "" if facts.pixel_mm is None else f"pixels of {facts.pixel_mm:.3g} mm"
    size = f"{one.shape[0]} slices of {one.shape[2]} × {one.shape[1]}"
    lines = [one.label, ", ".join(filter(None, (size, step, pixel)))]
    if facts.phase:
        lines.append(f"Phase: {facts.phase}, guessed from “{facts.phase_from}”.")
    if one.split_by:
        lines.append(f"Split by {one.split_by}.")
    if facts.lossy:
        lines.append(f"Compressed with loss: {facts.lossy}.")
    return "\n".join(filter(None, (*lines, facts.trouble)))
