"""Where answers go: stdout, wide enough for a table where no terminal sets the width."""

import sys
from typing import Final

from rich.console import Console

PIPED_WIDTH: Final = 200


def answers() -> Console:
    """A console on stdout that colours nothing by itself and cuts no line."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(highlight=False, soft_wrap=True, markup=False, width=width)
