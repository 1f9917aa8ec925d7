"""Short absences bridged: rows that nobody saw, marked as such."""

import numpy as np
from jaxtyping import Int64
from scipy.spatial.transform import Rotation

from multithumbs.backends.people.rows import Rows, concatenate
from multithumbs.config.people import GatherConfig
from multithumbs.types import Cameras


def bridge(
    rows: Rows,
    cameras: Cameras,
    timestamps_s: np.ndarray,
    config: GatherConfig,
) -> Rows:
    """Interpolated rows in every gap of at most ``max_gap_s`` within one island.

    Places go on a straight line, rotations along the shortest arc; confidence falls with the
    distance from the nearer end. A gap may span a shot in which the person is not seen.
    """
    first = np.flatnonzero(
        (np.diff(rows.person) == 0)
        & (np.diff(rows.frame) > 1)
        & (np.diff(rows.island) == 0)
        & (np.diff(rows.time_s) <= config.max_gap_s)
    )
    parts = [rows]
    for n in first:
        frames = np.arange(rows.frame[n] + 1, rows.frame[n + 1])
        at = np.searchsorted(cameras.frame, frames)
        if (cameras.island[at] != rows.island[n]).any():
            continue
        parts.append(_between(rows, int(n), frames, at, cameras, timestamps_s, config))
    return concatenate(parts)


def _between(
    rows: Rows,
    n: int,
    frames: Int64[np.ndarray, " G"],
    at: Int64[np.ndarray, " G"],
    cameras: Cameras,
    timestamps_s: np.ndarray,
    config: GatherConfig,
) -> Rows:
    count = len(frames)
    time = timestamps_s[frames]
    part = (time - rows.time_s[n]) / (rows.time_s[n + 1] - rows.time_s[n])
    ends = Rotation.from_rotvec(rows.pose[n : n + 2].reshape(-1, 3)).as_matrix()
    before, after = ends.reshape(2, 24, 3, 3)
    arc = Rotation.from_matrix(before.transpose(0, 2, 1) @ after).as_rotvec()
    turned = Rotation.from_rotvec((part[:, None, None] * arc).reshape(-1, 3)).as_matrix()
    pose = Rotation.from_matrix(
        (before @ turned.reshape(count, 24, 3, 3)).reshape(-1, 3, 3)
    ).as_rotvec()
    transl = rows.transl[n] + part[:, None] * (rows.transl[n + 1] - rows.transl[n])
    near = np.minimum(time - rows.time_s[n], rows.time_s[n + 1] - time)
    confidence = np.interp(part, [0, 1], rows.confidence[n : n + 2])
    return Rows(
        person=np.full(count, rows.person[n]),
        frame=frames,
        shot=cameras.shot[at],
        island=cameras.island[at],
        time_s=time,
        source=np.full(count, -1),
        pose=pose.reshape(count, 24, 3),
        betas=np.repeat(rows.betas[n : n + 1], count, axis=0),
        transl=transl,
        uv=np.zeros((count, 23, 2)),
        uv_confidence=np.zeros((count, 23)),
        K=cameras.K[at],
        cam_from_world=np.linalg.inv(cameras.world_from_cam[at]),
        confidence=confidence * np.exp(-near / config.gap_decay_s),
        observed=np.zeros(count, bool),
    )
