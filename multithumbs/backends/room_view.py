"""How one frame's camera is turned against the room that it shows."""

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from multithumbs.backends.straight_edges import straight_edges
from multithumbs.config.room import RoomViewConfig
from multithumbs.solvers.ground import mean_direction
from multithumbs.solvers.pose_graph_room import RoomAxes, find_room, segments_of

PERSON_MARGIN = 0.03
"""Growth of person masks, as a fraction of the box's shorter side."""
TRUNK = (12, 0)
"""Neck and pelvis."""
UP = np.array([0.0, -1.0, 0.0])
"""In the camera's axes, where nobody shows it."""


def room_axes(
    rgb: UInt8[np.ndarray, "H W 3"],
    free: Bool[np.ndarray, "h w"],
    K: Float64[np.ndarray, "3 3"],
    up: Float64[np.ndarray, "3"],
    config: RoomViewConfig,
) -> RoomAxes | None:
    """The room's directions in one frame, if they are clear.

    Args:
        rgb: the frame.
        free: where nobody is, at the reduced size (`straight_edges`).
        K: intrinsics, pixels of ``rgb``.
        up: roughly, in the camera's axes.
        config: what counts as clear.
    """
    room = find_room(
        segments_of(straight_edges(rgb, free, config.min_length), K),
        up,
        max_tilt=np.radians(config.max_tilt_deg),
        tolerance=np.radians(config.tolerance_deg),
    )
    if room is None or room.support < config.min_support:
        return None
    return room if room.contrast >= config.min_contrast else None


def up_of_people(
    joints_cam: Float64[np.ndarray, "N 24 3"], confidence: Float64[np.ndarray, " N"]
) -> Float64[np.ndarray, "3"]:
    """Up in the camera, as trunks show it."""
    known = confidence > 0
    if not known.any():
        return UP
    trunk = joints_cam[known, TRUNK[0]] - joints_cam[known, TRUNK[1]]
    return mean_direction(trunk / np.linalg.norm(trunk, axis=1, keepdims=True), confidence[known])
