"""Background points followed through a shot by pyramidal Lucas-Kanade, frame by frame."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from multithumbs.config.odometry import FlowConfig
from multithumbs.solvers.odometry_tracks import PointTracks

Gray = UInt8[np.ndarray, "h w"]
Points = Float32[np.ndarray, "N 2"]


class FlowTracker:
    """Streaming point tracker; holds two reduced images, never the shot.

    Every point is matched against the *key-frame* in which its window was cut, not against
    the frame before: a camera that stands still or turns slowly then shows no drift. Few
    survivors or a far move make the current frame the new key-frame.
    """

    def __init__(self, config: FlowConfig, hw: tuple[int, int]) -> None:
        self._config = config
        self._scale = max(1.0, hw[1] / config.width_px)
        self._low_hw = (round(hw[0] / self._scale), round(hw[1] / self._scale))
        self._uv_scale = np.array([hw[1] / self._low_hw[1], hw[0] / self._low_hw[0]])
        self._key: Gray | None = None
        self._key_points = np.zeros((0, 2), np.float32)
        self._points = np.zeros((0, 2), np.float32)
        self._velocity = np.zeros(2, np.float32)
        self._ids = np.zeros(0, np.int64)
        self._next_id = 0
        self._started_with = 0
        self._lost = 0
        self._frame: list[np.ndarray] = []
        self._point: list[np.ndarray] = []
        self._uv: list[np.ndarray] = []
        self._count = 0

    @property
    def pixel_scale(self) -> float:
        """Full-image pixels per reduced pixel."""
        return float(self._uv_scale[0])

    def skip(self) -> None:
        """Pass over a frame that must not be used (fade)."""
        self._count += 1

    def add(self, rgb: UInt8[np.ndarray, "H W 3"], background: Bool[np.ndarray, "h w"]) -> None:
        """Track into one more frame; ``background`` is False on people (reduced size)."""
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if gray.shape != self._low_hw:
            gray = cv2.resize(gray, self._low_hw[::-1], interpolation=cv2.INTER_AREA)
        if self._key is None:
            self._rekey(gray, background)
        else:
            self._track(gray, background)
        self._count += 1

    def result(self) -> PointTracks:
        """All observations so far."""
        return PointTracks(
            num_frames=self._count,
            frame=np.concatenate([np.zeros(0, np.int64), *self._frame]),
            point=np.concatenate([np.zeros(0, np.int64), *self._point]),
            uv=np.concatenate([np.zeros((0, 2)), *self._uv]),
        )

    @property
    def low_hw(self) -> tuple[int, int]:
        """Size of the reduced image."""
        return self._low_hw

    def _track(self, gray: Gray, background: Bool[np.ndarray, "h w"]) -> None:
        config = self._config
        guess = self._points + self._velocity
        points, good = self._match(gray, guess)
        good &= _inside(points, background)
        if good.sum() < config.min_points:
            self._velocity = np.zeros(2, np.float32)
            self._lost += 1
            if self._lost > config.patience_frames:
                self._ids = self._ids[:0]
                self._points = self._points[:0]
                self._rekey(gray, background)
            return
        self._lost = 0
        self._velocity = np.median(points[good] - self._points[good], axis=0)
        self._points, self._key_points = points[good], self._key_points[good]
        self._ids = self._ids[good]
        self._record()
        travelled = np.median(np.linalg.norm(self._points - self._key_points, axis=1))
        few = len(self._points) < config.rekey_fraction * self._started_with
        if few or travelled > config.rekey_flow * self._low_hw[1]:
            self._rekey(gray, background)

    def _match(self, gray: Gray, guess: Points) -> tuple[Points, Bool[np.ndarray, " N"]]:
        key, config = self._key, self._config
        if key is None or len(guess) == 0:
            return guess, np.zeros(len(guess), bool)
        options = {
            "winSize": (config.window_px, config.window_px),
            "maxLevel": config.levels,
            "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01),
            "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
        }
        start = self._key_points[:, None]
        there, found, _ = cv2.calcOpticalFlowPyrLK(
            key, gray, start, guess[:, None].copy(), **options
        )
        back, returned, _ = cv2.calcOpticalFlowPyrLK(gray, key, there, start.copy(), **options)
        miss = np.linalg.norm((back - start)[:, 0], axis=1)
        good = (found[:, 0] == 1) & (returned[:, 0] == 1) & (miss < config.forward_backward_px)
        return there[:, 0], good

    def _rekey(self, gray: Gray, background: Bool[np.ndarray, "h w"]) -> None:
        """Cut new windows here, and fill the image up with new corners."""
        config = self._config
        free = background.astype(np.uint8)
        radius = round(config.corner_distance_px)
        for u, v in self._points:
            cv2.circle(free, (round(float(u)), round(float(v))), radius, 0, -1)
        wanted = config.corners - len(self._points)
        fresh = None
        if wanted > 0:
            fresh = cv2.goodFeaturesToTrack(
                gray, wanted, config.corner_quality, config.corner_distance_px, mask=free
            )
        added = np.zeros((0, 2), np.float32) if fresh is None else fresh.reshape(-1, 2)
        ids = self._next_id + np.arange(len(added))
        self._next_id += len(added)
        known = len(self._points)
        self._points = np.concatenate([self._points, added])
        self._ids = np.concatenate([self._ids, ids])
        self._key_points = self._points.copy()
        self._key = gray
        self._started_with = len(self._points)
        self._velocity = np.zeros(2, np.float32) if known == 0 else self._velocity
        self._lost = 0
        self._record(known)

    def _record(self, first: int = 0) -> None:
        uv = (self._points[first:] + 0.5) * self._uv_scale
        self._frame.append(np.full(len(uv), self._count))
        self._point.append(self._ids[first:].copy())
        self._uv.append(uv.astype(np.float64))


def _inside(points: Points, background: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, " N"]:
    """Points in the image and on the background."""
    height, width = background.shape
    u, v = np.floor(points + 0.5).astype(np.int64).T
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    return inside & background[v.clip(0, height - 1), u.clip(0, width - 1)]


def follow(
    frames: Iterator[tuple[UInt8[np.ndarray, "H W 3"] | None, Bool[np.ndarray, "h w"] | None]],
    tracker: FlowTracker,
    progress: Callable[[int], None],
) -> PointTracks:
    """Feed ``(rgb, background)`` pairs to a tracker; ``rgb`` None passes over a frame."""
    for done, (rgb, background) in enumerate(frames, start=1):
        if rgb is None:
            tracker.skip()
        else:
            if background is None:
                background = np.ones(tracker.low_hw, bool)
            tracker.add(rgb, background)
        progress(done)
    return tracker.result()
