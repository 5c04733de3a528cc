"""Names of labels: of the file itself, of every kind of text beside it, of TotalSegmentator."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from med2e3.errors import ImageReadError
from med2e3.io.label_names import names_of, parse_names, read_names, total_segmentator

#: The same two names in each kind of text.
TEXTS = {
    "plain": "0 background\n1 liver\n7 left_kidney\n",
    "csv": "value,name\n1,liver\n7,left kidney\n",
    "ITK-SNAP": '# ITK-SnAP\n    0     0    0    0        0  0  0    "Clear Label"\n'
    '    1   255    0    0        1  1  1    "liver"\n'
    '    7     0  255    0      0.5  1  1    "left kidney"\n',
    "3D Slicer": "# Color table\n0 Background 0 0 0 0\n1 liver 128 174 128 255\n"
    "7 left_kidney 241 214 145 255\n",
    "JSON": '{"1": "liver", "7": "left_kidney"}',
    "nnU-Net": '{"labels": {"background": 0, "liver": 1, "left_kidney": 7}}',
    "XML": '<LabelTable><Label Key="1" Red="0.1">liver</Label>'
    '<Label Key="7" Red="0.2"><![CDATA[left_kidney]]></Label></LabelTable>',
}


@pytest.mark.parametrize("kind", TEXTS)
def test_each_kind_of_text_gives_its_names(kind: str) -> None:
    assert parse_names(TEXTS[kind]) == {1: "liver", 7: "left kidney"}


def test_a_file_without_names_says_what_to_choose(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of the kind\n", encoding="utf-8")
    with pytest.raises(ImageReadError, match=r"notes\.txt holds no names"):
        read_names(tmp_path / "notes.txt")


def test_names_are_read_from_the_header_and_from_a_file_beside_it(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((2, 2, 2), np.int16), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, TEXTS["XML"].encode()))
    nibabel.save(image, tmp_path / "own.nii.gz")
    assert names_of(tmp_path / "own.nii.gz") == {1: "liver", 7: "left kidney"}
    plain = nibabel.Nifti1Image(np.ones((2, 2, 2), np.int16), np.eye(4))
    nibabel.save(plain, tmp_path / "plain.nii.gz")
    assert names_of(tmp_path / "plain.nii.gz") == {}
    (tmp_path / "plain.txt").write_text(TEXTS["plain"], encoding="utf-8")
    assert names_of(tmp_path / "plain.nii.gz") == {1: "liver", 7: "left kidney"}


def test_the_classes_of_total_segmentator_lie_where_their_names_say(shared: Path) -> None:
    """In the labels of a real body: right is right, and what lies higher is higher."""
    names = total_segmentator()
    assert len(names) == 117
    image = nibabel.load(shared / "ct" / "body_j2k_labels.nii.gz")
    labels = np.asarray(image.dataobj)
    where = {}
    for value in np.unique(labels[labels > 0]):
        middle = np.argwhere(labels == value).mean(axis=0)
        where[names[int(value)]] = nibabel.affines.apply_affine(image.affine, middle)  # RAS
    pairs = [(left, left.replace("left", "right")) for left in where if "left" in left]
    both = [(where[a], where[b]) for a, b in pairs if b in where]
    assert both
    assert all(left[0] < right[0] for left, right in both)
    if {"liver", "spleen"} <= where.keys():
        assert where["liver"][0] > where["spleen"][0]
