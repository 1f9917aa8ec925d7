"""A folder of edited videos without truth (AVA, sitcoms): PCK*, Jitter and FS alone.

The paper used AVA and episodes of Friends (1994) and The Big Bang Theory (2007), "segmented
into clips based on shot boundaries"; neither its clips nor its cuts are published. Any video
files below the folder are taken, each as one sequence.
"""

from pathlib import Path

from multithumbs.errors import ArtifactError
from multithumbs.evaluation.datasets import layout
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.sequence import EvalSequence
from multithumbs.io.video import Video

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm")


def find(root: Path) -> dict[str, Path]:
    """Video files by their path below ``root``. Raises ArtifactError where there is none."""
    layout.folder(root, "video files")
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise ArtifactError(f"{root} holds no video: expected {', '.join(SUFFIXES)} files")
    return layout.by_name(root, {p: p.relative_to(root).with_suffix("") for p in paths})


def load(name: str, path: Path, options: Options) -> EvalSequence:
    """One video. Raises VideoError where it is none."""
    info = Video(path).info
    fps = options.fps or float(info.frame_rate)
    return EvalSequence(name=name, fps=fps, hw=info.hw, video=path)
