"""A cut, and what is made of the answer of a VGGT that knows the truth."""

import numpy as np
import torch

from multithumbs.backends.boundaries import vggt
from multithumbs.backends.boundaries.side import gather_side
from multithumbs.backends.boundaries.vggt_input import fit_frame
from multithumbs.backends.boundaries.vggt_views import views_of
from multithumbs.models.vggt import Prediction
from multithumbs.models.vggt.pose import encode
from multithumbs.synth.boundary_oracle import CutSetup, OracleNoise, make_cut
from multithumbs.synth.boundary_points import DepthNoise, depth_maps

HW = (360, 640)
UNIT = 3.3
"""Metres per unit of the pretended reconstruction."""
EXACT = OracleNoise(
    keypoint_of_height=0.0,
    log_size=0.0,
    log_fit=0.0,
    orientation_rad=0.0,
    pose_rad=0.0,
    walk_m=0.0,
)


def exact_cut(body):
    """A cut whose bodies are true; three people."""
    setup = CutSetup(hw=HW, focal_px=550.0, view_rad=1.0, mask_stride=1, people=3, noise=EXACT)
    return make_cut(body, setup, 1)


def pretend(body, cut, config, *, noise=None):
    """The prediction of a network that knows the truth, in its own unit and frame."""
    fit = fit_frame(HW, config.fit, 518, 14)
    K = np.array([[550, 0, HW[1] / 2], [0, 550, HW[0] / 2], [0, 0, 1]])
    net_K = fit.net_from_full @ K
    # The network's own principal point is half a pixel further than the middle.
    net_K[:2, 2] = np.array(fit.hw[::-1]) / 2 + 0.5
    quiet = DepthNoise(pixel_log=0.0, person_log=0.0, hanging_px=0, wall_share=0.0)
    maps = depth_maps(body, cut, np.stack([net_K] * 2), fit.hw, noise or quiet, seed=0)
    cams = np.stack([np.eye(4), cut.after_from_before])
    cams[:, :3, 3] /= UNIT
    encoding = encode(torch.tensor(cams), torch.tensor(np.stack([net_K] * 2)), fit.hw)
    depth = torch.tensor(maps.depth / UNIT)[None]
    confidence = torch.tensor(maps.confidence)[None]
    return fit, Prediction(encoding[None, None], depth, confidence, None, None)


def sides_of(cut):
    return tuple(
        gather_side(
            frame, s.detections, s.keypoints, s.bodies, s.tracks, s.masks,
            window_frames=0, min_confidence=0.3,
        )
        for frame, s in enumerate(cut.sides)
    )  # fmt: skip


def scene_of(body, cut, config, *, sides=None, change=None, **how):
    fit, prediction = pretend(body, cut, config, **how)
    if change is not None:
        prediction = change(prediction)
    views = views_of(prediction, fit, points=config.points, min_confidence=config.min_confidence)
    return vggt.scene_from_views(sides or sides_of(cut), views, body, config, "cpu")
