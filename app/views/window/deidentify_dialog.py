"""Saves the series without what says who the patient is: what goes and what stays is said first."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.viewmodels.window.workspace import Exporter
from app.views.parts import theme
from app.views.parts.file_dialogs import ask_for_folder, ask_where_to_save
from med2e3.errors import InputError
from med2e3.volume import Volume

#: The folder that DICOM files are written into, and the NIfTI file: nothing of the patient is in
#: the name.
NAME = "series-deidentified"
TYPES = "NIfTI (*.nii.gz);;NIfTI, not packed (*.nii)"


class DeidentifyDialog(QDialog):
    """What is removed from one volume, and the two formats."""

    def __init__(self, volume: Volume, exporter: Exporter, parent: QWidget) -> None:
        super().__init__(parent)
        from med2e3.io.deidentify import STAYS, deidentified

        self._volume = volume
        self._exporter = exporter
        self.setWindowTitle("Save without the patient's name")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        column = QVBoxLayout(self)
        column.setSpacing(10)
        self.lines: list[QLabel] = []
        for sentence in deidentified(volume.info).sentences:
            line = QLabel(sentence)
            line.setWordWrap(True)
            line.setTextFormat(Qt.TextFormat.PlainText)
            if sentence == STAYS:
                line.setProperty("warning", True)
            self.lines.append(line)
            column.addWidget(line)
        column.addStretch(1)
        row = QHBoxLayout()
        self.dicom = QPushButton("DICOM into a folder…")
        self.nifti = QPushButton("NIfTI…")
        self.dicom.clicked.connect(self._ask_folder)
        self.nifti.clicked.connect(self._ask_file)
        cancel = QPushButton("Cancel")
        cancel.clicked.connect(self.reject)
        row.addStretch(1)
        for button in (cancel, self.nifti, self.dicom):
            row.addWidget(button)
        column.addLayout(row)
        theme.open_at(self, 520, 300)

    def _ask_folder(self) -> None:
        parent = self.parentWidget()
        assert parent is not None
        volume, exporter = self._volume, self._exporter
        ask_for_folder(
            parent,
            "Folder for the DICOM files",
            lambda folder: exporter.start(folder, lambda path: write_dicom(volume, path)),
        )
        self.accept()

    def _ask_file(self) -> None:
        parent = self.parentWidget()
        assert parent is not None
        volume, exporter = self._volume, self._exporter
        ask_where_to_save(
            parent,
            f"{NAME}.nii.gz",
            lambda path: exporter.start(path, lambda target: write_nifti(volume, target)),
            types=TYPES,
        )
        self.accept()


def write_dicom(volume: Volume, folder: Path) -> str:
    """Write the series into a new folder within `folder`; what was written, in words."""
    from med2e3.io import write_dicom_series

    target = folder / NAME
    if target.exists():
        raise InputError(
            f"There is a folder {target} already, and nothing is replaced. "
            "Choose another folder, or move that one away."
        )
    files = write_dicom_series(volume, target, deidentify=True)
    return f"{len(files)} slices without the patient's name were written to {target}."


def write_nifti(volume: Volume, path: Path) -> str:
    """Write the series as NIfTI, which holds nothing but voxels and geometry."""
    from med2e3.io import write_nifti as write

    write(volume, path)
    return f"The series without the patient's name was written to {path}."
