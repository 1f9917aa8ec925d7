"""Cuts turned to agree with the room.

People tell where the cameras of a cut stand; how they are turned they tell less well, because a
monocular body's orientation errs by several degrees. The straight edges of a room tell that to a
fraction of a degree even where the two views share no picture: opposite walls are parallel.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64

from multithumbs.backends.cameras.places import stand_together
from multithumbs.backends.odometry.people_mask import background
from multithumbs.backends.room_view import PERSON_MARGIN, room_axes, up_of_people
from multithumbs.backends.straight_edges import reduced_hw
from multithumbs.config.cameras import RoomConfig
from multithumbs.solvers.pose_graph import Edges
from multithumbs.solvers.pose_graph_room import RoomAxes, nearest_turn
from multithumbs.types import (
    Alignment,
    Bodies,
    Detections,
    FrameReader,
    Intrinsics,
    Masks,
    Tracks,
)

LENS_TOLERANCE = 1e-3
"""Logarithm of two focal lengths that count as one."""


def turn_to_room(
    edges: Edges,
    video: FrameReader,
    alignment: tuple[Alignment, ...],
    intrinsics: tuple[Intrinsics, ...],
    detections: tuple[Detections, ...],
    masks: tuple[Masks, ...],
    bodies: tuple[Bodies, ...],
    tracks: tuple[Tracks, ...],
    joints: tuple[Float64[np.ndarray, "_ 24 3"], ...],
    lens: Float64[np.ndarray, "S 2"],
    config: RoomConfig,
) -> Edges:
    """The edges of the aligned cuts with better rotations wherever both sides show a room.

    The translation follows: the people who stand on both sides of the cut stay together, at one
    size per person (``joints`` in their cameras). It is also found anew where ``lens`` (focal
    length as each shot begins and ends, over the one that the alignment knew) is not 1.
    """
    if not config.enabled:
        return edges
    turned, std = edges.first_from_second.copy(), edges.rotation_std.copy()
    found = np.zeros(len(edges), bool)
    for e, cut in enumerate(edges.first):
        rooms = []
        for side in range(2):
            s = int(cut) + side
            frame = int(alignment[cut].frame[side])
            K = intrinsics[s].K.copy()
            K[:2, :2] *= lens[s, 1 - side]
            room = _look(video, frame, K, detections[s], masks[s], bodies[s], config)
            if room is None:
                break
            rooms.append(room)
        if len(rooms) < 2:
            continue
        guess = turned[e, :3, :3]
        rotation, angle = nearest_turn(rooms[0], rooms[1], guess)
        if angle > np.radians(config.max_turn_deg):
            continue
        turned[e, :3, :3] = rotation
        std[e] = np.radians(config.rotation_std_deg)
        found[e] = True
    anew = found | _stale(edges, alignment, intrinsics, lens)
    place = stand_together(edges.first[anew], turned[anew, :3, :3], alignment, tracks, joints,
                           lens, config)  # fmt: skip
    for e in np.flatnonzero(anew):
        turned[e, :3, 3] = place.get(int(edges.first[e]), turned[e, :3, 3])
    return replace(edges, first_from_second=turned, rotation_std=std)


def _stale(
    edges: Edges,
    alignment: tuple[Alignment, ...],
    intrinsics: tuple[Intrinsics, ...],
    lens: Float64[np.ndarray, "S 2"],
) -> Bool[np.ndarray, " E"]:
    """Cuts that were aligned through other lenses than those that the shots have."""
    out = np.zeros(len(edges), bool)
    for e, cut in enumerate(edges.first.tolist()):
        for side in range(2):
            focal = intrinsics[cut + side].K[0, 0] * lens[cut + side, 1 - side]
            out[e] |= abs(np.log(focal / alignment[cut].K[side, 0, 0])) > LENS_TOLERANCE
    return out


def _look(
    video: FrameReader,
    frame: int,
    K: Float64[np.ndarray, "3 3"],
    detections: Detections,
    masks: Masks,
    bodies: Bodies,
    config: RoomConfig,
) -> RoomAxes | None:
    """The room's directions in one frame, if they are clear."""
    rgb = video.frame(frame)
    rows = np.flatnonzero(detections.frame == frame)
    low = reduced_hw((rgb.shape[0], rgb.shape[1]), config.width_px)
    free = background(detections, masks, rows, low, PERSON_MARGIN)
    up = up_of_people(bodies.joints_cam[rows], bodies.confidence[rows])
    return room_axes(rgb, free, K, up, config)
