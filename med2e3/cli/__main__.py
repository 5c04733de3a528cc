"""`python -m med2e3.cli`."""

import sys

from med2e3.cli import main

if __name__ == "__main__":  # processes that share work import this module again
    sys.exit(main())
