"""A freely moving camera: key-frames, two-view start, incremental bundle adjustment."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.spatial.transform import Rotation, Slerp

from multithumbs.solvers.odometry_bundle import (
    Bundle,
    adjust,
    points_in_cameras,
    residuals,
    triangulate,
)
from multithumbs.solvers.odometry_resect import resect
from multithumbs.solvers.odometry_tracks import PointTracks

MIN_SHARED = 20
"""Points that two key-frames must share to start from them."""

POLISHED_FRAMES = 150
"""Shots up to this length end with an adjustment of all frames, not of the key-frames alone."""
POLISHING_ROUNDS = 4
MIN_AGREEING = 0.8
"""Share of a point's observations that must agree with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SfmSettings:
    """Thresholds in normalised image units (pixels over focal length) and radians."""

    huber: float
    outlier: float
    min_angle: float
    min_points: int
    keyframe_flow: float
    max_keyframes: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeFit:
    """Trajectory of ``T`` frames; the first frame's axes, median depth of the points there 1."""

    shot_from_cam: Float64[np.ndarray, "T 4 4"]
    tracked: Bool[np.ndarray, " T"]
    residual: Float64[np.ndarray, " O"]
    """Per observation, normalised; NaN where its point was not reconstructed."""
    parallax: float
    """Median over points of the widest angle between a point's rays and their mean, radians."""


def reconstruct(
    tracks: PointTracks, K: Float64[np.ndarray, "3 3"], settings: SfmSettings
) -> FreeFit | None:
    """Structure from motion of one shot; None where no two key-frames give a stable start."""
    x = (tracks.uv - K[:2, 2]) / K[0, 0]
    tracks = replace(tracks, uv=x)
    keys = choose_keyframes(tracks, settings.keyframe_flow, settings.max_keyframes)
    if len(keys) < 2:
        return None
    camera, point, x_key = tracks.at_frames(keys)
    state = _Reconstruction(len(keys), tracks.num_points, camera, point, x_key, settings)
    if not state.start():
        return None
    state.grow()
    if state.registered.sum() < max(2, 0.6 * len(keys)):
        return None
    return _all_frames(tracks, keys, state)


def choose_keyframes(tracks: PointTracks, min_flow: float, limit: int) -> Int64[np.ndarray, " K"]:
    """Frames between which the median point moves at least ``min_flow`` (normalised), with the
    first and last frame that have points; ``min_flow`` grows until at most ``limit`` remain."""
    count = tracks.count_per_frame()
    alive = np.flatnonzero(count > 0)
    if len(alive) < 2:
        return alive.astype(np.int64)
    bounds = tracks.frame_slices()
    while True:
        reference = np.full((tracks.num_points, 2), np.nan)
        keys = []
        for t in alive:
            rows = slice(bounds[t], bounds[t + 1])
            moved = np.linalg.norm(tracks.uv[rows] - reference[tracks.point[rows]], axis=1)
            known = np.isfinite(moved)
            stale = known.sum() < 0.3 * len(moved)
            if not keys or stale or np.median(moved[known]) > min_flow or t == alive[-1]:
                keys.append(t)
                reference[:] = np.nan
                reference[tracks.point[rows]] = tracks.uv[rows]
        if len(keys) <= limit:
            return np.asarray(keys, np.int64)
        min_flow *= 1.5


class _Reconstruction:
    """Working state of one incremental reconstruction over key-frames."""

    def __init__(
        self,
        num_cameras: int,
        num_points: int,
        camera: Int64[np.ndarray, " M"],
        point: Int64[np.ndarray, " M"],
        x: Float64[np.ndarray, "M 2"],
        settings: SfmSettings,
    ) -> None:
        self.settings = settings
        self.camera, self.point, self.x = camera, point, x
        self.rotation = np.tile(np.eye(3), (num_cameras, 1, 1))
        self.centre = np.zeros((num_cameras, 3))
        self.points = np.full((num_points, 3), np.nan)
        self.angle = np.zeros(num_points)
        self.registered = np.zeros(num_cameras, bool)
        self.outlier = np.zeros(len(x), bool)

    def start(self) -> bool:
        """Two-view geometry of the key-frame pair with most parallax."""
        return any(self._try_pair(first, second) for first, second in self._start_pairs())

    def grow(self) -> None:
        """Register the other key-frames, the best connected one first."""
        next_adjust = 3
        rejected = np.zeros(len(self.registered), bool)
        while True:
            solved = np.isfinite(self.points[:, 0])
            usable = solved[self.point] & ~self.outlier
            support = np.bincount(self.camera[usable], minlength=len(self.registered))
            support[self.registered | rejected] = 0
            best = int(support.argmax())
            if support[best] < self.settings.min_points:
                break
            if not self._register(best, usable):
                rejected[best] = True
                continue
            rejected[:] = False
            self._triangulate_new(self.settings.min_angle)
            if self.registered.sum() >= next_adjust:
                self._adjust(8)
                next_adjust = int(np.ceil(self.registered.sum() * 1.35)) + 1
        for rounds in (15, 60):
            self._triangulate_new(0.4 * self.settings.min_angle)
            self._adjust(rounds)

    def _start_pairs(self) -> list[tuple[int, int]]:
        dense = np.full((len(self.registered), len(self.points), 2), np.nan)
        dense[self.camera, self.point] = self.x
        scored = []
        for i in range(len(dense)):
            for j in range(i + 1, len(dense)):
                shared = np.isfinite(dense[i, :, 0] + dense[j, :, 0])
                if shared.sum() < MIN_SHARED:
                    break
                flow = dense[j, shared] - dense[i, shared]
                # Spread of the flow about its best affine model: what no rotation explains.
                basis = np.c_[dense[i, shared], np.ones(shared.sum())]
                rest = flow - basis @ np.linalg.lstsq(basis, flow, rcond=None)[0]
                spread = np.median(np.linalg.norm(rest, axis=1))
                scored.append((spread * min(1.0, shared.sum() / 80), i, j))
        scored.sort(reverse=True)
        return [(i, j) for _, i, j in scored[:8]]

    def _try_pair(self, first: int, second: int) -> bool:
        a, b = self.camera == first, self.camera == second
        shared, in_a, in_b = np.intersect1d(self.point[a], self.point[b], return_indices=True)
        xa, xb = self.x[a][in_a], self.x[b][in_b]
        cv2.setRNGSeed(self.settings.seed)
        essential, inlier = cv2.findEssentialMat(
            xa, xb, np.eye(3), cv2.RANSAC, 0.9999, self.settings.outlier / 2
        )
        if essential is None or essential.shape != (3, 3) or inlier.sum() < MIN_SHARED:
            return False
        _, rotation, translation, _ = cv2.recoverPose(essential, xa, xb, np.eye(3), mask=inlier)
        self.registered[:] = False
        self.registered[[first, second]] = True
        self.rotation[first], self.centre[first] = np.eye(3), 0
        self.rotation[second] = rotation.T
        self.centre[second] = -rotation.T @ translation[:, 0]
        self.points[:] = np.nan
        self.outlier[:] = False
        self._triangulate_new(self.settings.min_angle)
        if np.isfinite(self.points[:, 0]).sum() < self.settings.min_points:
            self._triangulate_new(0.4 * self.settings.min_angle)
        solved = int(np.isfinite(self.points[:, 0]).sum())
        if solved < max(self.settings.min_points, 0.3 * len(shared)):
            return False
        self._adjust(15)
        return True

    def _register(self, camera: int, usable: Bool[np.ndarray, " M"]) -> bool:
        rows = usable & (self.camera == camera)
        near = np.flatnonzero(self.registered)
        neighbour = near[np.abs(near - camera).argmin()]
        world, x = self.points[self.point[rows]], self.x[rows]
        zeros = np.zeros(len(x), np.int64)
        rotation, centre = resect(
            self.rotation[[neighbour]], self.centre[[neighbour]], world, x, zeros,
            huber=self.settings.huber, iterations=12,
        )  # fmt: skip
        one = Bundle(rotation, centre, world, zeros, np.arange(len(x)), x)
        error = np.linalg.norm(residuals(one), axis=1)
        if (error < self.settings.outlier).sum() < max(self.settings.min_points, 0.5 * len(x)):
            return False
        self.rotation[camera], self.centre[camera] = rotation[0], centre[0]
        self.registered[camera] = True
        return True

    def _triangulate_new(self, min_angle: float) -> None:
        fresh = ~np.isfinite(self.points[:, 0])
        rows = self.registered[self.camera] & fresh[self.point] & ~self.outlier
        if not rows.any():
            return
        camera, point, x = self.camera[rows], self.point[rows], self.x[rows]
        solved, angle = triangulate(self.rotation, self.centre, camera, point, x, len(self.points))
        bundle = Bundle(self.rotation, self.centre, solved, camera, point, x)
        depth = points_in_cameras(bundle)[:, 2]
        error = np.linalg.norm(residuals(bundle), axis=1)
        bad_row = ~((error < self.settings.outlier) & (depth > 0))
        bad = np.zeros(len(solved), bool)
        np.logical_or.at(bad, point, bad_row)
        good = fresh & ~bad & (angle > min_angle / 2)
        self.points[good] = solved[good]
        self.angle[good] = angle[good]

    def _adjust(self, max_iterations: int) -> None:
        solved = np.isfinite(self.points[:, 0])
        rows = np.flatnonzero(self.registered[self.camera] & solved[self.point] & ~self.outlier)
        cameras, camera = np.unique(self.camera[rows], return_inverse=True)
        points, point = np.unique(self.point[rows], return_inverse=True)
        bundle = adjust(
            Bundle(self.rotation[cameras], self.centre[cameras], self.points[points],
                   camera, point, self.x[rows]),
            huber=self.settings.huber, max_iterations=max_iterations,
        )  # fmt: skip
        # Nothing holds the scale: keep the points' median distance from the first camera.
        size = np.median(np.linalg.norm(bundle.points - bundle.centre[0], axis=1))
        self.rotation[cameras] = bundle.rotation
        self.centre[cameras] = bundle.centre / size
        self.points[points] = bundle.points / size
        depth = points_in_cameras(bundle)[:, 2]
        error = np.linalg.norm(residuals(bundle), axis=1)
        self.outlier[rows] = (error > self.settings.outlier) | (depth <= 0)
        left = np.bincount(self.point[rows][~self.outlier[rows]], minlength=len(self.points))
        self.points[left < 2] = np.nan


def _all_frames(
    tracks: PointTracks, keys: Int64[np.ndarray, " K"], state: _Reconstruction
) -> FreeFit:
    """Orient every frame by the reconstructed points, from between its key-frames."""
    done = np.flatnonzero(state.registered)
    at = keys[done]
    rotation, centre = interpolate(
        at, state.rotation[done], state.centre[done], np.arange(tracks.num_frames)
    )
    solved = np.isfinite(state.points[:, 0])
    rows = np.flatnonzero(solved[tracks.point])
    frame, point, x = tracks.frame[rows], tracks.point[rows], tracks.uv[rows]
    rotation, centre = resect(
        rotation, centre, state.points[point], x, frame,
        huber=state.settings.huber, iterations=10,
    )  # fmt: skip
    bundle = Bundle(rotation, centre, state.points, frame, point, x)
    if tracks.num_frames <= POLISHED_FRAMES:
        bundle = _polished(bundle, state.settings)
        rotation, centre, state.points = bundle.rotation, bundle.centre, bundle.points
    error = np.linalg.norm(residuals(bundle), axis=1)
    inlier = error < state.settings.outlier
    good = np.bincount(frame[inlier], minlength=tracks.num_frames)
    total = np.maximum(np.bincount(frame, minlength=tracks.num_frames), 1)
    tracked = (good >= state.settings.min_points) & (good > 0.4 * total)
    if tracked.any():
        where = np.flatnonzero(tracked)
        every = np.arange(tracks.num_frames)
        rotation, centre = interpolate(where, rotation[where], centre[where], every)
    residual = np.full(len(tracks.frame), np.nan)
    residual[rows] = error
    first = rotation[0]
    depth = ((state.points[solved] - centre[0]) @ first)[:, 2]
    unit = max(float(np.median(depth[depth > 0])) if (depth > 0).any() else 1.0, 1e-9)
    out = np.tile(np.eye(4), (tracks.num_frames, 1, 1))
    out[:, :3, :3] = first.T @ rotation
    out[:, :3, 3] = (centre - centre[0]) @ first / unit
    _, angle = triangulate(rotation, centre, frame[inlier], point[inlier], x[inlier],
                           len(state.points))  # fmt: skip
    return FreeFit(
        shot_from_cam=out,
        tracked=tracked,
        residual=residual,
        parallax=float(np.median(angle[solved])),
    )


def _polished(bundle: Bundle, settings: SfmSettings) -> Bundle:
    """All frames and points together; cameras and points without good observations stay.

    The thresholds follow the residuals down: points that slide along an edge or sit on a shadow
    agree within a pixel or two, and yet bend the trajectory more than all noise.
    """
    huber, limit = settings.huber, settings.outlier
    for turn in range(POLISHING_ROUNDS):
        error = np.linalg.norm(residuals(bundle), axis=1)
        usable = (error < limit) & (points_in_cameras(bundle)[:, 2] > 0)
        if turn and usable.any():
            typical = np.median(error[error < settings.outlier])
            huber = max(1.5 * typical, 0.1 * settings.huber)
            limit = 3 * huber
            usable &= error < limit
            # A point that is often wrong is wrong altogether.
            share = _count(bundle.point[usable], bundle.points) / np.maximum(
                _count(bundle.point, bundle.points), 1
            )
            usable &= share[bundle.point] >= MIN_AGREEING
        usable &= (_count(bundle.camera[usable], bundle.centre) >= settings.min_points)[
            bundle.camera
        ]
        usable &= (_count(bundle.point[usable], bundle.points) >= 2)[bundle.point]
        cameras, camera = np.unique(bundle.camera[usable], return_inverse=True)
        points, point = np.unique(bundle.point[usable], return_inverse=True)
        if len(cameras) < 2:
            return bundle
        part = adjust(
            Bundle(bundle.rotation[cameras], bundle.centre[cameras], bundle.points[points],
                   camera, point, bundle.x[usable]),
            huber=huber, max_iterations=15,
        )  # fmt: skip
        rotation, centre, world = bundle.rotation.copy(), bundle.centre.copy(), bundle.points.copy()
        rotation[cameras], centre[cameras], world[points] = part.rotation, part.centre, part.points
        bundle = bundle._replace(rotation=rotation, centre=centre, points=world)
    return bundle


def _count(
    index: Int64[np.ndarray, " M"], among: Float64[np.ndarray, "N *_"]
) -> Int64[np.ndarray, " N"]:
    return np.bincount(index, minlength=len(among)).astype(np.int64)


def interpolate(
    at: Int64[np.ndarray, " K"],
    rotation: Float64[np.ndarray, "K 3 3"],
    centre: Float64[np.ndarray, "K 3"],
    frames: Int64[np.ndarray, " T"],
) -> tuple[Float64[np.ndarray, "T 3 3"], Float64[np.ndarray, "T 3"]]:
    """Poses between known frames (slerp, linear); held outside them."""
    if len(at) == 1:
        return np.repeat(rotation, len(frames), 0), np.repeat(centre, len(frames), 0)
    inside = frames.clip(at[0], at[-1])
    turned = Slerp(at, Rotation.from_matrix(rotation))(inside).as_matrix()
    moved = np.stack([np.interp(inside, at, centre[:, k]) for k in range(3)], axis=1)
    return turned, moved
