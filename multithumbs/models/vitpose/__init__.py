"""ViTPose-H (Apache-2.0): 2D keypoints of one person from a crop, through ``transformers``.

Written from ``facts/vitpose.md``. ``network`` builds the port with the official constants,
``checkpoint`` maps the official files onto it, ``crop`` and ``decode`` are the pure functions
before and after the network.
"""

from multithumbs.models.vitpose.checkpoint import (
    Head,
    kept_part,
    official_from_ours,
    ours_from_official,
)
from multithumbs.models.vitpose.network import Architecture, build

__all__ = [
    "Architecture",
    "Head",
    "build",
    "kept_part",
    "official_from_ours",
    "ours_from_official",
]
