"""`python -m app.screenshots`."""

import sys

from app.screenshots.take import main

sys.exit(main())
