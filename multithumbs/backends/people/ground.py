"""Rows turned into ``ground``: each island's floor from its people's feet."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from multithumbs.backends.people.rows import Rows
from multithumbs.body import BodyModel
from multithumbs.body.placement import carried
from multithumbs.config.people import GroundConfig
from multithumbs.solvers.ground import fit_floor, ground_from_world, mean_direction
from multithumbs.solvers.smoothing_contact import SOLE_KEYPOINTS
from multithumbs.types import Cameras

TRUNK = (12, 0)
"""Neck and pelvis: the axis that points up when a person stands or sits."""
BATCH = 256
"""Rows posed at a time; bounds memory."""


def posed(body: BodyModel, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 24, 3) and keypoints (N, 23, 3) of all rows, metres."""
    joints, keypoints = np.empty((len(rows), 24, 3)), np.empty((len(rows), 23, 3))
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        out = body.posed(*(body.tensor(a[part]) for a in (rows.pose, rows.betas, rows.transl)))
        joints[part] = out.joints.numpy(force=True)
        keypoints[part] = out.keypoints.numpy(force=True)
    return joints, keypoints


def sole_heights(body: BodyModel) -> Float64[np.ndarray, " 6"]:
    """Height of each sole keypoint above the lowest vertex of a body that stands flat, metres."""
    flat = body.v_template.new_zeros(1, 24, 3)
    betas, transl = flat.new_zeros(1, 10), flat.new_zeros(1, 3)
    lowest = body.rest_vertices(betas)[0, :, 1].min()
    keypoints = body.posed(flat, betas, transl).keypoints[0, list(SOLE_KEYPOINTS), 1]
    return (keypoints - lowest).double().numpy(force=True)


def find_ground(
    body: BodyModel, rows: Rows, cameras: Cameras, config: GroundConfig
) -> Float64[np.ndarray, "I 4 4"]:
    """``ground_from_world`` of every island.

    An island without people takes its first camera's down for the floor's normal and lies
    1.5 m under it: someone has to hold that camera.
    """
    joints, keypoints = posed(body, rows)
    trunk = joints[:, TRUNK[0]] - joints[:, TRUNK[1]]
    trunk = trunk / np.linalg.norm(trunk, axis=-1, keepdims=True)
    heights = sole_heights(body)
    seen = rows.uv_confidence[:, SOLE_KEYPOINTS]
    out = []
    for island in range(int(cameras.island_of_shot.max()) + 1):
        camera = cameras.world_from_cam[np.flatnonzero(cameras.island == island)[0]]
        mine = np.flatnonzero((rows.island == island) & rows.observed)
        if not len(mine):
            out.append(_under_camera(camera))
            continue
        up = mean_direction(trunk[mine], rows.confidence[mine] + 1e-6)
        soles = keypoints[mine][:, SOLE_KEYPOINTS] - heights[:, None] * up
        # Feet out of the picture stand where the prior puts them: a weak last resort.
        weight = (rows.confidence[mine, None] + 1e-6) * (0.02 + seen[mine])
        floor = fit_floor(
            soles.reshape(-1, 3),
            np.minimum(weight, 1.0).ravel(),
            up,
            tilt_std=np.radians(config.tilt_std_deg),
            floor_std=config.floor_std_m,
            max_raise=config.max_raise_m,
        )
        out.append(ground_from_world(floor, camera))
    return np.array(out)


def _under_camera(world_from_cam: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
    out = np.diag([1.0, -1.0, -1.0, 1.0]) @ np.linalg.inv(world_from_cam)
    out[1, 3] += 1.5
    return out


def on_ground(
    body: BodyModel, rows: Rows, cameras: Cameras, config: GroundConfig
) -> tuple[Rows, Float64[np.ndarray, "I 4 4"]]:
    """Rows in ``ground``, and ``ground_from_world`` of every island."""
    ground = find_ground(body, rows, cameras, config)
    return move(body, rows, ground[rows.island]), ground


def move(body: BodyModel, rows: Rows, new_from_old: Float64[np.ndarray, "N 4 4"]) -> Rows:
    """Rows and their cameras under a rigid change of the world, one transform per row."""
    if not len(rows):
        return rows
    pose, transl = carried(body, rows.pose, rows.betas, rows.transl, new_from_old)
    return replace(
        rows,
        pose=pose,
        transl=transl,
        cam_from_world=rows.cam_from_world @ np.linalg.inv(new_from_old),
    )
