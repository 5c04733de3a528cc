"""VTK without Python's lock: every shortcut is there in the pinned VTK, and none is needed."""

from __future__ import annotations

import os

import pytest
from vtkmodules import vtkRenderingVolume

from app.rendering.scene.unlocked import Unlocked, make
from app.rendering.scene.volume_scene import LIBRARIES
from med2e3.preloading import preload_modules

CASTER = vtkRenderingVolume.vtkFixedPointVolumeRayCastMapper
POSIX = pytest.mark.skipif(
    os.name != "posix", reason="needs dlopen and C++ names of Linux or macOS"
)


@POSIX
def test_the_libraries_are_loaded_before_they_are_imported() -> None:
    assert preload_modules("vtkmodules", LIBRARIES) == len(LIBRARIES)


def test_what_cannot_be_loaded_is_left_to_the_import() -> None:
    assert preload_modules("vtkmodules", ["vtkNoSuchModule"]) == 0
    assert preload_modules("no_such_package", LIBRARIES) == 0


def test_an_object_is_made_once_and_owned_once() -> None:
    made = make(CASTER, vtkRenderingVolume.__file__)
    assert isinstance(made, CASTER)
    assert made.GetReferenceCount() == 1
    made.SetImageSampleDistance(2.0)
    assert made.GetImageSampleDistance() == 2.0


def test_without_the_library_python_makes_it() -> None:
    made = make(CASTER, "no such library")
    assert isinstance(made, CASTER)
    assert made.GetReferenceCount() == 1
    assert not Unlocked(made, "no such library").complete


@POSIX
def test_every_method_of_the_ray_caster_runs_without_the_lock() -> None:
    assert Unlocked(CASTER(), vtkRenderingVolume.__file__).complete
