"""`multithumbs.run`: the command line's `run` for Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multithumbs.config.compose import load_config
from multithumbs.errors import ConfigError

if TYPE_CHECKING:
    from multithumbs.runner.progress import Progress


def run(
    video: Path | str,
    overrides: Sequence[str] = (),
    *,
    out: Path | str = "outputs",
    until: str | None = None,
    redo: Sequence[str] = (),
    progress: "Progress | None" = None,
) -> Path:
    """Process one video.

    Args:
        video: the file.
        overrides: as on the command line: ``["people=adamw", "video.end=10"]``.
        out: parent of the folder that is written.
        until: last stage to run.
        redo: stages to compute even if they are known.
        progress: told what happens; None keeps quiet.

    Returns:
        The folder that holds ``result.npz``, ``summary.json`` and the other outputs.

    Raises:
        MultithumbsError: the input, the configuration or the machine is at fault.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides='{overrides}': expected a list of key=value, not a text")
    config = load_config(overrides)
    from multithumbs.pipeline import run_video

    done = run_video(Path(video), config, out=Path(out), until=until, redo=redo, progress=progress)
    return done.folder
