"""Everyone in one frame, read one after the other."""

import numpy as np
from jaxtyping import Float64, UInt8

from multithumbs.models.blazepose.landmarks import Landmarks
from multithumbs.models.blazepose.network import LandmarkNetwork


def read_everyone(
    rgb: UInt8[np.ndarray, "H W 3"],
    rois: Float64[np.ndarray, "P 4"],
    scores: Float64[np.ndarray, " P"],
    network: LandmarkNetwork,
    *,
    mirror: bool,
) -> list[list[Landmarks]]:
    """Per region, its reading (and, with ``mirror``, the reading of its mirror image).

    People are read in order of score, each with the better ones painted over.
    """
    readings: dict[int, list[Landmarks]] = {}
    for person in np.argsort(-scores, kind="stable"):
        others = [r[0] for r in readings.values()]
        readings[int(person)] = [
            network(rgb, rois[person], mirrored=mirrored, others=others)
            for mirrored in ((False, True) if mirror else (False,))
        ]
    return [readings[person] for person in range(len(rois))]
