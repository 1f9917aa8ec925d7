"""Stage `detections`: the people in every frame of one shot."""

from typing import cast

from multithumbs.config.detections import (
    BlazePoseDetectionsConfig,
    DetectionsConfig,
    GroundingDinoConfig,
    RtDetrConfig,
    YoloConfig,
)
from multithumbs.types import Detections
from multithumbs.types.work import Work


def run(work: Work[DetectionsConfig]) -> Detections:
    """Person candidates of ``work.shot``, sorted by frame."""
    assert work.shot is not None, "detections is a per-shot stage"
    match work.config:
        case BlazePoseDetectionsConfig():
            from multithumbs.backends.detections.blazepose import detect

            return detect(cast(Work[BlazePoseDetectionsConfig], work), work.shot)
        case RtDetrConfig():
            from multithumbs.backends.detections.rtdetr import detect

            return detect(cast(Work[RtDetrConfig], work), work.shot)
        case GroundingDinoConfig():
            from multithumbs.backends.detections.grounding_dino import detect

            return detect(cast(Work[GroundingDinoConfig], work), work.shot)
        case YoloConfig():
            from multithumbs.backends.detections.yolo import detect

            return detect(cast(Work[YoloConfig], work), work.shot)
