"""Every sentence that the readers can give, held to rules: the ones in the code, and some at work.

The tables say what is allowed and why; a new message that breaks a rule is named by its line.
"""

from __future__ import annotations

import ast
import gzip
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
import pydicom
import pytest

from med2e3.errors import Med2E3Error
from med2e3.io import load_volume
from tests.med2e3.io.test_bounds import CLAIMS, metaimage_of, nifti_of, npy_of, nrrd_of

ROOT = Path(__file__).resolve().parents[3]
READERS = ROOT / "med2e3" / "io"

#: The errors of the tree that readers raise: each ends with a way out.
ERRORS = frozenset(
    ("ImageReadError", "GeometryError", "GapError", "SeriesChoiceError", "ResourceError")
)

#: Where "damaged" may be said, by the words around it, and why it is true there.
MEANT = {
    "the voxels end early or are damaged": "bytes are missing, or a checksum is wrong",
    "It is damaged or of another format": "the header cannot be that of the format",
    "what is packed in it is damaged": "the checksum or the stream is wrong",
    "its packed bytes are damaged or cut short": "the checksum or the stream is wrong",
    "its deflated pixels end early or are damaged": "the stream is wrong",
    "one of its elements is damaged": "no value of that representation has such bytes",
    "The file is damaged; copy or send it again": "its header or its end cannot be read at all",
    "the file is damaged or cut short": "every decoder refuses the stream",
    "a damaged file that the decoder cannot survive": "the decoder ended its process, twice",
    "The header of the stream is damaged": "a marker stands where none can",
    "The geometry is damaged": "directions or positions are no numbers of a grid",
    "damaged DICOM file": "counts files whose header cannot be read",
    "Damaged files that may belong to it": "names files whose header cannot be read",
    "damaged or empty file": "counts files whose header cannot be read",
    "damaged file": "the kind of a file whose header cannot be read",
    "is damaged": "the table of contents, whose records cannot be read",
    "was changed or damaged since": "the header was read when the file was opened",
}

#: Where a sentence may repeat an error: it is one of this tree, in our words.
REPEATED = {
    "resample.py": "why the slices are no stack, with the series that they are of",
    "reader.py": "a gap, and the damaged files that may fill it",
    "archive.py": "an error within the archive, with its name",
    "array_file.py": "a clause of the format's own reader",
    "nifti.py": "a clause of its own",
    "references.py": "the system's own word for why it does not open a file",
    "finding.py": "what kept every file of a folder closed",
}

#: Strings that nobody reads: patterns, names of types, attributes, words of code.
NOT_READ = {"phase.py", "quick.py", "attributes.py"}
PATTERN = re.compile(r"\\[dswb+]|\(\?|\bint8\b|\bint16\b|\bint32\b|\blonglong\b|StudyDate|%")

#: What a library says, and no sentence of ours.
OF_A_LIBRARY = re.compile(
    r"argument must|broadcast|NoneType|object has no|Errno|Traceback|invalid literal|codec can't|"
    r"reshape|unpack \(|list index|expected .* got|not iterable|\bdtype\b|KeyError|ValueError|"
    r"Expected total bytes|pydicom|nibabel\.|unsupported operand|subscriptable",
    re.IGNORECASE,
)

#: How a way out begins, at the start of a sentence or behind a semicolon.
WAY_OUT = re.compile(
    r"(?:^|[.;,:}] )(?:or |and |then |else )?(?:copy|download|export|open|put|re-?send|send|take|"
    r"close|make|change|check|split|save|choose|correct|resample|unpack|ask|replace|convert)\b",
    re.IGNORECASE,
)

#: Errors that another one completes: they say what is wrong in the middle of a sentence.
NO_WAY_OUT = {
    "{path}: {error}": "GeometryError of the grid, which has one",
    "has no header that can be shown": "nothing can be done about it, and nothing is lost",
    "has shape": "checked at work below",
    "{notes}": "",
}


class Said(NamedTuple):
    """A string of the code: its module and line, its text with names in braces, its error."""

    where: str
    text: str
    error: str


def flattened(node: ast.expr) -> str:
    """The text of an expression, with what is filled in as its code in braces."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(flattened(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    if isinstance(node, ast.BinOp):
        return flattened(node.left) + flattened(node.right)
    if isinstance(node, ast.BoolOp):
        return flattened(node.values[-1])
    return f"{{{ast.unparse(node)}}}"


def strings(path: Path) -> Iterator[Said]:
    """The strings of a module that are no docstrings, each once, with the error that says it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # fmt: skip
    parts = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.FormattedValue)
        for part in ast.walk(node)
        if part is not node
    }
    errors: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in ERRORS:
            yield Said(
                f"{path.name}:{node.lineno}", flattened(node.args[0]), ast.unparse(node.func)
            )
            errors[id(node.args[0])] = ast.unparse(node.func)
    for node in ast.walk(tree):
        if id(node) in docstrings or id(node) in parts or id(node) in errors:
            continue
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        ):
            yield Said(f"{path.name}:{node.lineno}", flattened(node), "")


ALL = [
    said
    for path in sorted(READERS.rglob("*.py"))
    if path.name not in NOT_READ
    for said in strings(path)
    if not PATTERN.search(said.text)
]
RAISED = [said for said in ALL if said.error]


def module(said: Said) -> str:
    return said.where.split(":")[0]


class TestInTheCode:
    def test_there_is_something_to_read(self) -> None:
        assert len(RAISED) > 50
        assert len([said for said in ALL if len(said.text.split()) > 4]) > 150

    def test_damaged_is_said_only_of_what_is(self) -> None:
        wrong = [
            said
            for said in ALL
            if "damaged" in said.text.lower()
            and not any(words in said.text for words in MEANT)
            and len(said.text.split()) > 1
        ]
        assert not wrong

    def test_no_library_speaks(self) -> None:
        plain = [(said, re.sub(r"\{[^}]*\}", "", said.text)) for said in ALL]
        assert not [said for said, words in plain if OF_A_LIBRARY.search(words) and " " in words]

    def test_no_sentence_repeats_an_error_of_a_library(self) -> None:
        repeats = re.compile(r"\{(?:str\()?(?:error|exception|problem|failed)\b")
        wrong = [s for s in ALL if repeats.search(s.text) and module(s) not in REPEATED]
        assert not wrong

    def test_the_temporary_folder_is_named_only_where_room_is_to_be_made(self) -> None:
        wrong = [said for said in ALL if "tempfile" in said.text or "folder.held" in said.text]
        assert [module(said) for said in wrong] in ([], ["archive.py"])
        assert all("Make room" in said.text for said in wrong)

    def test_every_error_is_a_sentence(self) -> None:
        ends = re.compile(r"(?:[.)]|\{[^}]*\}|”)$")
        wrong = [said for said in RAISED if not ends.search(said.text.strip())]
        starts = re.compile(r"^(?:[A-Z{]|\")")
        assert not wrong + [said for said in RAISED if not starts.match(said.text)]

    def test_every_error_names_a_way_out(self) -> None:
        wrong = [
            said
            for said in RAISED
            if not WAY_OUT.search(said.text)
            and " " in said.text.strip()
            and not any(words in said.text for words in NO_WAY_OUT)
            and not said.text.endswith("}")
        ]
        assert not wrong


def text_of(*lines: str) -> bytes:
    return "\n".join(lines).encode()


NRRD = nrrd_of("6 5 4", "raw")
MHA = metaimage_of("6 5 4")
RAW = bytes(240)


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new, 1)


#: Hostile files by their names: what is in them is of no use to anybody.
HOSTILE: dict[str, bytes] = {
    **{f"claim_{name}": content for name, content in CLAIMS.items()},
    "empty.nii": b"",
    "zeros.nii": bytes(400),
    "short.nii": nifti_of((6, 5, 4))[:300],
    "two.nii": nifti_of((6, 5)) + RAW,
    "series.nii": nifti_of((6, 5, 4, 3)) + RAW * 3,
    "negative.nii": nifti_of((6, 5, 4))[:42] + b"\xff\xff" + nifti_of((6, 5, 4))[44:] + RAW,
    "cut.nii.gz": gzip.compress(nifti_of((6, 5, 4)) + RAW)[:-20],
    "flipped.nii.gz": gzip.compress(nifti_of((6, 5, 4)) + RAW)[:-6] + b"\1\2\3\4\5\6",
    "pk.nii.gz": b"\x1f\x8bPK not gzip",
    "text.hdr": b"ENVI\ndescription = {a}\n" * 20,
    "empty.nrrd": b"",
    "magic.nrrd": b"NRRD",
    "version.nrrd": changed(NRRD, b"NRRD0004", b"NRRD0009") + RAW,
    "colon.nrrd": changed(NRRD, b"endian: little", b"endian little") + RAW,
    "sizes.nrrd": changed(NRRD, b"sizes: 6 5 4", b"sizes: 6 x 4") + RAW,
    "sizes2.nrrd": changed(NRRD, b"sizes: 6 5 4", b"sizes: 6 5") + RAW,
    "negative.nrrd": changed(NRRD, b"sizes: 6 5 4", b"sizes: -6 -5 4") + RAW,
    "huge.nrrd": changed(NRRD, b"sizes: 6 5 4", b"sizes: 1e300 5 4") + RAW,
    "type.nrrd": changed(NRRD, b"type: short", b"type: half") + RAW,
    "endian.nrrd": changed(NRRD, b"endian: little", b"endian: middle") + RAW,
    "encoding.nrrd": changed(NRRD, b"encoding: raw", b"encoding: zstd") + RAW,
    "skip.nrrd": changed(NRRD, b"endian", b"byte skip: -7\nendian") + RAW,
    "list.nhdr": changed(NRRD, b"\n\n", b"\ndata file: LIST\n"),
    "gone.nhdr": changed(NRRD, b"\n\n", b"\ndata file: gone.raw\n\n"),
    "space.nrrd": changed(NRRD, b"spacings: 1 1 1", b"spacings: 0 0 0") + RAW,
    "directions.nrrd": changed(NRRD, b"spacings: 1 1 1", b"space directions: (1,0) (x)") + RAW,
    "words.nrrd": nrrd_of("6 5 4", "text") + b"one two three " * 40,
    "hex.nrrd": nrrd_of("6 5 4", "hex") + b"no digits here! " * 40,
    "empty.mha": b"",
    "keys.mha": b"DimSize = 6 5 4\n" * 30,
    "sizes.mha": changed(MHA, b"6 5 4", b"6 five 4") + RAW,
    "axes.mha": changed(MHA, b"NDims = 3", b"NDims = 4") + RAW,
    "type.mha": changed(MHA, b"MET_SHORT", b"MET_HALF") + RAW,
    "negative.mha": changed(MHA, b"6 5 4", b"-6 -5 4") + RAW,
    "spacing.mha": changed(MHA, b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1") + RAW,
    "matrix.mha": changed(MHA, b"ElementSpacing", b"TransformMatrix = 1 0 x\nElementSpacing") + RAW,
    "text.mha": changed(MHA, b"ElementSpacing", b"BinaryData = False\nElementSpacing") + RAW,
    "gone.mhd": metaimage_of("6 5 4", file="gone.raw"),
    "pattern.mhd": metaimage_of("6 5 4", file="%s%d.raw 1 4 1"),
    "start.mhd": metaimage_of("6 5 4", "CompressedData = True", "HeaderSize = -1", file="a.raw"),
    "zlib.mha": metaimage_of("6 5 4", "CompressedData = True") + zlib.compress(RAW)[:-4] + b"abcd",
    "empty.npy": b"",
    "magic.npy": b"\x93NUMPY",
    "version.npy": b"\x93NUMPY\x03\x00" + bytes(200),
    "shape.npy": npy_of("(4, -5, 6)") + RAW,
    "floats.npy": npy_of("(4.5, 5, 6)") + RAW,
    "big.npy": npy_of("(10**30, 5, 6)") + RAW,
    "wide.npy": npy_of(f"({10**30}, 5, 6)") + RAW,
    "empty.zip": b"",
    "words.zip": b"PK\3\4 and no more",
    "a.dcm": bytes(128) + b"DICM" + bytes(300),
    "b.dcm": bytes(128) + b"DICM\x02\x00\x10\x00UI\xff\xff1.2",
    "text.dcm": b"Dear colleague, \n" * 50,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_said_of_a_hostile_file(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Med2E3Error) as caught:
            load_volume(path)
    said = str(caught.value)
    check_said(said, name)
    assert capfd.readouterr() == ("", "")


def check_said(said: str, name: str) -> None:
    assert name in said
    assert said.endswith(".")
    assert ".." not in said
    assert WAY_OUT.search(said)
    assert not OF_A_LIBRARY.search(said)
    assert "{" not in said
    if "damaged" in said.lower():
        assert any(words in said for words in MEANT)


def zipped(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def compressed(dataset: pydicom.Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    dataset.PixelData = pydicom.encaps.encapsulate([b"no RLE at all "])
    dataset["PixelData"].VR = "OB"


def short(dataset: pydicom.Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:20]


def without_position(dataset: pydicom.Dataset) -> None:
    del dataset.ImagePositionPatient


class TestArchives:
    """The archive and its entry are named, and no temporary folder."""

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a__nii", nifti_of((6, 5, 4))),
            ("a__nii", b"nothing"),
            ("a__npy", npy_of("(4, 5, 6)")),
            ("a__mhd", metaimage_of("6 5 4", file="gone.raw")),
            ("a__nhdr", changed(NRRD, b"\n\n", b"\ndata file: gone.raw\n\n")),
            ("letter__txt", b"Dear colleague"),
        ],
    )
    def test_of_a_file_that_cannot_be_read(self, tmp_path: Path, name: str, content: bytes) -> None:
        path = zipped(tmp_path / "study.zip", **{name: content})
        with pytest.raises(Med2E3Error) as caught:
            load_volume(path)
        check_said(str(caught.value), "study.zip")
        assert tempfile.gettempdir() + "/med2e3-" not in str(caught.value)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("edit", [compressed, short, without_position])
    def test_of_a_series_that_cannot_be_loaded(
        self,
        series: Callable[..., Path],
        tmp_path: Path,
        edit: Callable[[pydicom.Dataset], None],
    ) -> None:
        folder = series(lambda dataset, _k: edit(dataset))
        path = tmp_path / "study.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"disk/{file.name}")
        with pytest.raises(Med2E3Error) as caught:
            load_volume(path)
        check_said(str(caught.value), "study.zip")
        assert "med2e3-" not in str(caught.value)

    def test_warnings_name_it_too(self, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), np.eye(4))
        nibabel.save(image, tmp_path / "good.nii")
        good = (tmp_path / "good.nii").read_bytes()
        path = zipped(tmp_path / "study.zip", good__nii=good, bad__nii=b"nothing")
        (said,) = load_volume(path).warnings
        assert said.startswith(f"{path}/bad.nii cannot be read as NIfTI")
