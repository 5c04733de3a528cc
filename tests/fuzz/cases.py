"""One case of the fuzzer: which file is damaged how, made again from a seed and a number alone."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutations import damage
from tests.fuzz.subjects import SUBJECTS, Seen, Subject

#: Share of the cases of several files in which all of them are damaged alike.
ALIKE = 0.15


@dataclass(frozen=True)
class Made:
    """A damaged file in its place: what to open, what was done, whether it can be known."""

    path: Path
    doing: str
    knowable: bool


def choices(seed: int, number: int) -> random.Random:
    """The choices of one case, the same whatever was tried before."""
    return random.Random(f"{seed}:{number}")


def subject_of(choose: random.Random, only: str = "") -> Subject:
    """The kind of file of a case: the first choice that is made.

    `only` are parts of names, with commas between.
    """
    words = only.lower().split(",")
    some = [one for one in SUBJECTS if any(word in one.name.lower() for word in words)]
    return choose.choices(some, [one.weight for one in some])[0]


class Originals:
    """The undamaged files, written once, and what is seen of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, Path] = {}
        self._seen: dict[str, Seen] = {}

    def copied(self, subject: Subject, target: Path) -> Path:
        """Put the files of a subject into `target`; returns the path to open there."""
        if subject.name not in self._paths:
            own = self._folder / subject.name.replace(" ", "-")
            shutil.rmtree(own, ignore_errors=True)  # of a run before, in a kept folder
            own.mkdir(parents=True)
            self._paths[subject.name] = subject.write(own).relative_to(own)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._folder / subject.name.replace(" ", "-"), target)
        return target / self._paths[subject.name]

    def seen(self, subject: Subject, target: Path) -> Seen:
        """What is seen of the undamaged files, read in the place of the damaged ones."""
        if subject.name not in self._seen:
            self._seen[subject.name] = subject.read(self.copied(subject, target))
        return self._seen[subject.name]


def make(subject: Subject, choose: random.Random, originals: Originals, target: Path) -> Made:
    """Write the damaged files of a case into `target`."""
    path = originals.copied(subject, target)
    victims = sorted(p for p in target.rglob(subject.victims) if p.is_file())
    victim = choose.choice(victims)
    state = choose.getrandbits(64)
    alike = len(victims) > 1 and choose.random() < ALIKE
    doing, knowable = "", True
    for one in victims if alike else [victim]:
        before = one.read_bytes()
        # The same choices for all: the same element in each, or bytes at the same place.
        done = damage(before, random.Random(state), in_elements=subject.in_elements)
        one.write_bytes(done.content)
        knowable &= subject.knowable(before, done.content, done.at, done.knowable)
        doing = done.doing
    where = f"all {len(victims)} files" if alike else str(victim.relative_to(target))
    return Made(path, f"{where}: {doing}", knowable)
