"""A whole clip's artifacts from its truth plus calibrated noise: what `people` reads, no pixels."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from multithumbs.body import BodyModel
from multithumbs.body.placement import rest_pelvis
from multithumbs.synth.scene import Scene
from multithumbs.synth.truth import Truth, truth_of
from multithumbs.types import (
    Alignment,
    Bodies,
    Cameras,
    CutStatus,
    Detections,
    Identities,
    Keypoints,
    Masks,
    Odometry,
    Shots,
    Tracks,
)

SIZE_PER_BETA = 0.0685
"""Relative growth of the embedded body per unit of its first shape coefficient."""
MIN_KEYPOINTS = 7
"""Fewer inside the image: the person is not detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipNoise:
    """Standard deviations of the simulated perception; slow noise has a memory of half a second."""

    keypoint_of_size: float = 0.008
    """White noise of a keypoint, as a fraction of the person's extent in the image."""
    keypoint_slow_of_size: float = 0.008
    log_size: float = 0.06
    """Of a monocular body's size, per person and shot; its depth errs by the same factor."""
    log_depth: float = 0.015
    """White noise of a depth."""
    pose_rad: float = float(np.deg2rad(3))
    pose_slow_rad: float = float(np.deg2rad(7))
    orientation_slow_rad: float = float(np.deg2rad(6))
    camera_rad: float = float(np.deg2rad(1.5))
    """Of every shot's place in the world but the first's."""
    camera_m: float = 0.08
    aligned_log_depth: float = 0.02
    """Of the alignment's depths at the cuts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleClip:
    """Artifacts of one clip, and its truth."""

    truth: Truth
    timestamps_s: Float64[np.ndarray, " F"]
    shots: Shots
    detections: tuple[Detections, ...]
    keypoints: tuple[Keypoints, ...]
    masks: tuple[Masks, ...]
    bodies: tuple[Bodies, ...]
    tracks: tuple[Tracks, ...]
    alignment: tuple[Alignment, ...]
    odometry: tuple[Odometry, ...]
    cameras: Cameras
    identities: Identities


def make_clip(body: BodyModel, scene: Scene, noise: ClipNoise, seed: int) -> OracleClip:
    """The same seed gives the same clip."""
    rng = np.random.default_rng(seed)
    truth = truth_of(scene, body, with_visibility=False)
    sides = [_Shot(body, scene, truth, s, noise, rng) for s in range(len(scene.shots))]
    start, end = truth.shot_start, truth.shot_end
    cameras = _cameras(truth, noise, rng)
    joins = [
        (s, int(t), int(p))
        for s, side in enumerate(sides)
        for t, p in enumerate(np.unique(side.person))
    ]
    shot, track, person = np.array(joins, dtype=np.int64).reshape(-1, 3).T
    return OracleClip(
        truth=truth,
        timestamps_s=scene.times,
        shots=Shots(
            start=start, end=end, clean_start=start, clean_end=end,
            transition=np.ones(len(start), np.int64),
        ),
        detections=tuple(side.detections() for side in sides),
        keypoints=tuple(side.keypoints() for side in sides),
        masks=tuple(
            Masks.from_runs([np.zeros(0, np.int64)] * len(side.frame), scene.hw) for side in sides
        ),
        bodies=tuple(side.bodies() for side in sides),
        tracks=tuple(
            Tracks(track=np.unique(side.person, return_inverse=True)[1].astype(np.int64))
            for side in sides
        ),
        alignment=tuple(
            _alignment(sides[c], sides[c + 1], int(end[c]), truth, cameras, noise, rng)
            for c in range(len(sides) - 1)
        ),
        odometry=tuple(_odometry(truth, s) for s in range(len(sides))),
        cameras=cameras,
        identities=Identities(
            shot=shot, track=track, person=person,
            confidence=np.ones(len(shot)), by_appearance=np.zeros(len(shot), bool),
            link_shot=np.zeros((0, 2), np.int64), link_track=np.zeros((0, 2), np.int64),
            link_distance_m=np.zeros(0), link_cost=np.zeros(0),
        ),
    )  # fmt: skip


class _Shot:
    """Noisy perception of one shot."""

    def __init__(
        self,
        body: BodyModel,
        scene: Scene,
        truth: Truth,
        shot: int,
        noise: ClipNoise,
        rng: np.random.Generator,
    ) -> None:
        self.body, self.truth, self.noise, self.rng = body, truth, noise, rng
        rows = np.flatnonzero(truth.shot == shot)
        frame = truth.frame[rows]
        self.cam_from_world = np.linalg.inv(truth.world_from_cam[frame])
        self.K = truth.K[frame]
        pose, betas, transl = truth.pose[rows], truth.betas[rows], truth.transl[rows]
        keypoints = _posed(body, pose, betas, transl)[1]
        cam = _transform(self.cam_from_world, keypoints)
        uv = (cam @ self.K.transpose(0, 2, 1))[..., :2] / np.maximum(cam[..., 2:], 0.05)
        height, width = scene.hw
        inside = (uv > 0).all(-1) & (uv < [width, height]).all(-1) & (cam[..., 2] > 0.2)
        keep = np.flatnonzero(inside.sum(1) >= MIN_KEYPOINTS)
        keep = keep[np.lexsort((truth.person[rows][keep], frame[keep]))]
        self.rows, self.frame, self.person = rows[keep], frame[keep], truth.person[rows][keep]
        self.cam_from_world, self.K = self.cam_from_world[keep], self.K[keep]
        self.uv, self.inside = uv[keep], inside[keep]
        self.fps = float(scene.fps)
        self._perceive(pose[keep], betas[keep], transl[keep])

    def _slow(self, size: tuple[int, ...]) -> np.ndarray:
        """Unit noise with memory, per person (frames are rows of one person)."""
        out = np.zeros((len(self.person), *size))
        for p in np.unique(self.person):
            mine = self.person == p
            white = self.rng.normal(size=(mine.sum() + 60, *size))
            smooth = gaussian_filter1d(white, 0.25 * self.fps, axis=0, mode="wrap")
            out[mine] = (smooth / smooth.std())[30:-30]
        return out

    def _per_person(self) -> np.ndarray:
        people, index = np.unique(self.person, return_inverse=True)
        return self.rng.normal(size=len(people))[index]

    def _perceive(self, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> None:
        noise, rng = self.noise, self.rng
        extent = np.ptp(self.uv, axis=1).max(-1)[:, None, None]
        wrong = noise.keypoint_of_size * rng.normal(size=self.uv.shape)
        wrong = wrong + noise.keypoint_slow_of_size * self._slow((23, 2))
        self.seen_uv = self.uv + extent * wrong
        grow = noise.log_size * self._per_person()
        self.betas = betas.copy()
        self.betas[:, 0] += grow / SIZE_PER_BETA
        slow = np.full((24, 1), noise.pose_slow_rad)
        slow[0] = noise.orientation_slow_rad
        turn = slow * self._slow((24, 3)) / np.sqrt(3)
        turn = turn + noise.pose_rad * rng.normal(size=turn.shape) / np.sqrt(3)
        noisy = Rotation.from_rotvec(pose.reshape(-1, 3)) * Rotation.from_rotvec(
            turn.reshape(-1, 3)
        )
        self.pose = noisy.as_rotvec().reshape(-1, 24, 3)
        to_cam = Rotation.from_matrix(self.cam_from_world[:, :3, :3])
        self.pose[:, 0] = (to_cam * Rotation.from_rotvec(self.pose[:, 0])).as_rotvec()
        rest = rest_pelvis(self.body, betas)
        pelvis = _transform(self.cam_from_world, (transl + rest)[:, None])[:, 0]
        depth = np.exp(grow + noise.log_depth * rng.normal(size=len(grow)))
        self.transl = pelvis * depth[:, None] - rest_pelvis(self.body, self.betas)
        self.true_pelvis = pelvis

    def detections(self) -> Detections:
        low, high = self.seen_uv.min(1), self.seen_uv.max(1)
        middle, side = (low + high) / 2, (high - low).max(1)
        return Detections(
            frame=self.frame,
            box_xyxy=np.c_[low, high],
            score=np.ones(len(self.frame)),
            roi=np.c_[middle, side, 0 * side],
        )

    def keypoints(self) -> Keypoints:
        count = len(self.frame)
        return Keypoints(
            uv=self.seen_uv,
            confidence=np.where(self.inside, 0.9, 0.05),
            xyz=np.zeros((count, 23, 3)),
            xyz_confidence=np.zeros((count, 23)),
        )

    def bodies(self) -> Bodies:
        count = len(self.frame)
        return Bodies(
            pose=self.pose,
            betas=self.betas,
            transl=self.transl,
            joints_cam=_posed(self.body, self.pose, self.betas, self.transl)[0],
            K=self.K,
            confidence=0.9 * np.ones(count),
            residual_px=np.ones(count),
        )


def _cameras(truth: Truth, noise: ClipNoise, rng: np.random.Generator) -> Cameras:
    shots = len(truth.shot_start)
    wrong = np.tile(np.eye(4), (shots, 1, 1))
    world = truth.world_from_cam.copy()
    frame = np.arange(truth.num_frames)
    shot = np.searchsorted(truth.shot_start, frame, side="right") - 1
    for s in range(1, shots):
        first = world[truth.shot_start[s]]
        error = np.eye(4)
        error[:3, :3] = Rotation.from_rotvec(
            noise.camera_rad * rng.normal(size=3) / np.sqrt(3)
        ).as_matrix()
        error[:3, 3] = noise.camera_m * rng.normal(size=3) / np.sqrt(3)
        wrong[s] = first @ error @ np.linalg.inv(first)
    world = np.linalg.inv(truth.world_from_cam[0]) @ wrong[shot] @ world
    return Cameras(
        frame=frame,
        shot=shot,
        island=np.zeros(len(frame), np.int64),
        K=truth.K,
        world_from_cam=world,
        tracked=np.ones(len(frame), bool),
        metres_per_unit=np.ones(shots),
        scale_source=("none",) * shots,
        island_of_shot=np.zeros(shots, np.int64),
        cut_residual_m=np.zeros(shots - 1),
        cut_scale=np.ones(shots - 1),
    )


def _alignment(
    before: _Shot,
    after: _Shot,
    cut: int,
    truth: Truth,
    cameras: Cameras,
    noise: ClipNoise,
    rng: np.random.Generator,
) -> Alignment:
    """Everyone at the cut with a good depth; ``scene`` has the axes of the camera before."""
    frames = np.array([cut - 1, cut])
    world = cameras.world_from_cam[frames]
    scene = np.linalg.inv(world[0]) @ world
    side, row, orient, transl, joints = [], [], [], [], []
    for k, shot in enumerate((before, after)):
        for n in np.flatnonzero(shot.frame == frames[k]):
            pelvis = shot.true_pelvis[n] * np.exp(noise.aligned_log_depth * rng.normal())
            turn = Rotation.from_matrix(scene[k, :3, :3])
            pose = shot.pose[n].copy()
            pose[0] = (turn * Rotation.from_rotvec(pose[0])).as_rotvec()
            place = scene[k, :3, :3] @ pelvis + scene[k, :3, 3]
            place = place - rest_pelvis(shot.body, shot.betas[n : n + 1])[0]
            side.append(k)
            row.append(n)
            orient.append(pose[0])
            transl.append(place)
            joints.append(_posed(shot.body, pose[None], shot.betas[n : n + 1], place[None])[0][0])
    who = [(before, after)[k].person[n] for k, n in zip(side, row, strict=True)]
    pair = [
        (i, j)
        for i in range(len(side))
        for j in range(len(side))
        if side[i] == 0 and side[j] == 1 and who[i] == who[j]
    ]
    return Alignment(
        status=CutStatus.ALIGNED if pair else CutStatus.FAILED,
        reason="" if pair else "nobody in common",
        frame=frames,
        K=truth.K[frames],
        scene_from_cam=scene,
        side=np.array(side, dtype=np.int64),
        row=np.array(row, dtype=np.int64),
        global_orient=np.array(orient).reshape(-1, 3),
        transl=np.array(transl).reshape(-1, 3),
        joints_scene=np.array(joints).reshape(-1, 24, 3),
        residual_px=np.ones(len(side)),
        pair=np.array(pair, dtype=np.int64).reshape(-1, 2),
        loss=0.0,
    )


def _odometry(truth: Truth, shot: int) -> Odometry:
    frame = np.arange(truth.shot_start[shot], truth.shot_end[shot])
    return Odometry(
        frame=frame,
        shot_from_cam=np.linalg.inv(truth.world_from_cam[frame[0]]) @ truth.world_from_cam[frame],
        motion="free",
        tracked=np.ones(len(frame), bool),
        zoom=np.ones(len(frame)),
        warning="",
    )


def _posed(
    body: BodyModel, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    out = body.posed(*(torch.from_numpy(a).to(body.dtype) for a in (pose, betas, transl)))
    return out.joints.numpy(), out.keypoints.numpy()


def _transform(a_from_b: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ a_from_b[:, :3, :3].transpose(0, 2, 1) + a_from_b[:, None, :3, 3]
