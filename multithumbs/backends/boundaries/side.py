"""The people of one boundary frame, gathered from their shot's artifacts."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int64

from multithumbs.body import BodyModel
from multithumbs.types import Bodies, Detections, Keypoints, Masks, Tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundarySide:
    """Everyone seen at one side of a cut, one entry per kept track."""

    frame: int
    hw: tuple[int, int]
    K: Float[np.ndarray, "3 3"]
    row: Int64[np.ndarray, " N"]
    """Detection rows of the shot."""
    uv: Float[np.ndarray, "N 23 2"]
    confidence: Float[np.ndarray, "N 23"]
    """0 for keypoints outside the image or below the least confidence."""
    pose: Float[np.ndarray, "N 24 3"]
    betas: Float[np.ndarray, "N 10"]
    transl: Float[np.ndarray, "N 3"]
    size: Float[np.ndarray, " N"]
    """How many times larger, and farther away, everyone is than ``betas`` and ``transl`` say."""
    joints_cam: Float[np.ndarray, "N 24 3"]
    """At that size."""
    body_confidence: Float[np.ndarray, " N"]
    mask: Bool[np.ndarray, "N H W"]
    """All False for a person without a mask."""

    def __len__(self) -> int:
        return len(self.row)


def boundary_rows(
    frame: int, detections: Detections, bodies: Bodies, tracks: Tracks, window_frames: int
) -> Int64[np.ndarray, " N"]:
    """The row nearest to ``frame`` of every kept track that has a body within the window.

    Rows of the boundary frame itself are preferred; the shots on either side have separate
    artifacts, so a window never reaches over the cut.
    """
    away = np.abs(detections.frame - frame)
    near = (away <= window_frames) & (tracks.track >= 0) & (bodies.confidence > 0)
    rows = np.flatnonzero(near)
    rows = rows[np.argsort(away[rows], kind="stable")]
    _, first = np.unique(tracks.track[rows], return_index=True)
    return np.sort(rows[first]).astype(np.int64)


def gather_side(
    frame: int,
    detections: Detections,
    keypoints: Keypoints,
    bodies: Bodies,
    tracks: Tracks,
    masks: Masks,
    *,
    window_frames: int,
    min_confidence: float,
) -> BoundarySide:
    """Everyone at ``frame``; ``K`` is a unit matrix in a shot that has no bodies at all."""
    row = boundary_rows(frame, detections, bodies, tracks, window_frames)
    return BoundarySide(
        frame=frame,
        hw=masks.hw,
        K=bodies.K[row[0] if len(row) else 0] if len(bodies) else np.eye(3),
        row=row,
        uv=keypoints.uv[row],
        confidence=usable_confidence(
            keypoints.uv[row], keypoints.confidence[row], masks.hw, min_confidence
        ),
        pose=bodies.pose[row],
        betas=bodies.betas[row],
        transl=bodies.transl[row],
        size=np.ones(len(row)),
        joints_cam=bodies.joints_cam[row],
        body_confidence=bodies.confidence[row],
        mask=np.stack([masks.dense(int(r)) for r in row])
        if len(row)
        else np.zeros((0, *masks.hw), dtype=bool),
    )


def usable_confidence(
    uv: Float[np.ndarray, "N 23 2"],
    confidence: Float[np.ndarray, "N 23"],
    hw: tuple[int, int],
    min_confidence: float,
) -> Float[np.ndarray, "N 23"]:
    """Confidence, 0 where it is low or the keypoint lies outside the image and so is a guess."""
    inside = ((uv >= 0) & (uv < np.array(hw[::-1]))).all(-1)
    return np.where(inside & (confidence >= min_confidence), confidence, 0.0)


def through_lens(side: BoundarySide, K: Float[np.ndarray, "3 3"]) -> BoundarySide:
    """The side as a camera with other intrinsics sees it: everyone keeps their place in the image.

    What the image shows is size times focal length over depth, so under a longer lens people
    stand further away by its factor.
    """
    if not len(side) or np.array_equal(K, side.K):
        return side
    pelvis = side.joints_cam[:, 0]
    pixels = pelvis @ side.K.T
    rays = np.linalg.solve(K, (pixels / pixels[:, 2:]).T).T
    shift = rays * (pelvis[:, 2:] * K[0, 0] / side.K[0, 0]) - pelvis
    return replace(
        side,
        K=K,
        transl=side.transl + shift / side.size[:, None],
        joints_cam=side.joints_cam + shift[:, None],
    )


def resized(side: BoundarySide, factor: Float[np.ndarray, " N"]) -> BoundarySide:
    """Everyone larger and farther away by a factor: they look the same in the image."""
    return replace(
        side, size=side.size * factor, joints_cam=side.joints_cam * factor[:, None, None]
    )


def body_keypoints(side: BoundarySide, body: BodyModel) -> Float[np.ndarray, "N 23 3"]:
    """Everyone's keypoints in the side's camera, metres."""
    pose, betas, transl = (body.tensor(values) for values in (side.pose, side.betas, side.transl))
    return body.posed(pose, betas, transl).keypoints.cpu().numpy() * side.size[:, None, None]
