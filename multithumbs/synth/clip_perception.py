"""One shot's perception artifacts from its truth plus noise: no pixel is looked at."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.body.placement import rest_pelvis
from multithumbs.synth.clip_noise import PerceptionNoise
from multithumbs.synth.truth import Truth
from multithumbs.types import Bodies, Detections, Keypoints, Tracks
from multithumbs.types.skeleton import JOINT_NAMES, KEYPOINT_NAMES

SIZE_PER_BETA = 0.0685
"""Relative growth of the embedded body per unit of its first shape coefficient."""
MIN_KEYPOINTS = 6
"""Fewer in sight: the person is not detected."""
TRUNCATED = 0.7
"""Share of keypoints inside the picture below which a body counts as truncated."""
BREAK_S = 0.7
"""A track ends after an absence of this length (seconds)."""
_LIMBS = (
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("nose", "left_shoulder"),
)  # fmt: skip
_RADIUS_M = 0.12
"""Half of a limb's or trunk's width, roughly."""
_SHOWS = {
    "left_hip": "left_knee", "right_hip": "right_knee", "left_knee": "left_ankle",
    "right_knee": "right_ankle", "left_ankle": "left_big_toe", "right_ankle": "right_big_toe",
    "left_shoulder": "left_elbow", "right_shoulder": "right_elbow",
    "left_elbow": "left_wrist", "right_elbow": "right_wrist",
}  # fmt: skip
"""A joint's rotation shows in where this keypoint is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceivedShot:
    """Artifacts of one shot, and what they were made from."""

    detections: Detections
    keypoints: Keypoints
    bodies: Bodies
    tracks: Tracks
    truth_row: Int64[np.ndarray, " N"]
    """Row of the truth behind each detection."""
    K: Float64[np.ndarray, "3 3"]
    """Intrinsics as they are believed."""


def perceive(
    body: BodyModel, truth: Truth, shot: int, noise: PerceptionNoise, rng: np.random.Generator
) -> PerceivedShot:
    """The same generator state gives the same artifacts."""
    rows = np.flatnonzero(truth.shot == shot)
    rows = rows[np.lexsort((truth.person[rows], truth.frame[rows]))]
    seen = look(body, truth, rows)
    keep = np.flatnonzero(seen.visible.sum(1) >= MIN_KEYPOINTS)
    keep = keep[rng.uniform(size=len(keep)) >= noise.missed]
    rows, seen = rows[keep], seen.take(keep)
    K = truth.K[truth.shot_start[shot]].copy()
    K[:2, :2] *= np.exp(noise.log_focal * rng.normal())
    person, frame = truth.person[rows], truth.frame[rows]
    fps = float(truth.fps)
    uv, confidence = _keypoints(seen, person, fps, noise, rng)
    pose, betas, pelvis = _bodies(truth, rows, seen, K, fps, noise, rng)
    rest = rest_pelvis(body, betas)
    transl = _explaining(body, pose, betas, pelvis - rest, K, uv, confidence)
    joints, points = posed(body, pose, betas, transl)
    error = ((points @ K.T)[..., :2] / points[..., 2:] - uv) ** 2
    total = np.maximum(confidence.sum(1), 1e-9)
    low, high = _extent(uv, confidence > 0.3)
    return PerceivedShot(
        detections=Detections(
            frame=frame,
            box_xyxy=np.c_[low, high],
            score=np.ones(len(rows)),
            roi=np.c_[(low + high) / 2, (high - low).max(1), np.zeros(len(rows))],
        ),
        keypoints=Keypoints(
            uv=uv,
            confidence=confidence,
            xyz=np.zeros((len(rows), 23, 3)),
            xyz_confidence=np.zeros((len(rows), 23)),
        ),
        bodies=Bodies(
            pose=pose,
            betas=betas,
            transl=transl,
            joints_cam=joints,
            K=np.repeat(K[None], len(rows), axis=0),
            confidence=np.clip(0.3 + 0.6 * seen.visible.mean(1), 0, 0.9),
            residual_px=np.sqrt((error.sum(-1) * confidence).sum(1) / total),
        ),
        tracks=Tracks(track=_tracks(person, frame, fps)),
        truth_row=rows,
        K=K,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the true camera sees of true bodies."""

    uv: Float64[np.ndarray, "N 23 2"]
    inside: Bool[np.ndarray, "N 23"]
    """In front of the camera and in the picture."""
    visible: Bool[np.ndarray, "N 23"]
    """And hidden by nobody."""
    pelvis_cam: Float64[np.ndarray, "N 3"]
    size_px: Float64[np.ndarray, " N"]
    """Height of the person, standing, at their distance."""

    def take(self, rows: Int64[np.ndarray, " M"]) -> "Sight":
        """Some of the rows."""
        return Sight(
            uv=self.uv[rows], inside=self.inside[rows], visible=self.visible[rows],
            pelvis_cam=self.pelvis_cam[rows], size_px=self.size_px[rows],
        )  # fmt: skip


def look(body: BodyModel, truth: Truth, rows: Int64[np.ndarray, " N"]) -> Sight:
    """Project true keypoints; a nearer person's limbs hide what lies behind them."""
    frame = truth.frame[rows]
    cam_from_world = np.linalg.inv(truth.world_from_cam[frame])
    pose, betas, transl = truth.pose[rows], truth.betas[rows], truth.transl[rows]
    joints, points = posed(body, pose, betas, transl)
    cam, pelvis = _moved(cam_from_world, points), _moved(cam_from_world, joints[:, :1])[:, 0]
    K = truth.K[frame]
    uv = (cam @ K.transpose(0, 2, 1))[..., :2] / np.maximum(cam[..., 2:], 0.05)
    height, width = truth.hw
    inside = (uv > 0).all(-1) & (uv < [width, height]).all(-1) & (cam[..., 2] > 0.2)
    hidden = np.zeros_like(inside)
    for t in np.unique(frame):
        here = np.flatnonzero(frame == t)
        for a in here:
            for b in here:
                if a != b and pelvis[b, 2] < pelvis[a, 2] and pelvis[b, 2] > 0.3:
                    radius = _RADIUS_M * K[b, 0, 0] / pelvis[b, 2]
                    behind = cam[a, :, 2] > cam[b, :, 2].min() + 0.1
                    hidden[a] |= behind & (_distance_to_limbs(uv[a], uv[b]) < radius)
    stature = 1.7 * (1 + SIZE_PER_BETA * betas[:, 0])
    return Sight(
        uv=uv,
        inside=inside,
        visible=inside & ~hidden,
        pelvis_cam=pelvis,
        size_px=stature * K[:, 0, 0] / np.maximum(pelvis[:, 2], 0.3),
    )


def _distance_to_limbs(
    points: Float[np.ndarray, "23 2"], other: Float[np.ndarray, "23 2"]
) -> Float[np.ndarray, " 23"]:
    ends = np.array([[KEYPOINT_NAMES.index(a), KEYPOINT_NAMES.index(b)] for a, b in _LIMBS])
    start, along = other[ends[:, 0]], other[ends[:, 1]] - other[ends[:, 0]]
    length = np.maximum((along**2).sum(-1), 1e-9)
    part = np.clip(((points[:, None] - start) * along).sum(-1) / length, 0, 1)
    return np.linalg.norm(points[:, None] - start - part[..., None] * along, axis=-1).min(1)


def _slow(
    person: Int64[np.ndarray, " N"], size: tuple[int, ...], fps: float, rng: np.random.Generator
) -> np.ndarray:
    """Unit noise with a memory of half a second, per person (rows are consecutive frames)."""
    out = np.zeros((len(person), *size))
    for p in np.unique(person):
        mine = person == p
        white = rng.normal(size=(mine.sum() + 60, *size))
        smooth = gaussian_filter1d(white, 0.25 * fps, axis=0, mode="wrap")
        out[mine] = (smooth / smooth.std())[30:-30]
    return out


def _keypoints(
    seen: Sight, person: np.ndarray, fps: float, noise: PerceptionNoise, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "N 23 2"], Float64[np.ndarray, "N 23"]]:
    shape = seen.uv.shape
    wrong = noise.keypoint_of_size * rng.normal(size=shape)
    wrong = wrong + noise.keypoint_slow_of_size * _slow(person, shape[1:], fps, rng)
    hidden = seen.inside & ~seen.visible
    wrong = wrong * np.where(hidden, noise.hidden_factor, 1.0)[..., None]
    confidence = np.where(seen.visible, rng.uniform(0.6, 0.98, shape[:2]), 0.05)
    confidence = np.where(hidden, rng.uniform(0.1, 0.4, shape[:2]), confidence)
    lost = rng.uniform(size=shape[:2]) < noise.dropout
    false = rng.uniform(size=shape[:2]) < noise.outlier
    wrong = wrong + 0.12 * rng.normal(size=shape) * (lost | false)[..., None]
    confidence = np.where(lost, rng.uniform(0.02, 0.35, shape[:2]), confidence)
    return seen.uv + wrong * seen.size_px[:, None, None], confidence


def _bodies(
    truth: Truth, rows: np.ndarray, seen: Sight, K: np.ndarray, fps: float,
    noise: PerceptionNoise, rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Pose, shape and pelvis in the camera of monocular fits under intrinsics ``K``."""
    person, frame = truth.person[rows], truth.frame[rows]
    people, index = np.unique(person, return_inverse=True)
    shown = seen.inside.mean(1)
    truncated = shown < TRUNCATED
    grow = noise.log_size * rng.normal(size=len(people))[index]
    grow = grow + truncated * noise.truncated_log_size * rng.normal(size=len(people))[index]
    betas = truth.betas[rows].copy()
    betas[:, 0] += grow / SIZE_PER_BETA
    slow = np.full((len(rows), 24, 1), noise.pose_slow_rad)
    slow[:, 0] = noise.orientation_slow_rad
    for joint, keypoint in _SHOWS.items():
        unseen = ~seen.visible[:, KEYPOINT_NAMES.index(keypoint)]
        slow[unseen, JOINT_NAMES.index(joint)] *= noise.unseen_pose_factor
    turn = slow * _slow(person, (24, 3), fps, rng) / np.sqrt(3)
    turn = turn + noise.pose_rad * rng.normal(size=turn.shape) / np.sqrt(3)
    true = Rotation.from_rotvec(truth.pose[rows].reshape(-1, 3))
    pose = (true * Rotation.from_rotvec(turn.reshape(-1, 3))).as_rotvec().reshape(-1, 24, 3)
    to_cam = np.linalg.inv(truth.world_from_cam[frame])[:, :3, :3]
    if len(rows):
        own = Rotation.from_matrix(to_cam) * Rotation.from_rotvec(pose[:, 0])
        pose[:, 0] = own.as_rotvec()
    factor = np.exp(grow + noise.log_depth * rng.normal(size=len(rows)))
    pelvis = seen.pelvis_cam * factor[:, None]
    # A longer lens than the true one puts the same picture further away.
    pelvis[:, 2] *= K[0, 0] / truth.K[frame, 0, 0]
    return pose, betas, pelvis


def _explaining(
    body: BodyModel, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray, K: np.ndarray,
    uv: np.ndarray, confidence: np.ndarray,
) -> Float64[np.ndarray, "N 3"]:  # fmt: skip
    """A monocular fit explains its own keypoints: moved across its ray until it does."""
    _, points = posed(body, pose, betas, transl)
    weight = np.where(confidence > 0.3, confidence, 0)
    weight = weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)
    target = (uv - K[:2, 2]) / K[0, 0] * points[..., 2:]
    shift = np.median(target - points[..., :2], axis=1, keepdims=True)
    off = np.linalg.norm(target - points[..., :2] - shift, axis=-1)
    weight = weight * (off < 0.25)
    weight = weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)
    moved = transl.copy()
    moved[:, :2] += ((target - points[..., :2]) * weight[..., None]).sum(1)
    return moved


def _tracks(
    person: Int64[np.ndarray, " N"], frame: Int64[np.ndarray, " N"], fps: float
) -> Int64[np.ndarray, " N"]:
    """One track per unbroken presence, numbered in order of first appearance."""
    presence = np.zeros(len(person), np.int64)
    for p in np.unique(person):
        mine = np.flatnonzero(person == p)
        presence[mine] = np.cumsum(np.diff(frame[mine], prepend=frame[mine[0]]) > BREAK_S * fps)
    keys = person * 1000 + presence
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def _extent(uv: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = np.where(use[..., None], uv, np.inf).min(1)
    high = np.where(use[..., None], uv, -np.inf).max(1)
    few = ~np.isfinite(low).all(1)
    low[few], high[few] = uv[few].min(1), uv[few].max(1)
    return low, np.maximum(high, low + 4.0)


def posed(
    body: BodyModel, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray
) -> tuple[Float64[np.ndarray, "N 24 3"], Float64[np.ndarray, "N 23 3"]]:
    """Joints and keypoints of bodies."""
    out = body.posed(*(torch.from_numpy(a).to(body.dtype) for a in (pose, betas, transl)))
    return out.joints.numpy().astype(np.float64), out.keypoints.numpy().astype(np.float64)


def _moved(a_from_b: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ a_from_b[:, :3, :3].transpose(0, 2, 1) + a_from_b[:, None, :3, 3]
