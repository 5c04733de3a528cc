"""`python -m med2e3.cli`."""

import sys

from med2e3.cli import main

sys.exit(main())
