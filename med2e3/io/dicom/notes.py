"""Warnings about the images of a stack: their values, their positions and whose they are.

Knows headers and the range of the values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from med2e3.io.dicom.attributes import text
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.pixels import is_too_long
from med2e3.io.dicom.stacks import Stack
from med2e3.io.plausible import (
    BRIGHTEST_PLAUSIBLE_HU,
    DARKEST_PLAUSIBLE_HU,
    SOFT_TISSUE_WITHOUT_INTERCEPT,
)
from med2e3.volume import SeriesInfo
from med2e3.words import counted, some_names

#: Rescale types of CT values: Hounsfield units, unspecified, or left out (PS3.3 C.11.1.1.2).
UNITS_OF_CT = {"HU", "US", ""}

#: Steps between slices up to this many thicknesses are meant to touch: both are rounded.
TOUCHING = 1.25


def notes_of(stack: Stack, value_range: tuple[float, float]) -> list[str]:
    """The warnings of a stack; `value_range` is its smallest and largest value without padding."""
    return [*_of_identity(stack.frames), *_of_positions(stack), *_of_values(stack, value_range)]


def _of_identity(frames: Sequence[Frame]) -> Iterator[str]:
    patients = _different(frames, "PatientID")
    if len(patients) > 1:
        yield (
            f"The images of this series name {len(patients)} patients ({some_names(patients)}): "
            "they may be of different people. Ask where the files come from."
        )
    references = _different(frames, "FrameOfReferenceUID")
    if len(references) > 1:
        yield (
            f"The images of this series name {len(references)} frames of reference: their "
            "positions may not be comparable, and slices may lie in the wrong order or place."
        )


def _different(frames: Sequence[Frame], keyword: str) -> list[str]:
    """The values of an attribute among the files, each once; files without it do not count."""
    return [value for value in dict.fromkeys(text(f.header, keyword) for f in frames) if value]


def _of_positions(stack: Stack) -> Iterator[str]:
    facts = stack.summary.facts
    thickness, step = facts.thickness_mm or 0.0, facts.step_mm or 0.0
    if 0 < thickness * TOUCHING < step:
        yield (
            f"The slices are {thickness:.3g} mm thick and lie {step:.3g} mm apart: what is between "
            "them was not imaged, or files are missing evenly. Reformats and volumes bridge it."
        )


def _of_values(stack: Stack, value_range: tuple[float, float]) -> Iterator[str]:
    header, info = stack.frames[0].header, stack.summary.info
    if longer := [f.path.name for f in stack.frames if not f.number and is_too_long(f)]:
        yield (
            f"Pixel Data is longer than the header explains in {counted(len(longer), 'file')} "
            f"({some_names(longer)}): what follows the first pixels was not read."
        )
    if lossy := stack.summary.facts.lossy:
        yield (
            f"The images were compressed with loss ({lossy}): fine detail and values are not those "
            "that were measured."
        )
    yield from _of_oddities(stack.frames)
    if said := _of_modality(info):
        yield said
    if not info.is_ct and (info.modality or info.unit != "HU"):
        return
    units = {f.unit for f in stack.frames} - UNITS_OF_CT
    if rescale := _of_rescale(stack.frames):
        yield rescale
    if units:
        yield f"The values are {', '.join(sorted(units))}, not Hounsfield units."
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        yield (
            "The files ask to be shown inverted (MONOCHROME1); the values are kept, and shown with "
            "high ones bright."
        )
    lowest, highest = value_range
    if lowest < DARKEST_PLAUSIBLE_HU:
        yield (
            f"The lowest value is {lowest:g} HU, below any tissue or air: probably padding that "
            f"the files {_undeclared(stack.frames)}. It is kept."
        )
    if highest > BRIGHTEST_PLAUSIBLE_HU:
        yield (
            f"The highest value is {highest:g} HU, above the scale of CT even with metal: padding "
            f"that the files {_undeclared(stack.frames)}, or pixels that are stored in another "
            "way than the files say. It is kept."
        )
    if lowest >= 0 and highest > SOFT_TISSUE_WITHOUT_INTERCEPT and not (rescale or units):
        yield (
            f"The values go from {lowest:g} to {highest:g}, and none is below 0 HU as fat and air "
            "are: the rescale intercept was probably lost, and values are not Hounsfield units."
        )


def _of_modality(info: SeriesInfo) -> str:
    """What follows of a modality that is not CT; empty for CT."""
    if info.is_ct:
        return ""
    if not info.modality and info.unit == "HU":
        return "The modality is not given; values are Hounsfield units by their Rescale Type (HU)."
    if info.unit == "HU":
        return (
            f"The modality is {info.modality}, not CT, although the Rescale Type says Hounsfield "
            "units (HU): CT windows may not fit."
        )
    return (
        f"The modality is {info.modality or 'not given'}, not CT: values are not Hounsfield "
        "units, and CT windows will not fit."
    )


def _of_oddities(frames: Sequence[Frame]) -> Iterator[str]:
    """What is written in an odd way and was read as it is meant, and values out of a table."""
    for remark in dict.fromkeys(said for frame in frames for said in frame.remarks):
        names = list(dict.fromkeys(f.path.name for f in frames if remark in f.remarks))
        yield f"{counted(len(names), 'file')} ({some_names(names)}) {remark}."
    kinds = sorted(
        {frame.table.kind or "not stated" for frame in frames if frame.table is not None}
    )
    if kinds:
        yield (
            "The values come from a table in the files (Modality LUT, type "
            f"{', '.join(kinds)}) in place of a rescale slope and intercept."
        )


def _undeclared(frames: Sequence[Frame]) -> str:
    declared = any(frame.pixels.padding is not None for frame in frames)
    return "declare with another value" if declared else "do not declare"


def _of_rescale(frames: Sequence[Frame]) -> str:
    """A warning that names images without slope or intercept; empty if all have both."""
    lacking = [f for f in frames if not f.is_rescale_stated]
    if not lacking:
        return ""
    who = "The files give"
    if len(lacking) < len(frames):
        names = some_names([f.path.name for f in lacking])
        who = f"{len(lacking)} of {counted(len(frames), 'image')} ({names}) with"
    return (
        f"{who} no usable rescale slope and intercept, or only one of the two: what is missing "
        "counts as 1 and 0, and values may not be Hounsfield units."
    )
