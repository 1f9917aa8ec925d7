"""People who cross several cuts, each with one size: what moves the cameras of turned cuts."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from multithumbs.config.cameras import RoomConfig
from multithumbs.solvers.pose_graph_people import place_by_people
from multithumbs.types import Alignment, Bodies, Tracks

SPINE = [0, 3, 6, 9, 12]
"""Joints whose mean is a person's place (the pelvis alone is often cut off) and whose chain's
length is their size."""


class _Sighting(NamedTuple):
    """One person on both sides of one cut."""

    cut: int
    person: int
    place: Float64[np.ndarray, "2 3"]
    """In either camera, metres."""
    size: Float64[np.ndarray, "2"]
    """That either fit assumed."""


def stand_together(
    cuts: Int64[np.ndarray, " C"],
    rotation: Float64[np.ndarray, "C 3 3"],
    alignment: tuple[Alignment, ...],
    tracks: tuple[Tracks, ...],
    bodies: tuple[Bodies, ...],
    lens: Float64[np.ndarray, "S 2"],
    config: RoomConfig,
) -> dict[int, Float64[np.ndarray, "3"]]:
    """Place of the camera after each cut in the axes of the one before it, metres.

    ``lens`` is the focal length as each shot begins and ends, over the one that its fits
    assumed: who is seen through a longer lens stands further away. Cuts without matched people
    are left out of the answer.
    """
    sightings = _sightings(cuts, alignment, tracks, bodies, lens)
    if not sightings:
        return {}
    numbers, cut = np.unique([s.cut for s in sightings], return_inverse=True)
    people, person = np.unique([s.person for s in sightings], return_inverse=True)
    size = np.array([s.size for s in sightings])
    place = np.array([s.place for s in sightings])
    # Fits of one person in several shots assume several sizes: bring all to their mean.
    mean = np.array([size[person == p].mean() for p in range(len(people))])
    place = place * (mean[person][:, None] / size)[..., None]
    turn = dict(zip(cuts.tolist(), rotation, strict=True))
    turned = np.array([turn[s.cut] @ p for s, p in zip(sightings, place[:, 1], strict=True)])
    translation, _ = place_by_people(
        cut.astype(np.int64),
        person.astype(np.int64),
        place[:, 0],
        turned,
        depth_std=config.depth_std,
        lateral_std=config.lateral_std_m,
        size_std=config.size_std,
    )
    return dict(zip(numbers.tolist(), translation, strict=True))


def _sightings(
    cuts: Int64[np.ndarray, " C"],
    alignment: tuple[Alignment, ...],
    tracks: tuple[Tracks, ...],
    bodies: tuple[Bodies, ...],
    lens: Float64[np.ndarray, "S 2"],
) -> list[_Sighting]:
    label: dict[tuple[int, int], int] = {}
    out = []
    for cut in sorted(cuts.tolist()):
        for before, after in alignment[cut].pair:
            rows = [int(alignment[cut].row[before]), int(alignment[cut].row[after])]
            keys = [(cut + side, int(tracks[cut + side].track[rows[side]])) for side in range(2)]
            person = label.setdefault(keys[0], len(label))
            label[keys[1]] = person
            spines = [bodies[cut + side].joints_cam[rows[side], SPINE] for side in range(2)]
            bones = [np.linalg.norm(np.diff(s, axis=0), axis=1).sum() for s in spines]
            places = np.array([s.mean(0) for s in spines])
            places[:, 2] *= [lens[cut, 1], lens[cut + 1, 0]]
            out.append(_Sighting(cut, person, places, np.array(bones)))
    return out
