"""Inverse kinematics of a leg and of an arm, for all frames at once (rotation matrices)."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

Vectors = Float[np.ndarray, "T 3"]
Matrices = Float[np.ndarray, "T 3 3"]


def unit(vectors: Float[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T 3"]:
    """Vectors of length one."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def turn(axis: str, angle: Float[np.ndarray, " T"]) -> Matrices:
    """Rotations about one axis ('x', 'y' or 'z')."""
    return Rotation.from_rotvec(angle[:, None] * np.eye(3)["xyz".index(axis)]).as_matrix()


def frame(first: Float[np.ndarray, "*T 3"], second: Float[np.ndarray, "*T 3"]) -> np.ndarray:
    """Orthonormal (*T, 3, 3): column 0 along ``first``, column 1 towards ``second``."""
    x = unit(first)
    z = unit(np.cross(x, second))
    return np.stack([x, np.cross(z, x), z], -1)


def bend_leg(
    thigh: Float[np.ndarray, " 3"],
    shank: Float[np.ndarray, " 3"],
    hip: Vectors,
    ankle: Vectors,
    lateral: Vectors,
) -> tuple[Matrices, Float[np.ndarray, " T"]]:
    """Global thigh rotation and knee flexion that carry a rest leg's ankle to a target.

    ``thigh`` and ``shank`` are rest offsets (T-pose, hinge +x); ``lateral`` is the way the
    hinge should point. An ankle beyond `longest_leg` is approached along its direction.
    """
    reach = ankle - hip
    distance = np.minimum(np.linalg.norm(reach, axis=-1), longest_leg(thigh, shank))
    # |thigh + Rx(f) shank|^2 = constant + cosine cos f + sine sin f
    constant = thigh @ thigh + shank @ shank + 2 * thigh[0] * shank[0]
    cosine = 2 * (thigh[1] * shank[1] + thigh[2] * shank[2])
    sine = 2 * (thigh[2] * shank[1] - thigh[1] * shank[2])
    ratio = np.clip((distance**2 - constant) / np.hypot(cosine, sine), -1, 1)
    flexion = np.arctan2(sine, cosine) + np.arccos(ratio)
    bent = thigh + np.einsum("tij,j->ti", turn("x", flexion), shank)
    hinge = np.broadcast_to([1.0, 0, 0], bent.shape)
    return frame(reach, lateral) @ frame(bent, hinge).transpose(0, 2, 1), flexion


def longest_leg(thigh: Float[np.ndarray, " 3"], shank: Float[np.ndarray, " 3"]) -> float:
    """Hip to ankle, almost straight: a fully straight knee snaps when it bends."""
    return 0.996 * float(np.linalg.norm(thigh) + np.linalg.norm(shank))


def aim_arm(
    upper_rest: Float[np.ndarray, " 3"],
    side: float,
    upper: Vectors,
    fore: Vectors,
) -> tuple[Matrices, Matrices]:
    """Global rotation of the upper arm and local rotation of the elbow.

    The arm then points along ``upper`` and the forearm along ``fore``. At rest (T-pose, palms
    down) a left elbow bends about -y and a right one about +y, which brings the hand forward.
    """
    upper, fore = unit(upper), unit(fore)
    hinge_rest = np.array([0.0, -side, 0.0])
    hinge = np.cross(upper, fore)
    angle = np.arctan2(np.linalg.norm(hinge, axis=-1), (upper * fore).sum(-1))
    rest = frame(upper_rest, hinge_rest)
    shoulder = frame(upper, hinge) @ rest.T
    # The bones are not quite along +-x at rest; turning about the hinge is what matters.
    elbow = Rotation.from_rotvec(angle[:, None] * rest[:, 1]).as_matrix()
    return shoulder, elbow
