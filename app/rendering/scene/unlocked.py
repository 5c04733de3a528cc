"""Calls into VTK that let Python go on meanwhile.

VTK's Python methods keep the interpreter's lock: preparing a volume of 256³ then stops the window
for 0.1–0.6 s. The same C++ methods, called through ctypes by their names in the library, do not.
Where a library does not offer a name (Windows mangles them differently), the plain method is
called: it works, and yields at each progress event. (`med2e3.preloading` does the
same for imports.)
"""

from __future__ import annotations

import ctypes
from typing import Any

#: Method → its name in the library (Itanium C++ ABI) and the number of objects that it takes.
NAMES = {
    "PerVolumeInitialization": (
        "_ZN32vtkFixedPointVolumeRayCastMapper23PerVolumeInitializationEP11vtkRendererP9vtkVolume",
        2,
    ),
    "RenderSubVolume": ("_ZN32vtkFixedPointVolumeRayCastMapper15RenderSubVolumeEv", 0),
}


class Unlocked:
    """The methods of `NAMES` of a `vtkFixedPointVolumeRayCastMapper`, without the lock."""

    def __init__(self, mapper: Any, library: str) -> None:
        """`library`: path of the module of VTK that the mapper is from."""
        self._mapper = mapper
        self._found = _find(library)

    @property
    def complete(self) -> bool:
        """Whether every method runs without the lock."""
        return len(self._found) == len(NAMES)

    def call(self, method: str, *objects: Any) -> None:
        """Call a method of `NAMES` with VTK objects; returns when it is done."""
        function = self._found.get(method)
        if function is None:
            getattr(self._mapper, method)(*objects)
        else:
            function(address_of(self._mapper), *(address_of(each) for each in objects))


def make(kind: Any, library: str) -> Any:
    """A new object of a class of VTK: the first of a class may fill large tables."""
    name = kind.__name__
    new = getattr(_opened(library), f"_ZN{len(name)}{name}3NewEv", None)
    if new is None:
        return kind()
    new.restype, new.argtypes = ctypes.c_void_p, []
    made = kind(f"_{new():016x}_p_{name}")
    made.UnRegister(None)  # what `New` holds; Python holds one of its own
    return made


def _opened(library: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None


def _find(library: str) -> dict[str, Any]:
    opened, found = _opened(library), {}
    for method, (name, count) in NAMES.items():
        function = getattr(opened, name, None)
        if function is not None:
            function.restype = None
            function.argtypes = [ctypes.c_void_p] * (1 + count)
            found[method] = function
    return found


def address_of(thing: Any) -> int:
    """The address of a VTK object, or of memory that VTK names as `_0000…_p_void`."""
    name = thing if isinstance(thing, str) else thing.__this__
    return int(name.split("_")[1], 16)
