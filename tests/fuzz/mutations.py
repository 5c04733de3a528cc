"""Damages bytes: in any file anywhere, and in DICOM by its elements. Knows nothing of readers.

A damage is *knowable* where the file itself contradicts it: bytes that are lost, inserted or cut
disagree with a stated length, a checksum or the end of a stream, and an element that an image
cannot lack is missed. A reader must then give the same image or say something. Not knowable are a
byte that stands in the place of another one in pixels without a checksum, a shorter number in a
text, an optional attribute that is gone: the file is as good as one that says something else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

#: Value representations whose length has four bytes (PS3.5 7.1.2).
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")

#: What a representation is replaced by.
VRS = (
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB", b"OW",
    b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"TM", b"UI", b"UL", b"UN", b"US", b"UT", b"\0\0",
    b"XX",
)  # fmt: skip

#: Where a value of text is replaced.
TEXTS = (
    b"", b"0 ", b"-1", b"1 ", b"inf ", b"nan ", b"-inf", b"1e308 ", b"-1e308", b"1e-308",
    b"99999999999999", b"1\\2\\3 ", b"1,5 ", b"abc ", b"\xff\xfe\x80\x81", b"1" * 300, b"\\\\\\\\",
    b"\0\0", b"1.2.3.4.5.6 ", b"2.5 ",
)  # fmt: skip

#: Where a binary number is replaced.
NUMBERS = (0, 1, 2, 7, 8, 15, 16, 32, 255, 1024, 32767, 32768, 65534, 65535)

#: Attributes that no CT image can lack (type 1 of PS3.3 C.7.6.2, C.7.6.3 and C.8.2.1), by tag.
NEEDED = {
    b"\x20\x00\x32\x00", b"\x20\x00\x37\x00", b"\x28\x00\x10\x00", b"\x28\x00\x11\x00",
    b"\x28\x00\x30\x00", b"\x28\x00\x00\x01", b"\x28\x00\x01\x01", b"\x28\x00\x03\x01",
    b"\x28\x00\x52\x10", b"\x28\x00\x53\x10", b"\xe0\x7f\x10\x00", b"\x02\x00\x10\x00",
}  # fmt: skip

PIXEL_DATA = b"\xe0\x7f\x10\x00"
UNDEFINED = 0xFFFFFFFF


class Damage(NamedTuple):
    """Damaged bytes, what was done to them, and where the first change is."""

    content: bytes
    doing: str
    knowable: bool
    at: int = 0


Maker = Callable[[bytes, random.Random], Damage]


# --- anywhere ------------------------------------------------------------------------------------


def _place(raw: bytes, choose: random.Random) -> int:
    """A place in a file: half of them in its first two kB, where headers are."""
    end = min(len(raw), 2048) if choose.random() < 0.5 else len(raw)
    return choose.randrange(end) if end else 0


def _few(choose: random.Random) -> int:
    return choose.choice((1, 1, 2, 3, 4, 8, 16, 32, 100, 1000))


def cut(raw: bytes, choose: random.Random) -> Damage:
    """Drop the end."""
    at = choose.choice((_place(raw, choose), max(0, len(raw) - _few(choose))))
    return Damage(raw[:at], f"cut at {at}", True, at)


def behead(raw: bytes, choose: random.Random) -> Damage:
    """Drop the beginning."""
    count = _few(choose)
    return Damage(raw[count:], f"first {count} bytes lost", True)


def lose(raw: bytes, choose: random.Random) -> Damage:
    """Drop some bytes inside."""
    at, count = _place(raw, choose), _few(choose)
    return Damage(raw[:at] + raw[at + count :], f"{count} bytes lost at {at}", True, at)


def insert(raw: bytes, choose: random.Random) -> Damage:
    """Put bytes in between."""
    at, count = _place(raw, choose), _few(choose)
    new = choose.choice((bytes(count), choose.randbytes(count)))
    return Damage(raw[:at] + new + raw[at:], f"{count} bytes inserted at {at}", True, at)


def double(raw: bytes, choose: random.Random) -> Damage:
    """Repeat some bytes."""
    at, count = _place(raw, choose), _few(choose)
    part = raw[at : at + count]
    return Damage(raw[:at] + part + raw[at:], f"{count} bytes doubled at {at}", True, at)


def flip(raw: bytes, choose: random.Random) -> Damage:
    """Flip one to three bits."""
    content, places = bytearray(raw), []
    for _ in range(choose.randint(1, 3) if raw else 0):
        places.append(_place(raw, choose))
        content[places[-1]] ^= 1 << choose.randrange(8)
    return Damage(bytes(content), f"bits flipped at {places}", False, min(places, default=0))


def scribble(raw: bytes, choose: random.Random) -> Damage:
    """Write other bytes over some."""
    at, count = _place(raw, choose), _few(choose)
    new = choose.choice((bytes(count), b"\xff" * count, choose.randbytes(count)))
    new = new[: len(raw) - at]
    content = raw[:at] + new + raw[at + len(new) :]
    return Damage(content, f"{len(new)} bytes written over at {at}", False, at)


ANYWHERE: tuple[Maker, ...] = (
    cut,
    behead,
    lose,
    lose,
    insert,
    insert,
    double,
    flip,
    flip,
    scribble,
)


# --- in DICOM elements ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    """An element of explicit little endian: where it, its length and its value begin."""

    at: int
    tag: bytes
    vr: bytes
    length_at: int
    value_at: int
    length: int

    @property
    def end(self) -> int:
        return self.value_at + (0 if self.length == UNDEFINED else self.length)

    @property
    def vr_name(self) -> str:
        return self.vr.decode("latin-1")  # a damage before may have made it no text

    @property
    def name(self) -> str:
        group, number = (int.from_bytes(self.tag[k : k + 2], "little") for k in (0, 2))
        return f"({group:04X},{number:04X})"


def elements(raw: bytes) -> Iterator[Element]:
    """The elements of a file, those inside sequences too, up to the pixels."""
    at = 132
    while at + 8 <= len(raw):
        tag, vr = raw[at : at + 4], raw[at + 4 : at + 6]
        if tag[:2] == b"\xfe\xff":  # items and their ends
            at += 8
            continue
        wide = vr in LONG
        length_at, width = (at + 8, 4) if wide else (at + 6, 2)
        length = int.from_bytes(raw[length_at : length_at + width], "little")
        found = Element(at, tag, vr, length_at, length_at + width, length)
        yield found
        if tag == PIXEL_DATA and length == UNDEFINED:
            return
        at = found.value_at if vr == b"SQ" else found.end


def _one(raw: bytes, choose: random.Random) -> Element | None:
    found = list(elements(raw))
    own = [e for e in found if e.tag in NEEDED]
    return choose.choice(own if own and choose.random() < 0.6 else found) if found else None


def _on_element(change: Callable[[bytes, Element, random.Random], Damage]) -> Maker:
    def damage(raw: bytes, choose: random.Random) -> Damage:
        element = _one(raw, choose)
        return Damage(raw, "nothing", True) if element is None else change(raw, element, choose)

    return damage


@_on_element
def drop_element(raw: bytes, of: Element, choose: random.Random) -> Damage:
    """Leave an element out. One that is no sequence and no packed image goes whole."""
    content = raw[: of.at] + raw[of.end :]
    return Damage(content, f"{of.name} left out", of.tag in NEEDED, of.at)


@_on_element
def other_tag(raw: bytes, of: Element, choose: random.Random) -> Damage:
    """Give an element another number."""
    tag = bytearray(of.tag)
    tag[choose.randrange(4)] ^= 1 << choose.randrange(8)
    content = raw[: of.at] + bytes(tag) + raw[of.at + 4 :]
    return Damage(content, f"{of.name} with the tag {tag.hex()}", of.tag in NEEDED, of.at)


@_on_element
def other_vr(raw: bytes, of: Element, choose: random.Random) -> Damage:
    """Give an element another value representation; its bytes stay."""
    vr = choose.choice(VRS)
    content = raw[: of.at + 4] + vr + raw[of.at + 6 :]
    return Damage(content, f"{of.name} {of.vr_name} as {vr!r}", True, of.at)


@_on_element
def other_length(raw: bytes, of: Element, choose: random.Random) -> Damage:
    """Let an element state another length than it has."""
    width = of.value_at - of.length_at
    near = of.length + choose.choice((-8, -2, -1, 1, 2, 8, 100))
    length = choose.choice((near, near, 0, 256**width - 1, 256**width - 2, 60000))
    new = (length % 256**width).to_bytes(width, "little")
    content = raw[: of.length_at] + new + raw[of.value_at :]
    return Damage(content, f"{of.name} of {of.length} bytes says {length}", True, of.at)


@_on_element
def double_element(raw: bytes, of: Element, choose: random.Random) -> Damage:
    """Write an element twice."""
    content = raw[: of.end] + raw[of.at : of.end] + raw[of.end :]
    return Damage(content, f"{of.name} twice", True, of.at)


@_on_element
def other_value(raw: bytes, of: Element, choose: random.Random) -> Damage:
    """Give an element another value, with its right length."""
    if of.length == UNDEFINED or of.vr == b"SQ" or of.tag == PIXEL_DATA:
        return flip(raw, choose)
    if of.vr in (b"US", b"SS", b"UL", b"SL"):
        width = 2 if of.vr in (b"US", b"SS") else 4
        value = choose.choice(NUMBERS).to_bytes(width, "little")
    else:
        value = choose.choice(TEXTS)
    width = of.value_at - of.length_at
    content = raw[: of.length_at] + len(value).to_bytes(width, "little") + value + raw[of.end :]
    return Damage(content, f"{of.name} = {value[:30]!r}", False, of.at)


IN_ELEMENTS: tuple[Maker, ...] = (
    drop_element, other_tag, other_vr, other_length, double_element, other_value, other_value
)  # fmt: skip


def damage(raw: bytes, choose: random.Random, *, in_elements: bool) -> Damage:
    """One damage, two in one of ten files."""
    makers = (*ANYWHERE, *IN_ELEMENTS) if in_elements else ANYWHERE
    first = choose.choice(makers)(raw, choose)
    if choose.random() < 0.9:
        return first
    second = choose.choice(makers)(first.content, choose)
    # Bytes lost at one place and as many inserted at another: no length disagrees any more.
    both = first.knowable and second.knowable and len(second.content) != len(raw)
    return Damage(second.content, f"{first.doing}, {second.doing}", both, min(first.at, second.at))
