"""What a file claims is compared with its bytes and the memory first, whatever reads it.

Each bomb is opened by a process of its own, and what that process took is measured, not only what
it said.
"""

from __future__ import annotations

import bz2
import gzip
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from med2e3.errors import ImageReadError, ResourceError
from med2e3.io import bounds, load_volume, open_source
from med2e3.io.bounds import Claim, Packing, check_claim, most_bytes
from tests.med2e3.io.conftest import SHAPE, ramp

Write = Callable[..., Path]
MB = 1024**2

#: Bytes of zeros that a bomb holds.
BOMB = 512 * MB

#: Bytes that opening any of these files may take beside what the readers themselves take.
SPARE = 64 * MB

#: Opens a path and prints what was said, and the memory that it took beyond the readers' own.
PROGRAM = """
import resource, sys
from med2e3.errors import Med2E3Error
from med2e3.io import load_volume, open_source
import nibabel.nifti1, nibabel.nifti2, nibabel.spm2analyze, nrrd, pydicom.pixels, bz2, lzma
import med2e3.io.dicom.decode_pool, filelock
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
limit = int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    if sys.argv[2] == "list":
        print("found", [(s.count, s.is_volume) for s in open_source(sys.argv[1]).series])
    else:
        volume = load_volume(sys.argv[1])
        print("opened", volume.shape, volume.value_range, *volume.warnings)
except Med2E3Error as error:
    print(type(error).__name__, error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts memory in kB")


def said_and_taken(path: Path, do: str = "load", limit: int = 0) -> tuple[str, int]:
    """What a process says of `path`, and the bytes that it takes for it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), do, str(limit)],
        capture_output=True, text=True, check=False, timeout=120, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *said, taken = done.stdout.strip().split("\n")
    return "\n".join(said), int(taken)


def nifti_of(shape: tuple[int, ...], dtype: type = np.int16) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_sform(np.diag([1.0, 2.0, 3.0, 1.0]), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return bytes(header.binaryblock) + bytes(4)


def nrrd_of(sizes: str, encoding: str, *lines: str) -> bytes:
    head = ["NRRD0004", "type: short", "dimension: 3", f"sizes: {sizes}", f"encoding: {encoding}",
            "endian: little", "spacings: 1 1 1", *lines, "", ""]  # fmt: skip
    return "\n".join(head).encode()


def metaimage_of(sizes: str, *lines: str, file: str = "LOCAL") -> bytes:
    head = ["NDims = 3", f"DimSize = {sizes}", "ElementType = MET_SHORT", "ElementSpacing = 1 1 1",
            *lines, f"ElementDataFile = {file}", ""]  # fmt: skip
    return "\n".join(head).encode()


def npy_of(shape: str) -> bytes:
    body = f"{{'descr': '<i2', 'fortran_order': False, 'shape': {shape}, }}".encode()
    body = body.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


#: Headers of some hundred bytes that claim 5.6 GB: the file cannot hold them, packed or not.
CLAIMS = {
    "a.nii": nifti_of((1000, 1000, 2800)),
    "b.nii": nifti_of((32767, 32767, 32767), np.float64),
    "a.nii.gz": gzip.compress(nifti_of((1000, 1000, 2800))),
    "a.nrrd": nrrd_of("1000 1000 2800", "raw"),
    "b.nrrd": nrrd_of("1000 1000 2800", "gzip") + gzip.compress(bytes(1000)),
    "c.nrrd": nrrd_of("1000 1000 2800", "text") + b"1 2 3",
    "d.nrrd": nrrd_of("1000 1000 2800", "hex") + b"0011",
    "a.mha": metaimage_of("1000 1000 2800"),
    "b.mha": metaimage_of("1000 1000 2800", "CompressedData = True") + zlib.compress(bytes(1000)),
    "a.npy": npy_of("(2800, 1000, 1000)"),
}


class TestClaims:
    def test_a_header_that_its_file_cannot_hold_takes_no_memory(self, tmp_path: Path) -> None:
        for name, content in CLAIMS.items():
            (tmp_path / name).write_bytes(content)
        (tmp_path / "good.nii").write_bytes(nifti_of((3, 4, 5)) + bytes(120))
        said, taken = said_and_taken(tmp_path)
        assert said.startswith("opened (5, 4, 3)")
        for name in CLAIMS:
            assert f"{name}: the voxels end early" in said or f"{name} cannot be read" in said
        assert taken < SPARE

    @pytest.mark.parametrize("name", CLAIMS)
    def test_it_is_left_out_while_listing(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(CLAIMS[name])
        (tmp_path / "good.nii").write_bytes(nifti_of((3, 4, 5)) + bytes(120))
        source = open_source(tmp_path)
        assert [one.shape for one in source.series] == [(5, 4, 3)]
        assert [(one.path.name, one.kind) for one in source.skipped] == [(name, "volume file")]

    def test_a_need_above_the_free_memory_is_told_with_both_numbers(self, tmp_path: Path) -> None:
        """16 million voxels are there, packed; the process may not take them."""
        packed = gzip.compress(nifti_of((256, 256, 2000), np.float32) + bytes(BOMB), 9)
        (tmp_path / "a.nii.gz").write_bytes(packed)
        said, taken = said_and_taken(tmp_path / "a.nii.gz", limit=1_000 * MB)
        assert re.match(r"ResourceError .*a\.nii\.gz .* needs 1\.3 GB of memory, and .* are", said)
        assert taken < SPARE


class TestStreams:
    """Streams that unpack to 512 MB where the header needs 240 bytes."""

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.nii.gz", lambda: gzip.compress(nifti_of((4, 5, 6)) + bytes(BOMB), 9)),
            ("a.nrrd", lambda: nrrd_of("4 5 6", "gzip") + gzip.compress(bytes(BOMB), 9)),
            ("b.nrrd", lambda: nrrd_of("4 5 6", "bzip2") + bz2.compress(bytes(BOMB), 9)),
            ("a.mha", lambda: metaimage_of("4 5 6", "CompressedData = True")
             + zlib.compress(bytes(BOMB), 9)),
        ],
    )  # fmt: skip
    def test_they_are_read_as_far_as_the_header_needs_with_a_word(
        self, tmp_path: Path, name: str, content: Callable[[], bytes]
    ) -> None:
        (tmp_path / name).write_bytes(content())
        said, taken = said_and_taken(tmp_path / name)
        assert said.startswith("opened (6, 5, 4)")
        assert "behind the 6 slices that its header describes, and they were not read" in said
        assert taken < SPARE

    def test_bzip2_that_may_hold_gigabytes_and_holds_few_ends_early(self, tmp_path: Path) -> None:
        content = nrrd_of("1000 1000 1000", "bzip2") + bz2.compress(bytes(2 * 45_000_000), 9) * 30
        (tmp_path / "a.nrrd").write_bytes(content)
        said, _ = said_and_taken(tmp_path / "a.nrrd", limit=1_000 * MB)
        assert re.match(r"ResourceError .*needs 4\.0 GB of memory", said)

    @pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "b.nrrd", "a.mha"])
    def test_a_stream_that_is_too_short_is_an_error(self, tmp_path: Path, name: str) -> None:
        short = bytes(200)
        content = {
            "a.nii.gz": gzip.compress(nifti_of((4, 5, 6)) + short),
            "a.nrrd": nrrd_of("4 5 6", "gzip") + gzip.compress(short),
            "b.nrrd": nrrd_of("4 5 6", "bzip2") + bz2.compress(short),
            "a.mha": metaimage_of("4 5 6", "CompressedData = True") + zlib.compress(short),
        }[name]
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageReadError, match=rf"{name}: the voxels end early"):
            load_volume(tmp_path / name)

    def test_an_extension_before_the_voxels_is_not_held(self, tmp_path: Path) -> None:
        raw = bytearray(nifti_of((4, 5, 6)))
        raw[348:352] = b"\1\0\0\0"
        offset = 320 + BOMB  # a whole number of single precision
        raw[108:112] = np.float32(offset).tobytes()
        raw += (BOMB - 32).to_bytes(4, "little") + bytes(4)
        packed = gzip.compress(bytes(raw) + bytes(BOMB - 40) + np.ones(120, "<i2").tobytes(), 9)
        (tmp_path / "a.nii.gz").write_bytes(packed)
        said, taken = said_and_taken(tmp_path / "a.nii.gz")
        assert said.startswith("opened (6, 5, 4) (1.0, 1.0)")
        assert taken < SPARE

    @pytest.mark.timeout(60)
    def test_a_device_without_an_end_is_no_data_file(self, tmp_path: Path) -> None:
        (tmp_path / "zero").symlink_to("/dev/zero")
        (tmp_path / "a.mhd").write_bytes(metaimage_of("4 5 6", file="zero"))
        (tmp_path / "a.nhdr").write_bytes(nrrd_of("4 5 6", "raw", "data file: zero"))
        for name in ("a.mhd", "a.nhdr"):
            said, taken = said_and_taken(tmp_path / name)
            assert re.match(r"ImageReadError .*names zero .*a pipe or a device", said)
            assert taken < SPARE


def edited(series: Write, **attributes: object) -> Path:
    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        for name, value in attributes.items():
            setattr(dataset, name, value)

    return series(edit)


class TestDicom:
    def test_rows_of_65535_are_compared_with_the_pixels(self, series: Write) -> None:
        folder = edited(series, Rows=65535, Columns=65535)
        said, taken = said_and_taken(folder)
        assert re.match(r"ImageReadError .*its Pixel Data has 40 bytes, and 65535 × 65535", said)
        assert taken < SPARE

    def test_a_length_that_goes_beyond_the_file_is_no_proof(self, series: Write) -> None:
        folder = edited(series, Rows=32767, Columns=32767)
        for path in folder.iterdir():
            raw = path.read_bytes()
            at = raw.index(b"\xe0\x7f\x10\x00OW")
            path.write_bytes(raw[: at + 8] + (1 << 31).to_bytes(4, "little") + raw[at + 12 :])
        said, taken = said_and_taken(folder)
        assert re.match(r"ImageReadError .*: the file ends after 20 of 1073676289 pixels", said)
        assert taken < SPARE

    def test_a_number_of_frames_is_compared_with_their_positions(self, series: Write) -> None:
        folder = edited(series, NumberOfFrames=2**31 - 1)
        said, taken = said_and_taken(folder)
        assert "2147483647 frames in one file, of which 1 have a position" in said
        assert taken < SPARE

    def deflated(self, series: Write, **attributes: object) -> Path:
        folder = edited(series, **attributes)
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            dataset.save_as(path)
        return folder

    def test_deflated_pixels_are_inflated_as_far_as_the_header_needs(self, series: Write) -> None:
        folder = self.deflated(series, PixelData=bytes(40) + bytes(BOMB // 6))
        assert max(path.stat().st_size for path in folder.iterdir()) < MB
        said, taken = said_and_taken(folder)
        assert said.startswith(f"opened {SHAPE}")
        assert "Pixel Data is longer than the header explains in 6 files" in said
        assert taken < SPARE

    def test_a_deflated_header_is_bounded_already_while_listing(self, series: Write) -> None:
        folder = edited(series)
        first = sorted(folder.iterdir())[0]
        dataset = pydicom.dcmread(first)
        dataset.private_block(0x29, "MED2E3 BOMB", create=True).add_new(1, "OB", bytes(BOMB // 4))
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(first)
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()
        said, taken = said_and_taken(folder, "list")
        assert re.match(r"ImageReadError .*There is no image .* 1 damaged DICOM file", said)
        assert taken < 3 * SPARE  # 64 MB are what a header may have

    @pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
    def test_a_compressed_frame_is_compared_with_its_bytes_or_the_memory(
        self, series: Write, syntax: str
    ) -> None:
        folder = edited(series, Rows=65535, Columns=65535)
        stream = bytes(64) if syntax == RLELossless else _j2k(65535)
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.PixelData = encapsulate([stream])
            dataset["PixelData"].VR = "OB"
            dataset.save_as(path)
        said, taken = said_and_taken(folder, limit=4_000 * MB)
        assert said.startswith("ResourceError") or "cannot hold them" in said
        assert taken < SPARE


def _j2k(side: int) -> bytes:
    """The main header of a JPEG 2000 codestream of one large tile (ITU-T T.800, A.5.1)."""
    size = side.to_bytes(4, "big")
    nothing = bytes(4)
    siz = b"\0\0" + size * 2 + nothing * 2 + size * 2 + nothing * 2 + b"\0\1\x0f\1\1"
    return b"\xff\x4f\xff\x51" + (len(siz) + 2).to_bytes(2, "big") + siz


METHODS = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "LZMA": zipfile.ZIP_LZMA}


class TestArchives:
    @pytest.mark.parametrize(
        "method", ["deflate", *(pytest.param(m, marks=pytest.mark.slow) for m in ("bzip2", "LZMA"))]
    )
    def test_an_entry_is_unpacked_up_to_what_it_states_and_not_at_once(
        self, series: Write, tmp_path: Path, method: str
    ) -> None:
        """One entry of 512 MB lies beside the study; the size that it states is whole or small."""
        path = tmp_path / "study.zip"
        with zipfile.ZipFile(path, "w", METHODS[method]) as archive:
            archive.writestr("bomb.bin", bytes(BOMB // 4))
            for file in sorted(series().iterdir()):
                archive.write(file, file.name)
        said, taken = said_and_taken(path)
        assert said.startswith(f"opened {SHAPE}")
        assert taken < SPARE
        raw = bytearray(path.read_bytes())
        at = raw.index(b"PK\x01\x02")
        raw[at + 24 : at + 28] = (100).to_bytes(4, "little")  # its size in the list of entries
        path.write_bytes(bytes(raw))
        said, taken = said_and_taken(path)
        assert said.startswith(f"opened {SHAPE}")
        assert "1 entry of study.zip not unpacked: bomb.bin." in said
        assert taken < SPARE

    def test_an_entry_that_claims_what_its_bytes_cannot_hold_is_named(
        self, series: Write, tmp_path: Path
    ) -> None:
        path = tmp_path / "study.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(series().iterdir()):
                archive.write(file, file.name)
            archive.writestr("z.bin", b"x" * 100)
        raw = bytearray(path.read_bytes())
        at = raw.rindex(b"PK\x01\x02")
        raw[at + 24 : at + 28] = (4_000_000_000).to_bytes(4, "little")
        path.write_bytes(bytes(raw))
        loaded = load_volume(path)
        assert loaded.shape == SHAPE
        assert "1 entry of study.zip not unpacked: z.bin." in loaded.warnings

    def test_entries_that_share_their_bytes_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "study.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.bin", bytes(5000))
        raw = path.read_bytes()
        at = raw.index(b"PK\x01\x02")
        end = raw.index(b"PK\x05\x06")
        entry, tail = raw[at:end], bytearray(raw[end:])
        tail[8:12] = (50).to_bytes(2, "little") * 2
        tail[12:16] = (50 * len(entry)).to_bytes(4, "little")
        path.write_bytes(raw[:at] + entry * 50 + bytes(tail))
        with pytest.raises(ImageReadError, match="its entries overlap"):
            load_volume(path)


class TestTheBound:
    @pytest.mark.parametrize(
        ("packing", "content", "size"),
        [
            (Packing.RAW, lambda n: bytes(n), 1000),
            (Packing.DEFLATE, lambda n: zlib.compress(bytes(n), 9), 10_000_000),
            (Packing.DEFLATE, lambda n: gzip.compress(bytes(n), 9), 1000),
            (Packing.BZIP2, lambda n: bz2.compress(bytes(n), 9), 200_000_000),
            (Packing.BZIP2, lambda n: bz2.compress(bytes(n), 9), 10),
        ],
    )
    def test_no_whole_stream_is_above_it(
        self, packing: Packing, content: Callable[[int], bytes], size: int
    ) -> None:
        packed = content(size)
        assert most_bytes(len(packed), packing) >= size
        check_claim(Claim("a", "nothing but zeros", size, len(packed), packing))

    def test_memory_is_asked_for_only_where_some_is_taken(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounds, "free_bytes", lambda: 1000)
        check_claim(Claim("a", "much", 10**12))
        check_claim(Claim("a", "little", 10, memory=1000))
        with pytest.raises(ResourceError, match=r"a \(a little more\) needs 0\.0 MB of memory"):
            check_claim(Claim("a", "a little more", 10, memory=1001))

    def test_a_volume_that_memory_holds_opens_to_the_last_voxel(self, tmp_path: Path) -> None:
        from med2e3.io import write_nifti

        path = write_nifti(ramp(), tmp_path / "a.nii.gz")
        np.testing.assert_array_equal(load_volume(path).voxels, ramp().voxels)
