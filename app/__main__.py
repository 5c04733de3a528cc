"""`python -m app`: the viewer, as `med2e3-viewer` starts it."""

import os
import sys

# A file in the current folder must not stand in for a library: `python -m` would import it first.
# `med2e3.search_path` does the same for the engine, but could itself be such a file.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
if os.path.realpath(sys.path[0]) == os.getcwd() != _ROOT:  # noqa: PTH109
    del sys.path[0]

if sys.argv[1:] == ["--decode-frames"]:  # the bundle starts itself to decode compressed images
    from med2e3.io.dicom.decode_worker import main
else:
    from app.main import main

if __name__ == "__main__":
    sys.exit(main())
