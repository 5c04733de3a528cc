"""Surfaces of overlays as files: what makes them, and what the user is told. Knows no dialogs."""

from __future__ import annotations

import re
from pathlib import Path

from app.viewmodels.core.exporting import MakeFile
from app.viewmodels.images.layers import Label, Layer
from med2e3.surfaces import save_surface, surface_of

#: What a surface is saved as, as name filters of a dialog.
SURFACE_TYPES = "STL (*.stl);;PLY (*.ply);;OBJ (*.obj)"


def surface_name(label: Label) -> str:
    """The name of a file for the surface of a label: its own, without what names may not hold."""
    return re.sub(r'[\\/:*?"<>|]+', "-", label.name) + ".stl"


def surface_file(layer: Layer, label: Label) -> MakeFile:
    """What makes a file of the surface of one label, by the suffix of the path.

    It says how large the surface is, and raises `InputError` as `surface_of` and `save_surface` do.
    """

    def make(path: Path) -> str:
        surface = surface_of(layer.voxels, layer.geometry, label.value)
        save_surface(surface, path)
        return (
            f"The surface of {label.name} was written to {path}: {surface.millilitres:.1f} ml, "
            f"{surface.area_cm2:.1f} cm², {len(surface.triangles):,} triangles, in mm (LPS)."
        )

    return make
