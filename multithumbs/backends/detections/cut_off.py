"""People whom the image shows from the waist up: whole bodies, most of them below its edge.

The landmark network reads many of them as whole and half as tall. Looked at again in the region
that they ask for, they stay so; but shown a region that goes on below the image, the network keeps
to that as well. Which reading is right their silhouettes tell, which are the same in both.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from multithumbs.backends.detections.nms import overlap
from multithumbs.backends.detections.sighting import Sighting, sight
from multithumbs.config.detections import BlazePoseDetectionsConfig
from multithumbs.models.blazepose import LandmarkNetwork, Landmarks
from multithumbs.models.blazepose.figure import agreement


def beyond_the_edge(
    rgb: UInt8[np.ndarray, "H W 3"],
    known: Sighting,
    network: LandmarkNetwork,
    config: BlazePoseDetectionsConfig,
    others: Sequence[Landmarks] = (),
) -> Sighting:
    """The same person as going on below the image, or ``known`` itself where that fits better."""
    hw, limits = rgb.shape[:2], config.cut_off
    if known.look is None or known.box_xyxy[3] < hw[0] * (1 - limits.edge_of_height):
        return known
    best, least = known, agreement(known.look, hw)
    if least >= limits.sure_agreement:
        return known
    least = max(least + limits.min_gain, limits.min_agreement)
    for factor in limits.regions:
        side = factor * known.roi[2]
        # The upper edge stays where it is: the head is in the image.
        roi = np.array([known.roi[0], known.roi[1] + (side - known.roi[2]) / 2, side, 0.0])
        new = sight(rgb, roi, network, config, others)
        if (
            new is None
            or new.look is None
            or new.flag < limits.min_flag
            or new.roi[2] < limits.min_kept * side
            or overlap(new.box_xyxy[None], known.box_xyxy[None])[0, 0] < limits.min_same
        ):
            continue
        agrees = agreement(new.look, hw)
        if agrees >= least:
            best, least = new, agrees
    return best
