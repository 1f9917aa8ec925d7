"""EgoHumans (Khirodkar et al., ICCV 2023): ``<activity>/<sequence>`` as `exo_colmap` says.

``01_tagging`` to ``07_tennis``; archives unpack into a deep path that may stay. 20 pictures a
second is what its Aria glasses record; no source says it of the GoPros' pictures, which carry
the same time stamps (not verified: ``--fps`` sets another rate).
"""

from pathlib import Path

from multithumbs.evaluation.datasets import exo_colmap
from multithumbs.evaluation.datasets.options import Options
from multithumbs.evaluation.datasets.sequence import EvalSequence

FPS = 20.0
NOTE = "20 frames per second is assumed"


def find(root: Path) -> dict[str, Path]:
    """Folders of sequences by name. Raises ArtifactError where there is none."""
    return exo_colmap.find(root, "EgoHumans with <activity>/<sequence> folders")


def load(name: str, path: Path, options: Options) -> EvalSequence:
    """One sequence as a multi-shot video; errors as `exo_colmap.load`."""
    return exo_colmap.load(name, path, options, fps=FPS, note=NOTE)
