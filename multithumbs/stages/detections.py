"""Stage `detections`: the people in every frame of one shot."""

from multithumbs.config.detections import DetectionsConfig
from multithumbs.types import Detections
from multithumbs.types.work import Work


def run(work: Work[DetectionsConfig]) -> Detections:
    """Person candidates of ``work.shot``, sorted by frame."""
    assert work.shot is not None, "detections is a per-shot stage"
    match work.config.name:
        case "blazepose":
            from multithumbs.backends.detections.blazepose import detect
    return detect(work, work.shot)
