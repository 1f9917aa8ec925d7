"""Stage `masks`: the pixels of every detection of one shot."""

from multithumbs.config.masks import MasksConfig
from multithumbs.types import Detections, Masks
from multithumbs.types.work import Work


def run(work: Work[MasksConfig], *, detections: Detections) -> Masks:
    """A mask for each row of ``detections``."""
    match work.config.name:
        case "blazepose":
            from multithumbs.backends.masks.blazepose import segment
    return segment(work, detections)
