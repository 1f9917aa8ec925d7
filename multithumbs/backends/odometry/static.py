"""A camera that is known to stand still."""

import numpy as np

from multithumbs.types import Odometry


def hold(start: int, end: int) -> Odometry:
    """Identity in every frame of ``[start, end)``."""
    total = end - start
    return Odometry(
        frame=np.arange(start, end, dtype=np.int64),
        shot_from_cam=np.tile(np.eye(4), (total, 1, 1)),
        motion="static",
        tracked=np.ones(total, bool),
        zoom=np.ones(total),
        warning="",
    )
