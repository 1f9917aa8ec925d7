"""Where a body stands, and how it is carried from one frame of reference to another."""

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from multithumbs.body.model import BodyModel


def rest_pelvis(body: BodyModel, betas: Float64[np.ndarray, "N 10"]) -> Float64[np.ndarray, "N 3"]:
    """The pelvis of the unposed body, metres; posed, it stands at this plus ``transl``."""
    rest = body.rest_joints(body.tensor(betas))
    return rest[:, 0].double().numpy(force=True)


def carried(
    body: BodyModel,
    pose: Float64[np.ndarray, "N 24 3"],
    betas: Float64[np.ndarray, "N 10"],
    transl: Float64[np.ndarray, "N 3"],
    a_from_b: Float64[np.ndarray, "N 4 4"],
) -> tuple[Float64[np.ndarray, "N 24 3"], Float64[np.ndarray, "N 3"]]:
    """``pose`` and ``transl`` in frame ``a`` of bodies given in ``b``, one transform per body.

    SMPL turns about its pelvis, not its origin, so its place in the body is needed.
    """
    if not len(pose):
        return pose, transl
    rotation, shift = a_from_b[:, :3, :3], a_from_b[:, :3, 3]
    moved = pose.copy()
    moved[:, 0] = (Rotation.from_matrix(rotation) * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    rest = rest_pelvis(body, betas)
    return moved, np.einsum("nij,nj->ni", rotation, rest + transl) + shift - rest
