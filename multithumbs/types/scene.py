"""What is known at one cut: the two boundary cameras, a point map, the aligned people."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float64, Int64


class CutStatus(StrEnum):
    """Whether the two sides of a cut share one space."""

    ALIGNED = "aligned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryScene:
    """Two boundary frames reconstructed in one space (paper section 3.1).

    ``scene`` has the axes of the camera before the cut. Where ``status`` is FAILED the
    other fields hold identities and empty arrays, and ``reason`` says why.
    """

    status: CutStatus
    reason: str
    frame: Int64[np.ndarray, "2"]
    K: Float64[np.ndarray, "2 3 3"]
    scene_from_cam: Float64[np.ndarray, "2 4 4"]
    metres_per_unit: float
    """Multiplies scene lengths; 1 for back-ends that are metric."""
    points_scene: Float64[np.ndarray, "2 h w 3"]
    """A point per pixel of a grid that covers the image: entry ``[c, i, j]`` belongs to
    ``uv = ((j + 0.5) W / w, (i + 0.5) H / h)``. NaN where there is none."""
    confidence: Float64[np.ndarray, "2 h w"]
    pair: Int64[np.ndarray, "M 2"]
    """Rows (before, after) that the back-end believes to be the same person; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Boundary cameras and people refined together (paper section 3.2, Algorithm 1).

    ``scene`` is metric here. One entry ``P`` per body of either boundary frame.
    """

    status: CutStatus
    reason: str
    frame: Int64[np.ndarray, "2"]
    K: Float64[np.ndarray, "2 3 3"]
    scene_from_cam: Float64[np.ndarray, "2 4 4"]
    side: Int64[np.ndarray, " P"]
    """0: before the cut, 1: after it."""
    row: Int64[np.ndarray, " P"]
    """Detection row in that side's shot."""
    global_orient: Float64[np.ndarray, "P 3"]
    """Axis-angle in ``scene``."""
    transl: Float64[np.ndarray, "P 3"]
    """smplx's ``transl`` in ``scene``."""
    joints_scene: Float64[np.ndarray, "P 24 3"]
    residual_px: Float64[np.ndarray, " P"]
    pair: Int64[np.ndarray, "M 2"]
    """Entries ``P`` (before, after) that were aligned as one person."""
    loss: float
    """Final value of the paper's Eq. 1, so that solvers can be compared."""
