"""`python -m app`: the viewer, as `med2e3-viewer` starts it."""

import os
import sys

# A file in the current folder must not stand in for a library: `python -m` would import it first.
# `med2e3.search_path` does the same for the engine, but could itself be such a file.
_ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
if os.path.realpath(sys.path[0]) == os.getcwd() != _ROOT:  # noqa: PTH109
    del sys.path[0]

from app.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
