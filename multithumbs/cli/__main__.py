"""``python -m multithumbs.cli``."""

import sys

from multithumbs.cli.main import main

sys.exit(main())
