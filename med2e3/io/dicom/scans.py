"""Tell scans apart whose images lie at the same places, by the tables of `telling`.

Knows frames and which place each has; nothing of pixels or geometry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, pairwise
from typing import NamedTuple

from med2e3.io.dicom.details import details
from med2e3.io.dicom.headers import Frame
from med2e3.io.dicom.telling import LATER, MOMENT, MOMENT_NAMES, ORDERED, Ordered

#: Most acquisitions end to end: more are the steps of one scan.
MOST_SCANS = 4

#: Attributes of each image: their values are as many as images, or nearly, and name no scan.
OF_EACH_IMAGE = ("acquired at", "made at", "trigger time")

#: Fewest images of an acquisition among several that lie end to end: fewer are the rotations of one
#: sequential scan.
IMAGES_OF_A_SCAN = 8

_ACQUIRED = MOMENT_NAMES.index("acquired at")

_SECONDS_A_DAY = 86_400

#: Names of attributes, and their values for each frame.
Labels = tuple[tuple[str, ...], list[tuple[str, ...]]]


class Groups(NamedTuple):
    """The scans among images: indices of each, by what they are told apart, and its value for each.

    `sentence` says what a reader must know of a choice that is weak; empty for a sure one.
    """

    members: list[list[int]]
    name: str
    values: list[str]
    sentence: str = ""


def told_by_moment(
    frames: Sequence[Frame], spots: Sequence[int], allowed: Callable[[int], bool]
) -> Groups | None:
    """The scans among `frames`, of which each has one image at a place, by `Frame.moment`.

    None where nothing tells. `spots` numbers the place of each frame. `allowed` judges how many
    scans there may be.
    """
    return _first_that_tells(_of_moment(frames), spots, allowed)


def told_by_details(
    frames: Sequence[Frame],
    spots: Sequence[int],
    allowed: Callable[[int], bool],
    look: Callable[[], object],
) -> Groups | None:
    """The same by all else that the headers state. `look` is called before a file is read."""
    return _first_that_tells(_of_details(frames, look), spots, allowed)


def in_sequence(
    frames: Sequence[Frame], spots: Sequence[int], look: Callable[[], object]
) -> Groups | None:
    """The scans that follow each other in an attribute of `ORDERED`; None where none tells.

    Each scan is a run without a place that comes twice, or, where all images of a place follow each
    other, one image of each.
    """
    known = details(frames, look)
    for row in ORDERED:
        stated = [_place_in_order(row, of) for of in known]
        values = [value for value in stated if value is not None]
        if len(values) < len(stated) or len(set(values)) < 2:
            continue
        order = sorted(range(len(frames)), key=lambda k: (values[k], spots[k]))
        for split in (_runs, _one_of_each):
            members = split(order, values, spots)
            if members and _clear(members, values, split is _runs):
                return _in_words(row, members, values, split is _runs)
    return None


def _first_that_tells(
    labelled: Iterable[Labels], spots: Sequence[int], allowed: Callable[[int], bool]
) -> Groups | None:
    for names, labels in labelled:
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, label in enumerate(labels):
            groups[label].append(index)
        if _are_scans(list(groups.values()), spots, names) and allowed(len(groups)):
            ordered = sorted(groups.items(), key=lambda item: tuple(map(_in_order, item[0])))
            values = [", ".join(word or "none" for word in label) for label, _ in ordered]
            return Groups([members for _, members in ordered], ", ".join(names), values)
    return None


def _of_moment(frames: Sequence[Frame]) -> Iterator[Labels]:
    """What is read of every image: each attribute, then each two of them."""
    places = range(len(MOMENT))
    for chosen in (*((k,) for k in places), *combinations(places, 2)):
        names = tuple(MOMENT_NAMES[k] for k in chosen)
        yield names, [tuple(frame.moment[k] for k in chosen) for frame in frames]


def _of_details(frames: Sequence[Frame], look: Callable[[], object]) -> Iterator[Labels]:
    """What is read only here: the attributes of `LATER`, then any other that all frames have."""
    known = details(frames, look)
    for row in LATER:
        yield (row.name,), [(of.get(row.keyword, ""),) for of in known]
    listed = {row.keyword for row in LATER}
    for key in known[0]:
        if key not in listed and all(key in of for of in known):
            yield (key,), [(of[key],) for of in known]


def _are_scans(groups: Sequence[Sequence[int]], spots: Sequence[int], names: Sequence[str]) -> bool:
    """Whether each group has one image at a place.

    A group of one image is no scan: some scanners number each image; others number each rotation of
    one scan. Nor are there many more scans than images at a place, and of what may differ in every
    image not one more.
    """
    most = max(Counter(spots).values())
    known = set(names) <= set(MOMENT_NAMES) | {row.name for row in LATER}
    exactly = not known or not set(names).isdisjoint(OF_EACH_IMAGE)
    if not 1 < len(groups) <= most + (0 if exactly else MOST_SCANS):
        return False
    return all(len({spots[k] for k in group}) == len(group) > 1 for group in groups)


def _in_order(value: str) -> tuple[float, str]:
    """Sort key of a label: numbers in their order, before texts."""
    try:
        return float(value), ""
    except ValueError:
        return float("inf"), value


def sweeps(frames: Sequence[Frame]) -> Groups | None:
    """Two scans that lie between each other, by the times of their images; None for one.

    `frames` are sorted along their normal. A CT scan moves in one direction: where the images in
    the order of their times go through the same range twice, they are of two scans.
    """
    times = [_seconds(f"19700101{frame.moment[_ACQUIRED]}") for frame in frames]
    values = [value for value in times if value is not None and frames[0].is_ct]
    if len(values) < len(frames) or len(frames) < 2 * IMAGES_OF_A_SCAN:
        return None
    order = sorted(range(len(frames)), key=values.__getitem__)
    turns = [k for k in range(1, len(order) - 1) if _turns(order[k - 1 : k + 2])]
    cuts = {k + 1 for k in turns[:2]} | set(turns[:1])
    for cut in sorted(cuts, key=lambda k: values[order[k - 1]] - values[order[k]]):  # longest pause
        members = [sorted(order[:cut]), sorted(order[cut:])]
        whole = all(_one_way(part) for part in (order[:cut], order[cut:]))
        if whole and min(map(len, members)) >= IMAGES_OF_A_SCAN and _overlap(*members):
            row = next(row for row in ORDERED if row.name == "acquired at")
            return _in_words(row, members, values, True)
    return None


def _turns(three: Sequence[int]) -> bool:
    before, here, after = three
    return (here - before) * (after - here) < 0


def _one_way(order: Sequence[int]) -> bool:
    return list(order) in (sorted(order), sorted(order, reverse=True))


def _overlap(one: Sequence[int], two: Sequence[int]) -> bool:
    """Whether two scans share more than half of the range of the shorter one."""
    shared = min(one[-1], two[-1]) - max(one[0], two[0])
    return shared > 0.5 * min(one[-1] - one[0], two[-1] - two[0])


# --- what grows from image to image ------------------------------------------------------------


def _place_in_order(row: Ordered, of: Mapping[str, str]) -> float | None:
    """The value of an ordered attribute as a number: seconds for a time."""
    for keyword in row.keywords:
        if isinstance(keyword, tuple):
            day, clock = (of.get(word, "") for word in keyword)
            text = f"{day or '19700101'}{clock}" if clock else ""
        else:
            text = of.get(keyword, "")
        number = _seconds(text) if row.is_time else _number(text)
        if number is not None:
            return number
    return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    """A DICOM date and time in seconds; None for what is none."""
    whole, _, fraction = text.partition(".")
    whole = whole.replace(":", "").split("+")[0].split("-")[0]
    if not whole.isdecimal() or len(whole) < 8:
        return None
    clock = whole[8:14].ljust(6, "0")
    try:
        days = date(int(whole[:4]), int(whole[4:6]), int(whole[6:8])).toordinal()
    except ValueError:
        return None
    digits = "".join(letter for letter in fraction[:6] if letter.isdecimal())
    hours, minutes, seconds = (int(clock[k : k + 2]) for k in (0, 2, 4))
    past = hours * 3600 + minutes * 60 + seconds + float(f"0.{digits or 0}")
    return days * _SECONDS_A_DAY + past


def _runs(
    order: Sequence[int], values: Sequence[float], spots: Sequence[int]
) -> list[list[int]] | None:
    """`order` cut into as few runs as there are images at a place; None where more are needed.

    Between two images of one place the cut is at the widest step of the values.
    """
    runs: list[list[int]] = []
    start, last = 0, dict[int, int]()
    for k, index in enumerate(order):
        before = last.get(spots[index], -1)
        if before >= start:
            steps = {j: values[order[j]] - values[order[j - 1]] for j in range(before + 1, k + 1)}
            cut = max(steps, key=lambda j: (steps[j], j))
            runs.append(list(order[start:cut]))
            start = cut
        last[spots[index]] = k
    runs.append(list(order[start:]))
    return runs if len(runs) == max(Counter(spots).values()) else None


def _one_of_each(
    order: Sequence[int], _values: Sequence[float], spots: Sequence[int]
) -> list[list[int]] | None:
    """The first image of each place, the second of each, and so on; None unless all of a place
    follow each other, and all places have as many.
    """
    counts = Counter(spots)
    number = counts[spots[order[0]]]
    blocks = [order[k : k + number] for k in range(0, len(order), number)]
    if set(counts.values()) != {number} or any(
        len({spots[k] for k in block}) > 1 for block in blocks
    ):
        return None
    return [[block[k] for block in blocks] for k in range(number)]


def _clear(members: Sequence[Sequence[int]], values: Sequence[float], are_runs: bool) -> bool:
    """Whether the order says which image is of which scan: no two scans share a value."""
    if min(map(len, members)) < 2:
        return False
    if are_runs:
        ends = [(min(values[k] for k in run), max(values[k] for k in run)) for run in members]
        return all(one[1] < two[0] for one, two in pairwise(ends))
    return all(
        len({values[k] for k in images}) == len(images) for images in zip(*members, strict=True)
    )


def _in_words(
    row: Ordered, members: list[list[int]], values: Sequence[float], are_runs: bool
) -> Groups:
    words = []
    for number, run in enumerate(members, start=1):
        ends = [min(values[k] for k in run), max(values[k] for k in run)]
        first, last = (_clock(end) if row.is_time else f"{end:g}" for end in ends)
        span = first if first == last else f"{first} to {last}"
        words.append(span if are_runs else f"{number} of {len(members)} at each place")
    if len(set(words)) < len(words):
        words = [f"{word}, scan {k}" for k, word in enumerate(words, start=1)]
    sentence = (
        f"{len(members)} scans lie at the same places, and only the order of their images tells "
        f"them apart ({row.name}: {' / '.join(words)}). Compare with the scanner's own series."
    )
    return Groups(members, row.name, words, sentence)


def _clock(seconds: float) -> str:
    """The time of the day, to a hundredth of a second."""
    past = seconds % _SECONDS_A_DAY
    whole = int(past)
    fraction = f"{past - whole:.2f}"[1:].removesuffix(".00")
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{fraction}"
