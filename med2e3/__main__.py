"""`python -m med2e3`: the command line, as `med2e3` starts it."""

import sys

from med2e3.cli import main

if __name__ == "__main__":
    sys.exit(main())
