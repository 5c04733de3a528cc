"""`python -m app`: the viewer, as `med2e3-viewer` starts it."""

import sys

from app.main import main

if __name__ == "__main__":
    sys.exit(main())
