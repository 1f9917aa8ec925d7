"""What VGGT says of the two boundary frames, in this project's conventions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float

from multithumbs.backends.boundaries.vggt_input import Fit
from multithumbs.geometry import rigid
from multithumbs.models.vggt import Prediction
from multithumbs.models.vggt.pose import decode, pixel_centred, points_from_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Two cameras and a point per pixel of the network's input; lengths in scene units."""

    fit: Fit
    K: Float[np.ndarray, "2 3 3"]
    """Of the full frames, pixels."""
    scene_from_cam: Float[np.ndarray, "2 4 4"]
    points: Float[np.ndarray, "2 h w 3"]
    """In ``scene``; NaN where there is none to trust."""
    depth: Float[np.ndarray, "2 h w"]
    """Of those points in their own camera; NaN likewise."""
    trust: Float[np.ndarray, "2 h w"]
    """The network's confidence, at least 1; 0 where there is no point."""

    @property
    def usable(self) -> bool:
        """Whether both cameras are cameras."""
        focal = self.K[:, [0, 1], [0, 1]]
        finite = np.isfinite(self.K).all() and np.isfinite(self.scene_from_cam).all()
        return bool(finite and (focal > 0).all())

    @property
    def confidence(self) -> Float[np.ndarray, "2 h w"]:
        """``1 - 1 / trust``, in [0, 1): what the other back-ends' confidences look like."""
        return np.where(self.trust > 1, 1 - 1 / np.maximum(self.trust, 1), 0.0)


def views_of(
    prediction: Prediction,
    fit: Fit,
    *,
    points: Literal["depth", "point_head"],
    min_confidence: float,
) -> Views:
    """The first two frames of a prediction.

    ``scene`` has the axes of the first camera, which the network makes the identity only about;
    points that are not finite, not in front of their camera, beyond the frame's border or trusted
    less than ``min_confidence`` become NaN.
    """
    encoding = prediction.pose_encodings[-1, 0, :2].double().cpu()
    cam_from_net, K = decode(encoding, fit.hw)
    K = pixel_centred(K)
    scene_from_cam = cam_from_net[:1] @ rigid.inverse(cam_from_net)
    if points == "depth":
        depth = prediction.depth[0, :2].double().cpu()
        confidence = prediction.depth_confidence[0, :2].double().cpu()
        cam = points_from_depth(depth, K)
        scene = rigid.apply(scene_from_cam, cam.flatten(1, 2)).unflatten(1, fit.hw)
    else:
        if prediction.points is None or prediction.points_confidence is None:
            raise ValueError("points=point_head needs the network's point head")
        net = prediction.points[0, :2].double().cpu().flatten(1, 2)
        confidence = prediction.points_confidence[0, :2].double().cpu()
        depth = rigid.apply(cam_from_net, net)[..., 2].unflatten(1, fit.hw)
        scene = rigid.apply(cam_from_net[:1], net).unflatten(1, fit.hw)
    trusted = confidence.isfinite() & (confidence >= min_confidence) & (depth > 0)
    known = trusted & depth.isfinite() & scene.isfinite().all(-1) & torch.from_numpy(fit.content())
    nan = torch.full((), torch.nan, dtype=torch.float64)
    full_from_net = torch.from_numpy(np.linalg.inv(fit.net_from_full))
    return Views(
        fit=fit,
        K=(full_from_net @ K).numpy(),
        scene_from_cam=torch.cat([rigid.eye(scene)[None], scene_from_cam[1:]]).numpy(),
        points=torch.where(known[..., None], scene, nan).numpy(),
        depth=torch.where(known, depth, nan).numpy(),
        trust=torch.where(known, confidence, torch.zeros_like(confidence)).numpy(),
    )


def grid_of(
    views: Views, max_side: int
) -> tuple[Float[np.ndarray, "2 h w 3"], Float[np.ndarray, "2 h w"]]:
    """Points and confidences on the grid of a `BoundaryScene`: cells tile the whole frame, each
    takes the nearest pixel (means would hang between a person and the wall behind)."""
    height, width = views.fit.full
    side = min(max_side, max(views.fit.hw))
    longest = max(height, width)
    rows, columns = (max(round(side * n / longest), 1) for n in (height, width))
    v, u = np.indices((rows, columns)) + 0.5
    full = np.stack([u * width / columns, v * height / rows, np.ones_like(u)], -1)
    net = np.floor(full @ views.fit.net_from_full.T).astype(np.int64)
    inside = np.all((net[..., :2] >= 0) & (net[..., :2] < views.fit.hw[::-1]), axis=-1)
    row = np.clip(net[..., 1], 0, views.fit.hw[0] - 1)
    column = np.clip(net[..., 0], 0, views.fit.hw[1] - 1)
    points = np.where(inside[..., None], views.points[:, row, column], np.nan)
    return points, np.where(inside, views.confidence[:, row, column], 0.0)


def overlap(
    views: Views, background: Bool[np.ndarray, "2 h w"], max_difference: float
) -> tuple[float, float]:
    """Share of either view's background that lies where the other view sees a surface.

    A point agrees if its depth in the other camera is that of the pixel it falls onto, within
    the fraction ``max_difference``. People are no evidence: they move between the frames.
    """
    shares = []
    cam_from_scene = np.linalg.inv(views.scene_from_cam)
    net_K = views.fit.net_from_full @ views.K
    for this, other in ((0, 1), (1, 0)):
        points = views.points[this][background[this] & np.isfinite(views.depth[this])]
        if not len(points):
            shares.append(0.0)
            continue
        cam = points @ cam_from_scene[other, :3, :3].T + cam_from_scene[other, :3, 3]
        ahead = cam[:, 2] > 0
        pixel = cam[ahead] / cam[ahead, 2:] @ net_K[other].T
        inside = ((pixel[:, :2] >= 0) & (pixel[:, :2] < views.fit.hw[::-1])).all(1)
        column, row = np.floor(pixel[inside, :2]).astype(np.int64).T
        seen = views.depth[other][row, column]
        # NaN, where the other view has no point, compares as False.
        agree = np.abs(cam[ahead][inside, 2] - seen) <= max_difference * seen
        shares.append(float(agree.sum()) / len(points))
    return shares[0], shares[1]
