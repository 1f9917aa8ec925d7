"""Posed bodies in the camera, and their tracks inside one shot."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """SMPL parameters of each detection row in its own camera (metres, radians).

    A row that could not be fitted has ``confidence`` 0; its numbers mean nothing.
    """

    pose: Float64[np.ndarray, "N 24 3"]
    """Axis-angle; row 0 is the global orientation in ``cam``."""
    betas: Float64[np.ndarray, "N 10"]
    transl: Float64[np.ndarray, "N 3"]
    """smplx's ``transl`` in ``cam``."""
    joints_cam: Float64[np.ndarray, "N 24 3"]
    K: Float64[np.ndarray, "N 3 3"]
    """Intrinsics that the fit assumed, pixels."""
    confidence: Float64[np.ndarray, " N"]
    residual_px: Float64[np.ndarray, " N"]
    """Confidence-weighted root mean square keypoint residual."""

    def __len__(self) -> int:
        return len(self.pose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Identity of each detection row inside its shot."""

    track: Int64[np.ndarray, " N"]
    """0, 1, ... in order of first appearance; -1 for rows that belong to no kept track."""

    def __len__(self) -> int:
        return len(self.track)
