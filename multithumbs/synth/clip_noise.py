"""How wrong the simulated perception of a whole clip is."""

from dataclasses import dataclass

import numpy as np


def _deg(value: float) -> float:
    return float(np.deg2rad(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptionNoise:
    """Standard deviations; slow noise has a memory of half a second.

    Keypoints and bodies: as measured of the embedded detectors on rendered clips, and of the
    order of 4DHumans' and ViTPose's published errors (3DPW: PA-MPJPE 54 mm, MPJPE 81 mm).
    """

    keypoint_of_size: float = 0.008
    """White noise of a keypoint, as a fraction of the person's height in the image."""
    keypoint_slow_of_size: float = 0.008
    dropout: float = 0.03
    """Share of keypoints that are lost: far off and of little confidence."""
    outlier: float = 0.004
    """Share of keypoints that are far off and confident."""
    hidden_factor: float = 4.0
    """Noise of a keypoint that somebody nearer hides, over that of a seen one."""
    log_size: float = 0.06
    """Of a monocular body's size, per person and shot; its depth errs by the same factor."""
    truncated_log_size: float = 0.10
    """The same, added where less than `TRUNCATED` of the body is in the picture."""
    log_depth: float = 0.015
    """White noise of a depth."""
    pose_rad: float = _deg(3.0)
    pose_slow_rad: float = _deg(7.0)
    orientation_slow_rad: float = _deg(6.0)
    unseen_pose_factor: float = 2.5
    """Noise of the rotation of a limb that is not in the picture, over that of one that is."""
    missed: float = 0.01
    """Share of person-frames without a detection."""
    log_focal: float = 0.04
    """Of a shot's focal length."""
    mask_of_size: float = 0.006
    """How much masks grow or shrink, as a fraction of the person's height in the image."""
    gain: float = 0.10
    """Of a shot's exposure (logarithm)."""
    colour: float = 0.06
    """Of a texel's colour, white, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OdometryNoise:
    """In-shot cameras, as visual SLAM on a background with people in front of it gives them."""

    log_unit: float = 0.3
    """Spread of the unit of length around the background's median depth (logarithm)."""
    drift_rad: float = _deg(0.4)
    """Rotation that has wandered off after one second."""
    drift_of_path: float = 0.02
    """Translation that has wandered off, as a fraction of the path."""
    jitter_rad: float = _deg(0.03)
    jitter_of_depth: float = 0.0008
    """White noise of a pose, as a fraction of the background's depth."""
    log_zoom: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryNoise:
    """Two boundary frames as a feed-forward reconstruction (VGGT) relates them.

    The camera errors are those of wide baselines: the paper's Table 2 puts VGGT's cameras
    1.3 to 1.4 m off, with cameras some 4 m from the people.
    """

    rotation_rad: float = _deg(2.5)
    direction_rad: float = _deg(4.0)
    """Of the baseline's direction."""
    log_length: float = 0.06
    """Of the baseline's length in units of the point maps."""
    heavy_share: float = 0.1
    """Share of cuts whose cameras err `heavy_factor` as much."""
    heavy_factor: float = 3.0
    log_focal: float = 0.02
    log_view_depth: float = 0.02
    """Of one view's depths as a whole."""
    log_slow_depth: float = 0.025
    """Of depths, smooth over a sixth of the picture."""
    log_white_depth: float = 0.004
    log_person_depth: float = 0.03
    """Of one person's depths as a whole: they move between the frames, and the room does not."""
    outlier_share: float = 0.003
    log_outlier_depth: float = 0.15
    log_unit: float = 0.4
    """Spread of the scene's unit around the points' mean distance (logarithm)."""
    min_overlap: float = 0.08
    """Share of the points of either view that the other sees too: below it, and with nobody in
    common, the relation is a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOracleNoise:
    """Everything that stands in for perception."""

    perception: PerceptionNoise = PerceptionNoise()
    odometry: OdometryNoise = OdometryNoise()
    boundary: BoundaryNoise = BoundaryNoise()
