"""The command line: argv -> Config -> pipeline; nothing else."""

from multithumbs.cli.main import main

__all__ = ["main"]
