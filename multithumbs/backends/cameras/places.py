"""People who cross several cuts: what moves the cameras of turned cuts."""

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.backends.sizes import people_of_pairs
from multithumbs.config.cameras import RoomConfig
from multithumbs.solvers.pose_graph_people import place_by_people
from multithumbs.types import Alignment, Tracks

SPINE = [0, 3, 6, 9, 12]
"""Joints whose mean is a person's place: the pelvis alone is often cut off."""


def stand_together(
    cuts: Int64[np.ndarray, " C"],
    rotation: Float64[np.ndarray, "C 3 3"],
    alignment: tuple[Alignment, ...],
    tracks: tuple[Tracks, ...],
    joints: tuple[Float64[np.ndarray, "_ 24 3"], ...],
    lens: Float64[np.ndarray, "S 2"],
    config: RoomConfig,
) -> dict[int, Float64[np.ndarray, "3"]]:
    """Place of the camera after each cut in the axes of the one before it, metres.

    ``joints`` are everybody's in their cameras, at one size per person. ``lens`` is the focal
    length as each shot begins and ends, over the one that its fits assumed: who is seen through
    a longer lens stands further away. Cuts without matched people are left out of the answer.
    """
    person_of = people_of_pairs(alignment, tracks)
    cut, person, place = [], [], []
    for c in sorted(cuts.tolist()):
        for entries in alignment[c].pair:
            rows = alignment[c].row[entries]
            spot = np.array([joints[c + side][rows[side], SPINE].mean(0) for side in range(2)])
            spot[:, 2] *= [lens[c, 1], lens[c + 1, 0]]
            cut.append(c)
            person.append(person_of[c, int(tracks[c].track[rows[0]])])
            place.append(spot)
    if not cut:
        return {}
    numbers, cut_index = np.unique(cut, return_inverse=True)
    person_index = np.unique(person, return_inverse=True)[1]
    turn = dict(zip(cuts.tolist(), rotation, strict=True))
    first, second = np.array(place).transpose(1, 0, 2)
    turned = np.array([turn[c] @ p for c, p in zip(cut, second, strict=True)])
    translation, _ = place_by_people(
        cut_index.astype(np.int64),
        person_index.astype(np.int64),
        first,
        turned,
        depth_std=config.depth_std,
        lateral_std=config.lateral_std_m,
        size_std=config.size_std,
    )
    return dict(zip(numbers.tolist(), translation, strict=True))
