"""Harmony4D (Khirodkar et al., NeurIPS 2024): ``{train,test}/<action>/<sequence>`` (such as
``train/01_hugging/001_hugging``), otherwise as `exo_colmap` says: 22 GoPros of 3840x2160.

The same code base wrote it as EgoHumans; its authors confirm that SMPL is in a gravity-aligned
metric world (issues 4 and 9 of jyuntins/harmony4d). The rate of its pictures is written nowhere
that could be found; 20 a second as for EgoHumans (not verified: ``--fps`` sets another rate).
"""

from pathlib import Path

from multithumbs.evaluation.datasets import exo_colmap
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.sequence import EvalSequence

FPS = 20.0
NOTE = "20 frames per second is assumed"


def find(root: Path) -> dict[str, Path]:
    """Folders of sequences by name. Raises ArtifactError where there is none."""
    return exo_colmap.find(root, "Harmony4D with {train,test}/<action>/<sequence> folders")


def load(name: str, path: Path, options: Options) -> EvalSequence:
    """One sequence as a multi-shot video; errors as `exo_colmap.load`."""
    return exo_colmap.load(name, path, options, fps=FPS, note=NOTE)
