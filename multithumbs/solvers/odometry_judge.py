"""How well a given trajectory explains background points that it was not fitted to."""

import numpy as np
from jaxtyping import Bool, Float64

from multithumbs.solvers.odometry_bundle import Bundle, residuals, triangulate
from multithumbs.solvers.odometry_sfm import FreeFit
from multithumbs.solvers.odometry_tracks import PointTracks


def explained_by(
    tracks: PointTracks,
    K: Float64[np.ndarray, "3 3"],
    shot_from_cam: Float64[np.ndarray, "T 4 4"],
    tracked: Bool[np.ndarray, " T"],
) -> FreeFit:
    """The trajectory with the residuals of the points, each put where its rays meet.

    Args:
        tracks: background points of the ``T`` frames, pixels.
        K: intrinsics, pixels.
        shot_from_cam: poses of all frames, in any unit.
        tracked: frames whose pose is a measurement; the others have no residuals.
    """
    used = tracked[tracks.frame]
    frame, point = tracks.frame[used], tracks.point[used]
    x = (tracks.uv[used] - K[:2, 2]) / K[0, 0]
    rotation, centre = shot_from_cam[:, :3, :3], shot_from_cam[:, :3, 3]
    solved, angle = triangulate(rotation, centre, frame, point, x, tracks.num_points)
    bundle = Bundle(rotation, centre, solved, frame, point, x)
    residual = np.full(len(tracks.frame), np.nan)
    residual[used] = np.linalg.norm(residuals(bundle), axis=1)
    known = np.isfinite(solved[:, 0])
    return FreeFit(
        shot_from_cam=shot_from_cam,
        tracked=tracked,
        residual=residual,
        parallax=float(np.median(angle[known])) if known.any() else 0.0,
    )
