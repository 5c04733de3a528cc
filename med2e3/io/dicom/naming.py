"""Name the stacks of one series by the attributes in which they differ. Knows no pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from med2e3.io.dicom.attributes import text
from med2e3.io.dicom.facts import plane_of
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.telling import MOMENT_NAMES

#: An attribute of a frame as text.
Aspect = Callable[[Frame], str]


def _moment(k: int) -> Aspect:
    return lambda frame: frame.moment[k].replace("\\", " ")


def _clock(k: int) -> Aspect:
    """A time as people write it; as it stands where it is none."""

    def aspect(frame: Frame) -> str:
        value = frame.moment[k]
        digits = value.partition(".")[0]
        if len(digits) != 6 or not digits.isdecimal():
            return value.replace("\\", " ")
        return f"{digits[:2]}:{digits[2:4]}:{value[4:]}"

    return aspect


def _thickness(frame: Frame) -> str:
    return f"{frame.thickness} mm" if frame.thickness else ""


#: The values of `Frame.moment` that are times of the day.
TIMES = ("acquired at", "made at")

#: The attributes in which stacks may differ, the most telling first. One is named only if it tells
#: more stacks apart than those before it.
ASPECTS: dict[str, Aspect] = {
    "orientation": plane_of,
    "image size": lambda f: f"{f.pixels.columns} × {f.pixels.rows}",
    "pixel spacing": lambda f: f"{f.spacing[0]:.3g} mm" if f.spacing else "",
    "kernel": lambda f: f.kernel.replace("\\", " "),
    "slice thickness": _thickness,
    **{
        name: (_clock if name in TIMES else _moment)(k)
        for k, name in enumerate(MOMENT_NAMES)
        if name not in ("kernel", "slice thickness")
    },
    "series number": lambda f: text(f.header, "SeriesNumber"),
    "description": lambda f: text(f.header, "SeriesDescription"),
    "protocol": lambda f: text(f.header, "ProtocolName"),
}


def named(
    stacks: Sequence[Sequence[Frame]], told: Sequence[tuple[str, str]] = ()
) -> tuple[list[str], str]:
    """A name for each stack of one series, and the attributes that split them; empty for one.

    `told` are the name and the value by which scans at one place were told apart already.
    """
    if len(stacks) < 2:
        return [""] * len(stacks), ""
    tuples: list[tuple[str, ...]] = [()] * len(stacks)
    reasons: list[str] = []
    for name, aspect in ASPECTS.items():
        values = [_common(frames, aspect) for frames in stacks]
        words = [f"{name} {value or 'none'}" for value in values]
        finer = [(*old, word) for old, word in zip(tuples, words, strict=True)]
        if len(set(finer)) > len(set(tuples)):
            tuples = finer
            reasons.append(f"{name}: {' / '.join(v or 'none' for v in in_order(values))}")
        if len(set(tuples)) == len(stacks):
            break
    if told and len(set(tuples)) < len(stacks):
        finer = [(*old, " ".join(pair).strip()) for old, pair in zip(tuples, told, strict=True)]
        if len(set(finer)) > len(set(tuples)):
            tuples = finer
            for name in dict.fromkeys(name for name, _ in told if name):
                values = [value for by, value in told if by == name]
                reasons.append(f"{name}: {' / '.join(in_order(values))}")
    names = [", ".join(filter(None, p)).removeprefix("orientation ") for p in tuples]
    for k, name in enumerate(names):
        if names.count(name) > 1:
            names[k] = ", ".join(filter(None, (name, f"part {k + 1} of {len(stacks)}")))
    return names, "; ".join(reasons)


def in_order(values: Iterable[str]) -> list[str]:
    """Each value once, sorted by length and then by letters: whole numbers come in their order."""
    return sorted(set(values), key=lambda value: (len(value), value))


def _common(frames: Sequence[Frame], aspect: Aspect) -> str:
    values = dict.fromkeys(map(aspect, (frames[0], frames[len(frames) // 2], frames[-1])))
    return next(iter(values)) if len(values) == 1 else "mixed"
