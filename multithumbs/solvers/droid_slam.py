"""DROID-SLAM (Teed and Deng, NeurIPS 2021) over one shot, whatever its length or motion.

The published system needs ``warmup`` key frames before it says anything. Where the motion filter
finds fewer (a short shot, or one with little motion), key frames are spread evenly instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from multithumbs.geometry.rigid import inverse
from multithumbs.solvers.droid_backend import BackendSettings, fill, refine
from multithumbs.solvers.droid_frames import KeyFrames, UpdateOperator
from multithumbs.solvers.droid_frontend import Frontend, FrontendSettings

Stream = Callable[[], Iterator[tuple[int, Tensor, Bool[Tensor, "h w"]]]]
"""Yields (time, image, background on the 1/8 grid) of the same frames whenever it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroidTrack:
    """Trajectory of ``T`` frames in the axes of the first; its scale is free."""

    time: Int64[np.ndarray, " T"]
    shot_from_cam: Float64[np.ndarray, "T 4 4"]
    key_time: Int64[np.ndarray, " K"]
    parallax: float
    """Angle by which the median depth shifts over the baseline of the key frames, radians."""
    unit_depth: float
    """Median depth of the background in the first key frame, in units of the trajectory."""
    spread: bool
    """Too little motion for the published initialisation: key frames were spread evenly."""
    failed: int
    """Gauss-Newton steps without a solution, which were left out."""
    finite: bool
    """False where the result cannot be used."""


def track(
    stream: Stream,
    operator: UpdateOperator,
    hw: tuple[int, int],
    intrinsics: Float64[Tensor, "4"],
    frontend: FrontendSettings,
    backend: BackendSettings,
    dtype: torch.dtype = torch.float32,
) -> DroidTrack:
    """Frontend, backend and filler. The stream is read two or three times and never held.

    Args:
        stream: the frames, at least one.
        operator: the networks.
        hw: size of the 1/8 grid.
        intrinsics: fx, fy, cx, cy of that grid; its device is that of the whole computation.
        frontend, backend: settings.
        dtype: of depths and flow; poses and linear systems are float64.
    """
    front = Frontend(KeyFrames(hw, intrinsics, dtype), operator, frontend)
    times = [_added(front, *frame) for frame in stream()]
    spread = not front.initialised and len(times) > 1
    if spread:
        count = min(frontend.warmup, len(times))
        chosen = {times[round(k)] for k in np.linspace(0, len(times) - 1, count).tolist()}
        front = Frontend(KeyFrames(hw, intrinsics, dtype), operator, frontend)
        for time, image, background in stream():
            if time in chosen:
                front.keep(time, image, background)
        front.initialise()
    frames = front.frames
    failed = front.graph.failed + refine(frames, operator, backend)
    poses = fill(frames, operator, ((time, image) for time, image, _ in stream()))
    cam_from_shot = torch.stack([poses[time] for time in times])
    shot_from_cam = cam_from_shot[:1] @ inverse(cam_from_shot)
    depth = frames.inverse_depth[0]
    seen = frames.background[0]
    typical = float((depth[seen] if bool(seen.any()) else depth).median())
    baseline = float(shot_from_cam[:, :3, 3].norm(dim=1).max())
    finite = bool(torch.isfinite(shot_from_cam).all()) and np.isfinite(typical) and typical > 0
    return DroidTrack(
        time=np.array(times, dtype=np.int64),
        shot_from_cam=shot_from_cam.cpu().numpy(),
        key_time=frames.time.copy(),
        parallax=float(np.arctan(baseline * typical)) if finite else 0.0,
        unit_depth=1 / typical if finite else 1.0,
        spread=spread,
        failed=failed,
        finite=finite,
    )


def _added(front: Frontend, time: int, image: Tensor, background: Bool[Tensor, "h w"]) -> int:
    front.add(time, image, background)
    return time
